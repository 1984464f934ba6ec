"""A network that memorizes its training rows, and learns nothing that holds for others."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.history_checks._loss_history import (
    count_rows_and_columns,
    explain_skip,
    judge_memorization,
    read_loss_history,
)
from yisheng.reporting.formatting import is_higher_better
from yisheng.reporting.headline import judge_score
from yisheng.reporting.run_facts import RunFacts

REMEDY = Message(
    "check whether each label belongs to its row: shuffled labels, a wrong join or another sort order look like this, "
    "and so do inputs that do not determine the target"
)


@register(needs=explain_skip, explains=("baseline-not-beaten", "overfitting", "underfitting"))
def memorization(facts: RunFacts) -> Iterator[Finding]:
    """Find a training loss that falls while no validation loss is below that of guessing: nothing generalizes.

    A run whose score beats its baseline significantly has learned something. A linear model with as many columns as
    rows fits any targets, so that nothing is said against these: that is `overfitting`.

    Args:
        facts: the losses by epoch, and the scores.

    Source: Zhang, Bengio, Hardt, Recht and Vinyals, "Understanding deep learning requires rethinking generalization",
    2017, section 2 (networks fit random labels).
    """
    history = read_loss_history(facts)
    assert history is not None  # ensured by needs
    judgment = judge_memorization(history)
    score = facts.score
    rows, columns = count_rows_and_columns(facts)
    if judgment is None or 0 < rows <= columns or (score is not None and _beats_baseline(facts, score)):
        return
    yield Finding("memorization", judgment.severity, judgment.evidence, judgment.cause, REMEDY)


def _beats_baseline(facts: RunFacts, score: str) -> bool:
    baseline = facts.scores.get("baseline", {}).get(score)
    return judge_score(facts.scores[facts.part][score], baseline, is_higher_better(score)) == "better"

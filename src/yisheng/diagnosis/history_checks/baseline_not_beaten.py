"""No better than a constant prediction."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.reporting.formatting import BASELINE_DESCRIPTIONS, format_number, is_higher_better, score_name
from yisheng.reporting.headline import Verdict, judge_score
from yisheng.reporting.run_facts import RunFacts

PARTS = ("test", "validation")
PROPER_SCORES = ("log_loss", "rmse", "mae", "mse", "r2", "log_rmse")
"""Scores that only a prediction that knows something improves; precision or the area under the ROC curve of a model
that ranks well, but predicts worse than a guess, say nothing about its predictions."""
WEIGHT_OPTIONS = ("class_weight", "pos_weight")


def explain_skip(facts: RunFacts) -> str:
    """Return why the scores cannot be checked; empty if they can."""
    baseline = facts.scores.get("baseline")
    if not facts.score or not baseline:
        return Message("it needs the scores of a finished run")
    return "" if facts.score in baseline else Message("the baseline has no {score}", score=facts.score)


@register(needs=explain_skip, follows=True)
def baseline_not_beaten(facts: RunFacts) -> Iterator[Finding]:
    """Find a run whose own score is not significantly better than that of a constant prediction, on any part.

    A run whose own score is unclear passes if a proper score is better; one whose own score is worse does not, unless
    the loss weights the classes, which trades this score for the recall of rare classes.

    Args:
        facts: the scores with their intervals.

    Source: Karpathy, https://karpathy.github.io/2019/04/25/recipe (input-independent baseline); Gneiting and Raftery,
    "Strictly proper scoring rules, prediction, and estimation", 2007 (proper scores).
    """
    baseline = facts.scores["baseline"]
    assert facts.score is not None  # ensured by needs
    score, reference = facts.scores[facts.part][facts.score], baseline[facts.score]
    is_worse = judge_score(score, reference, is_higher_better(facts.score)) == "worse"
    run_verdicts = _collect_verdicts(facts, (facts.score,))
    proper_verdicts = _collect_verdicts(facts, PROPER_SCORES)
    has_learned = "better" in run_verdicts | proper_verdicts and (not is_worse or _weights_classes(facts))
    if has_learned or not (run_verdicts | proper_verdicts) - {"unknown"}:
        return
    comparison = Message("worse than") if is_worse else Message("not shown to be better than")
    description = BASELINE_DESCRIPTIONS[facts.spec.task] if facts.spec else Message("a constant prediction")
    yield Finding(
        "baseline-not-beaten",
        "warning" if not is_worse else "note" if _weights_classes(facts) else "error",
        {"score": facts.score, "value": score.value, "baseline": reference.value},
        Message(
            "the {part} {score} of {format_number} is {comparison} {description} ({format_number_2})",
            part=facts.part,
            score=score_name(facts.score),
            format_number=format_number(score.value),
            comparison=comparison,
            description=description,
            format_number_2=format_number(reference.value),
        ),
        _choose_remedy(facts),
    )


def _collect_verdicts(facts: RunFacts, names: Collection[str]) -> set[Verdict]:
    """Return how some scores of all parts compare with the baseline."""
    baseline = facts.scores["baseline"]
    return {
        judge_score(score, baseline[name], is_higher_better(name))
        for part in PARTS
        for name, score in facts.scores.get(part, {}).items()
        if name in names and name in baseline
    }


def _weights_classes(facts: RunFacts) -> bool:
    """Return whether the loss weights the classes."""
    loss = facts.config.get("loss")
    return isinstance(loss, dict) and any(loss.get(option) not in (None, 1.0) for option in WEIGHT_OPTIONS)


def _choose_remedy(facts: RunFacts) -> str:
    if facts.epochs[1] == 0:
        return Message(
            "check that weights= are the trained ones, that scale= is the scaling that they were trained "
            "with, and that the classes have the same order",
        )
    data = facts.environment.get("data")
    rows = data.get("rows") if isinstance(data, dict) else None
    width = facts.spec.shape[0] if facts.spec is not None and facts.spec.is_row else 0
    if isinstance(rows, int) and rows <= width:
        return Message(
            "{rows} rows cannot determine a weight for each of {width} columns: use a strong "
            "weight_decay=, fewer columns (drop=), or more rows",
            rows=f"{rows:,}",
            width=f"{width:,}",
        )
    simpler = "" if facts.choice_name("model") == "linear" else Message("try model=linear, and ")
    return Message(
        "find out whether the target depends on the inputs at all: {simpler}check the data for "
        "leaks, mixed-up rows or labels",
        simpler=simpler,
    )

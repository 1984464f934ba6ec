"""No better than an answer that does not look at the input."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.reporting.formatting import BASELINE_DESCRIPTIONS, is_higher_better, format_number, score_name
from yisheng.reporting.headline import judge_score
from yisheng.reporting.run_facts import RunFacts

PARTS = ("test", "validation")


def _why_not(facts: RunFacts) -> str:
    return "" if facts.score and facts.scores.get("baseline") else "it needs the scores of a finished run"


@register(needs=_why_not, follows=True)
def baseline_not_beaten(facts: RunFacts) -> Iterator[Finding]:
    """Not one score, on no part, is shown to be better than that of the best constant answer.

    Args:
        facts: the scores with their intervals.

    Source: Karpathy, "A config for training neural networks", 2019 (input-independent baseline).
    """
    base = facts.scores["baseline"]
    verdicts = {
        judge_score(score, base[name], is_higher_better(name))
        for part in PARTS
        for name, score in facts.scores.get(part, {}).items()
        if name in base and name != "calibration_error"
    }
    if "better" in verdicts or not verdicts - {"unknown"}:
        return
    assert facts.score is not None  # asked by needs
    measured = facts.scores[facts.part][facts.score]
    worse = judge_score(measured, base.get(facts.score), is_higher_better(facts.score)) == "worse"
    doing = BASELINE_DESCRIPTIONS[facts.spec.task] if facts.spec else "a constant answer"
    yield Finding(
        "baseline-not-beaten",
        "error" if worse else "warning",
        {"score": facts.score, "value": measured.value, "baseline": base[facts.score].value},
        f"the {facts.part} {score_name(facts.score)} of {format_number(measured.value)} is "
        f"{'worse than' if worse else 'not shown to be better than'} {doing} ({format_number(base[facts.score].value)})",
        "see whether the inputs can tell the target at all: try model=linear, and look at the data for leaks, "
        "mixed-up rows or labels",
    )

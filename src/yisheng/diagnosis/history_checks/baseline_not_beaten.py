"""No better than an answer that does not look at the input."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.reporting.formatting import BASELINES, higher, number, score_name
from yisheng.reporting.headline import judge
from yisheng.reporting.run_facts import Facts

PARTS = ("test", "validation")


def _why_not(facts: Facts) -> str:
    return "" if facts.score and facts.scores.get("baseline") else "it needs the scores of a finished run"


@register(needs=_why_not, follows=True)
def baseline_not_beaten(facts: Facts) -> Iterator[Finding]:
    """Not one score, on no part, is shown to be better than that of the best constant answer.

    Args:
        facts: the scores with their intervals.

    Source: Karpathy, "A config for training neural networks", 2019 (input-independent baseline).
    """
    base = facts.scores["baseline"]
    verdicts = {
        judge(score, base[name], higher(name))
        for part in PARTS
        for name, score in facts.scores.get(part, {}).items()
        if name in base and name != "calibration_error"
    }
    if "better" in verdicts or not verdicts - {"unknown"}:
        return
    assert facts.score is not None  # asked by needs
    measured = facts.scores[facts.part][facts.score]
    worse = judge(measured, base.get(facts.score), higher(facts.score)) == "worse"
    doing = BASELINES[facts.spec.task] if facts.spec else "a constant answer"
    yield Finding(
        "baseline-not-beaten",
        "error" if worse else "warning",
        {"score": facts.score, "value": measured.value, "baseline": base[facts.score].value},
        f"the {facts.part} {score_name(facts.score)} of {number(measured.value)} is "
        f"{'worse than' if worse else 'not shown to be better than'} {doing} ({number(base[facts.score].value)})",
        "see whether the inputs can tell the target at all: try model=linear, and look at the data for leaks, "
        "mixed-up rows or labels",
    )

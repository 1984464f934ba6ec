"""No better than a constant prediction."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.reporting.formatting import BASELINE_DESCRIPTIONS, format_number, is_higher_better, score_name
from yisheng.reporting.headline import judge_score
from yisheng.reporting.run_facts import RunFacts

PARTS = ("test", "validation")


def explain_skip(facts: RunFacts) -> str:
    """Return why the scores cannot be checked; empty if they can."""
    baseline = facts.scores.get("baseline")
    if not facts.score or not baseline:
        return "it needs the scores of a finished run"
    return "" if facts.score in baseline else f"the baseline has no {facts.score}"


@register(needs=explain_skip, follows=True)
def baseline_not_beaten(facts: RunFacts) -> Iterator[Finding]:
    """Find a run without any score, on any part, that is significantly better than that of a constant prediction.

    Args:
        facts: the scores with their intervals.

    Source: Karpathy, https://karpathy.github.io/2019/04/25/recipe (input-independent baseline).
    """
    baseline = facts.scores["baseline"]
    verdicts = {
        judge_score(score, baseline[name], is_higher_better(name))
        for part in PARTS
        for name, score in facts.scores.get(part, {}).items()
        if name in baseline and name != "calibration_error"
    }
    if "better" in verdicts or not verdicts - {"unknown"}:
        return
    assert facts.score is not None  # ensured by needs
    score, reference = facts.scores[facts.part][facts.score], baseline[facts.score]
    is_worse = judge_score(score, baseline.get(facts.score), is_higher_better(facts.score)) == "worse"
    comparison = "worse than" if is_worse else "not shown to be better than"
    description = BASELINE_DESCRIPTIONS[facts.spec.task] if facts.spec else "a constant prediction"
    yield Finding(
        "baseline-not-beaten",
        "error" if is_worse else "warning",
        {"score": facts.score, "value": score.value, "baseline": reference.value},
        f"the {facts.part} {score_name(facts.score)} of {format_number(score.value)} is {comparison} {description} "
        f"({format_number(reference.value)})",
        "check that weights= are the trained ones, that scale= is the scaling that they were trained with, and that "
        "the classes have the same order"
        if facts.epochs[1] == 0
        else "find out whether the target depends on the inputs at all: try model=linear, and check the data for "
        "leaks, mixed-up rows or labels",
    )

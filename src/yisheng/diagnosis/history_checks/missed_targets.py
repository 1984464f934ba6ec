"""Targets of a regression that are predicted no better than by their mean, while others are."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, plural_message
from yisheng.core.registry import register
from yisheng.core.score_keys import split_score_key
from yisheng.diagnosis.wording import join_names
from yisheng.reporting.formatting import format_number
from yisheng.reporting.headline import judge_score
from yisheng.reporting.run_facts import RunFacts

METRIC = "r2"
"""It has no unit, and is 0 for the mean."""


def _explain_skip(facts: RunFacts) -> str:
    scores = facts.scores.get(facts.part, {})
    return "" if any(split_score_key(name)[1] for name in scores) else Message("it needs the scores of several targets")


@register(needs=_explain_skip)
def missed_targets(facts: RunFacts) -> Iterator[Finding]:
    """Find targets whose R² is not significantly better than that of predicting the mean, if others are better.

    The mean R² over the targets hides them. If none is better, `baseline-not-beaten` says so.

    Args:
        facts: the scores of each target with their intervals.

    Source: Borchani, Varando, Bielza and Larrañaga, "A survey on multi-output regression", 2015, section 4 (measures
    for each target).
    """
    scores, baseline = facts.scores[facts.part], facts.scores.get("baseline", {})
    by_target = {
        target: key for key in scores for metric, target in [split_score_key(key)] if metric == METRIC and target
    }
    verdicts = {
        target: judge_score(scores[key], baseline[key], upward=True)
        for target, key in by_target.items()
        if key in baseline
    }
    missed = [target for target, verdict in verdicts.items() if verdict in ("worse", "unclear")]
    if not missed or "better" not in verdicts.values():
        return
    values = {target: scores[by_target[target]].value for target in missed}
    listed = ", ".join(f"{target} {format_number(value)}" for target, value in values.items())
    yield Finding(
        "missed-targets",
        "warning",
        {"r2": values},
        plural_message(
            len(missed),
            "{names} is not shown to be predicted better than by the mean (R² {listed}), while other targets are",
            "{names} are not shown to be predicted better than by the mean (R² {listed}), while other targets are",
            names=join_names(missed),
            listed=listed,
        ),
        Message(
            "predict the other targets without {missed}, or check whether the inputs say anything about it",
            missed=missed[0],
        ),
    )

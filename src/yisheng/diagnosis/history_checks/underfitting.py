"""A network that has not learnt what there is to learn."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.history_checks._losses import losses, why_not
from yisheng.reporting.formatting import is_higher_better, format_number, score_name
from yisheng.reporting.run_facts import RunFacts

LITTLE = 0.1


@register(needs=why_not, explains=("baseline-not-beaten",), follows=True)
def underfitting(facts: RunFacts) -> Iterator[Finding]:
    """Boosted trees on the same rows are surely better; or hardly anything was learnt of the training rows themselves.

    The latter counts only where the baseline is not beaten, too: rows may well be noisy.

    Args:
        facts: the losses by epoch and the scores.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 5.2.
    """
    seen, score = losses(facts), facts.score
    assert seen is not None  # asked by needs
    trees = facts.scores.get("boosting", {}).get(score or "")
    ours = facts.scores.get(facts.part, {}).get(score or "")
    upward = is_higher_better(score) if score else None
    if trees is not None and ours is not None and score is not None and upward is not None:
        ours_best, trees_worst = (ours.high, trees.low) if upward else (ours.low, trees.high)
        if ours_best is not None and trees_worst is not None and (trees_worst > ours_best) == upward:
            yield Finding(
                "underfitting",
                "warning",
                {"score": score, "network": ours.value, "boosted trees": trees.value},
                f"boosted trees on the same rows reach {score_name(score)} {format_number(trees.value)} where the network "
                f"reaches {format_number(ours.value)}: it has not learnt what there is to learn",
                "try model=tabm, more epochs, a wider network (hidden=256,256), or search: yisheng tune",
                change={"model": "tabm"},
            )
            return
    fallen = (seen.start - min(seen.training)) / abs(seen.start) if seen.start else 0.0
    if fallen < LITTLE and not _beaten(facts):
        yield Finding(
            "underfitting",
            "warning",
            {"training loss at first": seen.start, "least": min(seen.training), "share gone": fallen},
            f"hardly anything was learnt of the training rows themselves: {fallen:.0%} of the loss is gone",
            "try another lr (ten times more, ten times less), more epochs, or a larger model",
        )


def _beaten(facts: RunFacts) -> bool:
    """Whether the baseline is beaten in any score."""
    from yisheng.diagnosis.history_checks.baseline_not_beaten import baseline_not_beaten

    return bool(facts.score and facts.scores.get("baseline")) and not list(baseline_not_beaten(facts))

"""Numbers in 16 bits that are too small to be held."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage
from yisheng.diagnosis.recorder.records import GradientRecord
from yisheng.diagnosis.recorder.statistics import MIN_PRECISE_FLOAT16

LEAST, FIRST = 3, 5
MANY, LITTLE = 0.5, 0.5


def why_not(case: Case) -> str:
    """What it lacks."""
    seen = [moment for moment in case.records if moment.gradients or any(one.unchanged_fraction is not None for one in moment.parameters)]
    return describe_shortage(LEAST, len(seen), "steps in 16 bits") if seen else "nothing was seen to run in 16 bits"


@register(
    needs=why_not,
    when="first",
    cause="structure",
    explains=("vanishing-gradients", "low-learning-rate", "no-gradient", "plateau", "oscillation"),
)
def half_precision(case: Case) -> Iterator[Finding]:
    """Gradients in float16 are next to the least number it has; or updates of 16-bit weights are rounded away.

    Gradients count in the first steps, where there is something to learn, or later where little is learned. With a
    loss scaler they are seen multiplied, as they are propagated.

    Args:
        case: gradients of what its layers gave, and which weights an update left as they were.

    Source: Micikevicius et al., "Mixed precision training", 2018, sections 3.1 (a copy of the weights in float32) and
    3.2 (loss scaling).
    """
    shares = [found for moment in case.records if (found := _faint(moment.gradients)) is not None]
    faint = statistics.median(shares[: None if case.learned_less_than(LITTLE) else FIRST]) if len(shares) >= LEAST else 0.0
    if faint > MANY:
        yield Finding(
            "half-precision",
            "warning",
            {"share of the gradients": faint, "below": MIN_PRECISE_FLOAT16, "layers": len(case.records[0].gradients)},
            f"{faint:.0%} of the layers' gradients in float16 are below {MIN_PRECISE_FLOAT16:.2g}, next to the least number that it "
            "has: they are rounded to a few values, and smaller ones to zero",
            "scale the loss with torch.amp.GradScaler, or use bfloat16",
        )
    lost = [one.unchanged_fraction for moment in case.records for one in moment.parameters if one.unchanged_fraction is not None]
    share = statistics.median(lost) if len(lost) >= LEAST else 0.0
    if share > MANY:
        yield Finding(
            "half-precision",
            "warning",
            {"share of the weights": share},
            f"an update leaves {share:.0%} of the weights in 16 bits as they were, though they have a gradient: it is "
            "rounded away",
            "keep the weights in float32 and let torch.autocast compute in 16 bits",
        )


def _faint(slopes: Sequence[GradientRecord]) -> float | None:
    """The middle layer's share of values that are hardly held; a layer without any gradient counts if all are so."""
    found = [one.subnormal_fraction for one in slopes if one.zero_fraction < 1]
    return statistics.median(found) if found else 1.0 if slopes else None

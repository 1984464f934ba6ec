"""16-bit numbers that are too small to be represented."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import GradientRecord
from yisheng.diagnosis.recorder.statistics import MIN_PRECISE_FLOAT16
from yisheng.diagnosis.wording import describe_shortage

MIN_STEPS = 3
FIRST_STEPS = 5
"""Recorded steps whose gradients count if the training learns: there was something to learn then."""
MAX_LOST_FRACTION = 0.5
MAX_LEARNED_FRACTION = 0.5
"""In a training that has learned more than this, only the gradients of the first steps count."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = sum(
        bool(record.gradients) or any(p.unchanged_fraction is not None for p in record.parameters)
        for record in case.records
    )
    return describe_shortage(MIN_STEPS, count, "recorded steps in 16 bits") if count else "nothing ran in 16 bits"


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("vanishing-gradients", "low-learning-rate", "no-gradient", "plateau", "oscillation"),
)
def half_precision(case: Case) -> Iterator[Finding]:
    """Find float16 gradients close to its smallest number, or updates of 16-bit weights that are rounded away.

    Gradients count in the first steps, and later if little is learned. With a loss scaler they are recorded with its
    factor, as they are propagated.

    Args:
        case: gradients of its layers' outputs, and the fractions of weights that an update left unchanged.

    Source: Micikevicius et al., "Mixed precision training", 2018, sections 3.1 (a copy of the weights in float32) and
    3.2 (loss scaling).
    """
    fractions = [_subnormal_fraction(record.gradients) for record in case.records if record.gradients]
    last_step = None if case.learned_less_than(MAX_LEARNED_FRACTION) else FIRST_STEPS
    subnormal = statistics.median(fractions[:last_step]) if len(fractions) >= MIN_STEPS else 0.0
    if subnormal > MAX_LOST_FRACTION:
        yield Finding(
            "half-precision",
            "warning",
            {
                "fraction of the gradients": subnormal,
                "below": MIN_PRECISE_FLOAT16,
                "layers": len(case.records[0].gradients),
            },
            f"{subnormal:.0%} of the layers' gradients in float16 are below {MIN_PRECISE_FLOAT16:.2g}, close to its "
            "smallest number: they are rounded to a few values, and smaller ones to zero",
            "scale the loss with torch.amp.GradScaler, or use bfloat16",
        )
    parameters = [p for record in case.records for p in record.parameters]
    lost = [p.unchanged_fraction for p in parameters if p.unchanged_fraction is not None]
    unchanged = statistics.median(lost) if len(lost) >= MIN_STEPS else 0.0
    if unchanged > MAX_LOST_FRACTION:
        yield Finding(
            "half-precision",
            "warning",
            {"fraction of the weights": unchanged},
            f"an update leaves {unchanged:.0%} of the 16-bit weights that have a gradient unchanged: the update is "
            "rounded away",
            "keep the weights in float32 and let torch.autocast compute in 16 bits",
        )


def _subnormal_fraction(gradients: Sequence[GradientRecord]) -> float:
    """Return the fraction of imprecise values in the median layer; layers of zeros count only if there is no other."""
    fractions = [gradient.subnormal_fraction for gradient in gradients if gradient.zero_fraction < 1]
    return statistics.median(fractions) if fractions else 1.0

"""16-bit numbers that are too small to be represented."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import GradientRecord
from yisheng.diagnosis.recorder.statistics import MIN_PRECISE_FLOAT16
from yisheng.diagnosis.rounded_numbers import RoundedNumbers, find_rounded_numbers, has_large_embedding
from yisheng.diagnosis.wording import describe_shortage

MIN_STEPS = 3
"""Recorded steps that are required: the median of three is not decided by one unusual batch."""
FIRST_STEPS = 5
"""Recorded steps whose gradients count if the training learns: there was something to learn then."""
LARGEST_FLOAT16, SMALLEST_FLOAT16 = 65504.0, 2.0**-24
"""The largest number of the type, and the smallest one above 0 (IEEE 754, binary16)."""
MAX_LOST_FRACTION = 0.5
"""More than half of the values: then the sum of the others no longer has the gradient's direction."""
MAX_LEARNED_FRACTION = 0.5
"""In a training that has learned more than this, only the gradients of the first steps count."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if _find_lost_epsilon(case) or _has_overflown(case) or has_large_embedding(case):
        return ""
    count = sum(
        bool(record.gradients) or any(p.unchanged_fraction is not None for p in record.parameters)
        for record in case.records
    )
    if not count and case.ran_in_bfloat16:
        return Message("layers ran in bfloat16, which has the exponents of float32: no gradient is too small for it")
    return (
        describe_shortage(MIN_STEPS, count, Message("recorded steps in 16 bits"))
        if count
        else Message("nothing ran in 16 bits")
    )


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=(
        "vanishing-gradients",
        "low-learning-rate",
        "high-learning-rate",
        "no-gradient",
        "non-finite-loss",
        "plateau",
        "oscillation",
        "target-scale",
    ),
)
def half_precision(case: Case) -> Iterator[Finding]:
    """Find what 16 bits cannot hold: small gradients and updates, the eps of an optimizer, large losses, and numbers.

    Numbers of categories above 256 (bfloat16) or 2048 (float16) are rounded to even ones, above twice as many to
    multiples of 4: an embedding then has one vector for several categories.

    Gradients count in the first steps, and later if little is learned. With a loss scaler they are recorded with its
    factor, as they are propagated.

    Args:
        case: gradients of its layers' outputs, and the fractions of weights that an update left unchanged.

    Source: Micikevicius et al., "Mixed precision training", 2018, sections 3.1 (a copy of the weights in float32) and
    3.2 (loss scaling).
    """
    epsilon = _find_lost_epsilon(case)
    if epsilon or _has_overflown(case):
        yield _explain_nonfinite(case, epsilon)
        return
    rounded = find_rounded_numbers(case) if has_large_embedding(case) else None
    if rounded is not None:
        yield _explain_rounded(rounded)
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
            Message(
                "{subnormal} of the layers' gradients in float16 are below {MIN_PRECISE_FLOAT16}, close to "
                "its smallest number: they are rounded to a few values, and smaller ones to zero",
                subnormal=f"{subnormal:.0%}",
                MIN_PRECISE_FLOAT16=f"{MIN_PRECISE_FLOAT16:.2g}",
            ),
            Message("scale the loss with torch.amp.GradScaler, or use bfloat16"),
        )
    parameters = [p for record in case.records for p in record.parameters]
    lost = [p.unchanged_fraction for p in parameters if p.unchanged_fraction is not None]
    unchanged = statistics.median(lost) if len(lost) >= MIN_STEPS else 0.0
    if unchanged > MAX_LOST_FRACTION:
        yield Finding(
            "half-precision",
            "warning",
            {"fraction of the weights": unchanged},
            Message(
                "an update leaves {unchanged} of the 16-bit weights that have a gradient unchanged: the "
                "update is rounded away",
                unchanged=f"{unchanged:.0%}",
            ),
            Message("keep the weights in float32 and let torch.autocast compute in 16 bits"),
        )


def _explain_rounded(rounded: RoundedNumbers) -> Finding:
    return Finding(
        "half-precision",
        "error",
        {
            "embedding": rounded.embedding,
            "numbers above the limit": rounded.numbers,
            "highest": rounded.highest,
            "step": rounded.step,
        },
        Message(
            "{embedding} looks up numbers that {dtype} has rounded: it is exact up to {limit}, the highest number here "
            "is {highest}, and there {step} categories become one (all {count} different numbers above {limit} are "
            "among those that {dtype} can hold)",
            embedding=rounded.embedding,
            dtype=rounded.dtype,
            limit=rounded.limit,
            highest=rounded.highest,
            step=rounded.step,
            count=rounded.numbers,
        ),
        Message(
            "take the numbers of categories as whole numbers (x[:, 0].long()) before x is converted to 16 bits, or "
            "give them to the network apart from the other columns"
        ),
    )


def _find_lost_epsilon(case: Case) -> float:
    """Return the eps of the optimizer that float16 rounds to zero, if the loss became NaN; else 0."""
    if case.nonfinite_loss is None:
        return 0.0
    for group in case.optimizer.param_groups:
        epsilon = float(group.get("eps", 0.0))
        is_half = any(p.dtype == torch.float16 for p in group["params"])
        if is_half and epsilon > 0 and float(torch.tensor(epsilon, dtype=torch.float16)) == 0:
            return epsilon
    return 0.0


def _has_overflown(case: Case) -> bool:
    """Return whether a loss in float16 became infinite from finite inputs, targets and weights."""
    nonfinite = case.nonfinite_loss
    return nonfinite is not None and nonfinite.dtype == "float16" and nonfinite.inputs and nonfinite.weights


def _explain_nonfinite(case: Case, epsilon: float) -> Finding:
    step = 0 if case.nonfinite_loss is None else case.nonfinite_loss.step
    if epsilon:
        return Finding(
            "half-precision",
            "error",
            {"step": step, "eps": epsilon, "optimizer": type(case.optimizer).__name__},
            Message(
                "the weights are float16, whose smallest number is {SMALLEST_FLOAT16}: the eps={epsilon} of "
                "{name__} is 0 there, and where the gradient is 0 it divides 0 by 0",
                SMALLEST_FLOAT16=f"{SMALLEST_FLOAT16:.2g}",
                epsilon=f"{epsilon:g}",
                name__=type(case.optimizer).__name__,
            ),
            Message(
                "keep the weights in float32 and use torch.autocast with torch.amp.GradScaler, or "
                "torch.bfloat16; in float16 only eps=1e-4 works",
            ),
        )
    return Finding(
        "half-precision",
        "error",
        {"step": step, "largest float16": LARGEST_FLOAT16},
        Message(
            "the loss is computed in float16 and passes its largest number, {LARGEST_FLOAT16}, at step "
            "{step}, from finite inputs and weights",
            LARGEST_FLOAT16=f"{LARGEST_FLOAT16:,.0f}",
            step=step,
        ),
        Message(
            "compute the loss in float32 (output.float()), as torch.autocast does, or use bfloat16; "
            "average instead of summing",
        ),
    )


def _subnormal_fraction(gradients: Sequence[GradientRecord]) -> float:
    """Return the fraction of imprecise values in the median layer; layers of zeros count only if there is no other."""
    fractions = [gradient.subnormal_fraction for gradient in gradients if gradient.zero_fraction < 1]
    return statistics.median(fractions) if fractions else 1.0

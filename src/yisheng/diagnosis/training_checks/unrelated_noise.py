"""Noise that is to be predicted and is not the noise of the inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.noise_targets import correlate, find_pairs, is_white
from yisheng.diagnosis.wording import describe_shortage

MIN_ROWS = 100
"""Recorded rows: a correlation of 0.3 is then far from 0 at random."""
MAX_CORRELATION = 3.5
"""Correlation of a target with the input at the same place, times the root of the number of values: noise that was
added to the inputs has one of 0.3 or more."""
MAX_LEARNED, MIN_LOSSES = 0.15, 100
"""Fraction of the loss of guessing that may be gone after as many updates: nothing predicts noise that is not there,
and the mean of few losses of small batches is known to a tenth."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or case.pairing.loss not in REGRESSION_LOSSES:
        return Message("the loss does not compare numbers")
    pairs = find_pairs(case)
    if pairs is None:
        return Message("the targets are not numbers of the shape of the inputs")
    return describe_shortage(MIN_ROWS, len(pairs[0]), Message("recorded rows"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("plateau", "low-learning-rate", "constant-outputs", "memorization", "underfitting", "oscillation"),
)
def unrelated_noise(case: Case) -> Iterator[Finding]:
    """Find targets that are noise and have nothing in common with the inputs: the noise was drawn a second time.

    A network that predicts noise e from x = a x0 + b e needs the same e in both. Targets of standard normal numbers
    that are not correlated with the inputs, and a loss that stays at that of guessing, show another one.

    Args:
        case: rows of its inputs and targets.

    Source: Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", 2020, algorithm 1 (one e in the input and
    in the loss).
    """
    pairs = find_pairs(case)
    assert pairs is not None  # ensured by needs
    x, noise = pairs
    correlation = correlate(x, noise)
    is_unrelated = abs(correlation) * math.sqrt(noise.numel()) < MAX_CORRELATION
    if not is_unrelated or not is_white(noise) or len(case.losses) < MIN_LOSSES:
        return
    if not case.learned_fraction < MAX_LEARNED:
        return
    yield Finding(
        "unrelated-noise",
        "error",
        {"rows": len(x), "correlation of targets and inputs": correlation, "learned": case.learned_fraction},
        Message(
            "the targets are standard normal noise that is not in the inputs: their correlation in {rows} recorded "
            "rows is {correlation}, and nothing is learned",
            rows=len(x),
            correlation=f"{correlation:.2f}",
        ),
        Message("draw the noise once, and use it for input and target: noise = torch.randn_like(x); x + noise, noise"),
        source=case.sources.get("loss", ""),
    )

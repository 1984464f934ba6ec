"""The result of a learning-rate range test, and its file ``lr_find.json``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from yisheng.core.messages import Message
from yisheng.reporting.formatting import format_tick


@dataclass(frozen=True)
class RangeCurve:
    """The range test with one seed.

    Args:
        seed: of the split, the initial weights and the order of the samples.
        lr: learning rate of each step.
        loss: training loss of each step's batch, before its update.
        smooth: the smoothed loss of each step.
        steepest: the rate at which the smoothed loss falls fastest, or None if it never falls.
        minimum: the rate with the smallest smoothed loss, or None if the loss never falls.
        diverged: the rate at which the test was stopped because the loss grew or became non-finite; None if it
            reached the largest rate.
    """

    seed: int
    lr: tuple[float, ...]
    loss: tuple[float, ...]
    smooth: tuple[float, ...]
    steepest: float | None
    minimum: float | None
    diverged: float | None


@dataclass(frozen=True)
class Estimate:
    """A learning rate: the median over the seeds, with the smallest and the largest."""

    lr: float
    low: float
    high: float

    @property
    def factor(self) -> float:
        """Return how many times larger the largest is than the smallest."""
        return self.high / self.low


@dataclass(frozen=True)
class LearningRateTest:
    """The range tests of all seeds, and what they suggest.

    Args:
        path: the folder with the report.
        data: name of the data.
        model: name of the network.
        optimizer: name of the optimizer.
        batch: samples of an update.
        schedule: the config's schedule, which the test does not use.
        current: the config's learning rate.
        steps: steps of a complete test.
        low: the first learning rate.
        high: the last one.
        updates: updates of a run with this config.
        curves: a test for each seed.
        caveats: sentences on when the suggestion misleads, those that apply here.

    >>> import tempfile, yisheng
    >>> test = yisheng.lr_find(data="digits", model="linear", seeds=1, out=tempfile.mkdtemp(), quiet=True)
    >>> 0.001 < test.suggestion < 10, test.suggestion == test.minimum_tenth.lr, test.steepest is None
    (True, True, False)
    >>> test.describe().endswith("a tenth of the rate with the smallest loss."), test.to_json()["model"]
    (True, 'linear')
    """

    path: str
    data: str
    model: str
    optimizer: str
    batch: int
    schedule: str
    current: float
    steps: int
    low: float
    high: float
    updates: int
    curves: tuple[RangeCurve, ...]
    caveats: tuple[str, ...] = ()

    @property
    def steepest(self) -> Estimate | None:
        """Return the rate at which the loss falls fastest, or None if it falls with no seed."""
        return estimate([curve.steepest for curve in self.curves])

    @property
    def minimum_tenth(self) -> Estimate | None:
        """Return a tenth of the rate with the smallest loss, or None if the loss falls with no seed."""
        return estimate([None if curve.minimum is None else curve.minimum / 10 for curve in self.curves])

    @property
    def suggestion(self) -> float | None:
        """Return the suggested learning rate, a tenth of the rate with the smallest loss; None if there is none."""
        return None if self.minimum_tenth is None else self.minimum_tenth.lr

    def describe(self) -> Message:
        """Return the suggestion in one sentence, with the range over the seeds."""
        tenth = self.minimum_tenth
        if tenth is None:
            return Message("Nothing can be suggested: the loss does not fall in this test.")
        low, high = format_tick(tenth.low, 3), format_tick(tenth.high, 3)
        lr = format_tick(tenth.lr, 3)
        if len(self.curves) == 1:
            return Message("Suggested: lr={lr}, a tenth of the rate with the smallest loss.", lr=lr)
        return Message(
            "Suggested: lr={lr} ({low} to {high} over {seeds} seeds), a tenth of the rate with the smallest loss.",
            lr=lr,
            low=low,
            high=high,
            seeds=len(self.curves),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the fields without the path, and ``suggestion``, ``steepest`` and ``minimum_tenth``."""
        estimates = {"steepest": self.steepest, "minimum_tenth": self.minimum_tenth}
        plain = {name: None if value is None else asdict(value) for name, value in estimates.items()}
        facts = asdict(self)
        curves = [{**curve, "loss": [_finite(v) for v in curve["loss"]]} for curve in facts.pop("curves")]
        del facts["path"]
        return {"suggestion": self.suggestion, **plain, **facts, "curves": curves}


def estimate(rates: Sequence[float | None]) -> Estimate | None:
    """Return the median of rates on a logarithmic scale with their range, or None without any.

    >>> estimate([0.01, None, 0.1])
    Estimate(lr=0.0316, low=0.01, high=0.1)
    """
    logarithms = [math.log(rate) for rate in rates if rate is not None]
    if not logarithms:
        return None
    values = (statistics.median(logarithms), min(logarithms), max(logarithms))
    return Estimate(*(float(f"{math.exp(value):.3g}") for value in values))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

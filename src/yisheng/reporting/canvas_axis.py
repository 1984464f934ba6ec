"""One axis of a `yisheng.reporting.canvas.Canvas`: its limits, its scale and its ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from yisheng.reporting.formatting import format_tick

MARGIN = 0.05
"""Space between the values and the ends of the axis, as a fraction of their range."""
STEPS = (1, 2, 2.5, 5, 10)
LINEAR_TO = 10.0
"""A symlog axis is linear up to this value."""
MAX_LOG_TICKS = 8
_LINEAR_SHARE = 1 / (1 - 1 / 10)
"""Length of the linear part of a symlog axis in decades."""


class CanvasAxis:
    """An axis.

    Args:
        start: position of its lower end.
        end: position of its upper end.

    >>> axis = CanvasAxis(0, 100)
    >>> axis.include([0, 10])
    >>> axis.set_limits(0, None)
    >>> [(round(position), label) for position, label in axis.locate_ticks()]
    [(0, '0'), (19, '2'), (38, '4'), (57, '6'), (76, '8'), (95, '10')]
    """

    def __init__(self, start: float, end: float) -> None:
        self._start, self._end = start, end
        self._values: tuple[float, float] | None = None
        self._smallest_positive = math.inf
        self._fixed_limits: tuple[float | None, float | None] = (None, None)
        self._ticks: Sequence[float] | None = None
        self._labels: Sequence[str] | None = None
        self._is_sticky = False
        self.scale = "linear"
        self.format: Callable[[float], str] = format_tick
        self.tick_count, self.has_integer_ticks = 9, False

    def include(self, values: Iterable[float], *, sticks_to_zero: bool = False) -> None:
        """Widen the limits to some values; those that are not finite have no place.

        Args:
            values: of the data.
            sticks_to_zero: whether the axis ends at 0 without a margin, as below a bar.
        """
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            low, high = self._values or (math.inf, -math.inf)
            self._values = min(low, *finite), max(high, *finite)
            self._smallest_positive = min([self._smallest_positive, *(value for value in finite if value > 0)])
        self._is_sticky |= sticks_to_zero

    def set_limits(self, low: float | None, high: float | None) -> None:
        """Set the limits, or one of them."""
        earlier_low, earlier_high = self._fixed_limits
        self._fixed_limits = earlier_low if low is None else low, earlier_high if high is None else high

    def set_ticks(self, positions: Sequence[float], labels: Sequence[str] | None) -> None:
        """Set the ticks, and their labels if they are not the values."""
        self._ticks, self._labels = list(positions), labels

    @property
    def limits(self) -> tuple[float, float]:
        """Return the lower and the upper limit."""
        low, high = self._fixed_limits
        if low is None or high is None:
            automatic = self._fit_limits()
            low, high = automatic[0] if low is None else low, automatic[1] if high is None else high
        return low, high

    def _fit_limits(self) -> tuple[float, float]:
        """Return limits around the values."""
        is_log = self.scale == "log"
        if self._values is None or (is_log and not math.isfinite(self._smallest_positive)):
            return (1.0, 10.0) if is_log else (0.0, 1.0)
        low, high = self._smallest_positive if is_log else self._values[0], self._values[1]
        if high - low <= 1e-12 * max(abs(low), abs(high)):
            extent = MARGIN * max(abs(low), abs(high)) or MARGIN
            low, high = low - extent, high + extent
        start, end = self._transform(low), self._transform(high)
        margin = MARGIN * (end - start)
        first = low if self._is_sticky and low == 0 else self._invert(start - margin)
        return first, self._invert(end + margin)

    def locate(self, value: float) -> float:
        """Return the position of a value; NaN if it has none."""
        low, high = map(self._transform, self.limits)
        return self._start + (self._transform(value) - low) / ((high - low) or 1.0) * (self._end - self._start)

    def _transform(self, value: float) -> float:
        if self.scale == "log":
            return math.log10(value) if value > 0 else math.nan
        if self.scale == "symlog" and abs(value) > LINEAR_TO:
            return math.copysign(LINEAR_TO * (_LINEAR_SHARE + math.log10(abs(value) / LINEAR_TO)), value)
        return value * _LINEAR_SHARE if self.scale == "symlog" else value

    def _invert(self, value: float) -> float:
        """Return the value of which `_transform` makes this one."""
        if self.scale == "log":
            return 10.0**value
        if self.scale == "symlog" and abs(value) > LINEAR_TO * _LINEAR_SHARE:
            return math.copysign(LINEAR_TO * 10.0 ** (abs(value) / LINEAR_TO - _LINEAR_SHARE), value)
        return value / _LINEAR_SHARE if self.scale == "symlog" else value

    def locate_ticks(self) -> list[tuple[float, str]]:
        """Return position and label of each tick."""
        low, high = self.limits
        values = self._ticks
        if values is None:
            find = find_log_ticks if self.scale == "log" else find_linear_ticks
            values = find(low, high, self.tick_count)
            if self.has_integer_ticks:
                values = [value for value in values if float(value).is_integer()]
        labels = self._labels or list(map(self.format, values))
        tolerance = 1e-9 * abs(high - low)
        return [
            (self.locate(value), label)
            for value, label in zip(values, labels, strict=True)
            if low - tolerance <= value <= high + tolerance
        ]


def find_linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Return at most ``count`` + 1 round values at equal distances.

    >>> find_linear_ticks(0, 1, 5), find_linear_ticks(3, 42, 4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [10.0, 20.0, 30.0, 40.0])
    """
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return []
    unit = 10.0 ** math.floor(math.log10(span / count))
    step = next((unit * step for step in STEPS if span / (unit * step) <= count), 10 * unit)
    digits = max(0, 1 - math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, digits) if digits < 300 else n * step for n in range(first, last + 1)]


def find_log_ticks(low: float, high: float, _: int) -> list[float]:
    """Return powers of ten, and twice and five times these on a short axis.

    >>> find_log_ticks(0.009, 1.1, 5), find_log_ticks(1, 12, 5)
    ([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0], [1.0, 2.0, 5.0, 10.0])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    is_short = math.log10(high / low) < 2.5
    stride = max(1, math.ceil((last - first + 1) / MAX_LOG_TICKS))
    powers = range(first, last + 1, 1 if is_short else stride)
    values = [float(f"{digit}e{power}") for power in powers for digit in ((1, 2, 5) if is_short else (1,))]
    return [value for value in values if low <= value <= high]

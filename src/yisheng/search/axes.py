"""The axes of a search space: alternatives, or a range with a scale."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message

Scale = Literal["log", "uniform", "int", "logint"]
SCALES: tuple[Scale, ...] = ("log", "uniform", "int", "logint")
SIGNIFICANT_DIGITS = 4
"""Digits of a drawn number: a learning rate needs no more, and the numbers of a table can be typed again."""


@dataclass(frozen=True)
class Range:
    """A range that values are drawn from.

    Args:
        scale: ``log`` and ``uniform`` give real numbers, ``logint`` and ``int`` integers.
        low: the smallest value.
        high: the largest value.

    Raises:
        UsageError: the scale is unknown, the range is empty, or a logarithmic range begins at zero or below.

    >>> Range("log", 1e-4, 1).high
    1
    """

    scale: Scale
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise UsageError(
                Message("unknown range {scale}", scale=f"{self.scale!r}"), suggest(str(self.scale), SCALES)
            )
        are_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (self.low, self.high))
        if not are_numbers or not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise UsageError(
                Message("{name} must have two finite numbers", name=self),
                Message("write {scale}(low,high)", scale=self.scale),
            )
        if self.scale in ("int", "logint") and (self.low != int(self.low) or self.high != int(self.high)):
            raise UsageError(
                Message("{name} must have integers", name=self),
                Message("use integers, or the range log(...) or uniform(...)"),
            )
        if self.scale in ("log", "logint") and self.low <= 0:
            low = "1e-6" if self.scale == "log" else "1"
            raise UsageError(
                Message("{name} must begin above zero: zero and less have no logarithm", name=self),
                Message(
                    "use {scale}({low},{high}), or the range uniform(...)",
                    scale=self.scale,
                    low=low,
                    high=f"{self.high:g}",
                ),
            )
        if self.low >= self.high:
            raise UsageError(
                Message("{name} is an empty range: the first number must be below the second", name=self),
                Message("swap or correct the numbers"),
            )

    def __str__(self) -> str:
        return f"{self.scale}({self.low},{self.high})"


@dataclass(frozen=True)
class Axis:
    """A key of the config that a search varies.

    Args:
        name: the key as the user wrote it (``lr``).
        key: the key with its owner (``optimizer.lr``).
        kind: the scale of a range, or ``choice``.
        values: the alternatives of a choice, as plain data.
        low: the smallest value of a range.
        high: the largest value of a range, included.
    """

    name: str
    key: str
    kind: Scale | Literal["choice"] = "choice"
    values: tuple[Any, ...] | None = None
    low: float = 0.0
    high: float = 0.0

    @property
    def is_integer(self) -> bool:
        """Return whether the axis is a range of integers."""
        return self.kind in ("int", "logint")

    @property
    def count(self) -> int | None:
        """Return the number of values; None for real numbers."""
        if self.values is not None:
            return len(self.values)
        return int(self.high) - int(self.low) + 1 if self.is_integer else None

    def value_at(self, u: float) -> Any:
        """Return the value at ``u`` in [0, 1): uniform on the axis' scale, and equally likely alternatives.

        >>> Axis("lr", "optimizer.lr", "log", low=1e-4, high=1.0).value_at(0.5)
        0.01
        >>> Axis("batch", "batch", values=(16, 32)).value_at(0.5)
        32
        """
        if self.values is not None:
            return self.values[int(u * len(self.values))]
        margin = 0.5 if self.is_integer else 0.0  # the first and last integer are as likely as the others
        low, high = self._transform(self.low - margin), self._transform(self.high + margin)
        return self.round_value(self._invert(low + u * (high - low)))

    def position_of(self, value: float) -> float:
        """Return the position of a value on the scale of the range: 0 at the low end, 1 at the high end."""
        low, high = self._transform(self.low), self._transform(self.high)
        return (self._transform(value) - low) / (high - low) if high > low else 0.5

    def value_at_position(self, position: float) -> float:
        """Return the inverse of `position_of`; an integer if the axis has only integers."""
        low, high = self._transform(self.low), self._transform(self.high)
        value = self._invert(low + position * (high - low))
        return round(value) if self.is_integer else min(max(value, self.low), self.high)

    def round_value(self, value: float) -> float:
        """Round a drawn number to ``SIGNIFICANT_DIGITS`` digits, within the range."""
        if self.is_integer:
            return min(max(round(value), int(self.low)), int(self.high))
        return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), self.low), self.high)

    def _transform(self, value: float) -> float:
        return math.log(value) if self.kind in ("log", "logint") else float(value)

    def _invert(self, value: float) -> float:
        return math.exp(value) if self.kind in ("log", "logint") else value


def parse_axis(key: str, value: Any) -> Range | tuple[Any, ...]:
    """Parse the value of a key: a range, or its alternatives; a single value is one alternative.

    Text is split at commas outside brackets. A list or tuple of Python contains alternatives.

    Args:
        key: the key, for errors.
        value: text, a `Range`, a list, or any value.

    Raises:
        UsageError: the value is neither.

    >>> parse_axis("lr", "0.01,0.1"), parse_axis("hidden", "[64,32],[128]"), parse_axis("lr", "log(1e-6, 1e-2)")
    (('0.01', '0.1'), ('64,32', '128'), Range(scale='log', low=1e-06, high=0.01))
    >>> parse_axis("hidden", [64, [64, 32]])
    (64, [64, 32])
    """
    if isinstance(value, Range):
        return value
    if isinstance(value, list | tuple):
        if not value:
            raise UsageError(Message("{key} has no alternatives", key=key), Message("give one or more"))
        if any(isinstance(alternative, Range) for alternative in value):
            raise UsageError(
                Message("{key}: a range cannot be one of several alternatives", key=key),
                Message("give the range alone"),
            )
        return tuple(value)
    if not isinstance(value, str):
        return (value,)
    text = value.strip()
    function = re.fullmatch(r"([A-Za-z_]\w*)\s*\((.*)\)", text)
    if function and "(" not in function[2]:
        return _parse_range(key, function[1].lower(), function[2])
    words = _split_alternatives(key, text)
    for word in words:
        if re.match(rf"({'|'.join(SCALES)})\s*\(", word):
            raise UsageError(
                Message("{key}: a range cannot be one of several alternatives, got {text}", key=key, text=f"{text!r}"),
                Message("give the range alone"),
            )
    return tuple(word[1:-1].strip() if word.startswith("[") and word.endswith("]") else word for word in words)


def _parse_range(key: str, scale: str, arguments: str) -> Range:
    """Parse the two numbers of a range."""
    if scale not in SCALES:
        raise UsageError(Message("{key}: unknown range {scale}", key=key, scale=f"{scale!r}"), suggest(scale, SCALES))
    words = [word.strip() for word in arguments.split(",")]
    try:
        low, high = (int(word) if re.fullmatch(r"[-+]?\d+", word) else float(word) for word in words)
    except ValueError:
        raise UsageError(
            Message(
                "{key} must have two numbers in {scale}(low,high), got {arguments}",
                key=key,
                scale=scale,
                arguments=f"{arguments!r}",
            ),
            Message("write two numbers, as in {key}={scale}(1,10)", key=key, scale=scale),
        ) from None
    try:
        return Range(scale, low, high)
    except UsageError as error:
        raise UsageError(Message("{key}: {problem}", key=key, problem=error.problem), error.remedy) from None


def _split_alternatives(key: str, text: str) -> list[str]:
    """Split a text at its commas outside brackets."""
    words, depth = [""], 0
    for character in text:
        depth += (character in "[(") - (character in "])")
        if depth < 0:
            break
        if character == "," and not depth:
            words.append("")
        else:
            words[-1] += character
    words = [word.strip() for word in words]
    if depth:
        raise UsageError(
            Message("{key} has an unpaired bracket: {text}", key=key, text=f"{text!r}"),
            Message("write pairs, as in {key}=[64,32],[128]", key=key),
        )
    if len(words) > 1 and not all(words):
        raise UsageError(
            Message("{key} has an empty alternative: {text}", key=key, text=f"{text!r}"),
            Message("remove the extra comma"),
        )
    return words


def require_distinct(name: str, values: Sequence[Any]) -> None:
    """Check that no alternative is given twice.

    Raises:
        UsageError: an alternative is given twice.
    """
    for i, value in enumerate(values):
        if value in values[:i] and any(type(v) is type(value) and v == value for v in values[:i]):
            raise UsageError(
                Message("{name} has the alternative {value} twice", name=name, value=f"{value!r}"),
                Message("give each alternative once"),
            )

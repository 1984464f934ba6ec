"""An axis of a search space: alternatives, or a range with a scale."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from yisheng.core.errors import UsageError, closest

Kind = Literal["log", "uniform", "int", "logint"]
KINDS: tuple[Kind, ...] = ("log", "uniform", "int", "logint")
DIGITS = 4
"""Of a number that is drawn: a learning rate needs no more, and what a table shows can be typed again."""


@dataclass(frozen=True)
class Range:
    """A range that values are drawn from.

    Args:
        kind: the scale: ``log`` and ``uniform`` give real numbers, ``logint`` and ``int`` whole ones.
        low: the smallest value.
        high: the largest value.

    Raises:
        UsageError: the kind is unknown, the range is empty, or a logarithm would be of zero or less.

    >>> Range("log", 1e-4, 1).high
    1
    """

    kind: Kind
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"unknown range {self.kind!r}", closest(str(self.kind), KINDS))
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (self.low, self.high))
        if not numbers or not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise UsageError(f"{self} must have two finite numbers", f"write {self.kind}(low,high)")
        if self.kind in ("int", "logint") and (self.low != int(self.low) or self.high != int(self.high)):
            raise UsageError(f"{self} must have whole numbers", "or say log or uniform")
        if self.kind in ("log", "logint") and self.low <= 0:
            raise UsageError(
                f"{self} must begin above zero: zero and less have no logarithm",
                f"say {self.kind}(1{'e-6' if self.kind == 'log' else ''},{self.high:g}), or {KINDS[1]}",
            )
        if self.low >= self.high:
            raise UsageError(
                f"{self} is an empty range: the first number must be below the second", "swap or mend them"
            )

    def __str__(self) -> str:
        return f"{self.kind}({self.low},{self.high})"


@dataclass(frozen=True)
class Axis:
    """A key of the config that a search varies.

    Args:
        name: the key as it was given (``lr``).
        key: the key with its owner (``optimizer.lr``).
        kind: the scale of a range, or ``choice``.
        values: the alternatives of a choice, as plain data.
        low: of a range.
        high: of a range; it may be reached.
    """

    name: str
    key: str
    kind: Kind | Literal["choice"] = "choice"
    values: tuple[Any, ...] | None = None
    low: float = 0.0
    high: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return self.kind in ("int", "logint")

    @property
    def count(self) -> int | None:
        """How many values it has; None for real numbers."""
        if self.values is not None:
            return len(self.values)
        return int(self.high) - int(self.low) + 1 if self.whole else None

    def at(self, u: float) -> Any:
        """The value at ``u`` in [0, 1): even on the axis' scale, and with equal chances for alternatives.

        >>> Axis("lr", "optimizer.lr", "log", low=1e-4, high=1.0).at(0.5)
        0.01
        >>> Axis("batch", "batch", values=(16, 32)).at(0.5)
        32
        """
        if self.values is not None:
            return self.values[int(u * len(self.values))]
        wider = 0.5 if self.whole else 0.0  # the ends are as likely as what is between
        low, high = self._scaled(self.low - wider), self._scaled(self.high + wider)
        return self.rounded(self._unscaled(low + u * (high - low)))

    def place(self, value: float) -> float:
        """Where a value of a range lies on its scale, 0 at the low end and 1 at the high end."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return (self._scaled(value) - low) / (high - low) if high > low else 0.5

    def raw(self, place: float) -> float:
        """The inverse of `place`; a whole number where the axis has only those."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        value = self._unscaled(low + place * (high - low))
        return round(value) if self.whole else min(max(value, self.low), self.high)

    def rounded(self, value: float) -> float:
        """A drawn number to `DIGITS` digits, within the range."""
        shorter = round(value) if self.whole else float(f"{value:.{DIGITS}g}")
        return min(max(shorter, int(self.low) if self.whole else self.low), int(self.high) if self.whole else self.high)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.kind in ("log", "logint") else float(value)

    def _unscaled(self, value: float) -> float:
        return math.exp(value) if self.kind in ("log", "logint") else value


def parse(key: str, given: Any) -> Range | tuple[Any, ...]:
    """What is given for a key: a range, or its alternatives; a single value is one alternative.

    Text is split at commas outside brackets. In Python a list or tuple is one of alternatives.

    Args:
        key: for the error.
        given: text, a `Range`, a list, or any value.

    Raises:
        UsageError: it is neither.

    >>> parse("lr", "0.01,0.1"), parse("hidden", "[64,32],[128]"), parse("wd", "log(1e-6, 1e-2)")
    (('0.01', '0.1'), ('64,32', '128'), Range(kind='log', low=1e-06, high=0.01))
    >>> parse("hidden", [64, [64, 32]])
    (64, [64, 32])
    """
    if isinstance(given, Range):
        return given
    if isinstance(given, list | tuple):
        if not given:
            raise UsageError(f"{key} has no alternatives", "give one or more")
        if any(isinstance(value, Range) for value in given):
            raise UsageError(f"{key}: a range is no alternative among others", "give the range alone")
        return tuple(given)
    if not isinstance(given, str):
        return (given,)
    text = given.strip()
    function = re.fullmatch(r"([A-Za-z_]\w*)\s*\((.*)\)", text)
    if function and "(" not in function[2]:
        return _range(key, function[1].lower(), function[2])
    words = _split(key, text)
    for word in words:
        if re.match(rf"({'|'.join(KINDS)})\s*\(", word):
            raise UsageError(f"{key}: a range is no alternative among others, got {text!r}", "give the range alone")
    return tuple(word[1:-1].strip() if word.startswith("[") and word.endswith("]") else word for word in words)


def _range(key: str, kind: str, inside: str) -> Range:
    """A range in words."""
    if kind not in KINDS:
        raise UsageError(f"{key}: unknown range {kind!r}", closest(kind, KINDS))
    words = [word.strip() for word in inside.split(",")]
    try:
        low, high = (int(word) if re.fullmatch(r"[-+]?\d+", word) else float(word) for word in words)
    except ValueError:
        raise UsageError(
            f"{key} must have two numbers in {kind}(low,high), got {inside!r}", f"write {key}={kind}(1,10), say"
        ) from None
    try:
        return Range(kind, low, high)
    except UsageError as error:
        raise UsageError(f"{key}: {error.problem}", error.remedy) from None


def _split(key: str, text: str) -> list[str]:
    """The text at its commas outside brackets."""
    words, depth = [""], 0
    for sign in text:
        depth += (sign in "[(") - (sign in "])")
        if depth < 0:
            break
        if sign == "," and not depth:
            words.append("")
        else:
            words[-1] += sign
    words = [word.strip() for word in words]
    if depth:
        raise UsageError(f"{key} has a bracket without its other half: {text!r}", f"write {key}=[64,32],[128], say")
    if len(words) > 1 and not all(words):
        raise UsageError(f"{key} has an empty alternative: {text!r}", "leave the comma out that is too many")
    return words


def require_different(name: str, values: Sequence[Any]) -> None:
    """Every alternative stands once.

    Raises:
        UsageError: one stands twice.
    """
    for i, value in enumerate(values):
        if value in values[:i] and any(type(v) is type(value) and v == value for v in values[:i]):
            raise UsageError(f"{name} has the alternative {value!r} twice", "name each once")

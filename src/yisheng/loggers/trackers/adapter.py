"""What a training needs of an experiment tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

PROJECT: Final = "yisheng"
"""Project or experiment, if the tracker's own variable names none."""

Values: TypeAlias = Mapping[str, float]
"""Values of curves by name."""


class Tracker(Protocol):
    """One training in an experiment tracker.

    Args:
        id: by which the training is found again when it is resumed.
    """

    id: str

    def log(self, points: Sequence[tuple[int, Values]]) -> None:
        """Add points of curves: the number of the update, and the values."""
        ...

    def finish(self, *, succeeded: bool) -> None:
        """Mark the training as ended or broken off."""
        ...


class OpenTracker(Protocol):
    """Open a training in a tracker."""

    def __call__(self, name: str, id: str | None, settings: Mapping[str, Any]) -> Tracker:
        """Return a new training with a name and settings, or the one with an id."""
        ...

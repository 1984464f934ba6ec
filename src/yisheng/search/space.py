"""A search space: the settings that all trials share, and the axes that the search varies."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yisheng.core.choice import AUTO, KINDS, Choice
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.settings import Setting, merge_settings
from yisheng.search.axes import Axis

MAX_SETTINGS = 100_000
"""Settings of a search at most."""


@dataclass(frozen=True)
class Space:
    """A search space.

    Args:
        fixed: settings that all trials share.
        axes: the axes that vary, in the order in which they were given.
    """

    fixed: tuple[Setting, ...]
    axes: tuple[Axis, ...]

    def config(self, setting: Mapping[str, Any], epochs: int | None = None) -> Config:
        """Return the config of a setting.

        Args:
            setting: name of each axis -> its value.
            epochs: number of epochs instead of the config's, if given.
        """
        config = merge_with_axes(self.fixed, [(axis.name, setting[axis.name]) for axis in self.axes])
        budget = None if config.budget == AUTO else config.budget  # a search compares settings of one model
        return config.model_copy(update={"budget": budget} if epochs is None else {"budget": budget, "epochs": epochs})

    @property
    def size(self) -> int | None:
        """Return the number of settings; None if an axis is a range of real numbers."""
        counts = [axis.count for axis in self.axes]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    @property
    def has_ranges(self) -> bool:
        """Return whether an axis is a range."""
        return any(axis.values is None for axis in self.axes)

    @property
    def data_axes(self) -> tuple[Axis, ...]:
        """Return the axes that are options of the data set."""
        return tuple(axis for axis in self.axes if axis.key.startswith("data."))

    def settings_to_check(self) -> Iterator[dict[str, Any]]:
        """Yield settings in which every value of every axis occurs with every combination of models, losses, etc.

        If a value is wrong by itself, or for a model or loss that it belongs to, one of these settings is wrong.
        """
        components = [axis for axis in self.axes if axis.key in KINDS]
        options = [axis for axis in self.axes if axis.key not in KINDS]
        option_values = {axis.name: _values_to_check(axis) for axis in options}
        for values in itertools.product(*(axis.values or () for axis in components)):
            base = {axis.name: value for axis, value in zip(components, values, strict=True)}
            base |= {axis.name: option_values[axis.name][0] for axis in options}
            base = {axis.name: base[axis.name] for axis in self.axes}
            yield base
            for axis in options:
                yield from ({**base, axis.name: value} for value in option_values[axis.name][1:])


def _values_to_check(axis: Axis) -> Sequence[Any]:
    """Return the alternatives of an axis, or the ends of its range."""
    return axis.values if axis.values is not None else (axis.round_value(axis.low), axis.round_value(axis.high))


def merge_with_axes(fixed: Sequence[Setting], values: Sequence[tuple[str, Any]]) -> Config:
    """Return the config of the fixed settings with values of the axes."""
    settings = [*fixed, *((name, number_to_text(value), "command line") for name, value in values)]
    return merge_settings(settings, import_code=False).config


def number_to_text(value: Any) -> Any:
    """Return numbers as text: as on the command line, an option that is a list of numbers then accepts a single one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return repr(value)


def value_to_plain(value: Any) -> Any:
    """Return a value as plain data that TOML supports; None becomes ``none``."""
    if isinstance(value, tuple | list):
        return [value_to_plain(item) for item in value]
    if isinstance(value, Choice):
        return value.name
    return "none" if value is None else str(value) if isinstance(value, Path) else value


def space_from_plain(fixed: Sequence[Sequence[Any]], axes: Sequence[Mapping[str, Any]]) -> Space:
    """Return a space from the result of `space_to_plain`.

    Raises:
        UsageError: a part of it is missing or wrong.
    """
    try:
        read_axes = tuple(
            Axis(**{**axis, "values": tuple(axis["values"]) if "values" in axis else None}) for axis in axes
        )
        space = Space(tuple((str(key), value, origin) for key, value, origin in fixed), read_axes)
        space.config(next(iter(space.settings_to_check())))
    except (TypeError, ValueError, KeyError, StopIteration) as error:
        raise UsageError(
            Message("the search space is damaged: {error}", error=error),
            Message("copy search.toml from an intact folder"),
        ) from None
    return space


def space_to_plain(space: Space) -> dict[str, Any]:
    """Return a space as plain data for a TOML file."""
    axes = []
    for axis in space.axes:
        fields = dataclasses.asdict(axis)
        fields |= {"values": list(axis.values)} if axis.values is not None else {}
        unused = {"values"} if axis.values is None else {"low", "high"}
        axes.append({key: value for key, value in fields.items() if key not in unused})
    return {"fixed": [[key, value_to_plain(value), origin] for key, value, origin in space.fixed], "axes": axes}

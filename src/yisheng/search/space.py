"""A search space in the words of the config: what is fixed, and the axes that a search varies."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yisheng.core import registry
from yisheng.core.config import ALIASES, AUGMENT, AUTO, IN_MEMORY, KINDS, Choice, Config, Setting, resolve
from yisheng.core.errors import UsageError
from yisheng.core.paths import is_path
from yisheng.search.axes import Axis, Range, parse, require_different

__all__ = ["MOST", "Axis", "Range", "Space", "space"]

MOST = 100_000
"""Settings of a search at most."""
ALTERNATIVES = 1000
"""Of an axis at most."""
COMBINATIONS = 1000
"""Of models, losses and other choices at most: each is checked with every value of the other axes."""
WHY_NOT = {
    "data": "a search is over one data set",
    "test": "scores on other rows cannot be compared",
    "validation": "scores on other rows cannot be compared",
    "split": "scores on other rows cannot be compared",
    "fold": "every setting is tried on the same folds: say folds=5",
    "folds": "every setting is tried on the same folds",
    "repeat": "every setting is tried on the same folds",
    "repeats": "every setting is tried on the same folds",
    "seed": "every setting is tried with the same seeds: say seeds=3",
    "score": "one score tells which setting is better",
    "boosting": "it does not change the network",
    "device": "it does not change the network",
    "log_every": "it does not change the network",
    "checkpoint_every": "it does not change the network",
    "scratch": "it does not change the network",
    "doctor": "it does not change the network",
    "tensorboard": "it does not change the network",
    "visdom": "it does not change the network",
    "watch": "it does not change the network",
    "weights": "a search trains from the beginning",
}
"""Keys that cannot be axes."""


@dataclass(frozen=True)
class Space:
    """What is searched.

    Args:
        fixed: settings that all trials share.
        axes: what varies, in the order that it was given.
    """

    fixed: tuple[Setting, ...]
    axes: tuple[Axis, ...]

    def config(self, setting: Mapping[str, Any], epochs: int | None = None) -> Config:
        """The config of a setting.

        Args:
            setting: name of each axis -> its value.
            epochs: in the place of the config's own.
        """
        values = [(axis.name, setting[axis.name]) for axis in self.axes]
        found = _resolve(self.fixed, values)
        return found if epochs is None else found.model_copy(update={"epochs": epochs})

    @property
    def size(self) -> int | None:
        """How many settings there are; None with a range of real numbers. Counted, never listed."""
        counts = [axis.count for axis in self.axes]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    @property
    def has_ranges(self) -> bool:
        """Whether an axis is a range."""
        return any(axis.values is None for axis in self.axes)

    def samples(self) -> Iterator[dict[str, Any]]:
        """Settings in which every value of every axis comes with every combination of the choices among the axes.

        What can be wrong with a value by itself, or with a choice that it belongs to, is wrong in one of them.
        """
        kinds = [axis for axis in self.axes if axis.key in KINDS]
        others = [axis for axis in self.axes if axis.key not in KINDS]
        ends = {axis.name: _ends(axis) for axis in others}
        for values in itertools.product(*(axis.values or () for axis in kinds)):
            base = {axis.name: value for axis, value in zip(kinds, values, strict=True)}
            base |= {axis.name: ends[axis.name][0] for axis in others}
            base = {axis.name: base[axis.name] for axis in self.axes}
            yield base
            for axis in others:
                yield from ({**base, axis.name: value} for value in ends[axis.name][1:])


def space(settings: Sequence[Setting]) -> Space:
    """A search space from settings in rising order of priority; every value is checked before anything is trained.

    Args:
        settings: as of a config, but a value that is given on the command line or in Python may be several
            alternatives, or a range; a file's are what they are in a config.

    Raises:
        UsageError: a key or value is wrong, nothing varies, or a key cannot be varied.

    >>> found = space([("lr", "log(1e-4,1)", "command line"), ("hidden", "[64,32],[128]", "command line")])
    >>> [(axis.key, axis.kind, axis.values) for axis in found.axes]
    [('optimizer.lr', 'log', None), ('model.hidden', 'choice', ([64, 32], [128]))]
    """
    fixed: list[Setting] = []
    varied: dict[str, Range | tuple[Any, ...]] = {}
    of_data = _options_of_data(settings)
    for key, value, origin in settings:
        name = canonical(key)
        head = name.partition(".")[0]
        if origin == "file":
            fixed.append((name, value, origin))
            continue
        if head in of_data or head in WHY_NOT:
            _require_single(name, value)
            fixed.append((name, value, origin))
            continue
        found = parse(name, value)
        if isinstance(found, tuple) and len(found) == 1:
            fixed.append((name, _word(found[0]), origin))
            continue
        _require_plain(name, found)
        varied[name] = found
    if not varied:
        raise UsageError(
            "nothing varies: a search needs a key with several values",
            "write lr=0.01,0.1 or lr=log(1e-4,1), say; or use yisheng train",
        )
    if len(varied) < sum(1 for key, value, origin in settings if canonical(key) in varied and origin != "file"):
        raise UsageError("a key is given twice", "leave one of them out")
    return _checked(tuple(fixed), varied)


def canonical(key: str) -> str:
    """A key as the config writes it.

    >>> canonical("learning-rate"), canonical("optimizer.weight_decay")
    ('lr', 'optimizer.wd')
    """
    head, dot, tail = key.strip().replace("-", "_").partition(".")
    return ALIASES.get(head, head) + dot + ALIASES.get(tail, tail)


def _checked(fixed: tuple[Setting, ...], varied: Mapping[str, Range | tuple[Any, ...]]) -> Space:
    """The space, every value as the config reads it."""
    first = {name: str(v.low) if isinstance(v, Range) else v[0] for name, v in varied.items()}
    config = _resolve(fixed, list(first.items()))
    if config.weights is not None:
        raise UsageError(
            f"weights={config.weights}: a search trains from the beginning", "train with weights= once it is found"
        )
    axes = []
    for name, found in varied.items():
        key = _owned(name, fixed, first)
        if isinstance(found, Range):
            axes.append(_ranged(name, key, found, fixed, first))
            continue
        values = tuple(_value(_resolve(fixed, [*{**first, name: v}.items()]), key) for v in found)
        require_different(name, values)
        axes.append(Axis(name, key, values=values))
    combinations = math.prod(len(axis.values or ()) for axis in axes if axis.key in KINDS)
    if combinations > COMBINATIONS:
        raise UsageError(
            f"{combinations:,} combinations of choices, more than {COMBINATIONS:,}", "search over fewer at a time"
        )
    whole = Space(_settled_data(fixed, config), tuple(axes))
    for setting in whole.samples():
        whole.config(setting)
    return whole


def _ranged(name: str, key: str, found: Range, fixed: tuple[Setting, ...], first: Mapping[str, Any]) -> Axis:
    """The axis of a range, its ends and something between them checked."""
    axis = Axis(name, key, found.kind, low=found.low, high=found.high)
    values = [_value(_resolve(fixed, [*{**first, name: str(v)}.items()]), key) for v in (found.low, found.high)]
    inside = str(axis.at(0.38))
    try:
        values.append(_value(_resolve(fixed, [*{**first, name: inside}.items()]), key))
    except UsageError as error:
        raise UsageError(
            f"{name}={found}: {error.problem}", "whole numbers are had with int(...) and logint(...)"
        ) from None
    if any(isinstance(value, bool | str) for value in values):
        raise UsageError(f"{name}={found}: {name} is no number", "give alternatives")
    return axis


def _ends(axis: Axis) -> Sequence[Any]:
    """The values of an axis that are checked."""
    return axis.values if axis.values is not None else (axis.rounded(axis.low), axis.rounded(axis.high))


def _resolve(fixed: Sequence[Setting], values: Sequence[tuple[str, Any]]) -> Config:
    return resolve([*fixed, *((name, _word(value), "command line") for name, value in values)]).config


def _word(value: Any) -> Any:
    """Numbers as text: an option that is a list of numbers then takes one, as on the command line."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return repr(value)


def _owned(name: str, fixed: Sequence[Setting], first: Mapping[str, Any]) -> str:
    """The key with its owner: ``optimizer.lr``."""
    if name in Config.model_fields or "." in name:
        return name
    origins = resolve([*fixed, *((n, _word(v), "command line") for n, v in first.items())]).origins
    return next(key for key in origins if key.rpartition(".")[2] == name)


def _value(config: Config, key: str) -> Any:
    """What a config has under a key, as plain data."""
    head, _, option = key.rpartition(".") if key.startswith(f"{AUGMENT}.") else key.partition(".")
    if not head:
        head, option = key, ""
    if head.startswith(f"{AUGMENT}."):
        choice = next(c for c in config.augment if c.name == head.removeprefix(f"{AUGMENT}."))
        return _plain(choice.options[option])
    found = getattr(config, head)
    if option:
        return _plain(found.options[option])
    return _plain(found)


def _plain(value: Any) -> Any:
    """As plain data that TOML can hold too; nothing is ``none``."""
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Choice):
        return value.name
    return "none" if value is None else str(value) if isinstance(value, Path) else value


def _options_of_data(settings: Sequence[Setting]) -> set[str]:
    """Names of the options of the data set: their commas are what the data set makes of them."""
    named = [(key, value, origin) for key, value, origin in settings if canonical(key) == "data"]
    for _, value, _ in named:
        if isinstance(value, str) and "," in value and not is_path(value):
            raise UsageError(f"data={value}: {WHY_NOT['data']}", "search on one after the other")
    choice = resolve(named).config.data
    return set() if choice.name == IN_MEMORY else set(registry.find(KINDS["data"], choice.name).options)


def _require_plain(name: str, found: Range | tuple[Any, ...]) -> None:
    """An axis has a range, or not too many alternatives that are names or values."""
    if isinstance(found, Range):
        if name in KINDS or name == AUGMENT:
            raise UsageError(f"{name}={found}: {name} is a name, not a number", "give alternatives: names with commas")
        return
    if len(found) > ALTERNATIVES:
        raise UsageError(f"{name} has {len(found):,} alternatives, more than {ALTERNATIVES:,}", "give a range")
    for value in found:
        if isinstance(value, Mapping | Choice):
            raise UsageError(f"{name} must vary over names, got {value!r}", "give names; options are axes of their own")


def _require_single(name: str, value: Any) -> None:
    """A key that cannot be an axis has one value."""
    several = isinstance(value, Range) or (isinstance(value, str) and isinstance(_tried(name, value), Range))
    if name in WHY_NOT and name != "data":
        path = name in ("test", "weights") and isinstance(value, str) and not re.fullmatch(r"[\d.,\s]+", value)
        several = several or isinstance(value, list | tuple) or (isinstance(value, str) and "," in value and not path)
    if several:
        why = WHY_NOT.get(name, WHY_NOT["data"])
        raise UsageError(f"{name} cannot be searched over: {why}", f"give one {name}=")


def _tried(name: str, text: str) -> Any:
    """What `parse` makes of text that need not be any of its business."""
    try:
        return parse(name, text)
    except UsageError:
        return text


def _settled_data(fixed: tuple[Setting, ...], config: Config) -> tuple[Setting, ...]:
    """The data by name and whole path: a search may be continued from anywhere."""
    if not any(canonical(key) == "data" for key, _, _ in fixed) or config.data.name in (IN_MEMORY, AUTO):
        return fixed
    options = dict(config.data.options)
    if isinstance(options.get("test"), str):
        options["test"] = str(Path(options["test"]).expanduser().absolute())
    mine = {f"data.{name}" for name in options} | set(options) | {"data"}
    rest = [s for s in fixed if canonical(s[0]) not in mine]
    data: list[Setting] = [("data", config.data.name, "command line")]
    data += [(f"data.{name}", _plain(value), "command line") for name, value in options.items()]
    return (*rest, *data)


def read(fixed: Sequence[Sequence[Any]], axes: Sequence[Mapping[str, Any]]) -> Space:
    """A space from what `plain` gave.

    Raises:
        UsageError: a part of it is missing or wrong.
    """
    try:
        known = tuple(Axis(**{**axis, "values": tuple(axis["values"]) if "values" in axis else None}) for axis in axes)
        found = Space(tuple((str(key), value, origin) for key, value, origin in fixed), known)
        found.config(next(iter(found.samples())))
    except (TypeError, ValueError, KeyError, StopIteration) as error:
        raise UsageError(f"the search space is damaged: {error}", "take it from where it was whole") from None
    return found


def plain(found: Space) -> dict[str, Any]:
    """A space as plain data for a TOML file."""
    axes = []
    for axis in found.axes:
        known = dataclasses.asdict(axis)
        known |= {"values": list(axis.values)} if axis.values is not None else {}
        drop = {"values"} if axis.values is None else {"low", "high"}
        axes.append({key: value for key, value in known.items() if key not in drop})
    return {"fixed": [[key, _plain(value), origin] for key, value, origin in found.fixed], "axes": axes}

"""Build a search space from settings, and check every value before anything is trained."""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from yisheng.core import registry
from yisheng.core.choice import AUGMENT, AUTO, IN_MEMORY, KINDS, Choice
from yisheng.core.config import Config
from yisheng.core.entry import Option
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.paths import is_path, parse_path
from yisheng.core.remote.addresses import is_address
from yisheng.core.settings import Setting, canonical_key, merge_settings
from yisheng.search.axes import Axis, Range, parse_axis, require_distinct
from yisheng.search.space import Space, merge_with_axes, number_to_text, value_to_plain

MAX_ALTERNATIVES = 1000
"""Alternatives of an axis at most."""
MAX_COMBINATIONS = 1000
"""Combinations of models, losses and other components at most: each is checked with every value of the other axes."""
OTHER_ROWS = Message("scores on other rows cannot be compared")
SAME_FOLDS = Message("every setting is trained on the same folds")
NO_EFFECT = Message("it does not change the network")
NOT_SEARCHABLE = {
    "data": Message("a search is over one data set"),
    "test": OTHER_ROWS,
    "validation": OTHER_ROWS,
    "split": OTHER_ROWS,
    "fold": Message("every setting is trained on the same folds: use folds=5"),
    "folds": SAME_FOLDS,
    "repeat": SAME_FOLDS,
    "repeats": SAME_FOLDS,
    "seed": Message("every setting is trained with the same seeds: use seeds=3"),
    "score": Message("one score decides which setting is better"),
    "boosting": NO_EFFECT,
    "importance": NO_EFFECT,
    "groups": NO_EFFECT,
    "calibrate": NO_EFFECT,
    "device": NO_EFFECT,
    "log_every": NO_EFFECT,
    "checkpoint_every": NO_EFFECT,
    "scratch": NO_EFFECT,
    "doctor": NO_EFFECT,
    "ood": NO_EFFECT,
    "tensorboard": NO_EFFECT,
    "visdom": NO_EFFECT,
    "tracker": NO_EFFECT,
    "watch": NO_EFFECT,
    "weights": Message("a search trains from random weights"),
}
"""Keys that cannot be axes, and why."""

LABEL_KEYS = ("name", "notes")
"""Keys that describe the search for people, with any text."""

Alternatives = Range | tuple[Any, ...]


def build_space(settings: Sequence[Setting]) -> Space:
    """Build a search space from settings in ascending order of priority, and check every value.

    Args:
        settings: settings of a config. A value from the command line or from Python may be several alternatives or a
            range; the values of a file are fixed.

    Raises:
        UsageError: a key or value is wrong, nothing varies, or a key cannot be varied.

    >>> space = build_space([("lr", "log(1e-4,1)", "command line"), ("hidden", "[64,32],[128]", "command line")])
    >>> [(axis.key, axis.kind, axis.values) for axis in space.axes]
    [('optimizer.lr', 'log', None), ('model.hidden', 'choice', ([64, 32], [128]))]
    """
    fixed: list[Setting] = []
    varied: dict[str, Alternatives] = {}
    data_options = _list_data_options(settings)
    for key, value, origin in settings:
        name = canonical_key(key)
        if origin == "file" or name in LABEL_KEYS:
            fixed.append((name, value, origin))
            continue
        option = data_options.get(name.removeprefix("data."))
        if option is not None and name == option.name in Config.model_fields:  # seed= is the config's, not the data's
            option = None
        is_fixed = name.partition(".")[0] in NOT_SEARCHABLE if option is None else not _is_searchable(option.type)
        if is_fixed:
            _require_single(name, value)
            fixed.append((name, value, origin))
            continue
        alternatives = parse_axis(name, value)
        if isinstance(alternatives, tuple) and len(alternatives) == 1:
            fixed.append((name, number_to_text(alternatives[0]), origin))
            continue
        _require_plain(name, alternatives)
        varied[name] = alternatives
    if not varied:
        raise UsageError(
            Message("nothing varies: a search needs a key with several values"),
            Message("give several values, as in lr=0.01,0.1 or lr=log(1e-4,1), or use yisheng train"),
        )
    if len(varied) < sum(1 for key, _, origin in settings if canonical_key(key) in varied and origin != "file"):
        raise UsageError(Message("a key is given twice"), Message("remove one of them"))
    return _check_space(tuple(fixed), varied)


def _check_space(fixed: tuple[Setting, ...], varied: Mapping[str, Alternatives]) -> Space:
    """Return the space with every value as the config reads it, after all checks."""
    base = {name: str(values.low) if isinstance(values, Range) else values[0] for name, values in varied.items()}
    config = merge_with_axes(fixed, list(base.items()))
    if config.weights is not None:
        raise UsageError(
            Message("weights={weights}: a search trains from random weights", weights=config.weights),
            Message("search without weights=, then train the best setting with it"),
        )
    axes = []
    for name, alternatives in varied.items():
        key = _find_key(name, fixed, base)
        if isinstance(alternatives, Range):
            axes.append(_check_range(name, key, alternatives, fixed, base))
            continue
        values = tuple(_read_value(fixed, {**base, name: value}, key) for value in alternatives)
        require_distinct(name, values)
        axes.append(Axis(name, key, values=values))
    combinations = math.prod(len(axis.values or ()) for axis in axes if axis.key in KINDS)
    if combinations > MAX_COMBINATIONS:
        raise UsageError(
            Message(
                "{combinations} combinations of choices, more than {MAX_COMBINATIONS}",
                combinations=f"{combinations:,}",
                MAX_COMBINATIONS=f"{MAX_COMBINATIONS:,}",
            ),
            Message("search over fewer at a time"),
        )
    space = Space(_make_data_absolute(fixed, config, varied), tuple(axes))
    for setting in space.settings_to_check():
        space.config(setting)
    return space


def _check_range(name: str, key: str, value_range: Range, fixed: tuple[Setting, ...], base: Mapping[str, Any]) -> Axis:
    """Return the axis of a range after a check of its ends and of a value between them."""
    axis = Axis(name, key, value_range.scale, low=value_range.low, high=value_range.high)
    ends = (value_range.low, value_range.high)
    values = [_read_value(fixed, {**base, name: str(value)}, key) for value in ends]
    inside = str(axis.value_at(0.38))
    try:
        values.append(_read_value(fixed, {**base, name: inside}, key))
    except UsageError as error:
        raise UsageError(
            Message("{name}={value_range}: {problem}", name=name, value_range=value_range, problem=error.problem),
            Message("for integers use the range int(...) or logint(...)"),
        ) from None
    if any(isinstance(value, bool | str) for value in values):
        raise UsageError(
            Message("{name}={value_range}: {name} is not a number", name=name, value_range=value_range),
            Message("give alternatives"),
        )
    return axis


def _find_key(name: str, fixed: Sequence[Setting], base: Mapping[str, Any]) -> str:
    """Return the key with its owner: ``optimizer.lr``."""
    if name in Config.model_fields or "." in name:
        return name
    values: list[Setting] = [(key, number_to_text(value), "command line") for key, value in base.items()]
    origins = merge_settings([*fixed, *values], import_code=False).origins
    return next(key for key in origins if key.rpartition(".")[2] == name)


def _read_value(fixed: Sequence[Setting], values: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key in the config of some values, as plain data."""
    config = merge_with_axes(fixed, list(values.items()))
    owner, _, option = key.rpartition(".") if key.startswith(f"{AUGMENT}.") else key.partition(".")
    if not owner:
        owner, option = key, ""
    if owner.startswith(f"{AUGMENT}."):
        choice = next(c for c in config.augment if c.name == owner.removeprefix(f"{AUGMENT}."))
        return value_to_plain(choice.options[option])
    value = getattr(config, owner)
    return value_to_plain(value.options[option] if option else value)


def _list_data_options(settings: Sequence[Setting]) -> Mapping[str, Option]:
    """Return the data set's options by name."""
    data_settings = [(key, value, origin) for key, value, origin in settings if canonical_key(key) == "data"]
    for _, value, _ in data_settings:
        if isinstance(value, str) and "," in value and not is_path(value):
            raise UsageError(
                Message("data={value}: {NOT_SEARCHABLE}", value=value, NOT_SEARCHABLE=NOT_SEARCHABLE["data"]),
                Message("search over one data set at a time"),
            )
    choice = merge_settings(data_settings).config.data
    return {} if choice.name == IN_MEMORY else registry.find(KINDS["data"], choice.name).options


def _is_searchable(annotation: Any) -> bool:
    """Return whether an option of the data can be an axis: a number, yes or no, or a word of several.

    In the values of other options (columns, paths) commas belong to the value.

    >>> _is_searchable(int | None), _is_searchable(tuple[str, ...]), _is_searchable(str)
    (True, False, False)
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _is_searchable(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return all(map(_is_searchable, arguments))
    return origin is typing.Literal or annotation in (int, float, bool, type(None))


def _require_plain(name: str, alternatives: Alternatives) -> None:
    """Check that an axis has a range, or not too many alternatives that are names or values."""
    if isinstance(alternatives, Range):
        if name in KINDS or name == AUGMENT:
            raise UsageError(
                Message("{name}={alternatives}: {name} is a name, not a number", name=name, alternatives=alternatives),
                Message("give alternatives: names with commas"),
            )
        return
    if len(alternatives) > MAX_ALTERNATIVES:
        raise UsageError(
            Message(
                "{name} has {count} alternatives, more than {MAX_ALTERNATIVES}",
                name=name,
                count=f"{len(alternatives):,}",
                MAX_ALTERNATIVES=f"{MAX_ALTERNATIVES:,}",
            ),
            Message("give a range"),
        )
    for value in alternatives:
        if isinstance(value, Mapping | Choice):
            raise UsageError(
                Message("{name} must vary over names, got {value}", name=name, value=f"{value!r}"),
                Message("give names, and options as other axes"),
            )


def _require_single(name: str, value: Any) -> None:
    """Check that a key that cannot be an axis has one value."""
    is_text = isinstance(value, str)
    has_several = isinstance(value, Range) or (is_text and isinstance(_parse_leniently(name, value), Range))
    if name in NOT_SEARCHABLE and name != "data":
        may_be_path = name in ("test", "weights") and is_text and not re.fullmatch(r"[\d.,\s]+", value)
        has_several = has_several or isinstance(value, list | tuple) or (is_text and "," in value and not may_be_path)
    if has_several:
        reason = NOT_SEARCHABLE.get(name, NOT_SEARCHABLE["data"])
        raise UsageError(
            Message("{name} cannot be searched over: {reason}", name=name, reason=reason),
            Message("give one {name}=", name=name),
        )


def _parse_leniently(name: str, text: str) -> Any:
    """Return the result of `parse_axis`, or the text if it does not have the form of an axis."""
    try:
        return parse_axis(name, text)
    except UsageError:
        return text


def _make_data_absolute(
    fixed: tuple[Setting, ...], config: Config, varied: Mapping[str, Alternatives]
) -> tuple[Setting, ...]:
    """Return the fixed settings with absolute paths of the data: a search may be resumed from another folder."""
    if not any(canonical_key(key) == "data" for key, _, _ in fixed) or config.data.name in (IN_MEMORY, AUTO):
        return fixed
    options = {k: v for k, v in config.data.options.items() if not varied.keys() & {k, f"data.{k}"}}
    if isinstance(options.get("test"), str) and not is_address(options["test"]):
        options["test"] = str(parse_path(options["test"], "test").absolute())
    replaced = {f"data.{name}" for name in options} | set(options) | {"data"}
    kept_settings = [setting for setting in fixed if canonical_key(setting[0]) not in replaced]
    data: list[Setting] = [("data", config.data.name, "command line")]
    data += [(f"data.{name}", value_to_plain(value), "command line") for name, value in options.items()]
    return (*kept_settings, *data)

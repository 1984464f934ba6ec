"""The recipe: every choice of a run as plain data, from the shell, a TOML file or Python alike.

A choice names a registered thing and its options (``model = mlp`` with ``hidden = 64,32``). On the
command line and in a file's top level an option may be given by its own name when only one of the
choices has it (``lr=0.1``), or with the choice's name before it (``optimizer.lr=0.1``). Later origins
win: defaults, then the file, then the command line. ``auto`` is settled when the data is known.
"""

from __future__ import annotations

import math
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from yisheng.core import registry
from yisheng.core.errors import UsageError, closest
from yisheng.core.files import read_bytes
from yisheng.core.types import Spec

AUTO: Final = "auto"
IN_MEMORY = "in-memory"
ALIASES = {
    "learning_rate": "lr",
    "weight_decay": "wd",
    "batch_size": "batch",
    "optimiser": "optimizer",
    "dataset": "data",
    "max_epochs": "epochs",
}
Origin = Literal["default", "file", "command line", "chosen for this data"]
Setting = tuple[str, Any, Origin]


class Choice(BaseModel):
    """A registered thing by name, with its options."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    options: Mapping[str, Any] = {}


Auto = Literal["auto"]
Count = Annotated[int, Field(ge=1, le=10**9)]
Size = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Recipe(BaseModel):
    """Every choice of a run. See the module's text for how it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Choice = Field(Choice(name="digits"), description="data set (see `yisheng data list`)")
    model: Choice = Field(Choice(name=AUTO), description="network (see `yisheng models`)")
    init: Choice = Field(Choice(name="default"), description="initial weights of all linear and convolution layers")
    init_linear: Choice | None = Field(
        None, description="initial weights of linear layers, where they differ from init"
    )
    init_conv: Choice | None = Field(None, description="initial weights of convolutions, where they differ from init")
    loss: Choice = Field(Choice(name=AUTO), description="loss function")
    optimizer: Choice = Field(Choice(name=AUTO), description="optimiser, with lr and wd (weight decay)")
    schedule: Choice = Field(Choice(name="one-cycle"), description="learning rate over the run")
    scale: Choice = Field(Choice(name="standard"), description="scaling of the inputs, fitted on the training part")
    target_scale: Choice = Field(Choice(name=AUTO), description="scaling of a regression target, undone in prediction")
    epochs: Count | Auto = Field(AUTO, description="passes over the training part")
    batch: Count | Auto = Field(AUTO, description="samples per forward pass")
    accumulate: Count = Field(1, description="forward passes per update: one update sees batch x accumulate samples")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="of every random generator")
    validation: Size | Auto = Field(AUTO, description="validation part: a fraction below 1, or a number of rows")
    test: Size | Auto = Field(AUTO, description="test part, where the data has no official one")
    fold: Annotated[str, Field(pattern=r"^[1-9]\d*/[1-9]\d*$")] | None = Field(
        None, description="train on one of k folds, as 2/5: its part is the validation part"
    )
    score: str = Field(AUTO, description="validation score that chooses the best epoch: a metric's name, or loss")
    patience: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after so many epochs without a better score; 0: never"
    )
    clip_norm: Positive | None = Field(None, description="largest norm of all gradients together")
    clip_value: Positive | None = Field(None, description="largest absolute value of any gradient")
    decay_bias: bool = Field(False, description="weight decay on biases and norm layers too")
    device: str = Field(AUTO, description="auto, cpu, cuda, cuda:1, mps")
    log_every: Count = Field(10, description="write every n-th step to events.jsonl")
    checkpoint_every: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        10.0, description="seconds between checkpoints; 0: after every step"
    )

    def settle(self, spec: Spec, n: int) -> Recipe:
        """The recipe with every ``auto`` decided for this data, and every option written out.

        Args:
            spec: the contract of the data set.
            n: rows of the training part.

        Raises:
            UsageError: a choice does not fit the data.
        """
        changes: dict[str, Any] = {}
        for key, room in ROOMS.items():
            choice: Choice | None = getattr(self, key)
            if choice is None or choice.name == IN_MEMORY:
                continue
            entry = registry.default(room, spec) if choice.name == AUTO else registry.find(room, choice.name)
            if "fits" in entry.meta and not entry.meta["fits"](spec):
                got = f"{spec.task} on inputs of shape {spec.shape}"
                raise UsageError(
                    f"{key}={entry.name} needs {entry.meta['wants']}; this is {got}",
                    f"leave {key} out to have it chosen, or name another",
                )
            given = {name: _checked(entry, key, name, value) for name, value in choice.options.items()}
            filled = {o.name: o.default for o in entry.options.values() if o.default is not registry.REQUIRED}
            changes[key] = Choice(name=entry.name, options={**filled, **given})
        batch = self.batch if isinstance(self.batch, int) else min(128, max(16, 2 ** round(math.log2(max(n, 1) / 32))))
        steps = max(1, math.ceil(n / (batch * self.accumulate)))
        changes["batch"] = batch
        changes["epochs"] = self.epochs if isinstance(self.epochs, int) else min(100, max(10, math.ceil(2000 / steps)))
        score = registry.default("metrics", spec).name if self.score == AUTO else registry.dashed(self.score)
        if score != "loss":
            entry = registry.find("metrics", score)
            scalar = entry.meta.get("scalar", True)
            if not scalar or not entry.meta["fits"](spec):
                why = f"does not fit {spec.task}" if scalar else "is a table, not a number"
                raise UsageError(f"score={score} {why}", "name another metric, or score=loss")
        changes["score"] = score
        return self.model_copy(update=changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested data without empty values, as in the TOML file."""
        plain: dict[str, Any] = {}
        tables: dict[str, Any] = {}
        for key in type(self).model_fields:
            value = getattr(self, key)
            if isinstance(value, Choice):
                options = {k: _plain(v) for k, v in value.options.items() if v is not None}
                if options:
                    tables[key] = {"name": value.name, **options}
                else:
                    plain[key] = value.name
            elif value is not None:
                plain[key] = value
        return {**plain, **tables}

    def to_toml(self) -> str:
        """The recipe as a TOML file that `read` takes back."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


ROOMS = {
    "data": "data.sets",
    "model": "models",
    "init": "init",
    "init_linear": "init",
    "init_conv": "init",
    "loss": "losses",
    "optimizer": "optim",
    "schedule": "optim.schedules",
    "scale": "transforms",
    "target_scale": "transforms",
}
"""Key of each choice -> the room it chooses from."""


@dataclass(frozen=True)
class Resolved:
    """A checked recipe, and where each value came from (dotted key -> origin)."""

    recipe: Recipe
    origins: Mapping[str, Origin]


def read(path: Path) -> list[Setting]:
    """Settings of a TOML recipe file.

    Raises:
        UsageError: the file is missing, too large, or no TOML.
    """
    try:
        content = read_bytes(path, 1 << 20)
        if content is None:
            raise UsageError(f"{path} is larger than 1 MiB: no recipe", "give a recipe in TOML")
        data = tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows write a byte order mark
    except OSError as error:
        raise UsageError(f"recipe {path} cannot be read: {error.strerror}", "check the path after config=") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"recipe {path} is not TOML: {error}", "mend that line; see recipes/ for examples") from None
    return list(_flatten(data, "file"))


def resolve(settings: Iterable[Setting]) -> Resolved:
    """A checked recipe from settings in rising order of priority.

    Raises:
        UsageError: a key or name is unknown, a value is not allowed, or an option has several owners.

    >>> recipe = resolve([("lr", "0.5", "command line"), ("optimizer", "sgd", "command line")]).recipe
    >>> recipe.optimizer.name, recipe.optimizer.options["lr"]
    ('sgd', 0.5)
    """
    chosen: dict[str, Choice | None] = {key: Recipe.model_fields[key].default for key in ROOMS}
    plain: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for origin, group in _by_origin(settings):
        named = [(key, value) for key, value in group if key in ROOMS]
        for key, value in named:
            chosen[key] = _choose(key, value, chosen[key])
            origins = {k: o for k, o in origins.items() if not k.startswith(key + ".")}
            origins[key] = origin
        for key, value in group:
            if key in ROOMS:
                continue
            if key in Recipe.model_fields:
                plain[key] = _field(key, value)
                origins[key] = origin
                continue
            owner, name = _owner(key, chosen)
            choice = chosen[owner]
            assert choice is not None
            entry = [e for e in _candidates(owner, choice) if name in e.options][-1]
            chosen[owner] = Choice(
                name=choice.name, options={**choice.options, name: _checked(entry, owner, name, value)}
            )
            origins[f"{owner}.{name}"] = origin
    return Resolved(Recipe.model_validate({**plain, **chosen}), origins)


def build(room: str, name: str, *given: Any, **options: Any) -> Any:
    """Build a registered thing by name with checked options.

    Args:
        room: where it lives.
        name: its registered name.
        *given: what the room hands over.
        **options: its options.

    Raises:
        UsageError: the name or an option is unknown, or a value is not allowed.
    """
    entry = registry.find(room, name)
    what = registry.PEOPLE_SAY.get(room, room)
    return entry.build(*given, **{key: _checked(entry, what, key, value) for key, value in options.items()})


def _by_origin(settings: Iterable[Setting]) -> Iterator[tuple[Origin, list[tuple[str, Any]]]]:
    groups: dict[Origin, list[tuple[str, Any]]] = {}
    for key, value, origin in settings:
        groups.setdefault(origin, []).append((_canonical(key), value))
    yield from groups.items()


def _canonical(key: str) -> str:
    head, dot, tail = key.strip().replace("-", "_").partition(".")
    return ALIASES.get(head, head) + dot + ALIASES.get(tail, tail)


def _flatten(data: Mapping[str, Any], origin: Origin) -> Iterator[Setting]:
    for key, value in data.items():
        if not isinstance(value, dict):
            yield key, value, origin
            continue
        if _canonical(key) not in ROOMS:
            raise UsageError(f"[{key}] is not a part of a recipe", closest(key, ROOMS))
        if "name" in value:
            yield key, value["name"], origin
        yield from ((f"{key}.{option}", v, origin) for option, v in value.items() if option != "name")


def _choose(key: str, value: Any, current: Choice | None) -> Choice | None:
    if isinstance(value, Choice):
        return value
    if not isinstance(value, str):
        raise UsageError(f"{key} must be a name, got {value!r}", closest("", registry.names(ROOMS[key])))
    name = registry.dashed(value)
    optional = Recipe.model_fields[key].default is None
    if name == AUTO and Recipe.model_fields[key].default == Choice(name=AUTO):
        return Choice(name=AUTO)
    if optional and name == "none":
        return None
    if key == "data" and name == IN_MEMORY:
        return Choice(name=IN_MEMORY)
    entry = registry.find(ROOMS[key], name)
    return current if current and current.name == entry.name else Choice(name=entry.name)


def _candidates(key: str, choice: Choice | None) -> list[registry.Entry]:
    if choice is None or choice.name == IN_MEMORY:
        return []
    if choice.name == AUTO:
        return [e for e in registry.entries(ROOMS[key]) if "default_for" in e.meta]
    return [registry.find(ROOMS[key], choice.name)]


def _owner(key: str, chosen: Mapping[str, Choice | None]) -> tuple[str, str]:
    """The choice that a loose or dotted option belongs to, and the option's name."""
    head, _, name = key.partition(".")
    if name:
        if head not in ROOMS:
            raise UsageError(f"{head!r} in {key} is not a choice of a recipe", closest(head, ROOMS))
        options = {o for e in _candidates(head, chosen[head]) for o in e.options}
        if name not in options:
            what = chosen[head].name if chosen[head] else "none"  # type: ignore[union-attr]  # checked just before
            raise UsageError(f"{head}={what} has no option {name!r}", closest(name, options))
        return head, name
    owners = [k for k in ROOMS if any(head in e.options for e in _candidates(k, chosen[k]))]
    if len(owners) == 1:
        return owners[0], head
    if owners:
        ways = " or ".join(f"{owner}.{head}=" for owner in owners)
        raise UsageError(f"{head} is an option of {' and of '.join(owners)}", f"say {ways}")
    elsewhere = [f"{k}={e.name}" for k in ROOMS for e in registry.entries(ROOMS[k]) if head in e.options]
    if elsewhere:
        now = {k: c.name for k, c in chosen.items() if c}
        keys = sorted({e.split("=")[0] for e in elsewhere})
        ours = ", ".join(f"{k}={now.get(k, 'none')}" for k in keys)
        raise UsageError(f"{head} is not an option of {ours}", f"it belongs to {', '.join(elsewhere)}")
    known = {*Recipe.model_fields, *(o for k in ROOMS for e in _candidates(k, chosen[k]) for o in e.options)}
    raise UsageError(f"unknown key {head!r}", closest(head, known))


def _field(key: str, value: Any) -> Any:
    info = Recipe.model_fields[key]
    return _validated(key, info.rebuild_annotation(), value)


def _checked(entry: registry.Entry, key: str, name: str, value: Any) -> Any:
    if name not in entry.options:
        raise UsageError(f"{key}={entry.name} has no option {name!r}", closest(name, entry.options))
    return _validated(name, entry.options[name].type, value)


def _validated(key: str, kind: Any, value: Any) -> Any:
    """``value`` as ``kind``; text from the shell is read as what is wanted (``64,32`` as a list)."""
    if isinstance(value, bool) and not _allows_bool(kind):
        raise UsageError(f"{key} must be a number or a word, got {str(value).lower()}", f"give {key} such a value")
    if isinstance(value, str):
        if value.strip().lower() in ("none", "null", "") and type(None) in typing.get_args(kind):
            return None
        if _is_sequence(kind) and value not in _words(kind):
            value = [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        if key == "fold":
            raise UsageError(
                f"fold must be written like 2/5, got {value!r}", "fold=2/5 is the second of five folds"
            ) from None
        reasons = sorted(
            {e["msg"].removeprefix("Input should be ").removeprefix("Value error, ") for e in error.errors()}
        )
        raise UsageError(f"{key} must be {' or '.join(reasons)}; got {value!r}", f"give {key} such a value") from None


def _is_sequence(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _is_sequence(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return any(map(_is_sequence, typing.get_args(kind)))
    return origin in (tuple, list)


def _allows_bool(kind: Any) -> bool:
    return kind is bool or kind is Any or any(map(_allows_bool, typing.get_args(kind)))


def _words(kind: Any) -> set[str]:
    """The literal words that a type allows."""
    if typing.get_origin(kind) is Literal:
        return {word for word in typing.get_args(kind) if isinstance(word, str)}
    return set().union(*map(_words, typing.get_args(kind)))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value

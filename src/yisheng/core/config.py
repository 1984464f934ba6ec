"""The config: every choice of a run as plain data, from the shell, a TOML file or Python alike.

A choice names a registered thing and its options (``model = mlp`` with ``hidden = 64,32``). On the
command line and in a file's top level an option may be given by its own name when only one of the
choices has it (``lr=0.1``), or with the choice's name before it (``optimizer.lr=0.1``). Later origins
win: defaults, then the file, then the command line. ``auto`` is settled when the data is known.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from yisheng.core import registry
from yisheng.core.errors import UsageError, closest
from yisheng.core.files import read_bytes
from yisheng.core.paths import is_path, opening
from yisheng.core.types import Spec
from yisheng.core.values import validated

AUTO: Final = "auto"
SCALES = ("standard", "columns")
"""What ``scale=auto`` may come to, where no weights decide."""
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


def _seconds(value: Any) -> Any:
    """``90``, ``90s``, ``5m`` and ``1.5h`` as seconds; anything else as it is."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", value) if isinstance(value, str) else None
    if found is None:
        if isinstance(value, str):
            raise ValueError("a time such as 90s, 5m or 1.5h")
        return value
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=1, le=10**7, allow_inf_nan=False)]


class Config(BaseModel):
    """Every choice of a run. See the module's text for how it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Choice = Field(
        Choice(name="digits"), description="data set (see `yisheng data list`), or the path of a folder, zip or table"
    )
    model: Choice = Field(Choice(name=AUTO), description="network (see `yisheng models`)")
    weights: str | None = Field(
        None, description="trained weights to begin with: a .pth or .safetensors file, a name in the hub, a run folder"
    )
    finetune: Literal["all", "head", "gradual"] | None = Field(
        None, description="what trains after weights=: all (default), the head, or gradually more from it on"
    )
    head_lr: Positive | None = Field(
        None, description="with weights=: the head's learning rate, in multiples of lr (default 10)"
    )
    init: Choice = Field(Choice(name="default"), description="initial weights of all linear and convolution layers")
    init_linear: Choice | None = Field(
        None, description="initial weights of linear layers, where they differ from init"
    )
    init_conv: Choice | None = Field(None, description="initial weights of convolutions, where they differ from init")
    loss: Choice = Field(Choice(name=AUTO), description="loss function")
    optimizer: Choice = Field(Choice(name=AUTO), description="optimiser, with lr and wd (weight decay)")
    schedule: Choice = Field(Choice(name="one-cycle"), description="learning rate over the run")
    scale: Choice = Field(Choice(name=AUTO), description="scaling of the inputs, fitted on the training part")
    target_scale: Choice = Field(Choice(name=AUTO), description="scaling of a regression target, undone in prediction")
    augment: tuple[Choice, ...] = Field(
        (Choice(name=AUTO),),
        description="random changes of the training inputs, in this order (augment=flip,crop); auto: none, or with "
        "budget= what suits the data",
    )
    epochs: Count | Auto = Field(AUTO, description="passes over the training part")
    budget: Seconds | None = Field(
        None, description="time granted for training, as 90s, 5m or 1h: what is not said is chosen to learn most in it"
    )
    batch: Count | Auto = Field(AUTO, description="samples per forward pass")
    accumulate: Count = Field(1, description="forward passes per update: one update sees batch x accumulate samples")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="of every random generator")
    validation: Size | Auto = Field(AUTO, description="validation part: a fraction below 1, or a number of rows")
    test: Size | Auto = Field(AUTO, description="test part, where the data has no official one")
    split: Literal["auto", "random", "contiguous", "time"] = Field(
        AUTO, description="how parts are drawn: by chance, in the order of the rows, or in time (auto: time if known)"
    )
    folds: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None, description="train k models, each validated on another fold; scores with spread, predictions averaged"
    )
    repeats: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="with folds=: draw the folds so many times")
    fold: Annotated[str, Field(pattern=r"^[1-9]\d*/[1-9]\d*$")] | None = Field(
        None, description="train on one of k folds, as 2/5: its part is the validation part"
    )
    repeat: Count = Field(1, description="which draw of the folds fold= is of")
    score: str = Field(AUTO, description="validation score that chooses the best epoch: a metric's name, or loss")
    boosting: bool | Auto = Field(
        AUTO, description="score boosted trees on the same rows beside the network (auto: for tables from files)"
    )
    patience: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after so many epochs without a better score; 0: never (not with folds)"
    )
    clip_norm: Positive | None = Field(None, description="largest norm of all gradients together")
    clip_value: Positive | None = Field(None, description="largest absolute value of any gradient")
    precision: Literal["auto", "fp32", "bf16", "fp64"] = Field(
        AUTO,
        description="of training and its validation: fp32, or bf16 (weights stay fp32) where a trial shows that it is "
        "faster; fp64 is for proofs",
    )
    memory_format: Literal["auto", "contiguous", "channels-last"] = Field(
        AUTO, description="order of an image's numbers in convolutions; auto: what a trial shows to be faster"
    )
    scratch: bool = Field(
        False, description="train with the hand-written layers, loss and optimiser, and the library's beside them"
    )
    doctor: Literal["off", "passive", "full"] = Field(
        "passive", description="watch the training for what goes wrong; full: try remedies before it, too"
    )
    tensorboard: bool = Field(
        False, description="write the run for TensorBoard, too (`yisheng tensorboard runs/` shows it)"
    )
    visdom: Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")] | None = Field(
        None, description="address of a Visdom server that shows the curves, as http://localhost:8097"
    )
    watch: bool = Field(False, description="serve a page in the browser that follows the run")
    decay_bias: bool = Field(False, description="weight decay on biases and norm layers too")
    device: str = Field(AUTO, description="auto, cpu, cuda, cuda:1, mps")
    log_every: Count = Field(10, description="write every n-th step to events.jsonl")
    checkpoint_every: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        10.0, description="seconds between checkpoints; 0: after every step"
    )

    def settle(self, spec: Spec, n: int, *, auto: Mapping[str, Choice] = MappingProxyType({})) -> Config:
        """The config with every ``auto`` decided for this data, and every option written out.

        Args:
            spec: the contract of the data set.
            n: rows of the training part.
            auto: what ``auto`` means for a choice, where the contract alone cannot tell.

        Raises:
            UsageError: a choice does not fit the data.
        """
        changes: dict[str, Any] = {}
        for key in KINDS:
            choice: Choice | None = getattr(self, key)
            if choice is None or choice.name == IN_MEMORY:
                continue
            if choice.name == AUTO:
                chosen = auto.get(key) or Choice(name=_default(key, spec))
                choice = Choice(name=chosen.name, options={**chosen.options, **choice.options})
            changes[key] = _settled(key, choice, spec)
        changes["augment"] = tuple(
            _settled(f"{AUGMENT}.{choice.name}", choice, spec) for choice in self.augment if choice.name != AUTO
        )
        if self.weights is not None:
            changes |= {"finetune": self.finetune or "all", "head_lr": self.head_lr or 10.0}
        batch = self.batch if isinstance(self.batch, int) else min(128, max(16, 2 ** round(math.log2(max(n, 1) / 32))))
        steps = max(1, math.ceil(n / (batch * self.accumulate)))
        changes["batch"] = batch
        most = 100 if self.weights is None else 15  # trained weights are near the goal already
        changes["epochs"] = self.epochs if isinstance(self.epochs, int) else min(most, max(10, math.ceil(2000 / steps)))
        score = registry.default("metrics", spec).name if self.score == AUTO else registry.dashed(self.score)
        if score != "loss":
            entry = registry.find("metrics", score)
            scalar = entry.meta.get("scalar", True)
            if not scalar or not entry.meta["fits"](spec):
                why = f"does not fit {spec.task}" if scalar else "is a table, not a number"
                raise UsageError(f"score={score} {why}", "name another metric, or score=loss")
        changes["score"] = score
        if self.boosting == AUTO:
            changes["boosting"] = not spec.is_image and any(column.source for column in spec.columns)
        elif self.boosting and spec.is_image:
            raise UsageError("boosting=true needs rows; these are images", "leave boosting out")
        return self.model_copy(update=changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested data without empty values, as in the TOML file."""
        plain: dict[str, Any] = {}
        tables: dict[str, Any] = {}
        for key in type(self).model_fields:
            value = getattr(self, key)
            if key == AUGMENT:
                if not value:
                    plain[key] = "none"
                elif value != type(self).model_fields[key].default:
                    tables[key] = [{"name": c.name, **{k: _plain(v) for k, v in c.options.items()}} for c in value]
            elif isinstance(value, Choice):
                options = {k: _plain(v) for k, v in value.options.items() if v is not None}
                if options:
                    tables[key] = {"name": value.name, **options}
                else:
                    plain[key] = value.name
            elif value is not None:
                plain[key] = value
        return {**plain, **tables}

    def to_toml(self) -> str:
        """The config as a TOML file that `read` takes back."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


KINDS = {
    "data": "data.datasets",
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
"""Key of each choice -> the kind it chooses from."""

AUGMENT: Final = "augment"


def kind_of(key: str) -> str:
    """The kind that a key of the config chooses from.

    >>> kind_of("loss"), kind_of("augment.flip")
    ('losses', 'transforms.augment')
    """
    return "transforms.augment" if key.startswith(AUGMENT) else KINDS[key]


@dataclass(frozen=True)
class Resolved:
    """A checked config, and where each value came from (dotted key -> origin)."""

    config: Config
    origins: Mapping[str, Origin]


def read(path: Path) -> list[Setting]:
    """Settings of a TOML config file.

    Raises:
        UsageError: the file is missing, too large, or no TOML.
    """
    try:
        content = read_bytes(path, 1 << 20)
        if content is None:
            raise UsageError(f"{path} is larger than 1 MiB: no config", "give a config in TOML")
        data = tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows write a byte order mark
    except OSError as error:
        raise UsageError(f"config {path} cannot be read: {error.strerror}", "check the path after config=") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"config {path} is not TOML: {error}", "mend that line; see configs/ for examples") from None
    return list(_flatten(data, "file"))


def resolve(settings: Iterable[Setting]) -> Resolved:
    """A checked config from settings in rising order of priority.

    Raises:
        UsageError: a key or name is unknown, a value is not allowed, or an option has several owners.

    >>> config = resolve([("lr", "0.5", "command line"), ("optimizer", "sgd", "command line")]).config
    >>> config.optimizer.name, config.optimizer.options["lr"]
    ('sgd', 0.5)
    """
    chosen: dict[str, Choice | None] = {key: Config.model_fields[key].default for key in KINDS}
    chosen |= _augmentations(AUTO)
    plain: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for origin, group in _by_origin(settings):
        named = [(key, value) for key, value in group if key in KINDS or key == AUGMENT]
        for key, value in named:
            if key == AUGMENT:
                chosen = {k: c for k, c in chosen.items() if not k.startswith(AUGMENT)} | _augmentations(value)
            else:
                chosen[key] = _choose(key, value, chosen[key])
            origins = {k: o for k, o in origins.items() if not k.startswith(key + ".")}
            origins[key] = origin
            if key == AUGMENT:
                origins |= {f"{k}.{o}": origin for k, c in chosen.items() if k not in KINDS and c for o in c.options}
        for key, value in group:
            if key in KINDS or key == AUGMENT:
                continue
            if key in Config.model_fields and not _is_test_file(key, value, chosen["data"]):
                plain[key] = _field(key, value)
                origins[key] = origin
                continue
            owner, name = _owner("data.test" if key == "test" else key, chosen)
            choice = chosen[owner]
            assert choice is not None
            entry = [e for e in _candidates(owner, choice) if name in e.options][-1]
            chosen[owner] = Choice(
                name=choice.name, options={**choice.options, name: _checked(entry, owner, name, value)}
            )
            origins[f"{owner}.{name}"] = origin
    for name in ("finetune", "head_lr"):
        if plain.get(name) is not None and plain.get("weights") is None:
            raise UsageError(f"{name}={plain[name]} needs weights to begin with", "say weights=FILE or weights=NAME")
    if plain.get("budget") is not None:
        for name in ("epochs", "folds", "scratch"):
            if plain.get(name) not in (None, AUTO, False):
                raise UsageError(
                    f"budget={plain['budget']:g} (seconds) and {name}={_plain(plain[name])} contradict: a budget "
                    "decides how many epochs one training gets",
                    f"leave budget or {name} out",
                )
    for name, of in (("repeats", "folds"), ("repeat", "fold")):
        if plain.get(name, 1) != 1 and plain.get(of) is None:
            raise UsageError(f"{name}={plain[name]} needs {of}", f"say {of}={5 if of == 'folds' else '1/5'} too")
    if plain.get("patience") and (plain.get("folds") or plain.get("fold")):
        raise UsageError(
            "patience would choose an epoch by the very rows that a fold is scored on", "leave it out, and name epochs="
        )
    kinds = {key: chosen[key] for key in KINDS}
    augment = tuple(choice for key, choice in chosen.items() if key not in KINDS)
    return Resolved(Config.model_validate({**plain, **kinds, AUGMENT: augment}), origins)


def build(kind: str, name: str, *given: Any, **options: Any) -> Any:
    """Build a registered thing by name with checked options.

    Args:
        kind: where it lives.
        name: its registered name.
        *given: what the kind hands over.
        **options: its options.

    Raises:
        UsageError: the name or an option is unknown, or a value is not allowed.
    """
    entry = registry.find(kind, name)
    what = registry.PEOPLE_SAY.get(kind, kind)
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
        if _canonical(key) == AUGMENT:
            raise UsageError("[augment] holds one table only", 'write augment = ["flip"], or [[augment]] for each')
        if _canonical(key) not in KINDS:
            raise UsageError(f"[{key}] is not a part of a config", closest(key, KINDS))
        if "name" in value:
            yield key, value["name"], origin
        yield from ((f"{key}.{option}", v, origin) for option, v in value.items() if option != "name")


def _choose(key: str, value: Any, current: Choice | None) -> Choice | None:
    if isinstance(value, Choice):
        return value
    if not isinstance(value, str):
        raise UsageError(f"{key} must be a name, got {value!r}", closest("", registry.names(KINDS[key])))
    if key == "data" and registry.dashed(value) not in registry.names("data.datasets") and is_path(value):
        opened, path = opening(value)
        kept = current.options if current and current.name == opened else {}
        return Choice(name=opened, options={**kept, "path": path})
    name = registry.dashed(value)
    optional = Config.model_fields[key].default is None
    if name == AUTO and Config.model_fields[key].default == Choice(name=AUTO):
        return Choice(name=AUTO)
    if optional and name == "none":
        return None
    if key == "data" and name == IN_MEMORY:
        return Choice(name=IN_MEMORY)
    entry = registry.find(KINDS[key], name)
    return current if current and current.name == entry.name else Choice(name=entry.name)


def _is_test_file(key: str, value: Any, data: Choice | None) -> bool:
    """Whether ``test=`` names a file of test rows, where the data set takes one, rather than a size."""
    if key != "test" or not isinstance(value, str) or not any("test" in e.options for e in _candidates("data", data)):
        return False
    try:
        float(value)
    except ValueError:
        return value.strip().lower() != AUTO
    return False


def _augmentations(value: Any) -> dict[str, Choice | None]:
    """``augment=`` as choices: ``flip,crop``, a list of names, or a list of tables with ``name`` and options."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise UsageError(f"augment must be names, got {value!r}", "say augment=flip,crop")
    found: dict[str, Choice | None] = {}
    for item in items:
        if isinstance(item, Choice):
            item = {"name": item.name, **item.options}
        given = dict(item) if isinstance(item, Mapping) else {"name": item}
        name = given.pop("name", None)
        if not isinstance(name, str):
            raise UsageError(f"an augmentation must have a name, got {item!r}", "say augment=flip,crop")
        if registry.dashed(name) in ("none", "") and len(items) == 1:
            return {}
        if registry.dashed(name) == AUTO and len(items) == 1:
            return {f"{AUGMENT}.{AUTO}": Choice(name=AUTO)}
        entry = registry.find("transforms.augment", name)
        key = f"{AUGMENT}.{entry.name}"
        if key in found:
            raise UsageError(f"augment names {entry.name} twice", "name each once")
        found[key] = Choice(name=entry.name, options={o: _checked(entry, key, o, v) for o, v in given.items()})
    return found


def _default(key: str, spec: Spec) -> str:
    """What ``auto`` means for a contract."""
    return "standard" if key == "scale" else registry.default(KINDS[key], spec).name


def _settled(key: str, choice: Choice, spec: Spec) -> Choice:
    """A choice that fits the data, with every option written out."""
    entry = registry.find(kind_of(key), choice.name)
    if "fits" in entry.meta and not entry.meta["fits"](spec):
        got = f"{spec.task} on inputs of shape {spec.shape}"
        if key.startswith(AUGMENT):
            raise UsageError(f"augment={entry.name} needs {entry.meta['wants']}; this is {got}", "leave it out")
        raise UsageError(
            f"{key}={entry.name} needs {entry.meta['wants']}; this is {got}",
            f"leave {key} out to have it chosen, or name another",
        )
    given = {name: _checked(entry, key, name, value) for name, value in choice.options.items()}
    filled = {o.name: o.default for o in entry.options.values() if o.default is not registry.REQUIRED}
    return Choice(name=entry.name, options={**filled, **given})


def _candidates(key: str, choice: Choice | None) -> list[registry.Entry]:
    if choice is None or choice.name == IN_MEMORY or key == f"{AUGMENT}.{AUTO}":
        return []
    if choice.name == AUTO and key == "scale":
        return [registry.find(KINDS[key], name) for name in SCALES]
    if choice.name == AUTO:
        return [e for e in registry.entries(KINDS[key]) if "default_for" in e.meta]
    return [registry.find(kind_of(key), choice.name)]


def _owner(key: str, chosen: Mapping[str, Choice | None]) -> tuple[str, str]:
    """The choice that a loose or dotted option belongs to, and the option's name."""
    head, _, name = key.rpartition(".") if key.startswith(f"{AUGMENT}.") else key.partition(".")
    if not head:
        head, name = name, ""
    if name:
        if head not in chosen and head.startswith(AUGMENT):
            said = head.removeprefix(AUGMENT).strip(".") or name
            raise UsageError(f"{key}: {said} is not among the augmentations", f"say augment={said}, and what else")
        if head not in chosen:
            raise UsageError(f"{head!r} in {key} is not a choice of a config", closest(head, KINDS))
        options = {o for e in _candidates(head, chosen[head]) for o in e.options}
        if name not in options:
            what = chosen[head].name if chosen[head] else "none"  # type: ignore[union-attr]  # checked just before
            raise UsageError(f"{head}={what} has no option {name!r}", closest(name, options))
        return head, name
    owners = [k for k in chosen if any(head in e.options for e in _candidates(k, chosen[k]))]
    if len(owners) == 1:
        return owners[0], head
    if owners:
        ways = " or ".join(f"{owner}.{head}=" for owner in owners)
        raise UsageError(f"{head} is an option of {' and of '.join(owners)}", f"say {ways}")
    kinds = {**KINDS, AUGMENT: "transforms.augment"}
    elsewhere = [f"{k}={e.name}" for k in kinds for e in registry.entries(kinds[k]) if head in e.options]
    if elsewhere:
        now = {k: c.name for k, c in chosen.items() if c}
        keys = sorted({e.split("=")[0] for e in elsewhere})
        ours = ", ".join(f"{k}={now.get(k, 'none')}" for k in keys)
        raise UsageError(f"{head} is not an option of {ours}", f"it belongs to {', '.join(elsewhere)}")
    known = {*Config.model_fields, *(o for k in chosen for e in _candidates(k, chosen[k]) for o in e.options)}
    raise UsageError(f"unknown key {head!r}", closest(head, known))


def _field(key: str, value: Any) -> Any:
    if key == "weights" and isinstance(value, str) and "\0" not in value and Path(value).expanduser().exists():
        value = str(Path(value).expanduser().absolute())  # else it is a name in the hub
    info = Config.model_fields[key]
    return validated(key, info.rebuild_annotation(), value)


def _checked(entry: registry.Entry, key: str, name: str, value: Any) -> Any:
    if name not in entry.options:
        raise UsageError(f"{key}={entry.name} has no option {name!r}", closest(name, entry.options))
    return validated(name, entry.options[name].type, value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value

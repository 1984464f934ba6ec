"""Settings: pairs of a key and a value from a TOML file, the command line or Python, merged into a config.

An option may be given by its own name if only one of the chosen components has it (``lr=0.1``), or with the choice's
key before it (``optimizer.lr=0.1``). Later origins win: defaults, then the file, then the command line.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yisheng.core import registry
from yisheng.core.components import CustomEntry, find_component, is_custom
from yisheng.core.config import AUGMENT, AUTO, IN_MEMORY, KINDS, METRICS, Choice, Config, kind_of, plain_value
from yisheng.core.default_budget import names_training
from yisheng.core.errors import UsageError, suggest
from yisheng.core.files import read_bytes
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.paths import parse_path
from yisheng.core.read_choices import choose, parse_augmentations, parse_metrics, require_plain
from yisheng.core.references import is_reference, short_name
from yisheng.core.toml_paths import require_no_escapes, suggest_literal_string
from yisheng.core.values import validate_value

AUTO_SCALES = ("standard", "columns")
"""What ``scale=auto`` may become if no pretrained weights decide: their options can be set in advance."""
ALIASES = {
    "learning_rate": "lr",
    "wd": "weight_decay",
    "batch_size": "batch",
    "optimiser": "optimizer",
    "dataset": "data",
    "max_epochs": "epochs",
}
"""Other names of keys and options."""
MAX_CONFIG_BYTES = 1 << 20

Origin = Literal["default", "file", "command line"]
Setting = tuple[str, Any, Origin]


@dataclass(frozen=True)
class MergedSettings:
    """A checked config, and where each value came from (dotted key -> origin)."""

    config: Config
    origins: Mapping[str, Origin]


def read_settings(path: Path, *, is_generated: bool = False) -> list[Setting]:
    """Read the settings of a TOML config file.

    Args:
        path: the file.
        is_generated: whether a training wrote it, so that its escapes are meant.

    Raises:
        UsageError: the file is missing, too large, or not TOML; or a path in it has lost its backslashes.
    """
    try:
        content = read_bytes(path, MAX_CONFIG_BYTES)
        if content is None:
            raise UsageError(
                Message("{path} is larger than 1 MiB: not a config", path=path), Message("give a config in TOML")
            )
        text = content.decode("utf-8-sig")  # editors on Windows write a byte order mark
        data = tomllib.loads(text)
    except OSError as error:
        raise UsageError(
            Message("config {path} cannot be read: {strerror}", path=path, strerror=describe_os_error(error)),
            Message("check the path after config="),
        ) from None
    except (ValueError, RecursionError) as error:
        remedy = suggest_literal_string(text) if isinstance(error, tomllib.TOMLDecodeError) else None
        raise UsageError(
            Message("config {path} is not TOML: {error}", path=path, error=error),
            remedy or Message("fix that line; see configs/ for examples"),
        ) from None
    settings = list(_flatten(data, "file"))
    for key, value, _ in settings:
        if not is_generated:
            require_no_escapes(path, key, value)
    return settings


def keyword_settings(keywords: Mapping[str, Any]) -> Iterator[Setting]:
    """Yield the settings of Python's keyword arguments: a mapping is a name and its options, NumPy values are plain.

    Raises:
        UsageError: a mapping has no name.

    >>> [(key, value) for key, value, _ in keyword_settings({"optimizer": {"name": "sgd", "lr": 0.1}})]
    [('optimizer', 'sgd'), ('optimizer.lr', 0.1)]
    """
    for key, value in keywords.items():
        if hasattr(value, "dtype") and hasattr(value, "tolist"):
            value = value.tolist()
        if key == AUGMENT and isinstance(value, Mapping):
            value = [value]
        if isinstance(value, Mapping) and (key != METRICS or "name" in value):
            if "name" not in value:
                raise UsageError(
                    Message("{key} must have a name, got {dict}", key=key, dict=f"{dict(value)!r}"),
                    Message('write {key}={{"name": ..., ...}}', key=key),
                )
            yield key, value["name"], "command line"
            options = {f"{key}.{option}": v for option, v in value.items() if option != "name"}
            yield from keyword_settings(options)
        else:
            yield key, value, "command line"


def merge_settings(settings: Iterable[Setting], *, import_code: bool = True) -> MergedSettings:
    """Return the checked config of some settings in rising order of priority.

    Args:
        settings: keys with values and origins.
        import_code: import the user's own components that are named by reference (``model=net.py:Net``). False for the
            config of a run folder: reading a folder never runs code that it names, and uses what
            `yisheng.core.components.supply_components` gave.

    Raises:
        UsageError: a key or name is unknown, a value is not allowed, or an option belongs to several choices.

    >>> config = merge_settings([("lr", "0.5", "command line"), ("optimizer", "sgd", "command line")]).config
    >>> config.optimizer.name, config.optimizer.options["lr"]
    ('sgd', 0.5)
    """
    merger = _Merger(import_code)
    for origin, group in _group_by_origin(settings):
        choices = [(key, value) for key, value in group if _is_choice(key)]
        for key, value in choices:  # options of the same origin refer to these choices, in whatever order they are
            merger.set_choice(key, value, origin)
        for key, value in group:
            if not _is_choice(key):
                merger.set_value(key, value, origin)
    merger.choose_budget()
    _require_consistent(merger.plain)
    return MergedSettings(merger.build_config(), merger.origins)


class _Merger:
    """The config while its settings are read: choices by key (``augment.NAME`` each), plain values, origins."""

    def __init__(self, import_code: bool) -> None:
        self.import_code = import_code
        self.metrics: tuple[Choice, ...] = ()
        self.choices: dict[str, Choice | None] = {key: Config.model_fields[key].default for key in KINDS}
        self.choices |= parse_augmentations(AUTO)
        self.plain: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}

    def set_choice(self, key: str, value: Any, origin: Origin) -> None:
        """Choose a component; what was set for another one before is dropped."""
        if key == AUGMENT:
            self.choices = {k: c for k, c in self.choices.items() if not k.startswith(AUGMENT)}
            self.choices |= parse_augmentations(value, self.import_code)
        elif key == METRICS:
            self.metrics = parse_metrics(value, self.import_code)
        else:
            self.choices[key] = choose(key, value, self.choices[key], self.import_code)
        self.origins = {k: o for k, o in self.origins.items() if not k.startswith(key + ".")}
        self.origins[key] = origin
        if key == AUGMENT:
            augmentations = {k: c for k, c in self.choices.items() if k not in KINDS and c}
            self.origins |= {f"{k}.{name}": origin for k, c in augmentations.items() for name in c.options}

    def set_value(self, key: str, value: Any, origin: Origin) -> None:
        """Set a plain key of the config, or an option of one of the choices."""
        if key == "score" and (not isinstance(value, str) or is_reference(value)):
            (metric,) = parse_metrics([value], self.import_code)
            self.metrics, value = (*self.metrics, metric), short_name(metric.name)
        if key in Config.model_fields and not _is_test_file(key, value, self.choices["data"]):
            self.plain[key] = _check_plain(key, value)
            self.origins[key] = origin
            return
        owner, option = _find_owner("data.test" if key == "test" else key, self.choices)
        choice = self.choices[owner]
        assert choice is not None
        entry = [e for e in _candidates(owner, choice) if _has_option(e, option)][-1]
        value = entry.check_option(option, value, owner)
        if is_custom(choice):
            require_plain(owner, option, value)
        self.choices[owner] = choice.model_copy(update={"options": {**choice.options, option: value}})
        self.origins[f"{owner}.{option}"] = origin

    def choose_budget(self) -> None:
        """Leave no budget to be chosen if a setting says which model is trained, or how."""
        augment = self.choices.get(f"{AUGMENT}.{AUTO}")
        if "budget" not in self.plain and names_training(
            self.origins, {**self.choices, AUGMENT: augment, **self.plain}
        ):
            self.plain["budget"] = None

    def build_config(self) -> Config:
        """Return the config."""
        choices = {key: self.choices[key] for key in KINDS}
        augment = tuple(choice for key, choice in self.choices.items() if key not in KINDS)
        return Config.model_validate({**self.plain, **choices, AUGMENT: augment, METRICS: self.metrics})


def _is_choice(key: str) -> bool:
    """Return whether a key of the config names components rather than holding a plain value."""
    return key in KINDS or key in (AUGMENT, METRICS)


def _require_consistent(plain: Mapping[str, Any]) -> None:
    """Raise an error for keys that contradict each other or need one another."""
    for name in ("finetune", "head_lr"):
        if plain.get(name) is not None and plain.get("weights") is None:
            raise UsageError(
                Message("{name}={plain} needs pretrained weights", name=name, plain=plain[name]),
                Message("use weights=FILE or weights=NAME"),
            )
    if plain.get("feature_cache", AUTO) not in (AUTO, "off") and plain.get("finetune") != "head":
        raise UsageError(
            Message("feature_cache={plain} is for frozen layers", plain=plain["feature_cache"]),
            Message("use finetune=head too, or leave it out"),
        )
    if plain.get("budget") not in (None, AUTO):
        for name in ("epochs", "scratch"):
            if plain.get(name) not in (None, AUTO, False):
                raise UsageError(
                    Message(
                        "budget={plain} (seconds) and {name}={plain_2} contradict: a budget decides how many epochs "
                        "one training gets",
                        plain=f"{plain['budget']:g}",
                        name=name,
                        plain_2=plain_value(plain[name]),
                    ),
                    Message("leave budget or {name} out", name=name),
                )
    if plain.get("epochs") == 0:
        for name in ("folds", "scratch", "patience", "boosting", "budget"):
            if plain.get(name) not in (None, False, AUTO, 0):
                raise UsageError(
                    Message(
                        "epochs=0 trains nothing, so {name}={plain} has no meaning",
                        name=name,
                        plain=plain_value(plain[name]),
                    ),
                    Message("leave {name} out, or use epochs=10", name=name),
                )
    for name, required, example in (("repeats", "folds", "5"), ("repeat", "fold", "1/5")):
        if plain.get(name, 1) != 1 and plain.get(required) is None:
            raise UsageError(
                Message("{name}={plain} needs {required}", name=name, plain=plain[name], required=required),
                Message("use {required}={example} too", required=required, example=example),
            )
    if plain.get("calibrate") and (plain.get("folds") or plain.get("fold")):
        raise UsageError(
            Message("calibrate=true would fit the temperature to the very rows that a fold is scored on"),
            Message("leave calibrate out, or train a single run"),
        )
    if plain.get("patience") and (plain.get("folds") or plain.get("fold")):
        raise UsageError(
            Message("patience would choose an epoch by the very rows that a fold is scored on"),
            Message("leave patience out, and give epochs="),
        )


def canonical_key(key: str) -> str:
    """Return a key or option under the name that the config uses.

    >>> canonical_key("learning-rate"), canonical_key("optimizer.wd")
    ('lr', 'optimizer.weight_decay')
    """
    head, dot, tail = key.strip().replace("-", "_").partition(".")
    return ALIASES.get(head, head) + dot + ALIASES.get(tail, tail)


def _group_by_origin(settings: Iterable[Setting]) -> Iterator[tuple[Origin, list[tuple[str, Any]]]]:
    groups: dict[Origin, list[tuple[str, Any]]] = {}
    for key, value, origin in settings:
        groups.setdefault(origin, []).append((canonical_key(key), value))
    yield from groups.items()


def _flatten(data: Mapping[str, Any], origin: Origin) -> Iterator[Setting]:
    """Yield the settings of nested TOML data."""
    for key, value in data.items():
        if not isinstance(value, dict):
            yield key, value, origin
            continue
        if canonical_key(key) == AUGMENT:
            raise UsageError(
                Message("[augment] holds one table only"), Message('write augment = ["flip"], or [[augment]] for each')
            )
        if canonical_key(key) not in KINDS:
            raise UsageError(Message("[{key}] is not a part of a config", key=key), suggest(key, KINDS))
        if "name" in value:
            yield key, value["name"], origin
        yield from ((f"{key}.{option}", v, origin) for option, v in value.items() if option != "name")


def _has_option(entry: registry.Entry, option: str) -> bool:
    """Return whether a component takes an option; a user's own with ``**kwargs`` takes any."""
    return option in entry.options or getattr(entry, "open_ended", False)


def _is_test_file(key: str, value: Any, data: Choice | None) -> bool:
    """Return whether ``test=`` names a file of test rows, if the data set takes one, rather than a size."""
    if key != "test" or not isinstance(value, str) or not any("test" in e.options for e in _candidates("data", data)):
        return False
    try:
        float(value)
    except ValueError:
        return value.strip().lower() != AUTO
    return False


def _candidates(key: str, choice: Choice | None) -> list[registry.Entry]:
    """Return the components that a choice may become: all possible defaults for ``auto``."""
    if choice is None or key == f"{AUGMENT}.{AUTO}":
        return []
    if choice.name == IN_MEMORY:
        return [registry.find("data.objects", IN_MEMORY)] if key == "data" else []
    if choice.name == AUTO and key == "scale":
        return [registry.find(KINDS[key], name) for name in AUTO_SCALES]
    if choice.name == AUTO:
        return list(registry.entries(KINDS[key], "default_for"))
    if is_custom(choice) and choice.component is None:  # the config of a run folder; its options were checked
        return [CustomEntry(kind_of(key), choice.name, Choice, open_ended=True)]
    return [find_component(kind_of(key), choice)]


def _find_owner(key: str, choices: Mapping[str, Choice | None]) -> tuple[str, str]:
    """Return the choice that an option belongs to, and the option's name without it."""
    head, _, name = key.rpartition(".") if key.startswith(f"{AUGMENT}.") else key.partition(".")
    if not head:
        head, name = name, ""
    if name:
        return _check_dotted(key, head, name, choices)
    owners = [k for k in choices if any(head in e.options for e in _candidates(k, choices[k]))]
    if not owners and head not in Config.model_fields:  # a user's own component may take any option
        owners = [k for k in choices if any(_has_option(e, head) for e in _candidates(k, choices[k]))]
    if len(owners) == 1:
        return owners[0], head
    if owners:
        dotted = " or ".join(f"{owner}.{head}=" for owner in owners)
        raise UsageError(
            Message("{head} is an option of {owners}", head=head, owners=" and of ".join(owners)),
            Message("use {dotted}", dotted=dotted),
        )
    raise _explain_unknown(head, choices)


def _check_dotted(key: str, head: str, name: str, choices: Mapping[str, Choice | None]) -> tuple[str, str]:
    """Return the choice and the option of a dotted key, if there are such."""
    if head not in choices and head.startswith(AUGMENT):
        augmentation = head.removeprefix(AUGMENT).strip(".") or name
        raise UsageError(
            Message("{key}: {augmentation} is not among the augmentations", key=key, augmentation=augmentation),
            Message("use augment={augmentation} with the others", augmentation=augmentation),
        )
    if head not in choices:
        raise UsageError(
            Message("{head} in {key} is not a choice of a config", head=f"{head!r}", key=key), suggest(head, KINDS)
        )
    choice = choices[head]
    options = {option for entry in _candidates(head, choice) for option in entry.options}
    if not any(_has_option(entry, name) for entry in _candidates(head, choice)):
        value = choice.name if choice else "none"
        raise UsageError(
            Message("{key}={value} has no option {name}", key=head, value=value, name=f"{name!r}"),
            suggest(name, options),
        )
    return head, name


def _explain_unknown(key: str, choices: Mapping[str, Choice | None]) -> UsageError:
    """Return the error about a key that neither the config nor a chosen component has."""
    kinds = {**KINDS, AUGMENT: "transforms.augment"}
    owners = [f"{k}={e.name}" for k in kinds for e in registry.entries(kinds[k]) if key in e.options]
    if owners:
        names = {k: c.name for k, c in choices.items() if c}
        keys = sorted({owner.split("=")[0] for owner in owners})
        chosen = ", ".join(f"{k}={names.get(k, 'none')}" for k in keys)
        return UsageError(
            Message("{key} is not an option of {chosen}", key=key, chosen=chosen),
            Message("it belongs to {owners}", owners=", ".join(owners)),
        )
    data = choices["data"]
    if key in registry.find("data.objects", IN_MEMORY).options and data is not None and data.name != IN_MEMORY:
        return UsageError(
            Message("{key} is not an option of data={name}", key=key, name=data.name),
            Message("it is for data that is given as an object"),
        )
    options = {option for k in choices for entry in _candidates(k, choices[k]) for option in entry.options}
    return UsageError(Message("unknown key {key}", key=f"{key!r}"), suggest(key, {*Config.model_fields, *options}))


def _check_plain(key: str, value: Any) -> Any:
    """Return the value of a key that is not a choice, checked; a file of weights as an absolute path."""
    if key == "weights" and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if key == "weights" and isinstance(value, str) and value.strip().lower() not in ("", "none", "null"):
        path = parse_path(value, key).absolute()
        value = str(path) if os.path.exists(path) else value  # noqa: PTH110  # else it is a name in the hub
    return validate_value(key, Config.model_fields[key].rebuild_annotation(), value)

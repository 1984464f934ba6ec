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

from yisheng.core.choice import AUGMENT, AUTO, KINDS, METRICS, Choice
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.config_consistency import require_consistent
from yisheng.core.default_budget import names_training
from yisheng.core.errors import UsageError, show_value, suggest
from yisheng.core.files import read_bytes
from yisheng.core.messages import Message
from yisheng.core.option_owners import find_candidates, find_owner, has_option, is_test_file
from yisheng.core.os_errors import describe_os_error
from yisheng.core.paths import parse_path
from yisheng.core.read_choices import choose, parse_augmentations, parse_metrics, require_plain
from yisheng.core.references import is_reference, short_name
from yisheng.core.toml_paths import require_no_escapes, suggest_literal_string
from yisheng.core.values import validate_value

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
            if key.partition(".")[0] not in (*KINDS, AUGMENT, METRICS) or "." in key:
                raise UsageError(
                    Message("{key} takes no mapping, got {value}", key=key, value=show_value(dict(value))),
                    Message("give a value or a list, such as one value for each class in the order of the classes"),
                )
            if "name" not in value:
                raise UsageError(
                    Message("{key} must have a name, got {dict}", key=key, dict=show_value(dict(value))),
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
            `yisheng.core.supplied_components.supply_components` gave.

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
    require_consistent(merger.plain)
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
        if key in Config.model_fields and not is_test_file(key, value, self.choices["data"]):
            self.plain[key] = _check_plain(key, value)
            self.origins[key] = origin
            return
        owner, option = find_owner("data.test" if key == "test" else key, self.choices)
        choice = self.choices[owner]
        assert choice is not None
        entry = [e for e in find_candidates(owner, choice) if has_option(e, option)][-1]
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


def _check_plain(key: str, value: Any) -> Any:
    """Return the value of a key that is not a choice, checked; a file of weights as an absolute path."""
    if key == "weights" and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if key == "weights" and isinstance(value, str) and value.strip().lower() not in ("", "none", "null"):
        path = parse_path(value, key).absolute()
        value = str(path) if os.path.exists(path) else value  # noqa: PTH110  # else it is a name in the hub
    return validate_value(key, Config.model_fields[key].rebuild_annotation(), value)

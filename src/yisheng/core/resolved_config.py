"""A config in which every ``auto`` is decided for some data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import model_validator

from yisheng.core import components, registry
from yisheng.core.choice import AUGMENT, AUTO, IN_MEMORY, KINDS, RAW, Choice, kind_of
from yisheng.core.config import Config
from yisheng.core.config_values import Count, Epochs, Seconds, Shards
from yisheng.core.discovery import hyphenate
from yisheng.core.entry import REQUIRED
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec


class ResolvedConfig(Config):
    """A config with every value decided for its data.

    ``device``, ``split``, ``validation`` and ``test`` may still be ``auto``: they depend on the machine and on the
    data set's official parts, and a run that is resumed elsewhere decides them again.

    Raises:
        pydantic.ValidationError: a value is ``auto``.
    """

    epochs: Epochs
    budget: Seconds | None = None
    batch: Count
    shards: Shards
    exact: bool = True
    shuffle: Literal["rows", "blocks"]
    boosting: bool
    importance: bool
    precision: Literal["fp32", "bf16", "fp64"]
    memory_format: Literal["contiguous", "channels-last"]
    compile: bool = False

    @model_validator(mode="after")
    def _require_decided(self) -> Self:
        choices = [*((key, getattr(self, key)) for key in KINDS), *((AUGMENT, choice) for choice in self.augment)]
        undecided = [key for key, choice in choices if choice is not None and choice.name == AUTO]
        if self.score == AUTO:
            undecided.append("score")
        if undecided:
            raise ValueError(f"{', '.join(undecided)} must not be auto")
        return self


def resolve_config(
    config: Config, spec: Spec, rows: int, *, auto: Mapping[str, Choice] = MappingProxyType({})
) -> ResolvedConfig:
    """Decide every ``auto`` for some data, and write out every option.

    ``precision`` and ``memory_format`` become ``fp32`` and ``contiguous``, and ``compile`` becomes false; a
    training replaces them if its trials find something faster.

    Args:
        config: the config, as the user made it.
        spec: the contract of the data set.
        rows: of the training part.
        auto: what ``auto`` means for a choice, where the contract alone cannot tell.

    Raises:
        UsageError: a choice does not fit the data.
    """
    changes: dict[str, Any] = _resolve_choices(config, spec, auto)
    if config.weights is not None:
        changes |= {"finetune": config.finetune or "all", "head_lr": config.head_lr or 10.0}
    if config.feature_cache == AUTO:
        is_fixed = changes.get("finetune") == "head" and not changes.get("augment", config.augment)
        changes["feature_cache"] = 1 if is_fixed else "off"
    loss = changes.get("loss", config.loss)
    changes |= {"batch": config.choose_batch(rows), "score": _resolve_score(config, spec, loss)}
    changes["epochs"] = config.choose_epochs(rows)
    changes["shards"] = 1 if config.shards == AUTO else config.shards
    changes["exact"] = True if config.exact == AUTO else config.exact
    changes["budget"] = None if config.budget == AUTO else config.budget
    if config.boosting == AUTO:
        changes["boosting"] = config.epochs != 0 and spec.is_row and any(column.source for column in spec.columns)
    elif config.boosting and not spec.is_row:
        raise UsageError(
            Message("boosting=true needs rows of numbers; these are {description}", description=spec.description),
            Message("leave boosting out"),
        )
    if config.importance == AUTO:
        changes["importance"] = config.epochs != 0 and spec.is_row and any(column.source for column in spec.columns)
    elif config.importance and not spec.is_row:
        raise UsageError(
            Message("importance=true needs rows of numbers; these are {description}", description=spec.description),
            Message("leave importance out"),
        )
    plain = {"precision": "fp32", "memory_format": "contiguous", "shuffle": "rows", "compile": False}
    changes |= {key: value for key, value in plain.items() if getattr(config, key) == AUTO}
    return ResolvedConfig(**{**dict(config), **changes})


def _resolve_choices(config: Config, spec: Spec, auto: Mapping[str, Choice]) -> dict[str, Any]:
    choices: dict[str, Any] = {}
    for key in KINDS:
        choice: Choice | None = getattr(config, key)
        if choice is None or choice.name == IN_MEMORY:
            continue
        if choice.name == AUTO:
            default = auto.get(key) or Choice(name=_default_component(key, spec, choice.options))
            choice = default.model_copy(update={"options": {**default.options, **choice.options}})
        choices[key] = _resolve_choice(key, choice, spec)
    choices[AUGMENT] = tuple(
        _resolve_choice(f"{AUGMENT}.{choice.name}", choice, spec) for choice in config.augment if choice.name != AUTO
    )
    return choices


def _resolve_score(config: Config, spec: Spec, loss: Choice) -> str:
    is_own = not components.is_custom(loss) and registry.find("losses", loss.name).meta.get("own_score", False)
    if config.score == AUTO and is_own:
        return "loss"
    score = registry.default("metrics", spec).name if config.score == AUTO else hyphenate(config.score)
    if score == "loss":
        return score
    entry = config.find_metric(score)
    scalar = entry.meta.get("scalar", True)
    if not scalar or not entry.meta.get("fits", lambda _: True)(spec):
        problem = Message("score={score} is a table, not a number", score=score)
        if scalar:
            problem = Message("score={score} does not fit {task}", score=score, task=spec.task)
        raise UsageError(
            problem,
            Message("name another metric, or use score=loss"),
        )
    return score


def _default_component(key: str, spec: Spec, options: Mapping[str, Any]) -> str:
    """Return the name that ``auto`` means for a contract; options that only another fitting loss has choose it."""
    if key == "scale":
        return "standard" if spec.dtype == "float32" else RAW
    if key == "model" and not spec.is_numeric:
        raise UsageError(
            Message("no network is the default for {description}", description=spec.description),
            Message("name one of your own with model=, as in model=net.py:Net; see docs/custom.md"),
        )
    entry = registry.default(KINDS[key], spec)
    missing = set(options) - set(entry.options)
    if key == "loss" and missing:
        candidates = [
            candidate
            for candidate in registry.entries(KINDS[key], "default_for")
            if missing <= set(candidate.options) and candidate.meta.get("fits", lambda _: True)(spec)
        ]
        if len(candidates) == 1:  # class_weight= with two classes: cross-entropy on two outputs
            return candidates[0].name
    return entry.name


def _resolve_choice(key: str, choice: Choice, spec: Spec) -> Choice:
    """Return the choice with every option written out, if it fits the data."""
    if key == "scale" and spec.dtype != "float32" and choice.name != RAW:
        if choice.name != "none":
            raise UsageError(
                Message(
                    "scale={name} is for numbers; these are {description}",
                    name=choice.name,
                    description=spec.description,
                ),
                Message("leave scale out"),
            )
        choice = Choice(name=RAW)
    entry = components.find_component(kind_of(key), choice)
    if "fits" in entry.meta and not entry.meta["fits"](spec):
        data = Message("{task} on {description}", task=spec.task, description=spec.description)
        if key.startswith(AUGMENT):
            raise UsageError(
                Message(
                    "augment={name} needs {requirement}; this is {data}",
                    name=entry.name,
                    requirement=entry.requirement,
                    data=data,
                ),
                Message("leave it out"),
            )
        raise UsageError(
            Message(
                "{key}={name} needs {requirement}; this is {data}",
                key=key,
                name=entry.name,
                requirement=entry.requirement,
                data=data,
            ),
            Message("leave {key} out to have it chosen, or name another", key=key),
        )
    options = {name: entry.check_option(name, value, key) for name, value in choice.options.items()}
    defaults = {o.name: o.default for o in entry.options.values() if o.default is not REQUIRED}
    if components.is_custom(choice):  # its own defaults may change with its code: they are not written out
        return choice.model_copy(update={"options": options})
    return Choice(name=entry.name, options={**defaults, **options})

"""The config: every choice of a run as plain data.

A choice names a registered component and its options (``model = mlp`` with ``hidden = 64,32``). `Config` may hold
``auto``; `Config.resolve` decides it for some data and returns a `ResolvedConfig`. How a config is read from the shell,
a TOML file or Python is in `yisheng.core.settings`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from yisheng.core import components, registry
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.references import import_reference, is_reference, short_name
from yisheng.core.run_names import check_notes, check_run_name
from yisheng.core.types import Spec

AUTO: Final = "auto"
AUGMENT: Final = "augment"
METRICS: Final = "metrics"
RAW: Final = "raw"
"""Name of the scaling that leaves ids and bytes as they are."""
IN_MEMORY: Final = "in-memory"
"""Name of a data set that was passed as an object: no file can name it."""
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
"""Key of each choice -> the kind that it chooses from."""

MAX_EPOCHS, MAX_PRETRAINED_EPOCHS = 100, 15
"""Limits of ``epochs=auto``; pretrained weights are near the optimum already."""
MIN_UPDATES, MIN_EPOCHS = 2000, 10
"""``epochs=auto`` makes at least so many updates and epochs, within the limits above."""


class Choice(BaseModel):
    """A component with its options: a registered one by name, or a user's own.

    Args:
        name: the registered name, or the reference of a user's own component (`yisheng.core.references`).
        options: its options by name.
        component: the user's own object; None for registered components, and if only its reference is known. It is not
            part of the plain data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    options: Mapping[str, Any] = {}
    component: Annotated[Any, Field(exclude=True, repr=False)] = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process builds the choice from: code that can be imported again is imported there."""
        component = self.component if self.name.startswith(f"{IN_MEMORY}:") else None
        return _restore_choice, (self.name, dict(self.options), component)


def _restore_choice(name: str, options: dict[str, Any], component: Any) -> Choice:
    """Return a choice that was sent to this process."""
    if component is None and is_reference(name):
        component = import_reference(name)
    return Choice(name=name, options=options, component=component)


def _parse_seconds(value: Any) -> Any:
    """Return ``90``, ``90s``, ``5m`` and ``1.5h`` in seconds, and values that are not text unchanged."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", value)
    if match is None:
        raise ValueError("a time such as 90s, 5m or 1.5h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def _require_power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("a power of two (1, 2, 4, 8, ...)")
    return value


Auto = Literal["auto"]
Count = Annotated[int, Field(ge=1, le=10**9)]
Epochs = Annotated[int, Field(ge=0, le=10**9)]
Shards = Annotated[int, Field(ge=1, le=1024), AfterValidator(_require_power_of_two)]
Size = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, BeforeValidator(_parse_seconds), Field(ge=1, le=10**7, allow_inf_nan=False)]


class Config(BaseModel):
    """Every choice of a run, as the user made it; values may be ``auto``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Choice = Field(
        Choice(name="digits"), description="data set (see `yisheng data list`), or the path of a folder, zip or table"
    )
    model: Choice = Field(Choice(name=AUTO), description="network (see `yisheng models`)")
    weights: str | None = Field(
        None, description="pretrained weights: a .pth or .safetensors file, a name in the hub, or a run folder"
    )
    finetune: Literal["all", "head", "gradual"] | None = Field(
        None, description="with weights=: train all layers (default), the head, or from the head on gradually more"
    )
    head_lr: Positive | None = Field(
        None, description="with weights=: learning rate of the head, as a multiple of lr (default 10)"
    )
    feature_cache: Auto | Literal["off"] | Annotated[int, Field(ge=1, le=1000)] = Field(
        AUTO,
        description="with finetune=head: compute the frozen layers in every epoch (off), or once for this number of "
        "augmented versions of each image (auto: 1 without augment=, else off)",
    )
    init: Choice = Field(Choice(name="default"), description="initial weights of all linear and convolution layers")
    init_linear: Choice | None = Field(
        None, description="initial weights of linear layers, where they differ from init"
    )
    init_conv: Choice | None = Field(None, description="initial weights of convolutions, where they differ from init")
    loss: Choice = Field(Choice(name=AUTO), description="loss function")
    optimizer: Choice = Field(Choice(name=AUTO), description="optimizer, with lr and weight_decay")
    schedule: Choice = Field(Choice(name="one-cycle"), description="learning rate over the run")
    scale: Choice = Field(Choice(name=AUTO), description="scaling of the inputs, fitted on the training part")
    target_scale: Choice = Field(Choice(name=AUTO), description="scaling of a regression target, undone in prediction")
    augment: tuple[Choice, ...] = Field(
        (Choice(name=AUTO),),
        description="random changes of the training inputs, in this order (augment=flip,crop); auto: none, or with "
        "budget= what suits the data",
    )
    epochs: Epochs | Auto = Field(
        AUTO, description="passes over the training part; 0: train nothing, score the weights that the network has"
    )
    budget: Seconds | Auto | None = Field(
        AUTO,
        description="time for training, as 90s, 5m or 1h; values that you leave out are chosen to fit it (auto: up to "
        "1m for a table of yours if nothing says which model to train or how; none: one training, of any length)",
    )
    batch: Count | Auto = Field(AUTO, description="samples per forward pass")
    accumulate: Count = Field(1, description="forward passes per update: one update sees batch x accumulate samples")
    shards: Shards | Auto = Field(
        AUTO,
        description="parts of each batch that are computed independently, a power of two: as many processes or fewer "
        "give the same bits (auto: the number of processes)",
    )
    exact: bool | Auto = Field(
        AUTO,
        description="with shards: the same bits with any number of processes; false: the same updates up to rounding, "
        "with less to send (auto: false on CUDA GPUs)",
    )
    sync_bn: bool = Field(
        False,
        description="with a GPU for each shard: batch norm over the complete batch instead of each shard alone",
    )
    shard_weights: bool = Field(
        False,
        description="with processes: each holds a part of the weights and of the optimizer's tensors, for networks "
        "that are too large for one of them; exact=false",
    )
    shuffle: Literal["auto", "rows", "blocks"] = Field(
        AUTO,
        description="order of the training rows in each epoch: all at random, or blocks of neighboring rows, for data "
        "larger than the memory (auto: blocks if it is in a file and takes half of the free memory)",
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="of every random generator")
    validation: Size | Auto = Field(AUTO, description="validation part: a fraction below 1, or a number of rows")
    test: Size | Auto = Field(AUTO, description="test part, where the data has no official one")
    split: Literal["auto", "random", "contiguous", "time"] = Field(
        AUTO, description="how parts are drawn: at random, in the order of the rows, or in time (auto: time if known)"
    )
    folds: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None, description="cross-validation: train k models, each validated on another fold, and average predictions"
    )
    repeats: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="with folds=: number of draws of the folds")
    fold: Annotated[str, Field(pattern=r"^[1-9]\d*/[1-9]\d*$")] | None = Field(
        None, description="train on one of k folds, as 2/5: that fold is the validation part"
    )
    repeat: Count = Field(1, description="with fold=: which draw of the folds")
    score: str = Field(AUTO, description="validation score that chooses the best epoch: a metric's name, or loss")
    metrics: tuple[Choice, ...] = Field(
        (), description="more metrics to report: names, or functions of your own (metrics=file.py:f2)"
    )
    output: str | None = Field(
        None, description="what the loss gets of a network of your own that returns several: a name or a position"
    )
    boosting: bool | Auto = Field(
        AUTO, description="compare with boosted trees on the same rows (auto: for tables from files)"
    )
    importance: bool | Auto = Field(
        AUTO, description="measure the importance of a table's columns, for the report (auto: for tables from files)"
    )
    groups: str | None = Field(
        None, description="a column of the table by whose values the scores are reported too, as groups=sex"
    )
    calibrate: bool = Field(
        False,
        description="fit a temperature to the validation part that makes probabilities fit the accuracy, and keep it "
        "with the model if it is better on rows that it was not fitted to",
    )
    patience: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after this number of epochs without a better score; 0: never (not with folds)"
    )
    l1: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="L1 penalty: l1 times the sum of the absolute weights (without biases) is added to the loss"
    )
    clip_norm: Positive | None = Field(None, description="largest norm of all gradients together")
    clip_value: Positive | None = Field(None, description="largest absolute value of any gradient")
    precision: Literal["auto", "fp32", "bf16", "fp64"] = Field(
        AUTO,
        description="of training and its validation: fp32, or bf16 (weights stay fp32) where a short measurement shows "
        "that it is faster; fp64 is for proofs",
    )
    memory_format: Literal["auto", "contiguous", "channels-last"] = Field(
        AUTO, description="order of an image's values in convolutions; auto: the faster one in a short measurement"
    )
    compile: bool | Auto = Field(
        AUTO,
        description="compile the network's forward and backward pass with torch.compile; auto: in trainings of half an "
        "hour or more, if a trial shows that it is faster",
    )
    scratch: bool = Field(
        False, description="train with layers, loss and optimizer written from scratch, and compare with the library's"
    )
    doctor: Literal["off", "passive", "full"] = Field(
        "passive", description="watch the training for problems; full: also try remedies before it"
    )
    ood: bool = Field(
        True, description="after the training, fit a detector of inputs that are unlike the training data"
    )
    tensorboard: bool = Field(
        False, description="also write the run for TensorBoard (`yisheng tensorboard runs/` shows it)"
    )
    visdom: Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")] | None = Field(
        None, description="address of a Visdom server that shows the curves, as http://localhost:8097"
    )
    tracker: Literal["mlflow", "wandb", "trackio"] | None = Field(
        None, description="also write settings, curves and scores to this experiment tracker, which must be installed"
    )
    watch: bool = Field(False, description="serve a page in the browser that follows the run")
    decay_bias: bool = Field(False, description="weight decay on biases and norm layers too")
    device: str = Field(AUTO, description="auto, cpu, cuda, cuda:1, mps")
    name: Annotated[str, AfterValidator(check_run_name)] | None = Field(
        None, description="name of the run, for its folder, its report and `yisheng runs`"
    )
    notes: Annotated[str, AfterValidator(check_notes)] | None = Field(
        None, description="a text that is kept with the run; it changes nothing"
    )
    log_every: Count = Field(10, description="write every n-th step to events.jsonl")
    checkpoint_every: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        10.0, description="seconds between checkpoints; 0: after every step"
    )

    def resolve(self, spec: Spec, rows: int, *, auto: Mapping[str, Choice] = MappingProxyType({})) -> ResolvedConfig:
        """Decide every ``auto`` for some data, and write out every option.

        ``precision`` and ``memory_format`` become ``fp32`` and ``contiguous``, and ``compile`` becomes false; a
        training replaces them if its trials find something faster.

        Args:
            spec: the contract of the data set.
            rows: of the training part.
            auto: what ``auto`` means for a choice, where the contract alone cannot tell.

        Raises:
            UsageError: a choice does not fit the data.
        """
        changes: dict[str, Any] = self._resolve_choices(spec, auto)
        if self.weights is not None:
            changes |= {"finetune": self.finetune or "all", "head_lr": self.head_lr or 10.0}
        if self.feature_cache == AUTO:
            is_fixed = changes.get("finetune") == "head" and not changes.get("augment", self.augment)
            changes["feature_cache"] = 1 if is_fixed else "off"
        loss = changes.get("loss", self.loss)
        changes |= {"batch": self.choose_batch(rows), "score": self._resolve_score(spec, loss)}
        changes["epochs"] = self.choose_epochs(rows)
        changes["shards"] = 1 if self.shards == AUTO else self.shards
        changes["exact"] = True if self.exact == AUTO else self.exact
        changes["budget"] = None if self.budget == AUTO else self.budget
        if self.boosting == AUTO:
            changes["boosting"] = self.epochs != 0 and spec.is_row and any(column.source for column in spec.columns)
        elif self.boosting and not spec.is_row:
            raise UsageError(
                Message("boosting=true needs rows of numbers; these are {description}", description=spec.description),
                Message("leave boosting out"),
            )
        if self.importance == AUTO:
            changes["importance"] = self.epochs != 0 and spec.is_row and any(column.source for column in spec.columns)
        elif self.importance and not spec.is_row:
            raise UsageError(
                Message("importance=true needs rows of numbers; these are {description}", description=spec.description),
                Message("leave importance out"),
            )
        plain = {"precision": "fp32", "memory_format": "contiguous", "shuffle": "rows", "compile": False}
        changes |= {key: value for key, value in plain.items() if getattr(self, key) == AUTO}
        return ResolvedConfig(**{**dict(self), **changes})

    def _resolve_choices(self, spec: Spec, auto: Mapping[str, Choice]) -> dict[str, Any]:
        choices: dict[str, Any] = {}
        for key in KINDS:
            choice: Choice | None = getattr(self, key)
            if choice is None or choice.name == IN_MEMORY:
                continue
            if choice.name == AUTO:
                default = auto.get(key) or Choice(name=_default_component(key, spec))
                choice = default.model_copy(update={"options": {**default.options, **choice.options}})
            choices[key] = _resolve_choice(key, choice, spec)
        choices[AUGMENT] = tuple(
            _resolve_choice(f"{AUGMENT}.{choice.name}", choice, spec) for choice in self.augment if choice.name != AUTO
        )
        return choices

    def choose_batch(self, rows: int) -> int:
        """Return ``batch``, at most all rows; by default a power of two near 1/32 of the rows.

        >>> Config().choose_batch(1000), Config(batch=50).choose_batch(1000)
        (32, 50)
        """
        if isinstance(self.batch, int):
            return min(self.batch, max(rows, 1))
        return min(128, max(16, 2 ** round(math.log2(max(rows, 1) / 32))))

    def choose_epochs(self, rows: int) -> int:
        """Return ``epochs``, by default enough for 2,000 updates, ten at least.

        >>> Config().choose_epochs(1000), Config(epochs=3).choose_epochs(1000)
        (63, 3)
        """
        return self._resolve_epochs(rows, self.choose_batch(rows))

    def _resolve_epochs(self, rows: int, batch: int) -> int:
        if isinstance(self.epochs, int):
            return self.epochs
        updates = max(1, math.ceil(rows / (batch * self.accumulate)))
        limit = MAX_EPOCHS if self.weights is None else MAX_PRETRAINED_EPOCHS
        return min(limit, max(MIN_EPOCHS, math.ceil(MIN_UPDATES / updates)))

    def custom_choices(self) -> dict[str, Choice]:
        """Return the choices that are a user's own components, by key (``metrics.f2``, ``augment.noise``)."""
        choices = {key: getattr(self, key) for key in KINDS}
        choices |= {f"{METRICS}.{short_name(choice.name)}": choice for choice in self.metrics}
        choices |= {f"{AUGMENT}.{short_name(choice.name)}": choice for choice in self.augment}
        return {key: choice for key, choice in choices.items() if choice is not None and components.is_custom(choice)}

    def own_components(self) -> dict[str, Any]:
        """Return the user's own components by key, for `yisheng.core.components.supply_components`."""
        objects: dict[str, Any] = {}
        for key, choice in self.custom_choices().items():
            if choice.component is None:
                continue
            head, dot, _ = key.partition(".")
            objects[head] = [*objects.get(head, []), choice.component] if dot else choice.component
        return objects

    def import_components(self) -> Self:
        """Return the config with the code that its references name, imported in this process.

        Raises:
            UsageError: code cannot be imported.
        """

        def restore(choice: Choice) -> Choice:
            return _restore_choice(choice.name, dict(choice.options), choice.component)

        choices = {key: restore(getattr(self, key)) for key in KINDS if getattr(self, key) is not None}
        lists = {key: [restore(choice) for choice in getattr(self, key)] for key in (METRICS, AUGMENT)}
        return self.model_copy(update={**choices, **lists})

    def find_metric(self, name: str) -> registry.Entry:
        """Return a metric by name: one of ``metrics``, or a registered one.

        Raises:
            UsageError: there is none of that name, or the code of a user's own metric was not given.
        """
        for choice in self.metrics:
            if registry.hyphenate(name) in (choice.name, registry.hyphenate(short_name(choice.name))):
                return components.find_component("metrics", choice)
        return registry.find("metrics", name)

    def extra_metrics(self) -> list[registry.Entry]:
        """Return the entries of ``metrics``, and of ``score`` if it is a registered one.

        A user's own metric is among them only if its code was given again to the present command.
        """
        available = [c for c in self.metrics if c.component is not None or not components.is_custom(c)]
        entries = [components.find_component(METRICS, choice) for choice in available]
        score = registry.hyphenate(self.score)
        is_new = score not in {entry.name for entry in entries}
        return [*entries, registry.find(METRICS, score)] if is_new and score in registry.names(METRICS) else entries

    def _resolve_score(self, spec: Spec, loss: Choice) -> str:
        is_own = not components.is_custom(loss) and registry.find("losses", loss.name).meta.get("own_score", False)
        if self.score == AUTO and is_own:
            return "loss"
        score = registry.default("metrics", spec).name if self.score == AUTO else registry.hyphenate(self.score)
        if score == "loss":
            return score
        entry = self.find_metric(score)
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested data without empty values, as in the TOML file."""
        plain: dict[str, Any] = {}
        tables: dict[str, Any] = {}
        for key in type(self).model_fields:
            value = getattr(self, key)
            if key == AUGMENT:
                if not value:
                    plain[key] = "none"
                elif value != Config.model_fields[key].default:
                    tables[key] = list(map(_plain_table, value))
            elif key == METRICS:
                if value:
                    tables[key] = list(map(_plain_table, value))
            elif isinstance(value, Choice):
                options = {k: plain_value(v) for k, v in value.options.items() if v is not None}
                if options:
                    tables[key] = {"name": value.name, **options}
                else:
                    plain[key] = value.name
            elif value is not None:
                plain[key] = value
        return {**plain, **tables}

    def to_toml(self) -> str:
        """Return the config as the text of a TOML file, which `yisheng.core.settings.read_settings` reads."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


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


def kind_of(key: str) -> str:
    """Return the kind that a key of the config chooses from.

    >>> kind_of("loss"), kind_of("augment.flip")
    ('losses', 'transforms.augment')
    """
    if key.startswith(AUGMENT):
        return "transforms.augment"
    return METRICS if key == METRICS else KINDS[key]


def plain_value(value: Any) -> Any:
    """Return the value of an option as TOML can hold it: lists for tuples, text for paths."""
    if isinstance(value, tuple | list):
        return [plain_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _plain_table(choice: Choice) -> dict[str, Any]:
    return {"name": choice.name, **{key: plain_value(value) for key, value in choice.options.items()}}


def _default_component(key: str, spec: Spec) -> str:
    """Return the name that ``auto`` means for a contract."""
    if key == "scale":
        return "standard" if spec.dtype == "float32" else RAW
    if key == "model" and not spec.is_numeric:
        raise UsageError(
            Message("no network is the default for {description}", description=spec.description),
            Message("name one of your own with model=, as in model=net.py:Net; see docs/custom.md"),
        )
    return registry.default(KINDS[key], spec).name


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
    defaults = {o.name: o.default for o in entry.options.values() if o.default is not registry.REQUIRED}
    if components.is_custom(choice):  # its own defaults may change with its code: they are not written out
        return choice.model_copy(update={"options": options})
    return Choice(name=entry.name, options={**defaults, **options})

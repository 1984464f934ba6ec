"""The config: every choice of a run as plain data.

A choice names a registered component and its options (``model = mlp`` with ``hidden = 64,32``). `Config` may hold
``auto``; `yisheng.core.resolved_config` decides it for some data. How a config is read from the shell, a TOML file or
Python is in `yisheng.core.settings`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from yisheng.core import components, registry
from yisheng.core.choice import (
    AUGMENT,
    AUTO,
    KINDS,
    METRICS,
    Choice,
    plain_table,
    plain_value,
    restore_choice,
)
from yisheng.core.config_values import Auto, Count, Epochs, Positive, Seconds, Shards, Size
from yisheng.core.discovery import hyphenate
from yisheng.core.entry import Entry
from yisheng.core.references import short_name
from yisheng.core.run_names import check_notes, check_run_name

MAX_EPOCHS, MAX_PRETRAINED_EPOCHS = 100, 15
"""Limits of ``epochs=auto``; pretrained weights are near the optimum already."""
MIN_UPDATES, MIN_EPOCHS = 2000, 10
"""``epochs=auto`` makes at least so many updates and epochs, within the limits above."""


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
        """Return the user's own components by key, for `yisheng.core.supplied_components.supply_components`."""
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
            return restore_choice(choice.name, dict(choice.options), choice.component)

        choices = {key: restore(getattr(self, key)) for key in KINDS if getattr(self, key) is not None}
        lists = {key: [restore(choice) for choice in getattr(self, key)] for key in (METRICS, AUGMENT)}
        return self.model_copy(update={**choices, **lists})

    def find_metric(self, name: str) -> Entry:
        """Return a metric by name: one of ``metrics``, or a registered one.

        Raises:
            UsageError: there is none of that name, or the code of a user's own metric was not given.
        """
        for choice in self.metrics:
            if hyphenate(name) in (choice.name, hyphenate(short_name(choice.name))):
                return components.find_component("metrics", choice)
        return registry.find("metrics", name)

    def extra_metrics(self) -> list[Entry]:
        """Return the entries of ``metrics``, and of ``score`` if it is a registered one.

        A user's own metric is among them only if its code was given again to the present command.
        """
        available = [c for c in self.metrics if c.component is not None or not components.is_custom(c)]
        entries = [components.find_component(METRICS, choice) for choice in available]
        score = hyphenate(self.score)
        is_new = score not in {entry.name for entry in entries}
        return [*entries, registry.find(METRICS, score)] if is_new and score in registry.names(METRICS) else entries

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
                    tables[key] = list(map(plain_table, value))
            elif key == METRICS:
                if value:
                    tables[key] = list(map(plain_table, value))
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

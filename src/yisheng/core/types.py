"""The types that flow through the kinds, and the one alphabet of shapes.

Shapes, everywhere in the package: ``N`` samples, ``B`` samples of one batch, ``C`` channels or
classes, ``H`` and ``W`` height and width, ``D`` features of a row, ``O`` output units, ``T`` targets,
``L`` labels, ``K`` models trained side by side (always the leading axis).

    file/URL -> Dataset -> Split -> Batch -> Event -> Run -> Scores -> Finding -> Report
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from yisheng.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import torch

Task = Literal["classification", "multilabel", "regression"]
TASKS: tuple[Task, ...] = ("classification", "multilabel", "regression")
Kind = Literal["number", "category", "yes/no", "date", "text", "identifier", "constant"]
Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, its kind and, for categories, its levels.

    Args:
        name: of the feature.
        kind: number, category or yes/no; the other kinds never reach a network.
        levels: of a category, by number; the words of a yes/no column for 0 and for 1.
        source: the column of the file that it comes from, as its header names it; empty for values that were never
            in a file with missing ones: prediction then takes nothing but finite numbers.
        part: which number of a date it is (``year``, ``weekday``, ...).
        form: how the file writes its numbers or dates (``.$``, ``%d/%m/%Y``); empty for plain numbers.
        unknown: further words of this column that mean a missing value.
        bins: of a scaled number: the edges of bins that hold about as many rows each, ascending.
    """

    name: str
    kind: Kind = "number"
    levels: tuple[str, ...] = ()
    # How to read a file again; not shown, so that the fingerprint of the data is of the data alone.
    source: str = field(default="", repr=False)
    part: str = field(default="", repr=False)
    form: str = field(default="", repr=False)
    unknown: tuple[str, ...] = field(default=(), repr=False)
    bins: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Ink:
    """How drawings lie in an image set: light strokes on black, the drawing fitted into a box.

    A photograph of dark ink on light paper is inverted and fitted in the same way before prediction.

    Args:
        box: longest side of the drawing, in pixels of the set's images (20 of 28 for MNIST).
        centre: what is put into the middle of the image: the centre of ``mass`` of the ink (MNIST)
            or of its bounding ``box``.
    """

    box: int
    centre: Literal["mass", "box"] = "box"


@dataclass(frozen=True)
class Spec:
    """The contract that lets any model meet any data set.

    Args:
        task: ``classification`` (one class of C), ``multilabel`` (any of L labels) or ``regression``.
        shape: shape of one input as the model sees it: ``(C, H, W)`` for images, ``(D,)`` for rows.
        classes: names of the classes or labels; empty for regression.
        columns: the columns of a table, in the order of the features; empty for images.
        target: what is predicted, for people to read.
        unit: unit of a regression target, for people to read.
        outputs: output units O of the model. 0 (default) means one per class or label, and 1 for
            regression; the loss may change it (binary cross-entropy on two classes needs only 1).
        ink: set for drawings (digits, clothes on black); see `Ink`.
        fit: how an image of another size comes to ``shape``: the middle cut out, squashed, or padded with black.

    Raises:
        DataError: the parts contradict each other.

    >>> Spec("classification", (1, 8, 8), classes=("0", "1", "2")).outputs
    3
    """

    task: Task
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    target: str = "target"
    unit: str = ""
    outputs: int = 0
    ink: Ink | None = None
    fit: Literal["crop", "squash", "pad"] = field(default="crop", repr=False)  # repr is part of fingerprints

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}", "choose one of them")
        if len(self.shape) not in (1, 3) or any(n < 1 for n in self.shape):
            raise DataError(
                f"an input must have shape (D,) or (C, H, W) with sizes of 1 or more, got {self.shape}",
                "give rows of numbers or images with a channel axis",
            )
        least = {"classification": 2, "multilabel": 1, "regression": 0}[self.task]
        if len(self.classes) < least or (self.task == "regression" and self.classes):
            raise DataError(
                f"{self.task} needs {'no' if self.task == 'regression' else f'{least} or more'} classes, "
                f"got {len(self.classes)}: {', '.join(self.classes[:5])}",
                "check the target column, or name the task with task=",
            )
        if len(set(self.classes)) != len(self.classes):
            raise DataError("class names must differ from one another, got the same name twice", "rename the classes")
        if self.columns and len(self.columns) != self.shape[0]:
            raise DataError(
                f"{len(self.columns)} columns do not fit an input of {self.shape[0]} features",
                "name every feature, or none",
            )
        if not self.outputs:
            object.__setattr__(self, "outputs", max(1, len(self.classes)))

    @property
    def is_image(self) -> bool:
        """Whether one input is an image ``(C, H, W)`` rather than a row ``(D,)``."""
        return len(self.shape) == 3

    def with_outputs(self, outputs: int) -> Spec:
        """The same contract with another number of output units."""
        return replace(self, outputs=outputs)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as written to ``model.json``."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Spec:
        """The inverse of `to_json`, checked.

        Raises:
            DataError: a key is unknown or missing, or a value is of the wrong kind.
        """
        from pydantic import TypeAdapter, ValidationError

        whole = "take the file from a whole run"
        unknown = set(data) - {f.name for f in fields(Spec)}
        if unknown:
            raise DataError(f"the spec has unknown parts: {', '.join(sorted(unknown))}", whole)
        try:
            return TypeAdapter(Spec).validate_python(dict(data))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "spec"
            raise DataError(
                f"the spec is damaged at {where}: {first['msg']}", "take the file from a whole run"
            ) from None


@dataclass(frozen=True)
class Dataset:
    """All samples of a set in one contiguous block, and what is known about them.

    Args:
        name: the registered name.
        spec: the contract.
        x: inputs ``(N, *spec.shape)``, uint8 (images, 0..255) or float32; may be memory-mapped.
        y: int64 ``(N,)`` class numbers; float32 ``(N, L)`` of zeros and ones for labels; float32
            ``(N, T)`` for regression.
        part: the official part of each row, int8 ``(N,)``: 0 train, 1 validation, 2 test; None where
            the set has no official parts.
        weight: float32 ``(N,)`` sample weights, or None.
        rows: a name for each row (a file, an id), or None: a row is then named by its number.
        group: int64 ``(N,)``: rows of the same group stay in the same part and fold; or None.
        time: float64 ``(N,)``: when each row was; the data is then split in time, never shuffled; or None.
        findings: what was noticed while reading: files left out, images twice, columns not used.
        about: one or two sentences: what it is, where it comes from.
        source: paper, page or address.
        licence: the licence of the data, in a few words.
    """

    name: str
    spec: Spec
    x: np.ndarray
    y: np.ndarray
    part: np.ndarray | None = None
    weight: np.ndarray | None = None
    rows: tuple[str, ...] | None = None
    group: np.ndarray | None = None
    time: np.ndarray | None = None
    findings: tuple[Finding, ...] = ()
    about: str = ""
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        for what in ("x", "y", "part", "weight", "group", "time"):
            values = getattr(self, what)
            if not (hasattr(values, "dtype") and hasattr(values, "shape")) and (values is not None or what in "xy"):
                raise DataError(
                    f"{self.name}: {what} must be a NumPy array, got {type(values).__name__}", "give numpy.asarray(...)"
                )
            if hasattr(values, "columns"):  # pandas: len() and dtypes mean something else there
                raise DataError(f"{self.name}: {what} must be a NumPy array, got a table", "give its .to_numpy()")
            if values is not None and values.ndim == 0:
                raise DataError(f"{self.name}: {what} must hold a value for each row, got one value", "give an array")
        n = len(self.x)
        if tuple(self.x.shape[1:]) != self.spec.shape:
            raise DataError(
                f"{self.name}: inputs of shape {self.spec.shape} were promised, got {tuple(self.x.shape[1:])}",
                "check the file, or the spec",
            )
        for what, values in (
            ("targets", self.y),
            ("parts", self.part),
            ("weights", self.weight),
            ("rows", self.rows),
            ("groups", self.group),
            ("times", self.time),
        ):
            if values is not None and len(values) != n:
                raise DataError(f"{self.name}: {n} inputs need {n} {what}, got {len(values)}", "check the file")
        if n == 0:
            raise DataError(f"{self.name}: the data set is empty", "give a file with at least a few rows")
        if self.x.dtype.name not in ("uint8", "float32"):
            raise DataError(f"{self.name}: inputs must be uint8 or float32, got {self.x.dtype}", "convert them first")
        self._check_targets()
        self._check_parts()

    def _check_targets(self) -> None:
        """Kind, shape and range of the targets, by task."""
        outputs = len(self.spec.classes)
        if self.spec.task == "classification":
            if self.y.dtype.name != "int64" or self.y.ndim != 1:
                raise DataError(
                    f"{self.name}: class numbers must be int64 (N,), got {self.y.dtype} {self.y.shape}",
                    "give the number of each row's class, as in y.astype('int64').ravel()",
                )
            low, high = int(self.y.min()), int(self.y.max())
            if low < 0 or high >= outputs:
                row = int((self.y < 0).argmax() if low < 0 else (self.y >= outputs).argmax())
                raise DataError(
                    f"{self.name}: class numbers must be from 0 to {outputs - 1}, got {self.y[row]} in row {row}",
                    "check the targets, or the spec's classes",
                )
            return
        width = outputs if self.spec.task == "multilabel" else None
        if self.y.dtype.name != "float32" or self.y.ndim != 2 or self.y.shape[1] != (width or self.y.shape[1]):
            wanted = f"float32 (N, {width})" if width else "float32 (N, T), (N, 1) for one target"
            raise DataError(
                f"{self.name}: targets must be {wanted}, got {self.y.dtype} {self.y.shape}",
                "convert them, as in y.astype('float32').reshape(len(y), -1)",
            )
        with_trouble = ~((self.y == 0) | (self.y == 1)) if width else ~(abs(self.y) < float("inf"))
        if with_trouble.any():
            row = int(with_trouble.any(1).argmax())
            wanted = "0 or 1 for each label" if width else "finite numbers"
            raise DataError(
                f"{self.name}: targets must be {wanted}, got {self.y[row].tolist()} in row {row}",
                "mend or drop the row",
            )

    def _check_parts(self) -> None:
        """Official parts and sample weights."""
        if self.part is not None and not ((self.part >= 0) & (self.part <= 2)).all():
            raise DataError(
                f"{self.name}: official parts must be 0, 1 or 2, got {sorted(set(self.part.tolist()))[:5]}",
                "0 is train, 1 validation, 2 test",
            )
        if self.weight is not None and not ((self.weight >= 0) & (self.weight < float("inf"))).all():
            raise DataError(f"{self.name}: sample weights must be 0 or more, and finite", "mend the weights")
        if self.time is not None and not (abs(self.time) < float("inf")).all():
            raise DataError(f"{self.name}: the time of every row must be known", "mend or drop the rows without one")

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts, int64 ``(n,)`` each, disjoint; validation and test may be empty."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Some samples on the training device, ready for the model.

    Args:
        x: inputs ``(B, ...)``, float32, transformed.
        y: targets ``(B, ...)``, as in `Dataset`, regression targets transformed.
        index: row numbers in the data set ``(B,)``, so that a check can name the very rows.
        weight: sample weights ``(B,)``, or None.
    """

    x: torch.Tensor
    y: torch.Tensor
    index: torch.Tensor
    weight: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.index.shape[0]  # len() of a tensor takes microseconds


@dataclass(frozen=True, slots=True)
class Stepped:
    """One update was made. ``loss`` stays on its device; reading it there would stall a GPU.

    Args:
        step: updates made so far, from 1.
        epoch: the epoch in progress, from 0.
        lr: learning rate of the update.
        loss: mean loss over the batch, a detached scalar tensor.
        batch: the batch, so that a listener can name its rows.
    """

    step: int
    epoch: int
    lr: float
    loss: torch.Tensor
    batch: Batch


@dataclass(frozen=True, slots=True)
class Epoched:
    """An epoch ended and was scored.

    Args:
        step: updates made so far.
        epoch: epochs finished so far, from 1.
        loss: mean training loss over the epoch's samples, as seen while training.
        scores: validation scores by name (``loss`` among them); empty without a validation part.
    """

    step: int
    epoch: int
    loss: float
    scores: Mapping[str, float]


Event = Stepped | Epoched


@dataclass(frozen=True)
class Score:
    """A measured value with its 95% interval; ``low`` and ``high`` are None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


Scores = Mapping[str, Mapping[str, Score]]
"""Scores by part (``test``, ``validation``, ``baseline``) and metric, as in ``scores.json``."""


@dataclass(frozen=True)
class Finding:
    """What a check found: the doctor's unit of speech.

    Args:
        check: name of the check.
        severity: ``error`` (the run cannot be right), ``warning`` (it is likely worse than it could
            be) or ``note``.
        evidence: the numbers, by name.
        cause: one sentence: what is wrong.
        remedy: one sentence or setting, in the config's words.
        change: the remedy as settings of the config, where it can be said so: plain data by the keys of
            `yisheng.core.config.resolve` (``{"scale": "standard"}``). A text of ``x`` and a factor stands for a
            multiple of the present value (``{"lr": "x 0.1"}``): a check does not know the config, whoever applies
            it does (`yisheng.experiments.remedies`), and passes over settings that the config has no place for. Empty in
            anyone's own loop.
    """

    check: str
    severity: Literal["error", "warning", "note"]
    evidence: Mapping[str, Any]
    cause: str
    remedy: str
    change: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run folder, read: what was trained, on what, and how well.

    Args:
        path: the folder.
        config: the config as plain data, every choice settled.
        spec: the contract between data and model.
        transforms: the fitted transforms as plain data, by role (``input``, ``target``).
        scores: contents of ``scores.json``; empty before evaluation.
        best: epoch of the weights in ``model.safetensors`` (from 1) and their validation score.
    """

    path: Path
    config: Mapping[str, Any]
    spec: Spec
    transforms: Mapping[str, Any]
    scores: Scores = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)

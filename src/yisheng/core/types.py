"""The types that flow through the package, and the letters of their shapes.

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
ColumnKind = Literal["number", "category", "yes/no", "date", "text", "identifier", "constant"]
Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Column:
    """One column of a table, as a network receives it.

    Args:
        name: name of the feature.
        kind: number, category or yes/no; columns of the other kinds never reach a network.
        categories: names of the categories, by number; the words of a yes/no column for 0 and for 1.
        source: header of the file's column; empty for data from arrays, where prediction accepts only finite numbers.
        date_part: which number of a date the column is (``year``, ``weekday``, ...).
        format: how the file writes numbers or dates (``.$``, ``%d/%m/%Y``); empty for plain numbers.
        missing_words: words of this column that mean a missing value, besides the usual ones.
        bins: of a scaled number: ascending edges of bins that hold about the same number of rows each.
    """

    name: str
    kind: ColumnKind = "number"
    categories: tuple[str, ...] = ()
    # These say how to read a file again. They are not part of repr, which the fingerprint of the data includes.
    source: str = field(default="", repr=False)
    date_part: str = field(default="", repr=False)
    format: str = field(default="", repr=False)
    missing_words: tuple[str, ...] = field(default=(), repr=False)
    bins: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Drawing:
    """Size and place of drawings in a set of images of light strokes on black.

    A photograph of a dark drawing on light paper is inverted and fitted in the same way before prediction.

    Args:
        box: longest side of the drawing, in pixels of the set's images (20 of 28 for MNIST).
        center: which point of the drawing is at the center of the image: its center of ``mass`` (MNIST) or the center
            of its bounding ``box``.
    """

    box: int
    center: Literal["mass", "box"] = "box"


@dataclass(frozen=True)
class Spec:
    """The contract that lets any model meet any data set.

    Args:
        task: ``classification`` (one class of C), ``multilabel`` (any of L labels) or ``regression``.
        shape: shape of one input as the model sees it: ``(C, H, W)`` for images, ``(D,)`` for rows.
        classes: names of the classes or labels; empty for regression.
        columns: the columns of a table, in the order of the features; empty for images.
        target: name of what is predicted, for display.
        unit: unit of a regression target, for display.
        outputs: output units O of the model. 0 (default) means one per class or label, and 1 for
            regression; the loss may change it (binary cross-entropy on two classes needs only 1).
        drawing: set for drawings (digits, clothes on black); see `Drawing`.
        fit: how an image of another size is brought to ``shape``: center crop, squashed, or padded with black.

    Raises:
        DataError: the fields contradict one another.

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
    drawing: Drawing | None = None
    fit: Literal["crop", "squash", "pad"] = field(default="crop", repr=False)  # repr is part of fingerprints

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}", "choose one of them")
        if len(self.shape) not in (1, 3) or any(n < 1 for n in self.shape):
            raise DataError(
                f"an input must have shape (D,) or (C, H, W) with sizes of 1 or more, got {self.shape}",
                "give rows of numbers or images with a channel axis",
            )
        min_classes = {"classification": 2, "multilabel": 1, "regression": 0}[self.task]
        if len(self.classes) < min_classes or (self.task == "regression" and self.classes):
            raise DataError(
                f"{self.task} needs {'no' if self.task == 'regression' else f'{min_classes} or more'} classes, "
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
        """Return whether one input is an image ``(C, H, W)`` rather than a row ``(D,)``."""
        return len(self.shape) == 3

    def with_outputs(self, outputs: int) -> Spec:
        """Return the same contract with another number of output units."""
        return replace(self, outputs=outputs)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as written to ``model.json``."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Spec:
        """Return the contract that `to_json` wrote, checked.

        Raises:
            DataError: a key is unknown or missing, or a value has the wrong type.
        """
        from pydantic import TypeAdapter, ValidationError

        remedy = "copy the file from an intact run folder"
        unknown = set(data) - {f.name for f in fields(Spec)}
        if unknown:
            raise DataError(f"the spec has unknown keys: {', '.join(sorted(unknown))}", remedy)
        try:
            return TypeAdapter(Spec).validate_python(dict(data))
        except ValidationError as error:
            details = error.errors()[0]
            field_path = ".".join(str(part) for part in details["loc"]) or "spec"
            raise DataError(f"the spec is damaged at {field_path}: {details['msg']}", remedy) from None


@dataclass(frozen=True)
class Dataset:
    """All samples of a data set in one contiguous block, with their targets and what is known about them.

    Args:
        name: the registered name.
        spec: the contract.
        x: inputs ``(N, *spec.shape)``, uint8 (images, 0..255) or float32; may be memory-mapped.
        y: int64 ``(N,)`` class numbers; float32 ``(N, L)`` of zeros and ones for labels; float32
            ``(N, T)`` for regression.
        part: the official part of each row, int8 ``(N,)``: 0 train, 1 validation, 2 test; None if the set has no
            official parts.
        weight: float32 ``(N,)`` sample weights, or None.
        rows: a name for each row (a file, an id), or None: rows are then named by their numbers.
        group: int64 ``(N,)``: rows of the same group stay in the same part and fold; or None.
        time: float64 ``(N,)``: time of each row, or None; with times the data is split in time, never shuffled.
        findings: problems noticed while reading: files left out, duplicate images, unused columns.
        about: one or two sentences about the data and its origin.
        source: paper, page or address.
        license: license of the data, in a few words.

    Raises:
        DataError: an array has the wrong type, shape or values.
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
    license: str = ""

    def __post_init__(self) -> None:
        from yisheng.core.dataset_checks import check_dataset

        check_dataset(self)

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
        index: row numbers in the data set ``(B,)``, so that a check can name the rows.
        weight: sample weights ``(B,)``, or None.
    """

    x: torch.Tensor
    y: torch.Tensor
    index: torch.Tensor
    weight: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.index.shape[0]  # len() of a tensor takes microseconds


@dataclass(frozen=True, slots=True)
class StepEnd:
    """The end of one update. ``loss`` stays on its device, since reading it would stall a GPU.

    Args:
        step: updates made so far, from 1.
        epoch: the epoch in progress, from 0.
        lr: learning rate of the update.
        loss: mean loss over the batch, a detached scalar tensor.
        batch: the batch, so that a callback can name its rows.
    """

    step: int
    epoch: int
    lr: float
    loss: torch.Tensor
    batch: Batch


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """The end of an epoch, with its scores.

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


Event = StepEnd | EpochEnd


@dataclass(frozen=True)
class Score:
    """A measured value with its 95% interval; ``low`` and ``high`` are None if no interval is known."""

    value: float
    low: float | None = None
    high: float | None = None


Scores = Mapping[str, Mapping[str, Score]]
"""Scores by part (``test``, ``validation``, ``baseline``) and metric, as in ``scores.json``."""


@dataclass(frozen=True)
class Finding:
    """One problem, or a note, that a check reports.

    Args:
        check: name of the check.
        severity: ``error`` (the run cannot be right), ``warning`` (it is likely worse than it could
            be) or ``note``.
        evidence: the numbers, by name.
        cause: one sentence that says what is wrong.
        remedy: one sentence or setting, in the words of the config.
        change: the remedy as settings of the config by key (``{"scale": "standard"}``), where settings can express it.
            Text of ``x`` and a factor is a multiple of the present value (``{"lr": "x 0.1"}``): a check does not know
            the config; `yisheng.experiments.remedies` applies changes and skips settings that the config does not
            have. Empty in a user's own loop.
    """

    check: str
    severity: Literal["error", "warning", "note"]
    evidence: Mapping[str, Any]
    cause: str
    remedy: str
    change: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The contents of a run folder: what was trained, on which data, and how well.

    Args:
        path: the folder.
        config: the resolved config as plain data.
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

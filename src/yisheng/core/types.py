"""The main types of the package, and the letters that stand for sizes in shapes.

Letters in shapes, throughout the package: ``N`` samples of a data set, ``B`` samples of a batch, ``C`` channels or
classes, ``H`` and ``W`` height and width, ``D`` features of a row, ``O`` output units, ``T`` targets,
``L`` labels, ``K`` models trained together (always the leading axis).

    file/URL -> Dataset -> Split -> Batch -> Event -> Run -> Scores -> Finding -> Report
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from yisheng.core.errors import DataError
from yisheng.core.messages import Message, translate
from yisheng.core.validation_texts import describe_invalid

if TYPE_CHECKING:
    import numpy as np
    import torch

Task = Literal["classification", "multilabel", "regression"]
TASKS: tuple[Task, ...] = ("classification", "multilabel", "regression")
ColumnKind = Literal["number", "category", "yes/no", "date", "text", "identifier", "constant"]
PixelType = Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"]
"""Type of the values in an image file."""
Part = Literal["train", "validation", "test"]
Inputs: TypeAlias = "torch.Tensor | tuple[torch.Tensor, ...] | dict[str, torch.Tensor]"
"""What a network takes: one tensor, or several by position or by name."""
InputType = Literal["float32", "uint8", "int64"]
"""Type of an input's values: numbers, bytes of images, or ids (of words, of categories)."""
BYTES_PER_VALUE: Mapping[str, int] = {"float32": 4, "uint8": 1, "int64": 8}
LINKS = ("logits", "probabilities")
MAX_IMAGE_CHANNELS = 4


@dataclass(frozen=True)
class Column:
    """One input column of a network, and how to read it from a table.

    Args:
        name: name of the feature.
        kind: number, category or yes/no; columns of the other kinds never reach a network.
        categories: names of the categories, by number; for a yes/no column the words for 0 and for 1.
        source: header of the column in the file; empty for data from arrays, where prediction accepts only finite
            numbers.
        date_part: the part of a date that the column holds (``year``, ``weekday``, ...); empty for other columns.
        format: how the file writes numbers or dates (``.$``, ``%d/%m/%Y``); empty for plain numbers.
        missing_words: words that mean a missing value in this column, in addition to the usual ones.
        bins: for a scaled number: ascending bin edges; each bin holds about the same number of rows.
        double: whether single precision is too coarse for its values, so that they are scaled in double precision.
        text_part: what the column holds of a text (``length``, ``words``, ``beginning``, ``number``, ``ending``, or
            ``word:mr`` for whether it has the word mr); empty for other columns.

    >>> Column("city", kind="category", categories=("Bern", "Zug"), source="City").categories
    ('Bern', 'Zug')
    """

    name: str
    kind: ColumnKind = "number"
    categories: tuple[str, ...] = ()
    # These fields say how to read a file again. The data's fingerprint is computed from repr, so they are not in it.
    source: str = field(default="", repr=False)
    date_part: str = field(default="", repr=False)
    format: str = field(default="", repr=False)
    missing_words: tuple[str, ...] = field(default=(), repr=False)
    bins: tuple[float, ...] = field(default=(), repr=False)
    double: bool = field(default=False, repr=False)
    text_part: str = field(default="", repr=False)


@dataclass(frozen=True)
class Reading:
    """How the text file of a table was read, as far as a later file does not show it by itself.

    Args:
        encoding: its encoding; empty for UTF-8 and for data that was no text.
        separator: the character between values if the user gave it.
        names: the names of its columns in the order of the file if it has no header and the user gave them.
        missing: words that the user called missing values.
    """

    encoding: str = ""
    separator: str = ""
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Size and position of the drawing in the images of a data set with light strokes on black.

    Before prediction, a photograph of a dark drawing on light paper is inverted, and scaled and centered accordingly.

    Args:
        box: longest side of the drawing, in pixels of the data set's images (20 of 28 for MNIST).
        center: which point of the drawing is at the center of the image: its center of ``mass`` (MNIST), or the center
            of its bounding ``box``.

    >>> Spec("classification", (1, 28, 28), classes=("0", "1"), drawing=Drawing(20, "mass")).drawing
    Drawing(box=20, center='mass')
    """

    box: int
    center: Literal["mass", "box"] = "box"


@dataclass(frozen=True)
class ValueRange:
    """The values of image files of one type, from black to white.

    Args:
        dtype: type of the values; 1 to 8 bits are ``uint8``.
        low: value of black.
        high: value of white.
    """

    dtype: PixelType = "uint8"
    low: float = 0.0
    high: float = 255.0


@dataclass(frozen=True)
class ImageValues:
    """How the values of image files become pixels from 0 to 255, decided once on the training files.

    Args:
        ranges: one for each type of values among the training files, that of most files first.
        stored: type of the pixels: ``uint8``, or ``float32`` where 8 bits would make different values equal.
        background: gray level behind transparent parts; None if no training image has any (white is used then).

    >>> ImageValues().is_plain, ImageValues((ValueRange("float32", 0.0, 1.0),), "float32").is_plain
    (True, False)
    """

    ranges: tuple[ValueRange, ...] = (ValueRange(),)
    stored: Literal["uint8", "float32"] = "uint8"
    background: int | None = None

    @property
    def is_plain(self) -> bool:
        """Return whether all images had 8 bits, so that a pixel is the value in the file."""
        return len(self.ranges) == 1 and self.ranges[0].dtype == "uint8"


@dataclass(frozen=True)
class InputSpec:
    """One of several inputs of a network.

    Args:
        shape: shape of one sample's input.
        dtype: type of the stored values; uint8 and float32 are scaled as the only input of a data set is, int64 is not.
        name: keyword of the network's ``forward``; empty for inputs that are passed by position.

    >>> InputSpec((2, 3)).nbytes
    24
    """

    shape: tuple[int, ...]
    dtype: InputType = "float32"
    name: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in BYTES_PER_VALUE or any(n < 1 for n in self.shape):
            raise DataError(
                Message(
                    "an input cannot have the type {dtype} and the shape {shape}",
                    dtype=f"{self.dtype!r}",
                    shape=self.shape,
                ),
                Message(
                    "the types are {BYTES_PER_VALUE}, sizes are 1 or more", BYTES_PER_VALUE=", ".join(BYTES_PER_VALUE)
                ),
            )

    @property
    def nbytes(self) -> int:
        """Return the bytes of one sample's input."""
        return math.prod(self.shape) * BYTES_PER_VALUE[self.dtype]


@dataclass(frozen=True)
class Spec:
    """The contract between data and model: the task, and what one input and one output look like.

    Args:
        task: ``classification`` (one of C classes), ``multilabel`` (any of L labels) or ``regression``.
        shape: shape of one input as the model receives it: ``(C, H, W)`` for images, ``(D,)`` for rows, ``(T, D)`` for
            sequences, ``(T,)`` for the ids of tokens, ``(C, D, H, W)`` for volumes, or any other. With several
            ``inputs`` it is ``(nbytes,)``: a sample is one row of bytes that holds them all.
        classes: names of the classes or labels; empty for regression.
        columns: the columns of a table, in the order of the features; empty for images.
        target: name of the target, for display.
        unit: unit of a regression target, for display.
        outputs: output units O of the model. 0 (default) means one per class or label, and 1 for
            regression; the loss may change it (binary cross-entropy on two classes needs only 1).
        drawing: size and position of drawings (digits, clothes on black); None for other data.
        fit: how an image of another size is resized to ``shape``: center crop (``crop``), changed aspect ratio
            (``squash``) or black borders (``pad``).
        dtype: type of the values that the network receives: float32 (images of bytes are scaled to it), int64 for ids,
            which are never scaled, or uint8 for bytes as they are.
        inputs: the inputs, if there are several; all of them have a name, or none has.
        link: what the network's outputs are: ``logits`` (default), or already ``probabilities``. It has no meaning for
            a regression.
        temperature: what logits are divided by before they become probabilities; see `yisheng.evaluation.temperature`.
        target_columns: the columns of a table, or of a list of images, that hold the targets, and the format of their
            numbers; empty for other data.
        label_forms: forms of the class names (``strip-dot``); see `yisheng.data.class_names`.
        reading: how the file of a table was read, so that later files are read in the same way.
        image_values: how the values of image files become pixels, so that later files are read in the same way.

    Raises:
        DataError: the fields contradict each other.

    >>> spec = Spec("classification", (1, 8, 8), classes=("0", "1", "2"))
    >>> spec.outputs, spec.with_outputs(1).outputs, Spec.from_json(spec.to_json()) == spec
    (3, 1, True)
    >>> spec.is_image, spec.has_maps, spec.is_row, spec.is_numeric, spec.is_double
    (True, True, False, True, False)
    >>> Spec("regression", (32,), inputs=(InputSpec((4,)), InputSpec((2,), "int64"))).is_row
    False
    """

    task: Task
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    target: str = "target"
    unit: str = ""
    outputs: int = 0
    drawing: Drawing | None = None
    fit: Literal["crop", "squash", "pad"] = field(default="crop", repr=False)  # fingerprints are computed from repr
    dtype: InputType = field(default="float32", repr=False)
    inputs: tuple[InputSpec, ...] = field(default=(), repr=False)
    link: Literal["logits", "probabilities"] = field(default="logits", repr=False)
    temperature: float = field(default=1.0, repr=False)
    target_columns: tuple[Column, ...] = field(default=(), repr=False)
    label_forms: tuple[str, ...] = field(default=(), repr=False)
    reading: Reading = field(default_factory=Reading, repr=False)
    image_values: ImageValues = field(default_factory=ImageValues, repr=False)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataError(
                Message("task must be one of {TASKS}, got {task}", TASKS=", ".join(TASKS), task=f"{self.task!r}"),
                Message("use one of these"),
            )
        if not self.shape or any(n < 1 for n in self.shape):
            raise DataError(
                Message(
                    "an input must have one axis or more with sizes of 1 or more, got the shape {shape}",
                    shape=self.shape,
                ),
                Message("reshape x to (N, D) for rows, or to (N, C, H, W) for images"),
            )
        min_classes = {"classification": 2, "multilabel": 1, "regression": 0}[self.task]
        if len(self.classes) < min_classes or (self.task == "regression" and self.classes):
            values = {"count": len(self.classes), "classes": ", ".join(self.classes[:5])}
            problem = Message("regression requires no classes, got {count}: {classes}", **values)
            if self.task != "regression":
                problem = Message(
                    "{task} requires {minimum} or more classes, got {count}: {classes}",
                    task=self.task,
                    minimum=min_classes,
                    **values,
                )
            raise DataError(
                problem,
                Message("choose another target column, or another task with task= ({TASKS})", TASKS=", ".join(TASKS)),
            )
        if len(set(self.classes)) != len(self.classes):
            raise DataError(
                Message("class names must differ, got the same name twice"), Message("rename one of the two classes")
            )
        if self.columns and self.shape != (len(self.columns),):
            raise DataError(
                Message(
                    "{count} columns do not fit an input of shape {shape}", count=len(self.columns), shape=self.shape
                ),
                Message("give one column for each feature, or columns=()"),
            )
        self._check_inputs()
        if not self.outputs:
            object.__setattr__(self, "outputs", max(1, len(self.classes)))

    def _check_inputs(self) -> None:
        if {self.dtype, *(item.dtype for item in self.inputs)} - set(BYTES_PER_VALUE) or self.link not in LINKS:
            raise DataError(
                Message(
                    "a spec cannot have dtype={dtype} and link={link}", dtype=f"{self.dtype!r}", link=f"{self.link!r}"
                ),
                Message(
                    "the types are {BYTES_PER_VALUE}, the links {LINKS}",
                    BYTES_PER_VALUE=", ".join(BYTES_PER_VALUE),
                    LINKS=" and ".join(LINKS),
                ),
            )
        if self.columns and (self.inputs or self.dtype != "float32"):
            raise DataError(
                Message("columns describe one input of numbers"), Message("leave columns, or inputs and dtype, out")
            )
        if not 0 < self.temperature < math.inf:
            raise DataError(
                Message("a temperature must be above 0, got {temperature}", temperature=self.temperature),
                Message("train again"),
            )
        if not self.inputs:
            return
        names = {item.name for item in self.inputs if item.name}
        if len(self.inputs) == 1 or len(names) not in (0, len(self.inputs)):
            raise DataError(
                Message(
                    "several inputs must all have different names, or none, got {value}",
                    value=[item.name for item in self.inputs],
                ),
                Message("name each input, or pass all of them by position; a single input needs no inputs="),
            )
        if self.shape != (sum(item.nbytes for item in self.inputs),):
            raise DataError(
                Message(
                    "inputs of {sum} bytes do not fit the shape {shape}",
                    sum=sum(item.nbytes for item in self.inputs),
                    shape=self.shape,
                ),
                Message("pack them with yisheng.core.nested.pack"),
            )

    @property
    def target_names(self) -> tuple[str, ...]:
        """Return the name of each target of a regression, and of another task the single name of its target.

        >>> Spec("regression", (3,), target="x, y", outputs=2).target_names
        ('x', 'y')
        >>> Spec("regression", (3,), outputs=2).target_names
        ('target-1', 'target-2')
        """
        if self.task != "regression" or self.outputs == 1:
            return (self.target,)
        names = tuple(column.name for column in self.target_columns) or tuple(self.target.split(", "))
        is_complete = len(names) == self.outputs == len(set(names))
        return names if is_complete else tuple(f"{self.target}-{n + 1}" for n in range(self.outputs))

    @property
    def is_numeric(self) -> bool:
        """Return whether the network receives one tensor of numbers, rather than ids, bytes or several inputs."""
        return self.dtype == "float32" and not self.inputs

    @property
    def is_double(self) -> bool:
        """Return whether raw inputs are float64: single precision is too coarse for a column of the table."""
        return any(column.double for column in self.columns)

    @property
    def is_row(self) -> bool:
        """Return whether one input is a row of numbers ``(D,)``."""
        return len(self.shape) == 1 and self.is_numeric

    @property
    def has_maps(self) -> bool:
        """Return whether one input is of the form ``(C, H, W)`` that 2-d convolutions take."""
        return len(self.shape) == 3 and self.is_numeric

    @property
    def is_image(self) -> bool:
        """Return whether one input is an image ``(C, H, W)`` that can be drawn and read from a file."""
        return self.has_maps and self.shape[0] <= MAX_IMAGE_CHANNELS

    @property
    def description(self) -> Message:
        """Return what one input is, in words for messages.

        >>> Spec("regression", (5,), dtype="int64").description
        'ids of shape (5,)'
        """
        if self.inputs:
            shapes = ", ".join(str(item.shape) for item in self.inputs)
            return Message("{count} inputs of shapes {shapes}", count=len(self.inputs), shapes=shapes)
        if self.dtype == "int64":
            return Message("ids of shape {shape}", shape=self.shape)
        if self.dtype == "uint8":
            return Message("bytes of shape {shape}", shape=self.shape)
        return Message("inputs of shape {shape}", shape=self.shape)

    def with_outputs(self, outputs: int) -> Spec:
        """Return the same contract with another number of output units."""
        return replace(self, outputs=outputs)

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain data, as it is written to ``model.json``."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Spec:
        """Return the spec of data that `to_json` returned, after checking it.

        Raises:
            DataError: a key is unknown or missing, or a value has the wrong type.
        """
        from pydantic import TypeAdapter, ValidationError

        remedy = Message("copy the file from an intact run folder")
        unknown = set(data) - {f.name for f in fields(Spec)}
        if unknown:
            raise DataError(Message("the spec has unknown keys: {unknown}", unknown=", ".join(sorted(unknown))), remedy)
        try:
            return TypeAdapter(Spec).validate_python(dict(data))
        except ValidationError as error:
            details = error.errors()[0]
            field_path = ".".join(str(part) for part in details["loc"]) or "spec"
            raise DataError(
                Message(
                    "the spec is damaged at {field_path}: {details}",
                    field_path=field_path,
                    details=describe_invalid(details),
                ),
                remedy,
            ) from None


class RowStream(Protocol):
    """What reads the rows of a data set again in each epoch, because they are random."""

    @property
    def keeps_order(self) -> bool:
        """Return whether the rows come in an order of their own; they are then neither shuffled nor split."""
        ...

    def read(
        self, batches: Sequence[np.ndarray], *, seed: int, epoch: int, start: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        """Yield inputs, targets and weights of each batch of row numbers, from batch number ``start`` on.

        They have the form of `Dataset`. The same seed, epoch and row give the same values.
        """
        ...


@dataclass(frozen=True)
class Dataset:
    """All samples of a data set in one contiguous block, with their targets and metadata.

    Args:
        name: name of the data set.
        spec: the contract.
        x: inputs ``(N, *spec.shape)``: uint8 (images, 0..255) or float32 (float64 where that is too coarse: it is
            scaled before it becomes float32); int64 for ids; with several inputs uint8 ``(N, nbytes)``, see
            `yisheng.core.nested.pack`. It may be memory-mapped.
        y: int64 ``(N,)`` class numbers; float32 ``(N, L)`` of zeros and ones for labels; float32 or float64
            ``(N, T)`` for regression.
        part: the official part of each row, int8 ``(N,)``: 0 train, 1 validation, 2 test; None if the data set has
            no official parts.
        weight: float32 ``(N,)`` sample weights, or None.
        rows: name of each row (a file, an id), or None to name rows by their numbers.
        group: group of each row, int64 ``(N,)``, or None; rows of the same group stay in the same part and fold.
        time: time of each row, float64 ``(N,)``, or None; rows with times are split by time, never shuffled.
        findings: problems found while reading: files left out, duplicate images, unused columns.
        about: one or two sentences about the data and its origin.
        source: paper or URL.
        license: license of the data, in a few words.
        stream: what reads the training rows again in each epoch, because they are random; None if ``x`` is always the
            same. ``x`` then holds the rows as they were read first.

    Raises:
        DataError: an array has the wrong type, shape or values.

    >>> import numpy as np
    >>> spec = Spec("classification", (2,), classes=("down", "up"))
    >>> data = Dataset("points", spec, np.zeros((4, 2), np.float32), np.array([0, 1, 1, 0]))
    >>> len(data), data.spec.classes[data.y[1]]
    (4, 'up')
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
    stream: RowStream | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        from yisheng.core.dataset_checks import check_dataset

        check_dataset(self)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Inputs, torch.Tensor]:
        """Return input and target of a row as tensors, so that a data set works in a torch ``DataLoader``.

        The values are those that are stored, before any scaling. The target of a classification is the class's number,
        a scalar; else it has one axis.

        Raises:
            IndexError: there is no such row.

        >>> import numpy as np
        >>> data = Dataset("two", Spec("regression", (1,)), np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32))
        >>> data[1]
        (tensor([1.]), tensor([0.]))
        """
        import torch

        from yisheng.core.packed_rows import unpack

        if not -len(self) <= row < len(self):  # iteration over a data set ends with this error
            raise IndexError(f"row {row} of {len(self)}")
        rows = slice(row % len(self), row % len(self) + 1)
        block = torch.from_numpy(self.x[rows].copy())
        y = torch.from_numpy(self.y[rows].copy())[0]
        if not self.spec.inputs:
            return block[0], y
        x = unpack(block, self.spec.inputs)
        return {key: value[0] for key, value in x.items()} if isinstance(x, dict) else tuple(v[0] for v in x), y


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts, int64 ``(n,)`` each, disjoint; validation and test may be empty."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Batch:
    """A batch of samples on the training device, ready for the model.

    Args:
        x: inputs ``(B, ...)``, transformed: one tensor, or with several inputs a tuple or a dict of tensors; see
            `yisheng.core.nested`.
        y: targets ``(B, ...)`` as in `Dataset`; regression targets are transformed.
        index: row numbers in the data set ``(B,)``, so that a check can report the rows.
        weight: sample weights ``(B,)``, or None.
    """

    x: Inputs
    y: torch.Tensor
    index: torch.Tensor
    weight: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.index.shape[0]  # len() of a tensor takes microseconds


@dataclass(frozen=True, slots=True)
class StepEnd:
    """The event after one update. ``loss`` stays on its device, because reading it would stall a GPU.

    Args:
        step: number of updates so far, from 1.
        epoch: the current epoch, from 0.
        lr: learning rate of the update.
        loss: mean loss over the batch, a detached scalar tensor.
        batch: the batch, so that a callback can report its rows.

    >>> import torch
    >>> batch = Batch(torch.zeros(2, 3), torch.zeros(2), index=torch.tensor([4, 7]))
    >>> event = StepEnd(step=1, epoch=0, lr=0.1, loss=torch.tensor(0.5), batch=batch)
    >>> float(event.loss), event.batch.index.tolist()
    (0.5, [4, 7])
    """

    step: int
    epoch: int
    lr: float
    loss: torch.Tensor
    batch: Batch


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """The event after an epoch, with its scores.

    Args:
        step: number of updates so far.
        epoch: number of finished epochs, from 1.
        loss: mean training loss over the epoch's samples, each computed when it was trained on.
        scores: validation scores by name (``loss`` among them); empty without a validation part.

    >>> EpochEnd(step=37, epoch=1, loss=0.5, scores={"loss": 0.4, "accuracy": 0.9}).scores["accuracy"]
    0.9
    """

    step: int
    epoch: int
    loss: float
    scores: Mapping[str, float]


Event = StepEnd | EpochEnd


@dataclass(frozen=True)
class Score:
    """A score with its 95% confidence interval; ``low`` and ``high`` are None if there is no interval.

    >>> print(Score(0.98765, 0.9, 0.99321))
    0.9877 (0.9 to 0.9932)
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        interval = translate(Message("{low} to {high}", low=f"{self.low:.4g}", high=f"{self.high:.4g}"))
        return f"{self.value:.4g} ({interval})"


Scores = Mapping[str, Mapping[str, Score]]
"""Scores by part (``test``, ``validation``, ``baseline``) and metric, as in ``scores.json``."""


@dataclass(frozen=True)
class Alternative:
    """Another cause that remains possible, and what would distinguish it.

    Args:
        cause: what else could be wrong, as a clause.
        experiment: what to try, and which outcome shows this cause.
        result: the outcome, if the experiment was made; else empty.
    """

    cause: str
    experiment: str
    result: str = ""


@dataclass(frozen=True)
class Finding:
    """One problem or note that a check reports.

    Args:
        check: name of the check.
        severity: ``error`` (the run cannot be right), ``warning`` (it is likely worse than it could
            be) or ``note``.
        evidence: the measured values that support it, by name.
        cause: one sentence that says what is wrong.
        remedy: one sentence or setting, in the words of the config.
        change: the remedy as config settings by key (``{"scale": "standard"}``); empty if no setting can express it,
            and in a user's own loop. ``{"lr": "x 0.1"}`` multiplies the current value by 0.1, since a check does not
            know the config. `yisheng.experiments.remedies` applies changes and skips keys that the config does not
            have.
        source: file and line of the user's program that caused it (``train.py:42``); empty if unknown.
        alternatives: other causes that remain possible, the most likely first.
        rows: numbers of the rows that it names, which a report of images shows.
    """

    check: str
    severity: Literal["error", "warning", "note"]
    evidence: Mapping[str, Any]
    cause: str
    remedy: str
    change: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    alternatives: tuple[Alternative, ...] = ()
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Run:
    """The contents of a run folder: what was trained, on which data, and how well.

    Args:
        path: the folder.
        config: the resolved config as plain data.
        spec: the contract between data and model.
        transforms: the fitted transforms as plain data, by role (``input``, ``target``).
        scores: contents of ``scores.json``; empty before evaluation.
        best: epoch of the weights in ``model.safetensors`` (from 1), and name and value of their validation score.
    """

    path: Path
    config: Mapping[str, Any]
    spec: Spec
    transforms: Mapping[str, Any]
    scores: Scores = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)

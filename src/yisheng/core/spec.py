"""The contract between data and model, and the letters that stand for sizes in shapes.

Letters in shapes, throughout the package: ``N`` samples of a data set, ``B`` samples of a batch, ``C`` channels or
classes, ``H`` and ``W`` height and width, ``D`` features of a row, ``O`` output units, ``T`` targets,
``L`` labels, ``K`` models trained together (always the leading axis).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from yisheng.core.columns import Column, Reading
from yisheng.core.errors import DataError
from yisheng.core.image_values import Drawing, ImageValues
from yisheng.core.input_spec import BYTES_PER_VALUE, InputSpec, InputType
from yisheng.core.messages import Message
from yisheng.core.validation_texts import describe_invalid

Task = Literal["classification", "multilabel", "regression"]
TASKS: tuple[Task, ...] = ("classification", "multilabel", "regression")
LINKS = ("logits", "probabilities")
MAX_IMAGE_CHANNELS = 4


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

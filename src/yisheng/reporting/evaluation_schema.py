"""The schema of ``evaluation.json``, and of the ``best`` entry of ``model.json``."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from yisheng.core.messages import Message
from yisheng.reporting.other_data_schema import OtherData

Label = str | int | float | list[str | int | float] | None
Fraction = Annotated[float, Field(ge=0, le=1)] | None
Count = Annotated[int, Field(ge=0)]
Values = Annotated[list[list[float]], BeforeValidator(lambda value: _to_rows(value))]
MAX_IMAGE_CHARS = 1 << 20
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


ORIGINS = {
    "test": Message("the test part"),
    "validation": Message("the validation part"),
    "training": Message("the training part"),
}
"""Part -> how a sentence names it."""


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class ClassRow(_Schema):
    """The number of rows and the scores of one class; None for an undefined score."""

    name: Annotated[str, BeforeValidator(str), Field(alias="class")]
    support: Count
    precision: Fraction = None
    recall: Fraction = None
    f1: Fraction = None


class Bin(_Schema):
    """The predictions whose highest probability is between ``low`` and ``high``."""

    low: float
    high: float
    confidence: Fraction = None
    accuracy: Fraction = None
    count: Count


class Calibration(_Schema):
    """The agreement of predicted probabilities with the observed accuracy."""

    error: Fraction = None
    bins: list[Bin] = []


class UnusualValue(_Schema):
    """A value of a row that differs from the typical one of its column."""

    column: str
    value: str
    typical: str


class Mistake(_Schema):
    """A row with a large error. ``image`` is a PNG in base64, or None."""

    row: int | str | None = None
    name: str | None = None
    true: Label = None
    predicted: Label = None
    probability: Fraction = None
    true_probability: Fraction = None
    error: float | list[float] | None = None
    image: str | None = None
    unusual: list[UnusualValue] = []

    @property
    def errors(self) -> list[float]:
        """Return the error of each target; empty for classes and labels."""
        if self.error is None:
            return []
        return self.error if isinstance(self.error, list) else [self.error]

    @property
    def display_name(self) -> str:
        """Return the row's name, or its number if it has no name."""
        if self.row is None:
            return self.name or "row"
        return self.name if self.name and self.name != str(self.row) else f"row {self.row}"

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Return width and height of the image, or None if there is none or it is not a PNG of acceptable size."""
        if self.image is None or len(self.image) > MAX_IMAGE_CHARS:
            return None
        try:
            content = base64.b64decode(self.image, validate=True)
            width, height = struct.unpack(">II", content[16:24])
        except (binascii.Error, ValueError, struct.error):
            return None
        return (width, height) if content.startswith(_PNG_SIGNATURE) and 0 < width * height < 1 << 26 else None


class TargetPairs(NamedTuple):
    """True and predicted values of one target in the same order."""

    true: list[float]
    predicted: list[float]


class Pairs(_Schema):
    """True and predicted values of a regression, a list of one of each target for each row."""

    true: Values
    predicted: Values

    @model_validator(mode="after")
    def _same_shape(self) -> Pairs:
        if len(self.true) != len(self.predicted):
            raise ValueError(f"{len(self.true)} true values and {len(self.predicted)} predicted ones cannot be paired")
        if len({len(row) for row in (*self.true, *self.predicted)}) > 1:
            raise ValueError("not all rows have the same number of targets")
        return self

    @property
    def by_target(self) -> list[TargetPairs]:
        """Return the values of each target."""
        columns = [[list(column) for column in zip(*rows, strict=True)] for rows in (self.true, self.predicted)]
        return [TargetPairs(true, predicted) for true, predicted in zip(*columns, strict=True)]


class TreeBaseline(_Schema):
    """The settings of the boosted trees that a network on a table is compared with."""

    about: str
    seconds: float = 0.0


class TargetCoverage(_Schema):
    """How often the true value of one target is in its interval, with the 95% interval of that fraction."""

    target: str
    coverage: Fraction = Field(default=None, alias="value")
    low: Fraction = None
    high: Fraction = None
    median_width: float | None = None


class LevelCoverage(_Schema):
    """The coverage of the intervals of one level, for each target."""

    level: float
    targets: list[TargetCoverage] = []


class Intervals(_Schema):
    """What the prediction intervals of a run are made of, and their coverage on the test part."""

    source: str = "validation"
    rows: Count = 0
    models: Count = 1
    repeats: Count = 1
    chose_epoch: bool = False
    largest_level: float = 0.0
    scored: Count = 0
    levels: list[LevelCoverage] = []


class ImportantColumn(_Schema):
    """By how much the score becomes worse if the values of a column are exchanged between rows."""

    column: str
    value: float
    low: float | None = None
    high: float | None = None
    deviation: float = 0.0


class EffectOnOutput(_Schema):
    """The predictions of one output by the value of a column: mean, and 10% and 90% quantile over the rows."""

    name: str
    mean: list[float]
    low: list[float]
    high: list[float]


class ColumnEffect(_Schema):
    """The partial dependence of the predictions on one column."""

    column: str
    is_number: bool
    values: list[float | str]
    outputs: Annotated[list[EffectOnOutput], Field(min_length=1)]

    @model_validator(mode="after")
    def _same_length(self) -> ColumnEffect:
        if any({len(o.mean), len(o.low), len(o.high)} != {len(self.values)} for o in self.outputs):
            raise ValueError("an effect has a prediction for each value")
        return self


class Importance(_Schema):
    """The importance of the columns of a table, and the effect of the most important ones."""

    score: str
    value: float
    part: str = "test"
    rows: Count = 0
    repeats: Count = 1
    columns: list[ImportantColumn] = []
    omitted: Count = 0
    dependence: list[ColumnEffect] = []


class GroupScore(_Schema):
    """The score of a group, with its 95% interval."""

    value: float
    low: float | None = None
    high: float | None = None


class GroupRow(_Schema):
    """The rows with one value in a column, and their scores."""

    group: str
    rows: Count
    scores: dict[str, GroupScore] = {}


class Groups(_Schema):
    """The scores by the values of a column."""

    column: str
    groups: list[GroupRow] = []
    omitted: Count = 0
    few_rows: Count = 0


class ConfusionCells(_Schema):
    """The cells of a large confusion matrix that are not 0: true class, predicted class, rows."""

    classes: Count
    cells: list[tuple[Count, Count, Count]] = []

    @model_validator(mode="after")
    def _inside(self) -> ConfusionCells:
        if any(max(true, predicted) >= self.classes for true, predicted, _ in self.cells):
            raise ValueError("a confusion matrix has a class for each of its cells")
        return self


class Evaluation(_Schema):
    """The contents of ``evaluation.json``: what the report shows in addition to the scores."""

    part: str = "test"
    rows: Count = 0
    per_class: list[ClassRow] = []
    confusion: list[list[Count]] | ConfusionCells | None = None
    calibration: Calibration | None = None
    pairs: Pairs | None = None
    worst: list[Mistake] = []
    boosting: TreeBaseline | None = None
    intervals: Intervals | None = None
    importance: Importance | None = None
    groups: Groups | None = None
    other_data: OtherData | None = None

    @property
    def origin(self) -> str:
        """Return where the rows are from: ``the test part``, or the name of other data."""
        if self.other_data is not None:
            return self.other_data.data.name
        return ORIGINS.get(self.part) or Message("the {part} part", part=self.part)

    @property
    def confusion_classes(self) -> int:
        """Return the number of classes of the confusion matrix, 0 without one."""
        matrix = self.confusion or []
        return matrix.classes if isinstance(matrix, ConfusionCells) else len(matrix)

    @property
    def confusion_cells(self) -> list[tuple[int, int, int]]:
        """Return true class, predicted class and rows of each cell of the confusion matrix that is not 0."""
        matrix = self.confusion or []
        if isinstance(matrix, ConfusionCells):
            return matrix.cells
        return [(i, j, n) for i, row in enumerate(matrix) for j, n in enumerate(row) if n]

    @property
    def confusion_matrix(self) -> list[list[int]]:
        """Return the confusion matrix: true classes are rows, predicted ones columns."""
        matrix = [[0] * self.confusion_classes for _ in range(self.confusion_classes)]
        for true, predicted, count in self.confusion_cells:
            matrix[true][predicted] = count
        return matrix

    @model_validator(mode="after")
    def _square(self) -> Evaluation:
        matrix = self.confusion
        if isinstance(matrix, list) and any(len(row) != len(matrix) for row in matrix):
            raise ValueError("a confusion matrix has as many columns as rows")
        return self


class Best(_Schema):
    """The epoch whose weights the run keeps, and the validation score that chose them."""

    epoch: Count = 0
    score: str = "loss"
    value: float | None = None


def _to_rows(value: Any) -> Any:
    """Return a list for each row, of a single target too."""
    return [item if isinstance(item, list) else [item] for item in value] if isinstance(value, list) else value

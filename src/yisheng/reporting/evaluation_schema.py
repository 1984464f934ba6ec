"""The forms of ``evaluation.json`` and of a run's scores, checked when they are read."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Label = str | int | float | list[str | int | float] | None
Share = Annotated[float, Field(ge=0, le=1)] | None
Count = Annotated[int, Field(ge=0)]
Values = Annotated[list[float], BeforeValidator(lambda value: _flat(value))]
IMAGE = 1 << 20
_PNG = b"\x89PNG\r\n\x1a\n"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class ClassRow(_Part):
    """The row count and scores of one class; None for a score that is undefined."""

    name: Annotated[str, BeforeValidator(str), Field(alias="class")]
    support: Count
    precision: Share = None
    recall: Share = None
    f1: Share = None


class Bin(_Part):
    """The predictions whose highest probability is between ``low`` and ``high``."""

    low: float
    high: float
    confidence: Share = None
    accuracy: Share = None
    count: Count


class Calibration(_Part):
    """How well the probabilities agree with how often the model is right."""

    error: Share = None
    bins: list[Bin] = []


class Mistake(_Part):
    """A row on which the model is badly wrong. ``image`` is a PNG in base64, or None."""

    row: int | str | None = None
    name: str | None = None
    true: Label = None
    predicted: Label = None
    probability: Share = None
    true_probability: Share = None
    error: float | list[float] | None = None
    image: str | None = None

    @property
    def display_name(self) -> str:
        """Return the row's name, or its number if it has no name."""
        if self.row is None:
            return self.name or "row"
        return self.name if self.name and self.name != str(self.row) else f"row {self.row}"

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Return width and height of the image, or None if there is none or it is not a PNG of acceptable size."""
        if self.image is None or len(self.image) > IMAGE:
            return None
        try:
            content = base64.b64decode(self.image, validate=True)
            width, height = struct.unpack(">II", content[16:24])
        except (binascii.Error, ValueError, struct.error):
            return None
        return (width, height) if content.startswith(_PNG) and 0 < width * height < 1 << 26 else None


class Pairs(_Part):
    """True and predicted values of a regression in the same order."""

    true: Values
    predicted: Values

    @model_validator(mode="after")
    def _same_length(self) -> Pairs:
        if len(self.true) != len(self.predicted):
            raise ValueError(f"{len(self.true)} true values and {len(self.predicted)} predicted ones are no pairs")
        return self


class TreeBaseline(_Part):
    """The settings of the boosted trees that a network on a table is compared with."""

    about: str
    seconds: float = 0.0


class Evaluation(_Part):
    """The contents of the report besides the scores; the format is described in docs/architecture.md."""

    part: str = "test"
    rows: Count = 0
    per_class: list[ClassRow] = []
    confusion: list[list[Count]] | None = None
    calibration: Calibration | None = None
    pairs: Pairs | None = None
    worst: list[Mistake] = []
    boosting: TreeBaseline | None = None

    @model_validator(mode="after")
    def _square(self) -> Evaluation:
        if self.confusion is not None and any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("a confusion matrix has as many columns as rows")
        return self


class Best(_Part):
    """The epoch whose weights the run keeps, and the validation score that chose them."""

    epoch: Count = 0
    score: str = "loss"
    value: float | None = None


def _flat(value: Any) -> Any:
    """Return several targets per row as separate points."""
    if isinstance(value, list):
        return [v for item in value for v in (item if isinstance(item, list) else [item])]
    return value

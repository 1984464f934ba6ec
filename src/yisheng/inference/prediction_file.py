"""Formats of a file of predictions: a table with a row for each input, as competitions expect it, or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.inference.classes import rank_classes, select_labels

if TYPE_CHECKING:
    from yisheng.evaluation.conformal import IntervalBounds
    from yisheng.inference.prediction import Prediction

FORMATS = ("prediction", "probability")
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""What begins a formula, or what a spreadsheet drops before one."""
EMPTY: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True)
class PredictionTable:
    """The columns of a table of predictions: the name of each row, the targets, and optionally an error.

    Args:
        spec: the contract: the target's name heads its column; several targets are separated by commas in it.
        id_name: name of the first column; ``row`` if it is empty.
        format: ``prediction`` writes the class as the training file writes it (labels with spaces between them) or
            the value; ``probability`` that of the second of two classes, or a column for each of more.
        has_errors: add a last column ``error`` with the reason why an input could not be read; its prediction is
            then empty.
        separator: between the values.
        excel_safe: write an apostrophe before text that a spreadsheet would take for a formula.
        has_intervals: add the bounds of the interval after each value, as ``NAME_low`` and ``NAME_high``.

    Raises:
        UsageError: the format is unknown, or does not fit the model.

    >>> PredictionTable(Spec("regression", (3,), target="price"), "Id").columns
    ('Id', 'price')
    """

    spec: Spec
    id_name: str = ""
    format: str = FORMATS[0]
    has_errors: bool = False
    separator: str = ","
    excel_safe: bool = False
    has_intervals: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(
                Message(
                    "format must be one of {FORMATS}, got {format}",
                    FORMATS=", ".join(FORMATS),
                    format=f"{self.format!r}",
                ),
                Message("use format={format}", format=FORMATS[0]),
            )
        if self.format == "probability" and not self.spec.classes:
            raise UsageError(
                Message("only a model of classes or labels has probabilities"),
                Message("use format={format}", format=FORMATS[0]),
            )

    @property
    def is_numeric(self) -> bool:
        """Return whether the target columns contain numbers."""
        return self.format == "probability" or self.spec.task == "regression"

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Return the names of the columns with predictions, and with the bounds of their intervals."""
        spec = self.spec
        if self.format == "probability":
            return (spec.target,) if self._is_binary else spec.classes
        if not self.has_intervals:
            return spec.target_names
        return tuple(column for name in spec.target_names for column in self._interval_columns(name))

    def _interval_columns(self, name: str) -> tuple[str, str, str]:
        """Return the columns of a value and its bounds, named as no other target is."""
        mark = "_"
        while {f"{name}{mark}low", f"{name}{mark}high"} & set(self.spec.target_names):
            mark += "_"
        return name, f"{name}{mark}low", f"{name}{mark}high"

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns."""
        return (self.id_name or "row", *self.target_columns, *(("error",) if self.has_errors else ()))

    def format_header(self) -> str:
        """Return the first line."""
        return self._format_lines([self.columns])

    def format_rows(
        self,
        outputs: np.ndarray,
        ids: Sequence[str],
        errors: Mapping[int, str] = EMPTY,
        bounds: IntervalBounds | None = None,
    ) -> str:
        """Return a line for each input.

        Args:
            outputs: probabilities ``(N, C)`` or values ``(N, T)`` of the inputs that could be read.
            ids: names of all rows.
            errors: why an input could not be read, by its index among all rows.
            bounds: intervals of the values, if the table has them.
        """
        columns = self._format_columns(outputs, bounds)
        if self.has_errors:
            readable = [index for index in range(len(ids)) if index not in errors]
            columns = [_insert_empty_cells(column, readable, len(ids)) for column in columns]
            columns.append([errors.get(index, "") for index in range(len(ids))])
        return self._format_lines(zip(ids, *columns, strict=True))

    @property
    def _is_binary(self) -> bool:
        return len(self.spec.classes) == 2 and self.spec.task == "classification"

    def _format_columns(self, outputs: np.ndarray, bounds: IntervalBounds | None) -> list[list[str]]:
        """Return the cells of each target column."""
        if self.format == "probability":
            shown = outputs.T[1:] if self._is_binary else outputs.T
            return [_format_numbers(column) for column in shown]
        if self.spec.task == "multilabel":
            return [[" ".join(labels) for labels in select_labels(outputs, self.spec.classes)]]
        if self.spec.task == "classification":
            return [[self.spec.classes[index] for index in rank_classes(outputs, 1)[:, 0].tolist()]]
        if not self.has_intervals or bounds is None:
            return [_format_numbers(column) for column in outputs.T]
        triples = zip(outputs.T, bounds.low.T, bounds.high.T, strict=True)
        return [_format_numbers(column) for triple in triples for column in triple]

    def _format_lines(self, rows: Iterable[Sequence[str]]) -> str:
        text = io.StringIO()
        if self.excel_safe:
            rows = [[escape_formula(cell) for cell in row] for row in rows]
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerows(rows)
        return text.getvalue()


def escape_formula(cell: str) -> str:
    """Return text that no spreadsheet takes for a formula: with an apostrophe before it; numbers are unchanged.

    Source: OWASP, "CSV injection".

    >>> escape_formula("=1+1"), escape_formula("-1.5"), escape_formula("@cat"), escape_formula("cat")
    ("'=1+1", '-1.5', "'@cat", 'cat')
    """
    if not cell.startswith(FORMULA_SIGNS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def format_json_lines(
    predictions: Sequence[Prediction | None],
    names: Sequence[str],
    ids: Sequence[str] | None,
    errors: Sequence[str | None] | None = None,
) -> str:
    """Return everything that the predictions contain, one JSON object per line.

    Args:
        predictions: None for an input that could not be read.
        names: of the inputs.
        ids: names of the rows, or None.
        errors: why each input could not be read, or None; without this argument the objects have no ``error``.
    """
    lines = []
    empty: dict[str, Any] = {"prediction": None, "probabilities": {}, "notes": (), "ood_score": None, "interval": None}
    for index, (prediction, name) in enumerate(zip(predictions, names, strict=True)):
        fields: dict[str, Any] = {
            "id": None if ids is None else ids[index],
            **(asdict(prediction) if prediction else {"input": name, **empty}),
        }
        if errors is not None:
            fields["error"] = errors[index]
        lines.append(json.dumps(fields, ensure_ascii=False) + "\n")
    return "".join(lines)


def _format_numbers(values: np.ndarray) -> list[str]:
    """Return numbers ``(N,)`` as text with the digits of their precision; those of single precision have fewer.

    >>> _format_numbers(np.array([0.1, 0.5])), _format_numbers(np.array([0.1], np.float32))
    (['0.1', '0.5'], ['0.100000001'])
    """
    doubles = values.astype(np.float64)
    with np.errstate(over="ignore"):
        is_single = doubles.astype(np.float32) == doubles
    if is_single.all():
        return list(map("{:.9g}".format, doubles.tolist()))
    return [
        f"{value:.9g}" if single else f"{value:.15g}"
        for value, single in zip(doubles.tolist(), is_single.tolist(), strict=True)
    ]


def _insert_empty_cells(column: Sequence[str], positions: Sequence[int], length: int) -> list[str]:
    """Return a column with empty cells where there is no value.

    >>> _insert_empty_cells(["a", "b"], [0, 2], 3)
    ['a', '', 'b']
    """
    cells = [""] * length
    for position, cell in zip(positions, column, strict=True):
        cells[position] = cell
    return cells

"""The forms of a file of answers: a row for each input, as competitions ask for it; or all that is known, as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from yisheng.core.errors import UsageError
from yisheng.core.types import Spec

if TYPE_CHECKING:
    from yisheng.inference.predictor import Answer

FORMATS = ("answer", "probability")


@dataclass(frozen=True)
class Form:
    """A table of answers: the name of each row, what is answered, and perhaps what was wrong.

    Args:
        spec: the contract: the target's name heads its column; several, with commas between them, make several.
        id_name: name of the first column; ``row`` if it is empty.
        format: ``answer`` writes the name of the class as in the training file (labels with spaces between them) or
            the value; ``probability`` that of the second of two classes, or a column for each of more.
        errors: whether there is a last column ``error``: why an input could not be read; its answer is then empty.
        separator: between the values.

    Raises:
        UsageError: the format is unknown, or does not fit the model.

    >>> form = Form(Spec("regression", (3,), target="price"), "Id")
    >>> form.names
    ('Id', 'price')
    """

    spec: Spec
    id_name: str = ""
    format: str = "answer"
    errors: bool = False
    separator: str = ","

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}", "say format=answer")
        if self.format == "probability" and not self.spec.classes:
            raise UsageError("only a model of classes or labels has probabilities", "say format=answer")

    @property
    def numbers(self) -> bool:
        """Whether what is answered are numbers."""
        return self.format == "probability" or self.spec.task == "regression"

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the columns that are answered."""
        spec = self.spec
        if self.format == "probability":
            return (spec.target,) if self._one_of_two else spec.classes
        if spec.task != "regression" or spec.outputs == 1:
            return (spec.target,)
        names = tuple(spec.target.split(", "))
        return names if len(names) == spec.outputs else tuple(f"{spec.target}-{n + 1}" for n in range(spec.outputs))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return (self.id_name or "row", *self.targets, *(("error",) if self.errors else ()))

    def header(self) -> str:
        """The first line."""
        return self._lines([self.names])

    def lines(self, answers: Sequence[Answer | None], ids: Sequence[str], errors: Sequence[str | None]) -> str:
        """A line for each input.

        Args:
            answers: None where an input could not be read.
            ids: what the rows are called.
            errors: what was wrong with each, or None.
        """
        rows = []
        for answer, id, error in zip(answers, ids, errors, strict=True):
            values = [""] * len(self.targets) if answer is None else self._values(answer)
            rows.append((id, *values, *((error or "",) if self.errors else ())))
        return self._lines(rows)

    @property
    def _one_of_two(self) -> bool:
        return len(self.spec.classes) == 2 and self.spec.task == "classification"

    def _values(self, answer: Answer) -> list[str]:
        said = answer.prediction
        if self.format == "probability":
            shown = self.spec.classes[1:] if self._one_of_two else self.spec.classes
            return [_written(answer.probabilities[name]) for name in shown]
        if self.spec.task == "multilabel":
            return [" ".join(said)]
        return [_written(value) for value in said] if isinstance(said, list) else [_written(said)]

    def _lines(self, rows: Sequence[Sequence[str]]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerows(rows)
        return text.getvalue()


def json_lines(
    answers: Sequence[Answer | None],
    names: Sequence[str],
    ids: Sequence[str] | None,
    errors: Sequence[str | None] | None = None,
) -> str:
    """All that is known of each input, an object a line.

    Args:
        answers: None where an input could not be read.
        names: what the inputs are called.
        ids: what the rows are called, or None.
        errors: what was wrong with each; None for inputs that are never left out, whose lines then tell of no error.
    """
    lines = list[str]()
    nothing: dict[str, Any] = {"prediction": None, "probabilities": {}, "notes": (), "unlike": None}
    for n, (answer, name) in enumerate(zip(answers, names, strict=True)):
        about: dict[str, Any] = {
            "id": None if ids is None else ids[n],
            **(asdict(answer) if answer else {"input": name, **nothing}),
        }
        if errors is not None:
            about["error"] = errors[n]
        lines.append(json.dumps(about, ensure_ascii=False) + "\n")
    return "".join(lines)


def _written(value: Any) -> str:
    """A number in as many digits as single precision holds; text as it is."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)

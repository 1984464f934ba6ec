"""From a run folder, or a study of k folds, to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yisheng.core.errors import DataError, UsageError
from yisheng.deploy import members, pictures, rows, saved
from yisheng.evaluate.predictions import link

TABLES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Answer:
    """What the model says of one input.

    Args:
        input: the file, or the row's number.
        prediction: class name, list of labels, or value.
        probabilities: by class name, the most probable first; empty for regression.
        notes: what was done to the input ("inverted: ...").
    """

    input: str
    prediction: Any
    probabilities: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Predictor:
    """A trained model that answers, with all that was fitted in training.

    That of a study is the mean of the models of its folds: of their probabilities, or of their values in the
    original units. Each scales its inputs as in its own training.

    Args:
        folder: a run folder, a study of k folds, or a search: its chosen setting's run.

    Raises:
        DataError: the folder does not hold a whole model; one damaged member of a study is enough.
    """

    def __init__(self, folder: Path) -> None:
        folder = members.chosen(folder)
        self.members = members.load(folder) if members.is_study(folder) else [saved.load(folder)]
        self.spec = self.members[0].spec

    def predict(self, inputs: Sequence[str | Path] | np.ndarray) -> list[Answer]:
        """Answers for picture files, CSV files, or an array.

        Args:
            inputs: paths of pictures (or of CSV files, for a model of rows); or values as in training:
                uint8 ``(N, C, H, W)``, float ``(N, D)``.

        Raises:
            DataError: an input cannot be read or has the wrong shape.
            UsageError: there are no inputs.
        """
        if isinstance(inputs, np.ndarray):
            x = self._checked(inputs)
            return self._answers(x, [str(n) for n in range(len(x))], [()] * len(x))
        if isinstance(inputs, str | Path) or not isinstance(inputs, Sequence):
            raise UsageError(
                f"predict wants a list of paths or a NumPy array, got {type(inputs).__name__}",
                "give [path], or an array",
            )
        if not inputs:
            raise UsageError("predict needs at least one input", "name a picture, a CSV file, or rows=1.5,2.0")
        wrong = [path for path in inputs if not isinstance(path, str | Path) or "\0" in str(path)]
        if wrong:
            raise UsageError(
                f"an input must be a path, got {wrong[0]!r}",
                "give paths; values go into a NumPy array, a row for each input",
            )
        paths = [Path(path) for path in inputs]
        if not self.spec.is_picture:
            return [answer for path in paths for answer in self.table(path)[0]]
        for path in paths:
            if path.suffix.lower() in TABLES:
                raise DataError(
                    f"the model wants pictures of shape {self.spec.shape}, {path} is a table", "give picture files"
                )
        read = [pictures.read(path, self.spec) for path in paths]
        return self._answers(
            np.stack([block for block, _ in read]), [str(p) for p in paths], [tuple(n) for _, n in read]
        )

    def table(self, path: Path, id: str = "") -> tuple[list[Answer], rows.Rows]:
        """Answers for the rows of a table, and the table as it was read: what its rows are called, what was noticed.

        Args:
            path: .csv, .tsv (perhaps .gz), .parquet or .npz with the columns of training.
            id: the column with the names of the rows; found by its name without it.

        Raises:
            DataError: the file cannot be read, or a column is missing.
            UsageError: the model is not for rows.
        """
        if self.spec.is_picture:
            raise UsageError(f"the model wants pictures of shape {self.spec.shape}, {path} is a table", "give pictures")
        found = rows.read_named(path, self.spec, id)
        names = [f"{path}:{n + 1}" for n in range(len(found.x))]
        return self._answers(found.x, names, [found.notes, *[()] * (len(names) - 1)]), found

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Probabilities ``(N, C)`` or predicted values ``(N, T)`` for inputs ``(N, *shape)``."""
        total = np.zeros((), np.float64)
        for member in self.members:
            found = _outputs(member, x)
            if len(self.members) == 1:
                return found
            total = total + found
        return (total / len(self.members)).astype(np.float32)

    def _checked(self, x: np.ndarray) -> np.ndarray:
        if x.ndim == 0 or tuple(x.shape[1:]) != self.spec.shape or len(x) == 0:
            raise DataError(
                f"inputs of shape (N, {', '.join(map(str, self.spec.shape))}) are wanted, got {x.shape}", "reshape them"
            )
        if x.dtype == np.uint8:
            return np.ascontiguousarray(x)
        if x.dtype.kind not in "fiub":
            raise DataError(
                f"inputs must be numbers, got an array of {x.dtype}", "convert them, as in x.astype('float32')"
            )
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(x, dtype=np.float32)
        if not np.isfinite(values).all():
            raise DataError("the inputs hold NaN, infinite or too large values", "remove or replace them")
        return values

    def _answers(self, x: np.ndarray, names: list[str], notes: Sequence[tuple[str, ...]]) -> list[Answer]:
        answers = []
        for name, row, said in zip(names, self.outputs(x), notes, strict=True):
            if self.spec.task == "regression":
                value = [float(v) for v in row]
                answers.append(Answer(name, value[0] if len(value) == 1 else value, notes=said))
                continue
            order = np.argsort(-row, kind="stable")
            ranked = {self.spec.classes[i]: float(row[i]) for i in order}
            if self.spec.task == "multilabel":
                answers.append(Answer(name, [c for c, p in ranked.items() if p >= 0.5], ranked, said))
            else:
                answers.append(Answer(name, next(iter(ranked)), ranked, said))
        return answers


def _outputs(model: saved.Saved, x: np.ndarray) -> np.ndarray:
    """What one model says of all inputs, some at a time."""
    invert = model.target_scale.invert if model.target_scale is not None else None
    with torch.inference_mode():
        parts = [
            link(model.model(model.scale.apply(torch.from_numpy(x[at : at + 256]))), model.spec, invert)
            for at in range(0, len(x), 256)
        ]
        return torch.cat(parts).numpy()

"""From a run folder, or a study of k folds, to answers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from yisheng.core.errors import DataError, UsageError
from yisheng.evaluation.predictions import link
from yisheng.inference import artifact, dataframes, ensemble, images, rows
from yisheng.inference.ood import LEVEL

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Answer:
    """What the model says of one input.

    Args:
        input: the file, or the row's number.
        prediction: class name, list of labels, or value.
        probabilities: by class name, the most probable first; empty for regression.
        notes: what was done to the input ("inverted: ..."), and what is to be said of it ("unlike the training
            data: ...").
        unlike: share of the rows held out of training that were less unusual than this one, from 0 to 1; above 0.995
            it says so in the notes. None where the run does not know.
    """

    input: str
    prediction: Any
    probabilities: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unlike: float | None = None


Inputs: TypeAlias = "Sequence[str | Path] | np.ndarray | pd.DataFrame"


class Predictor:
    """A trained model that answers, with all that was fitted in training.

    That of a study is the mean of the models of its folds: of their probabilities, or of their values in the
    original units. Each scales its inputs as in its own training. How unlike the training data an input is the first
    one says: they saw nearly the same rows, and a mean of such shares would no longer be one.

    Args:
        folder: a run folder, a study of k folds, or a search: its chosen setting's run.

    Raises:
        DataError: the folder does not hold a whole model; one damaged member of a study is enough.
    """

    def __init__(self, folder: Path) -> None:
        folder = ensemble.chosen(folder)
        self.members = ensemble.load(folder) if ensemble.is_study(folder) else [artifact.load(folder)]
        self.spec = self.members[0].spec
        self._looking = threading.Lock()

    def predict(self, inputs: Inputs) -> list[Answer]:
        """Answers for image files, CSV files, an array, or a DataFrame.

        Args:
            inputs: paths of images (or of CSV files, for a model of rows); or values as in training:
                uint8 ``(N, C, H, W)``, float ``(N, D)``; or a DataFrame with the columns of training.

        Raises:
            DataError: an input cannot be read or has the wrong shape.
            UsageError: there are no inputs.
        """
        return self._answers(*self._taken(inputs))

    def _taken(self, inputs: Inputs) -> tuple[np.ndarray, list[str], list[tuple[str, ...]]]:
        """The values, what each input is called, and what was done to it."""
        if isinstance(inputs, np.ndarray):
            x = self._checked(inputs)
            return x, [str(n) for n in range(len(x))], [()] * len(x)
        if dataframes.is_frame(inputs):
            found = dataframes.read(inputs, self.spec)
            return found.x, [str(n) for n in range(len(found.x))], _first(found.notes, len(found.x))
        if isinstance(inputs, str | Path) or not isinstance(inputs, Sequence):
            raise UsageError(
                f"predict wants a list of paths or a NumPy array, got {type(inputs).__name__}",
                "give [path], or an array",
            )
        if not inputs:
            raise UsageError("predict needs at least one input", "name an image, a CSV file, or rows=1.5,2.0")
        wrong = [path for path in inputs if not isinstance(path, str | Path) or "\0" in str(path)]
        if wrong:
            raise UsageError(
                f"an input must be a path, got {wrong[0]!r}",
                "give paths; values go into a NumPy array, a row for each input",
            )
        paths = [Path(path) for path in inputs]
        if not self.spec.is_image:
            tables = [self._table(path) for path in paths]
            x = np.concatenate([found.x for found, _ in tables])
            notes = [note for found, _ in tables for note in _first(found.notes, len(found.x))]
            return x, [name for _, names in tables for name in names], notes
        for path in paths:
            if path.suffix.lower() in TABLES:
                raise DataError(
                    f"the model wants images of shape {self.spec.shape}, {path} is a table", "give image files"
                )
        read = [images.read(path, self.spec) for path in paths]
        return np.stack([block for block, _ in read]), [str(p) for p in paths], [tuple(n) for _, n in read]

    def table(self, path: Path, id: str = "") -> tuple[list[Answer], rows.Rows]:
        """Answers for the rows of a table, and the table as it was read: what its rows are called, what was noticed.

        Args:
            path: .csv, .tsv (perhaps .gz), .parquet or .npz with the columns of training.
            id: the column with the names of the rows; found by its name without it.

        Raises:
            DataError: the file cannot be read, or a column is missing.
            UsageError: the model is not for rows.
        """
        found, names = self._table(path, id)
        return self._answers(found.x, names, _first(found.notes, len(names))), found

    def _table(self, path: Path, id: str = "") -> tuple[rows.Rows, list[str]]:
        """A table as it was read, and what its rows are called in answers."""
        if self.spec.is_image:
            raise UsageError(f"the model wants images of shape {self.spec.shape}, {path} is a table", "give images")
        found = rows.read_named(path, self.spec, id)
        return found, [f"{path}:{n + 1}" for n in range(len(found.x))]

    def values(self, inputs: Inputs) -> np.ndarray:
        """`outputs` for all that `predict` takes, as one block.

        Raises:
            DataError: an input cannot be read or has the wrong shape.
            UsageError: there are no inputs.
        """
        return self.outputs(self._taken(inputs)[0])

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Probabilities ``(N, C)`` or predicted values ``(N, T)`` for inputs ``(N, *shape)``."""
        return _mean([_outputs(member, x) for member in self.members])

    def judge(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """`outputs`, and how unlike the training data each input is, in one forward pass.

        Args:
            x: inputs ``(N, *shape)``.

        Returns:
            ``(N, C)`` or ``(N, T)``; and float64 ``(N,)``, the share of held-out rows that were less unusual, or None
            where the run does not know.
        """
        first, *rest = self.members
        if first.familiar is None:
            return self.outputs(x), None
        unlike: list[torch.Tensor] = []
        with self._looking:  # the layers tell what comes by, whoever sent it
            outputs = _outputs(first, x, unlike)
        return _mean([outputs, *(_outputs(member, x) for member in rest)]), torch.cat(unlike).numpy()

    def warnings(self, x: np.ndarray, unlike: np.ndarray | None) -> list[tuple[str, ...]]:
        """For each input what to say where it is unlike the training data; nothing where it is not.

        Args:
            x: inputs ``(N, *shape)``.
            unlike: as `judge` gives it.
        """
        known = self.members[0].familiar
        said: list[tuple[str, ...]] = [()] * len(x)
        if unlike is None or known is None or not (unlike > LEVEL).any():
            return said
        far = np.flatnonzero(unlike > LEVEL)
        for row, columns in zip(far, known.reasons(torch.from_numpy(x[far]), self.spec), strict=True):
            named = ", ".join(columns[:5]) + f" and {len(columns) - 5} more columns" * (len(columns) > 5)
            why = (
                f"{named} beyond the values seen there"
                if columns
                else f"fewer than 1 in {round(1 / (1 - LEVEL))} held-out rows are as unusual"
            )
            said[row] = (f"unlike the training data: {why}",)
        return said

    def _checked(self, x: np.ndarray) -> np.ndarray:
        if x.ndim == 0 or tuple(x.shape[1:]) != self.spec.shape or len(x) == 0:
            raise DataError(
                f"inputs of shape (N, {', '.join(map(str, self.spec.shape))}) are wanted, got {x.shape}", "reshape them"
            )
        if x.dtype == np.uint8:
            return np.require(x, requirements=["C", "W"])
        if x.dtype.kind not in "fiub":
            raise DataError(
                f"inputs must be numbers, got an array of {x.dtype}", "convert them, as in x.astype('float32')"
            )
        with np.errstate(over="ignore"):
            values = np.require(x, np.float32, ["C", "W"])
        if not np.isfinite(values).all():
            raise DataError("the inputs hold NaN, infinite or too large values", "remove or replace them")
        return values

    def _answers(self, x: np.ndarray, names: list[str], notes: Sequence[tuple[str, ...]]) -> list[Answer]:
        outputs, unlike = self.judge(x)
        said = [(*before, *more) for before, more in zip(notes, self.warnings(x, unlike), strict=True)]
        return self.answers(outputs, names, said, unlike)

    def answers(
        self,
        outputs: np.ndarray,
        names: Sequence[str],
        notes: Sequence[tuple[str, ...]],
        unlike: np.ndarray | None = None,
    ) -> list[Answer]:
        """What outputs say in words; see `judge` and `warnings`.

        Args:
            outputs: probabilities ``(N, C)`` or values ``(N, T)``.
            names: what the inputs are called.
            notes: what was done to each.
            unlike: how unlike the training data each is ``(N,)``, or None.
        """
        answers = []
        for name, row, said, far in zip(names, outputs, notes, _each(unlike, len(outputs)), strict=True):
            if self.spec.task == "regression":
                value = [float(v) for v in row]
                answers.append(Answer(name, value[0] if len(value) == 1 else value, notes=said, unlike=far))
                continue
            order = np.argsort(-row, kind="stable")
            ranked = {self.spec.classes[i]: float(row[i]) for i in order}
            if self.spec.task == "multilabel":
                answers.append(Answer(name, [c for c, p in ranked.items() if p >= 0.5], ranked, said, far))
            else:
                answers.append(Answer(name, next(iter(ranked)), ranked, said, far))
        return answers


def _outputs(model: artifact.Saved, x: np.ndarray, unlike: list[torch.Tensor] | None = None) -> np.ndarray:
    """What one model says of all inputs, some at a time; how unlike they are goes into ``unlike``, if it is wanted."""
    invert = model.target_scale.invert if model.target_scale is not None else None
    parts = []
    with torch.inference_mode():
        for at in range(0, len(x), 256):
            raw = torch.from_numpy(x[at : at + 256])
            scaled = model.scale.apply(raw)
            if unlike is None or model.familiar is None:
                output = model.model(scaled)
            else:
                output, far = model.familiar.look(model.model, scaled, raw)
                unlike.append(far)
            parts.append(link(output, model.spec, invert))
        return torch.cat(parts).numpy()


def _mean(each: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the members' outputs; of a single one its very own."""
    return each[0] if len(each) == 1 else np.mean([one.astype(np.float64) for one in each], axis=0).astype(np.float32)


def _first(notes: tuple[str, ...], rows: int) -> list[tuple[str, ...]]:
    """What was noticed of a table stands at its first row."""
    return [notes, *[()] * (rows - 1)][:rows]


def _each(unlike: np.ndarray | None, rows: int) -> list[float | None]:
    return [None] * rows if unlike is None else [float(value) for value in unlike]

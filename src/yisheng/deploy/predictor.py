"""From a run folder to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yisheng.core.errors import DataError, UsageError
from yisheng.deploy import pictures, rows, saved
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

    Args:
        folder: a run folder.

    Raises:
        DataError: the folder does not hold a whole model.
    """

    def __init__(self, folder: Path) -> None:
        self.saved = saved.load(folder)
        self.spec = self.saved.spec

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
            blocks = [rows.read(path, self.spec) for path in paths]
            names = [f"{p}:{n + 1}" for p, b in zip(paths, blocks, strict=True) for n in range(len(b))]
            return self._answers(np.concatenate(blocks), names, [()] * len(names))
        for path in paths:
            if path.suffix.lower() in TABLES:
                raise DataError(
                    f"the model wants pictures of shape {self.spec.shape}, {path} is a table", "give picture files"
                )
        read = [pictures.read(path, self.spec) for path in paths]
        return self._answers(
            np.stack([block for block, _ in read]), [str(p) for p in paths], [tuple(n) for _, n in read]
        )

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Probabilities ``(N, C)`` or predicted values ``(N, T)`` for inputs ``(N, *shape)``."""
        invert = self.saved.target_scale.invert if self.saved.target_scale is not None else None
        with torch.inference_mode():
            parts = [
                link(self.saved.model(self.saved.scale.apply(torch.from_numpy(x[at : at + 256]))), self.spec, invert)
                for at in range(0, len(x), 256)
            ]
            return torch.cat(parts).numpy()

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

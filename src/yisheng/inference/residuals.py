"""The errors on held-out rows, ``residuals.safetensors``, from which prediction intervals are made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors

from yisheng.core import files
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.spec import Spec
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.evaluation.conformal import HeldOutErrors, IntervalBounds, compute_bounds, require_rows
from yisheng.inference import ensemble
from yisheng.inference.artifact import Artifact
from yisheng.inference.model_files import verify_checksums, write_checksums

ERRORS = "errors"


def save_residuals(folder: Path, errors: np.ndarray) -> None:
    """Write the held-out errors of a model next to its files, and their SHA-256.

    Args:
        folder: with the files of the model.
        errors: see `yisheng.evaluation.conformal.compute_errors`.

    Raises:
        StorageError: a file cannot be written.
    """
    path = folder / RunFolder.RESIDUALS
    content = serialize_tensors({ERRORS: torch.from_numpy(np.ascontiguousarray(errors))})
    if not path.is_file() or path.read_bytes() != content:
        files.write_file(path, content)
    write_checksums(folder)


def load_residuals(folder: Path, spec: Spec) -> np.ndarray:
    """Return the held-out errors of a model, ascending for each target, float64 ``(n, T)``.

    Raises:
        DataError: the file is missing, damaged, or not the one that was written with the model.
    """
    path = folder / RunFolder.RESIDUALS
    verify_checksums(folder, RunFolder.RESIDUALS)
    try:
        errors = parse_safetensors(path.read_bytes())[ERRORS].numpy()
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise DataError(Message("{path} cannot be read: {error}", path=path, error=error), INTACT_COPY) from None
    is_valid = errors.dtype == np.float64 and errors.ndim == 2 and errors.shape[1] == spec.outputs and len(errors) > 0
    if not is_valid or not np.isfinite(errors).all() or (errors < 0).any() or (np.diff(errors, axis=0) < 0).any():
        raise DataError(
            Message(
                "{path} is damaged: it must hold ascending errors of {outputs} targets", path=path, outputs=spec.outputs
            ),
            INTACT_COPY,
        )
    return errors


@dataclass(frozen=True)
class ConformalIntervals:
    """What the prediction intervals of a run or cross-validation are made of.

    Args:
        held_out: the errors of the model, or of each fold model.
        repeats: how often each row was held out.
        uses_mean: whether the errors are those of the mean of all models, rather than of each.

    >>> intervals = ConformalIntervals([HeldOutErrors(np.arange(1.0, 20.0)[:, None])])
    >>> outputs = np.array([[100.0]])
    >>> intervals.compute([outputs], outputs, 0.9).high.tolist(), intervals.rows, len(intervals.fingerprint)
    ([[118.0]], 19, 64)
    >>> intervals.require(0.9)
    """

    held_out: Sequence[HeldOutErrors]
    repeats: int = 1
    uses_mean: bool = False

    @property
    def fingerprint(self) -> str:
        """Return a hash of the errors."""
        return hashlib.sha256(b"".join(item.errors.tobytes() for item in self.held_out)).hexdigest()

    @property
    def rows(self) -> int:
        """Return the number of held-out rows."""
        return sum(map(len, self.held_out)) // self.repeats

    def require(self, level: float) -> None:
        """Refuse a level that needs more held-out rows than there are.

        Raises:
            UsageError: there are too few.
        """
        require_rows(level, self.rows)

    def compute(self, outputs: Sequence[np.ndarray], mean: np.ndarray, level: float) -> IntervalBounds:
        """Compute the intervals of some rows.

        Args:
            outputs: predictions of each model ``(N, T)``, in the original units.
            mean: the predictions ``(N, T)`` that are reported.
            level: the fraction of rows whose true value should be in its interval.

        Raises:
            UsageError: there are too few held-out rows for this level.
        """
        return compute_bounds([mean] if self.uses_mean else outputs, self.held_out, level, repeats=self.repeats)


def load_intervals(folder: Path, artifacts: Sequence[Artifact]) -> ConformalIntervals:
    """Return what the intervals of a run or cross-validation are made of.

    Args:
        folder: of the run or cross-validation.
        artifacts: its models.

    Raises:
        UsageError: the model does not predict numbers, or the run held out no rows.
        DataError: a file is damaged.
    """
    spec = artifacts[0].spec
    if spec.task != "regression":
        kind = "labels" if spec.task == "multilabel" else "classes"
        raise UsageError(
            Message("interval= is for models of numbers, this one predicts {kind}", kind=kind),
            Message("leave it out: each prediction has probabilities"),
        )
    if _has_residuals(folder):
        return ConformalIntervals(
            [HeldOutErrors(load_residuals(folder, spec), artifacts[0].target_scale)], uses_mean=len(artifacts) > 1
        )
    if not RunFolder(folder).is_cross_validation:
        errors = getattr(artifacts[0].model, "out_of_fold_errors", None)  # an ensemble without a test part
        if errors is None or not len(errors):
            raise _explain_missing(folder)
        return ConformalIntervals([HeldOutErrors(errors.double().cpu().numpy(), artifacts[0].target_scale)])
    names = [entry["folder"] for entry in ensemble.read_description(folder)["fold_models"]]
    if not all(_has_residuals(folder / name) for name in names):
        raise _explain_missing(folder)
    held_out = [
        HeldOutErrors(load_residuals(folder / name, spec), artifact.target_scale)
        for name, artifact in zip(names, artifacts, strict=True)
    ]
    return ConformalIntervals(held_out, _read_repeats(folder, len(names)))


def _has_residuals(folder: Path) -> bool:
    return os.path.lexists(folder / RunFolder.RESIDUALS)


def _read_repeats(folder: Path, fold_models: int) -> int:
    """Return how often a cross-validation held out each row."""
    path = folder / RunFolder.CROSS_VALIDATION
    description: Any = files.read_json(path)
    repeats = description.get("repeats") if isinstance(description, dict) else None
    if not isinstance(repeats, int) or isinstance(repeats, bool) or repeats < 1 or fold_models % repeats:
        raise DataError(
            Message(
                "{path} is damaged: {fold_models} models cannot be of {repeats} repeats",
                path=path,
                fold_models=fold_models,
                repeats=f"{repeats!r}",
            ),
            INTACT_COPY,
        )
    return repeats


def _explain_missing(folder: Path) -> UsageError:
    return UsageError(
        Message(
            "the model in {folder} has no {RESIDUALS}: no errors on held-out rows, so no intervals",
            folder=folder,
            RESIDUALS=RunFolder.RESIDUALS,
        ),
        Message(
            "score it again: yisheng evaluate {folder}; a run without a validation part is trained again with one",
            folder=folder,
        ),
    )

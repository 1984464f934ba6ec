"""``export``: a trained model as one file for other programs, checked at once against the original."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core import files, run_folder
from yisheng.core.errors import UsageError, YishengError, closest
from yisheng.core.types import Dataset
from yisheng.experiments import load_data
from yisheng.inference import ensemble
from yisheng.inference.export.example_inputs import drawn
from yisheng.inference.export.full_model import Whole, example
from yisheng.inference.export.metadata import about
from yisheng.inference.export.verify import ROWS, Agreement, check
from yisheng.inference.predictor import Predictor

FORMATS = ("onnx", "safetensors", "torchscript")
NAME = "export"
"""Of the file in the run folder, where no other place is named."""


@dataclass(frozen=True)
class Exported:
    """A file that answers as the run does.

    Args:
        path: the file.
        format: its format.
        size: its bytes.
        samples: what it was checked with, for people (``256 test rows``).
        agreement: how far its answers are from the run's.
    """

    path: Path
    format: str
    size: int
    samples: str
    agreement: Agreement


def export(
    folder: Path, *, format: str = "onnx", out: Path | None = None, force: bool = False, data: Dataset | None = None
) -> Exported:
    """Write preprocessing, network and what its outputs mean into one file, and see that it answers as the run does.

    Args:
        folder: a run, a study (the mean of its models), or a search (its chosen setting's run).
        format: ``onnx``, ``safetensors`` or ``torchscript``.
        out: the file; ``export.onnx`` (.safetensors, .pt) in the folder without it.
        force: write over a file that is there.
        data: the data set to take samples from, where the config cannot name it.

    Raises:
        UsageError: the format is unknown, the file is there already, or the weights do not fit into one.
        DataError: the folder does not hold a whole model, or the file answers other than the run; nothing is left.
        MissingPartError: the format needs an extra that is not installed.
        StorageError: the file cannot be written; an old one is as it was.
    """
    if format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}, got {format!r}", closest(str(format), FORMATS))
    writer = importlib.import_module(f"yisheng.inference.export.{format}_file")
    writer.require()
    folder = ensemble.chosen(folder)
    path = folder / f"{NAME}{writer.SUFFIX}" if out is None else out
    if os.path.lexists(path) and (not force or path.is_dir() or _belongs(path)):
        remedy = "name another with out=" if path.is_dir() or _belongs(path) else "say force=true, or out="
        raise UsageError(f"{path} is there already", remedy)
    predictor = Predictor(folder)
    samples, x = _samples(folder, predictor, data)
    whole = Whole(predictor.members)
    two = example(whole, x)
    with files.replacing(path) as temporary:
        writer.write(temporary, whole, two, about(predictor.members, x.dtype))
        agreement = check(writer.answer(temporary), predictor.outputs, x, predictor.spec)
        size = temporary.stat().st_size
    return Exported(path, format, size, samples, agreement)


def _belongs(path: Path) -> bool:
    """Whether a file is one of a run folder's own."""
    return path.name in ("model.safetensors", "model.json") and (path.parent / run_folder.CONFIG).exists()


def _samples(folder: Path, predictor: Predictor, data: Dataset | None) -> tuple[str, np.ndarray]:
    """Inputs to check with, and what they are: rows of the run's own parts, or drawn ones where these are lost."""
    member = folder / ensemble.description(folder)["members"][0]["folder"] if ensemble.is_study(folder) else folder
    spec = predictor.spec
    try:
        config = run_folder.config(member)
        data = load_data.dataset(config) if data is None else data
        split = load_data.split(config, data)
    except YishengError as error:
        inputs = drawn(spec, predictor.members[0].scale, ROWS)
        return f"{ROWS} inputs drawn in the range of training (its data cannot be had: {error.problem})", inputs
    if data.spec.shape != spec.shape:
        raise UsageError(
            f"{data.name} has inputs of shape {data.spec.shape}, the run wants {spec.shape}",
            "give the data of the training",
        )
    parts: dict[str, Any] = {"test": split.test, "validation": split.validation, "training": split.train}
    part = next(name for name, rows in parts.items() if len(rows))
    rows = parts[part][:ROWS]
    return f"{len(rows)} {part} rows", np.ascontiguousarray(data.x[np.sort(rows)])

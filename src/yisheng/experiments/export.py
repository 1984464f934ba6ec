"""``export``: a trained model as one file for other programs, verified against the original."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from yisheng.core import files
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError, YishengError, suggest
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.inference import ensemble
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.export.full_model import FullModel, make_example_inputs
from yisheng.inference.export.image_inputs import describe_scaling, format_preparation
from yisheng.inference.export.metadata import build_metadata
from yisheng.inference.export.resizing import can_resize
from yisheng.inference.export.verify import MAX_ROWS, Agreement, verify_export, verify_resizing
from yisheng.inference.predictor import Predictor

FORMATS: Final = ("onnx", "safetensors", "torchscript")
DEFAULT_STEM: Final = "export"
"""Name of the file in the run folder, without its suffix."""
PREPARATION_SUFFIX: Final = ".preparation.txt"
"""Follows the name of a file that does not resize images."""


@dataclass(frozen=True)
class Exported:
    """An exported file that predicts as the run does.

    Args:
        path: the file.
        format: its format.
        size: its bytes.
        samples: what it was verified with, for people (``256 test rows``).
        agreement: how far its outputs are from the run's.
        image: how it takes images, see `yisheng.inference.export.image_inputs`; None for other data.
        preparation: a file next to it that says how images are prepared; None if the file does it all.

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> exported = export(run.path, format="safetensors")
    >>> exported.path.name, exported.samples, max(exported.agreement.largest.values()) < 1e-4
    ('export.safetensors', '30 test rows', True)
    """

    path: Path
    format: str
    size: int
    samples: str
    agreement: Agreement
    image: Mapping[str, Any] | None = None
    preparation: Path | None = None


def export(
    folder: Path,
    *,
    format: str = "onnx",
    out: Path | None = None,
    force: bool = False,
    resize: bool = True,
    data: Dataset | None = None,
) -> Exported:
    """Write preprocessing, network and output functions into one file, and verify that it predicts as the run does.

    Args:
        folder: of a run, a cross-validation (the mean of its models), or a search (its final run).
        format: ``onnx``, ``safetensors`` or ``torchscript``.
        out: the file; by default ``export.onnx`` (.safetensors, .pt) in the folder.
        force: replace an existing file.
        resize: take images of any size. False: only of the network's size, for programs that know no sizes that vary,
            or no double precision.
        data: the data set for the samples, if the config cannot name it.

    Raises:
        UsageError: the format is unknown, the file exists already, or the weights do not fit into one.
        DataError: the folder does not hold a complete model, or the file predicts differently; nothing is written.
        MissingPartError: the format needs an extra that is not installed.
        StorageError: the file cannot be written; an old one is unchanged.
    """
    if format not in FORMATS:
        raise UsageError(
            Message("format must be one of {FORMATS}, got {format}", FORMATS=", ".join(FORMATS), format=f"{format!r}"),
            suggest(str(format), FORMATS),
        )
    writer = importlib.import_module(f"yisheng.inference.export.{format}_file")
    writer.require_packages()
    run = RunFolder(folder).model_folder
    path = run.file(f"{DEFAULT_STEM}{writer.SUFFIX}") if out is None else out
    _require_free(path, force=force)
    predictor = Predictor(run.path)
    spec = predictor.spec
    if not resize and not spec.is_image:
        raise UsageError(
            Message("resize=false is for images; these are {description}", description=spec.description),
            Message("leave resize out"),
        )
    samples, x = _choose_samples(run, predictor, data)
    any_size = resize and writer.HOLDS_CODE and can_resize(spec)
    model = FullModel(predictor.artifacts, resizes=any_size)
    metadata = build_metadata(predictor.artifacts, x.dtype, any_size=any_size)
    image = metadata["image"]
    preparation = None if image is None or any_size else path.with_name(path.name + PREPARATION_SUFFIX)
    if preparation is not None:
        _require_free(preparation, force=force)
    with files.replace_file(path) as temporary:
        writer.write(temporary, model, make_example_inputs(model, x), metadata)
        predict = writer.load(temporary)
        agreement = verify_export(predict, predictor.compute_outputs, x, spec)
        if any_size:
            difference = verify_resizing(predict, predictor.compute_outputs, spec, x.dtype)
            agreement = replace(agreement, other_sizes=difference)
        size = temporary.stat().st_size
        if preparation is not None:
            scaling = None if writer.HOLDS_CODE else describe_scaling(metadata["models"][0]["transforms"]["input"])
            files.write_file(preparation, format_preparation(image, path.name, scaling))
    return Exported(path, format, size, samples, agreement, image, preparation)


def _require_free(path: Path, *, force: bool) -> None:
    """Refuse to replace a folder or a file of a run, and other files unless ``force`` is set."""
    if not os.path.lexists(path):
        return
    is_protected = path.is_dir() or _belongs_to_run(path)
    if is_protected or not force:
        remedy = Message("use force=true to replace it, or another out=")
        if is_protected:
            remedy = Message("name another file with out=")
        raise UsageError(Message("{path} exists already", path=path), remedy)


def _belongs_to_run(path: Path) -> bool:
    return path.name in (RunFolder.WEIGHTS, RunFolder.MODEL) and (path.parent / RunFolder.CONFIG).exists()


def _choose_samples(run: RunFolder, predictor: Predictor, data: Dataset | None) -> tuple[str, np.ndarray]:
    """Return inputs to verify with and their description: rows of the run's parts, or random ones without its data."""
    single, spec = run, predictor.spec
    if run.is_cross_validation:
        single = RunFolder(ensemble.find_first_fold(run.path))
    try:
        config = single.config
        data = load_dataset(config) if data is None else data
        split = split_dataset(config, data)
    except YishengError as error:
        inputs = draw_example_inputs(spec, predictor.artifacts[0].scale, MAX_ROWS)
        description = Message(
            "{count} random inputs in the range of the training (its data is missing: {problem})",
            count=MAX_ROWS,
            problem=error.problem,
        )
        return description, inputs
    if data.spec.shape != spec.shape:
        raise UsageError(
            Message(
                "{name} has inputs of shape {shape}, the run takes {run_shape}",
                name=data.name,
                shape=data.spec.shape,
                run_shape=spec.shape,
            ),
            Message("give the data of the training"),
        )
    parts = (
        (Message("test"), split.test),
        (Message("validation"), split.validation),
        (Message("training"), split.train),
    )
    part, rows = next((part, rows[:MAX_ROWS]) for part, rows in parts if len(rows))
    description = Message("{count} {part} rows", count=len(rows), part=part)
    return description, np.ascontiguousarray(data.x[np.sort(rows)])

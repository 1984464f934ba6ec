"""A search for TensorBoard: its HParams view, and each trial's training-loss curve."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yisheng.core.errors import MissingPartError
from yisheng.core.files import storage_error
from yisheng.reporting.formatting import clean
from yisheng.reporting.search_facts import LARGEST, Search, Trial, read, word

FOLDER = "tensorboard"
EVENTS = "events.out.tfevents.*"
CURVE = "loss/training"


def hparams(folder: Path, out: Path | None = None) -> Path:
    """Write a search as TensorBoard's event files, a folder for each trial: ``tensorboard --logdir OUT`` shows them.

    A trial's files hold its setting, its mean validation score (``score/rmse``), and its training loss by epoch
    (``loss/training``). Trials that failed have no score and the status of a failure.

    Args:
        folder: of the search, with its ``trials.json``.
        out: where the trials' folders go; ``tensorboard`` in the search's folder by default. Event files of an
            earlier call are replaced.

    Returns:
        the folder that was written.

    Raises:
        MissingPartError: TensorBoard is not installed.
        DataError: ``trials.json`` is missing or damaged.
        StorageError: a file cannot be written.
    """
    search, board = read(Path(folder)), require()
    out = Path(folder) / FOLDER if out is None else Path(out)
    kinds = {
        axis.name: _is_number([t.setting[axis.name] for t in search.trials if axis.name in t.setting])
        for axis in search.axes
    }
    try:
        for old in out.glob(f"trial-*/{EVENTS}"):
            old.unlink()
        for trial in search.trials:
            with contextlib.closing(board.SummaryWriter(str(out / f"trial-{trial.number:04d}"))) as writer:
                _write(writer, search, trial, kinds)
    except OSError as error:
        raise storage_error(error, out) from error
    return out


def require() -> Any:
    """torch's writer of TensorBoard's files.

    Raises:
        MissingPartError: TensorBoard is not installed.
    """
    try:
        return importlib.import_module("torch.utils.tensorboard")
    except Exception:  # absent, or built for another protobuf
        raise MissingPartError(
            "tensorboard=true needs TensorBoard", 'pip install "yisheng[tensorboard]", or leave it out'
        ) from None


def _write(writer: Any, search: Search, trial: Trial, numbers: Mapping[str, bool]) -> None:
    """One trial: setting, curve, score, and how it ended."""
    summary = importlib.import_module("torch.utils.tensorboard.summary")
    setting = {
        name: float(value) if numbers[name] else clean(word(value))
        for name, value in trial.setting.items()
        if name in numbers
    }
    values = {
        axis.name: [float(v) if numbers[axis.name] else clean(word(v)) for v in axis.values]
        for axis in search.axes
        if axis.values and axis.name in setting and (not numbers[axis.name] or _is_number(axis.values))
    }
    tag = f"score/{search.score}"
    experiment, start, end = summary.hparams(setting, {tag: trial.score}, values)
    writer.file_writer.add_summary(experiment)
    writer.file_writer.add_summary(start)
    for epoch, loss in enumerate(trial.curve, 1):
        if loss is not None and abs(loss) < LARGEST:
            writer.add_scalar(CURVE, loss, epoch)
    if math.isfinite(trial.score):
        writer.add_scalar(tag, trial.score, trial.epochs or 0)
        writer.file_writer.add_summary(end)
    elif trial.failure or search.finished:
        writer.file_writer.add_summary(_failure())


def _failure() -> Any:
    """The summary that ends a failed session, which torch has no words for."""
    api: Any = importlib.import_module("tensorboard.plugins.hparams.api_pb2")
    metadata: Any = importlib.import_module("tensorboard.plugins.hparams.metadata")
    plugin: Any = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2")
    proto: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    content = plugin.HParamsPluginData(
        session_end_info=plugin.SessionEndInfo(status=api.Status.Value("STATUS_FAILURE"))
    )
    about = metadata.create_summary_metadata(content)
    return proto.Summary(value=[proto.Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about)])


def _is_number(values: list[Any]) -> bool:
    """Whether all values of a parameter are numbers; else it is told in words."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < LARGEST for v in values)

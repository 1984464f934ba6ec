"""A search for TensorBoard: its HParams view, and each trial's curve of the training loss."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from yisheng.core.errors import MissingPartError
from yisheng.core.files import explain_write_error
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.loggers.tensorboard.event_file import PATTERN
from yisheng.reporting.formatting import replace_unprintable
from yisheng.reporting.search_facts import MAX_SCORE, Search, Trial, format_value, read_search

TRAINING_LOSS: Final = "loss/training"


def write_hparams(folder: Path, out: Path | None = None) -> Path:
    """Write a search as TensorBoard's event files, a folder for each trial: ``tensorboard --logdir OUT`` shows them.

    A trial's files hold its setting, its mean validation score (``score/rmse``), and its training loss by epoch
    (``loss/training``). Trials that failed have no score and the status of a failure.

    Args:
        folder: of the search, with its ``trials.json``.
        out: where the trials' folders go; ``tensorboard`` in the search's folder by default. Event files of an
            earlier call are replaced.

    Returns:
        The folder that was written.

    Raises:
        MissingPartError: TensorBoard is not installed.
        DataError: ``trials.json`` is missing or damaged.
        StorageError: a file cannot be written.
    """
    search, tensorboard = read_search(Path(folder)), require_tensorboard()
    out = Path(folder) / RunFolder.TENSORBOARD if out is None else Path(out)
    numeric = {
        axis.name: _are_numbers([t.setting[axis.name] for t in search.trials if axis.name in t.setting])
        for axis in search.axes
    }
    try:
        for path in out.glob(f"trial-*/{PATTERN}"):
            path.unlink()
        for trial in search.trials:
            with contextlib.closing(tensorboard.SummaryWriter(str(out / f"trial-{trial.number:04d}"))) as writer:
                _write_trial(writer, search, trial, numeric)
    except OSError as error:
        raise explain_write_error(error, out) from error
    return out


def require_tensorboard() -> Any:
    """Return torch's module that writes TensorBoard's files.

    Raises:
        MissingPartError: TensorBoard is not installed.
    """
    try:
        return importlib.import_module("torch.utils.tensorboard")
    except Exception:  # not installed, or built for another version of protobuf
        raise MissingPartError(
            Message("tensorboard=true needs TensorBoard"),
            Message('pip install "yisheng[tensorboard]", or leave it out'),
        ) from None


def _write_trial(writer: Any, search: Search, trial: Trial, numeric: Mapping[str, bool]) -> None:
    """Write the setting, curve and score of a trial, and how it ended.

    Args:
        writer: of the trial's folder.
        search: the search.
        trial: one of its trials.
        numeric: whether all values of an axis are numbers, by name.
    """
    summary = importlib.import_module("torch.utils.tensorboard.summary")

    def format_setting(name: str, value: Any) -> float | str:
        return float(value) if numeric[name] else replace_unprintable(format_value(value))

    setting = {name: format_setting(name, value) for name, value in trial.setting.items() if name in numeric}
    values = {
        axis.name: [format_setting(axis.name, value) for value in axis.values]
        for axis in search.axes
        if axis.values and axis.name in setting and (not numeric[axis.name] or _are_numbers(axis.values))
    }
    tag = f"score/{search.score}"
    experiment, start, end = summary.hparams(setting, {tag: trial.score}, values)
    writer.file_writer.add_summary(experiment)
    writer.file_writer.add_summary(start)
    for epoch, loss in enumerate(trial.curve, 1):
        if loss is not None and abs(loss) < MAX_SCORE:
            writer.add_scalar(TRAINING_LOSS, loss, epoch)
    if math.isfinite(trial.score):
        writer.add_scalar(tag, trial.score, trial.epochs or 0)
        writer.file_writer.add_summary(end)
    elif trial.failure or search.finished:
        writer.file_writer.add_summary(_failure_summary())


def _failure_summary() -> Any:
    """Return the summary that ends a failed session, which torch cannot make."""
    api: Any = importlib.import_module("tensorboard.plugins.hparams.api_pb2")
    metadata: Any = importlib.import_module("tensorboard.plugins.hparams.metadata")
    plugin: Any = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2")
    proto: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    content = plugin.HParamsPluginData(
        session_end_info=plugin.SessionEndInfo(status=api.Status.Value("STATUS_FAILURE"))
    )
    summary_metadata = metadata.create_summary_metadata(content)
    return proto.Summary(value=[proto.Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=summary_metadata)])


def _are_numbers(values: Sequence[Any]) -> bool:
    """Return whether all values of a parameter are numbers; otherwise they are written as text."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < MAX_SCORE for v in values)

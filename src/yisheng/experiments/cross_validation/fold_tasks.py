"""Folds as tasks of a cluster: each is trained in a folder of its own there, and that folder is put into place here."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import NonFiniteError
from yisheng.core.logging import hide_messages
from yisheng.core.messages import Message
from yisheng.core.supplied_components import supply_components
from yisheng.core.temporary import create_temporary_folder
from yisheng.experiments import complete_run
from yisheng.experiments.cross_validation.folds import Fold, fold_config
from yisheng.search.executors.cluster import Cluster
from yisheng.search.executors.sent_data import (
    Loader,
    SentConfig,
    SentData,
    describe_data,
    receive_config,
    receive_data,
    send_config,
)
from yisheng.search.executors.serial import require_importable


@dataclass(frozen=True)
class _FoldTask:
    """A fold to train: its folder's name, its config, and a label for messages."""

    name: str
    config: SentConfig
    label: str


def train_folds(
    cluster: Cluster, config: Config, folds: Sequence[tuple[str, Fold]], data: Dataset, load: Loader | None, out: Path
) -> Iterator[Fold]:
    """Train folds on a cluster, with one thread each; yield each when its run folder is in place.

    Args:
        cluster: where to train.
        config: of the cross-validation.
        folds: labels and folds.
        data: the data set.
        load: loads it in another process; None if only this one has it.
        out: folder of the cross-validation.

    Raises:
        NonFiniteError: a loss or gradient became NaN or infinite in one of the folds.
        ProcessError: a training was lost there again and again.
        UsageError: a machine has other versions or code, or a component exists in this process only.
        DataError: a machine has other data.
    """
    require_importable([config])
    by_name = {fold.name: fold for _, fold in folds}
    pending = deque(folds)

    def next_fold(_: int) -> _FoldTask | None:
        if not pending:
            return None
        label, fold = pending.popleft()
        return _FoldTask(fold.name, send_config(fold_config(config, fold)), label)

    for name, archive in cluster.run(_train_fold, describe_data(data, load), next_fold):
        _put_into_place(archive, out / name)
        yield by_name[name]


def _train_fold(sent: SentData, task: _FoldTask) -> tuple[str, bytes]:
    """Train a fold in a process of the cluster; return its name and its run folder as a tar archive."""
    config = receive_config(task.config)
    with tempfile.TemporaryDirectory() as temporary, hide_messages(progress=False):
        folder = Path(temporary) / task.name
        folder.mkdir()
        try:
            with supply_components(**config.own_components()):
                complete_run.train(config, data=receive_data(sent), out=Path(temporary), folder=folder)
        except NonFiniteError as error:
            raise NonFiniteError(
                Message("{label}: {problem}", label=task.label, problem=error.problem), error.remedy
            ) from None
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.add(folder, arcname=".")
    return task.name, content.getvalue()


def _put_into_place(archive: bytes, folder: Path) -> None:
    """Unpack a run folder, and rename it to its place when it is complete."""
    temporary = create_temporary_folder(folder.parent)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as content:
            content.extractall(temporary, filter="data")
        if folder.exists():  # begun here and not trained
            shutil.rmtree(folder)
        temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise

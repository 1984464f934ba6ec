"""Export a run as one zip file: everything, or only what prediction needs."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yisheng.core import files
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.run_state import LOCK, explain_running, find_locked_inodes, is_running
from yisheng.experiments.run_folders.entry import is_run_folder, list_subfolders
from yisheng.inference.model_files import ARTIFACT_FILES, INTERVAL_FILES, PROGRAM_FILES

MODEL_FILES: Final = (*ARTIFACT_FILES, *PROGRAM_FILES, *INTERVAL_FILES, RunFolder.CROSS_VALIDATION)
"""Files that prediction reads, as far as a folder has them."""
STORED_SUFFIXES: Final = (".safetensors", ".png", ".zip")
"""Files that compression would hardly make smaller."""
FIRST_ZIP_DATE: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Archive:
    """An exported run.

    Args:
        path: of the zip file.
        count: number of files in it.
        size: its bytes.
    """

    path: Path
    count: int
    size: int


def export_run(folder: Path, out: Path, *, model: bool = False, force: bool = False) -> Archive:
    """Write a run folder as a zip file, which unpacked is a run folder again; it appears complete or not at all.

    Args:
        folder: of a run, cross-validation or search.
        out: the zip file.
        model: only the files that prediction needs; of a search, the model of the chosen setting.
        force: replace an existing file.

    Raises:
        UsageError: the file exists or does not end in .zip, or a process is training in the folder.
        DataError: it is not a run folder, or has no model yet.
        StorageError: the file cannot be written.
    """
    if out.suffix.lower() != ".zip":
        raise UsageError(
            Message("out= must end in .zip, got {name}", name=f"{out.name!r}"),
            Message("use out={name}.zip", name=folder.resolve().name),
        )
    if out.exists() and not force:
        raise UsageError(
            Message("{out} exists already", out=out), Message("give another out=, or use force=true to replace it")
        )
    if not folder.is_dir() or not is_run_folder(folder):
        raise DataError(
            Message("{folder} is not a run folder: it has no {CONFIG}", folder=folder, CONFIG=RunFolder.CONFIG),
            Message("see the run folders with `yisheng runs`"),
        )
    _require_idle(folder)
    root = folder.resolve()
    source = RunFolder(root).model_folder.path if model else root
    if model and not (source / RunFolder.MODEL).is_file():
        raise DataError(
            Message("the training in {folder} is not finished: it has no model yet", folder=folder),
            Message("continue it: yisheng resume {folder}", folder=folder),
        )
    paths = list(_list_model_files(source) if model else _list_files(source, out))
    with files.replace_file(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            _add_file(archive, path, f"{root.name}/{path.relative_to(source).as_posix()}")
    return Archive(out, len(paths), out.stat().st_size)


def _require_idle(folder: Path) -> None:
    """Refuse a folder that a training is changing."""
    locked_inodes = find_locked_inodes()
    for path in [folder, *list_subfolders(folder)]:
        has_ended = not is_run_folder(path) or (RunFolder(path).is_begun and RunFolder(path).is_finished)
        if not has_ended and is_running(path, locked_inodes, path / RunFolder.EVENTS):
            raise explain_running(path)


def _list_files(folder: Path, out: Path) -> Iterator[Path]:
    """Yield all files of a folder in a fixed order, without locks, links and the archive itself."""
    archive = out.resolve()
    for base, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(base, name)
            is_lock = path.as_posix().endswith(f"/{LOCK}")
            if path.is_file() and not path.is_symlink() and not is_lock and path != archive:
                yield path


def _list_model_files(folder: Path) -> Iterator[Path]:
    """Yield the files that prediction reads, those of the fold models too."""
    yield from (folder / name for name in MODEL_FILES if (folder / name).is_file())
    if (folder / RunFolder.CROSS_VALIDATION).is_file():
        for path in list_subfolders(folder):
            if (path / RunFolder.MODEL).is_file():
                yield from _list_model_files(path)


def _add_file(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    """Add a file; a date before 1980, which zip cannot hold, becomes the first that it can."""
    date = max(time.localtime(path.stat().st_mtime)[:6], FIRST_ZIP_DATE)
    info = zipfile.ZipInfo(name, date)
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_STORED if path.suffix in STORED_SUFFIXES else zipfile.ZIP_DEFLATED
    with path.open("rb") as source, archive.open(info, "w", force_zip64=path.stat().st_size >= 1 << 31) as target:
        while chunk := source.read(files.CHUNK_BYTES):
            target.write(chunk)

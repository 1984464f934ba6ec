"""Rename and delete runs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError, StorageError, UsageError
from yisheng.core.files import explain_write_error
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.remote.sessions import delete_published, name_address
from yisheng.core.remote.working_copies import read_note
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.run_names import check_run_name, make_label
from yisheng.core.run_state import LOCK, hold_lock
from yisheng.core.temporary import create_temporary_folder
from yisheng.experiments.run_folders.entry import is_run_folder, list_subfolders


def rename_run(folder: Path, name: str) -> Path:
    """Give a run, cross-validation or search another name, in its config and as the name of its folder.

    Args:
        folder: the run folder; it keeps its number.
        name: the new name, for people; see `yisheng.core.run_names.check_run_name`.

    Returns:
        The new path of the folder.

    Raises:
        UsageError: the name is not allowed, or a process is training in the folder.
        DataError: it is not a run folder, is a part of one, or a file in it is damaged.
        StorageError: it cannot be renamed.
    """
    try:
        name = check_run_name(name)
    except ValueError as error:
        raise UsageError(
            Message("a run must have {rule}; got {name}", rule=error, name=f"{name!r}"), Message("give another name")
        ) from None
    folder = _require_run(folder)
    if read_note(folder) is not None:
        raise UsageError(
            Message(
                "{address} keeps its name: files at an address cannot be renamed at once", address=name_address(folder)
            ),
            Message("copy the run to a local folder and rename it there"),
        )
    number = re.match(r"\d{4,}-", folder.resolve().name)
    target = folder.resolve().parent / f"{number[0] if number else ''}{make_label(name)}"
    with _hold_idle(folder):
        if os.path.lexists(target) and not _is_same(target, folder):
            raise UsageError(Message("{target} exists already", target=target), Message("give another name"))
        _write_name(RunFolder(folder), name)
        try:
            folder.resolve().rename(target)
        except OSError as error:
            raise explain_write_error(error, target) from error
    path = folder.parent / target.name
    _write_report_again(path)
    return path


def delete_runs(folders: Sequence[Path]) -> None:
    """Delete runs, cross-validations and searches with everything in their folders.

    All folders are checked before the first one is deleted. Each is moved away first, so it is complete or gone, even
    if the process is killed.

    Args:
        folders: the run folders.

    Raises:
        UsageError: a process is training in one of them, or the current folder is in one.
        DataError: one is not a run folder, or is a part of one.
        StorageError: a folder cannot be renamed, or its files cannot be deleted.
    """
    with contextlib.ExitStack() as stack:
        paths = require_deletable(folders, stack)
        for folder in folders:
            delete_published(folder)
        hidden_folders = [_hide(path) for path in paths]
    for hidden in hidden_folders:
        try:
            shutil.rmtree(hidden)
        except OSError as error:
            raise StorageError(
                Message(
                    "{hidden}, which was a run, cannot be deleted completely: {reason}",
                    hidden=hidden,
                    reason=describe_os_error(error),
                ),
                Message("delete that folder"),
            ) from None


def require_deletable(folders: Sequence[Path], stack: contextlib.ExitStack | None = None) -> list[Path]:
    """Check that folders can be deleted; return their resolved paths, each once.

    Args:
        folders: the run folders.
        stack: keeps their locks, so that no training begins; by default they are released.

    Raises:
        UsageError: a process is training in one of them, or the current folder is in one.
        DataError: one is not a run folder, or is a part of one.
    """
    paths = list(dict.fromkeys(_require_run(folder).resolve() for folder in folders))
    with contextlib.ExitStack() as own_stack:
        for path in paths:
            if Path.cwd().resolve().is_relative_to(path):
                raise UsageError(
                    Message("the current folder is in {path}", path=path), Message("change to another folder first")
                )
            (stack or own_stack).enter_context(_hold_idle(path))
    return paths


def measure_bytes(folder: Path) -> int:
    """Return the size of all files of a folder; links are not followed."""
    return sum((Path(base) / name).lstat().st_size for base, _, names in os.walk(folder) for name in names)


def require_no_parent_run(folder: Path) -> None:
    """Refuse a folder that is a part of a cross-validation, a search or another run.

    Raises:
        DataError: it is.
    """
    for parent in folder.resolve().parents[:2]:
        if is_run_folder(parent):
            raise DataError(
                Message("{folder} is a part of {parent}", folder=folder, parent=parent),
                Message("name that folder: {parent}", parent=parent),
            )


def _require_run(folder: Path) -> Path:
    """Return a folder that is a run folder, not a link and not a part of another."""
    if folder.is_symlink():
        raise DataError(
            Message("{folder} is a link", folder=folder),
            Message("name the folder itself: {path}", path=folder.resolve()),
        )
    is_result = is_run_folder(folder) or (folder / RunFolder.LR_FIND).is_file()
    if not folder.is_dir() or not is_result:
        raise DataError(
            Message("{folder} is not a run folder: it has no {CONFIG}", folder=folder, CONFIG=RunFolder.CONFIG),
            Message("see the run folders with `yisheng runs`"),
        )
    require_no_parent_run(folder)
    return folder


@contextlib.contextmanager
def _hold_idle(folder: Path) -> Iterator[None]:
    """Hold the locks of a run folder and of the runs in it: no training can begin or be running there.

    On Windows they are released at once, since a folder with an open file cannot be renamed there.
    """
    with contextlib.ExitStack() as stack:
        for path in [folder, *list_subfolders(folder)]:
            if os.path.isfile(path / LOCK):  # noqa: PTH113  # never raises
                stack.enter_context(hold_lock(path))
        if os.name == "nt":
            stack.close()
        yield


def _write_name(run: RunFolder, name: str) -> None:
    """Write the name into the config of a run, or into the plan of a search."""
    import tomli_w

    path = run.file(RunFolder.SEARCH) if run.is_search else run.file(RunFolder.CONFIG)
    if not path.exists():  # a folder with only the files of a model
        return
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=describe_os_error(error)),
            Message("check the file and its permissions"),
        ) from None
    except ValueError as error:
        raise DataError(Message("{path} is damaged: {error}", path=path, error=error), INTACT_COPY) from None
    content = _set_fixed_name(content, name) if run.is_search else {"name": name, **content} | {"name": name}
    files.write_file(path, tomli_w.dumps(content))


def _set_fixed_name(plan: Mapping[str, Any], name: str) -> dict[str, Any]:
    fixed = [setting for setting in plan.get("fixed", []) if setting[:1] != ["name"]]
    return {**plan, "fixed": [*fixed, ["name", name, "command line"]]}


def _hide(folder: Path) -> Path:
    """Move a folder into a temporary one, which a later run removes if this process is killed; return that one."""
    try:
        temporary = create_temporary_folder(folder.parent)
        folder.rename(temporary / folder.name)
    except OSError as error:
        raise explain_write_error(error, folder) from error
    return temporary


def _is_same(target: Path, folder: Path) -> bool:
    """Return whether two paths are the same folder, as they are on a disk that ignores case."""
    return target.exists() and target.samefile(folder)


def _write_report_again(folder: Path) -> None:
    """Write the report again, which names its folder; a report that cannot be written keeps the earlier name."""
    if not (folder / RunFolder.REPORT).exists():
        return
    from yisheng.reporting import run_page, search_page

    write = search_page.write_search_page if RunFolder(folder).is_search else run_page.write_run_page
    with contextlib.suppress(DataError, StorageError):
        write(folder)

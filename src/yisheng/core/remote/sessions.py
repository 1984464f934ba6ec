"""What a command or a call has opened for writing at addresses: published on the way, and when it ends."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from yisheng.core.errors import UsageError, YishengError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote import manifests
from yisheng.core.remote.addresses import is_address, parse_address, replace_path
from yisheng.core.remote.inputs import describe_kind
from yisheng.core.remote.mirrors import Mirror
from yisheng.core.remote.outputs import OutputFile
from yisheng.core.remote.store import Store
from yisheng.core.remote.working_copies import find_runs_folder, read_note

_NUMBERED: Final = re.compile(r"(?P<number>[0-9]{4,9})(-.*)?")
_CLAIMS: Final = f"{manifests.FOLDER}/numbers"


@dataclass
class Session:
    """Runs, folders of runs and files at addresses that the current command or call writes."""

    mirrors: dict[Path, Mirror] = field(default_factory=dict)
    destinations: dict[Path, Destination] = field(default_factory=dict)
    outputs: list[OutputFile] = field(default_factory=list)


class Destination:
    """A folder of runs at an address, in which new runs get numbers.

    Args:
        address: of the folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._store = Store(address)

    def list_numbers(self) -> list[int]:
        """Return the numbers of the runs at the address.

        Raises:
            DataError: the store cannot be read.
        """
        names = [*self._store.list_names(), *self._store.list_files(_CLAIMS)]
        return [int(match["number"]) for name in names if (match := _NUMBERED.fullmatch(name))]

    def claim(self, number: int, name: str) -> bool:
        """Take a number for a run; return whether no other process has it.

        Raises:
            StorageError: the address cannot be written.
        """
        return self._store.create(f"{_CLAIMS}/{number:04d}", name.encode())

    def attach(self, folder: Path) -> None:
        """Make a new run folder the working copy of the address of its name.

        Raises:
            UsageError: another process writes to it.
            StorageError: the address cannot be written.
        """
        mirror = Mirror(f"{self.address}/{folder.name}")
        mirror.publisher.begin_writing()
        _require_session().mirrors[folder] = mirror
        mirror.begin_empty()


_session: ContextVar[Session | None] = ContextVar("yisheng_remote_session", default=None)


@contextlib.contextmanager
def publish_at_end() -> Iterator[None]:
    """Publish at the end of the block what was opened in it for writing; inner blocks leave it to the outermost.

    If the block ends with an error, what is there is published nevertheless: a stopped training can be resumed from
    its address.

    Raises:
        StorageError: an address cannot be written; the working copies stay.
    """
    if _session.get() is not None:
        yield
        return
    session = Session()
    token = _session.set(session)
    try:
        try:
            yield
        except BaseException as error:
            _publish_after(error, session)
            raise
        _publish(session)
    finally:
        _session.reset(token)
        for mirror in session.mirrors.values():
            mirror.publisher.release()
        for output in session.outputs:
            output.discard()


def _publish(session: Session) -> None:
    for mirror in session.mirrors.values():
        mirror.publisher.complete()
    for output in session.outputs:
        output.publish()


def _publish_after(error: BaseException, session: Session) -> None:
    """Publish after an error of the block, and name addresses instead of working copies in it."""
    for folder, mirror in session.mirrors.items():
        try:
            mirror.publisher.publish()
        except YishengError as problem:
            logger.warning(problem.problem)
        if isinstance(error, YishengError):
            error.problem, error.remedy = (
                replace_path(text, folder, mirror.address) for text in (error.problem, error.remedy)
            )


def _require_session() -> Session:
    session = _session.get()
    if session is None:
        raise UsageError(
            Message("an address can be written by the functions of yisheng and its commands only"),
            Message("give a local path"),
        )
    return session


def open_run(value: Any, key: str, *, writes: bool) -> Path | None:
    """Return the working copy of a run, fetched; None if the value is neither an address nor the path of such a copy.

    Args:
        value: an address, or a path.
        key: what it is called, for the error.
        writes: whether the command writes in the folder: then it is published when the command ends.

    Raises:
        UsageError: another process writes to the address, or it has a wrong form.
        DataError: there is no complete copy of a run.
        StorageError: the address cannot be written.
    """
    if is_address(value):
        address = parse_address(value, key)
    else:
        note = read_note(Path(value)) if writes else None
        if note is None:
            return None
        address = note["address"]
    mirror = Mirror(address)
    open_mirror = find_mirror(mirror.folder)
    if open_mirror is not None:
        return open_mirror.folder
    if writes:
        if not mirror.is_published() and read_note(mirror.folder) is None:
            mirror.fetch()  # the error that there is nothing
        mirror.publisher.begin_writing()
        _require_session().mirrors[mirror.folder] = mirror
    return mirror.fetch()


def open_runs_folder(value: Any, key: str) -> Path | None:
    """Return the local folder for new runs of a folder at an address; None if the value is not an address.

    Raises:
        UsageError: the address has a wrong form, or names a run.
        DataError: the store cannot be read.
    """
    if not is_address(value):
        return None
    address = parse_address(value, key)
    if describe_kind(address) == "run":
        raise UsageError(
            Message("{key}={address} is a run, not a folder of runs", key=key, address=address),
            Message("name the folder it is in, or continue it: yisheng resume {address}", address=address),
        )
    folder = find_runs_folder(address)
    _require_session().destinations[folder] = Destination(address)
    return folder


def open_output(value: Any, key: str) -> Path | None:
    """Return a local path for a file that is copied to an address at the end; None if the value is not an address.

    Raises:
        UsageError: the address has a wrong form.
        DataError: the store cannot be read.
    """
    if not is_address(value):
        return None
    output = OutputFile(parse_address(value, key))
    _require_session().outputs.append(output)
    return output.path


def find_destination(folder: Path) -> Destination | None:
    """Return the folder at an address to which new runs of a local folder go, or None."""
    session = _session.get()
    return None if session is None else session.destinations.get(folder)


def find_mirror(folder: Path) -> Mirror | None:
    """Return the run at an address of which a folder, or one that it is in, is the working copy that is written."""
    session = _session.get()
    if session is None:
        return None
    return next((session.mirrors[path] for path in (folder, *folder.parents) if path in session.mirrors), None)


def publish(folder: Path) -> None:
    """Publish a run between two updates in the background, if it has an address; a broken network is a warning.

    Args:
        folder: the run folder, or one in it.

    Raises:
        UsageError: another process has taken the address over.
        StorageError: the cache cannot be written to.
    """
    mirror = find_mirror(folder)
    if mirror is None:
        return
    mirror.publisher.publish_later()


def delete_published(folder: Path) -> None:
    """Delete what is at the address of a working copy that the session writes; nothing for any other folder.

    Raises:
        StorageError: something cannot be deleted.
    """
    mirror, session = find_mirror(folder), _session.get()
    if mirror is not None and session is not None:
        mirror.publisher.delete()
        del session.mirrors[mirror.folder]


def name_address(folder: Path) -> str:
    """Return the address of a working copy, or the path of any other folder."""
    for path in (folder, *folder.parents):
        note = read_note(path)
        if note is not None:
            below = folder.relative_to(path).as_posix()
            return str(note["address"]) if below == "." else f"{note['address']}/{below}"
    return str(folder)

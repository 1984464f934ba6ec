"""At most one process writes to an address: a numbered file per writer, which its process renews.

The writer with the highest number owns the address. A writer that released its file, whose process on this machine has
ended, or that was not renewed for `LEASE_SECONDS`, may be followed by the next number, which only one process can
create. Clocks are not compared: whoever wants to follow watches whether the file changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Final

from yisheng.core.errors import UsageError, YishengError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote.manifests import FOLDER
from yisheng.core.remote.store import Store
from yisheng.core.temporary import identify_machine, is_process_alive

LEASE_SECONDS: Final = 60.0
RENEWAL_SECONDS: Final = 15.0
_NAME: Final = re.compile(r"writer-(?P<number>[0-9]{6,12})\.json")
_held_tokens: set[str] = set()
"""Of the writers of this process that are not released."""


class Writer:
    """The right of this process to write to an address, from `acquire` to `release`.

    Args:
        store: the folder at the address.
        number: of the writer.
    """

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = number
        self._token = secrets.token_hex(8)
        self._renewals = 0
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def acquire(cls, store: Store) -> Writer:
        """Return the right to write to an address.

        Raises:
            UsageError: another process writes to it.
            StorageError: the address cannot be written.
        """
        while True:
            number, owner = _read_owner(store)
            if owner is not None:
                _require_ended(store, number, owner)
            writer = cls(store, number + 1)
            if store.create(_file_name(writer.number), writer._describe()):
                _held_tokens.add(writer._token)
                writer._delete_older()
                writer._begin_renewal()
                return writer

    def require_held(self) -> None:
        """Check that no other process has taken the address over.

        Raises:
            UsageError: one has.
            DataError: the store cannot be asked.
        """
        number, owner = _read_owner(self._store)
        if number == self.number and owner is not None and owner.get("token") == self._token:
            return
        raise UsageError(
            Message(
                "another process writes to {address} now: this one gave no sign of life for {seconds} s",
                address=self._store.address,
                seconds=f"{LEASE_SECONDS:g}",
            ),
            Message("let that process finish; what it writes is complete"),
        )

    def stop(self) -> None:
        """Stop the renewal, because the address is to be deleted."""
        self._released.set()
        _held_tokens.discard(self._token)
        if self._thread is not None:
            self._thread.join()

    def release(self) -> None:
        """Let others write to the address."""
        self.stop()
        with contextlib.suppress(YishengError):  # then others wait for LEASE_SECONDS
            self.require_held()
            self._store.write(_file_name(self.number), self._describe(released=True))

    def _describe(self, *, released: bool = False) -> bytes:
        facts = {
            "token": self._token,
            "host": socket.gethostname(),
            "machine": _identify_boot(),
            "process": os.getpid(),
            "renewals": self._renewals,
            "released": released,
        }
        return json.dumps(facts).encode()

    def _begin_renewal(self) -> None:
        self._thread = threading.Thread(target=self._renew, name="yisheng-writer", daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        while not self._released.wait(RENEWAL_SECONDS):
            with contextlib.suppress(YishengError):  # a broken network; the next publication reports it
                self.require_held()
                self._renewals += 1
                self._store.write(_file_name(self.number), self._describe())

    def _delete_older(self) -> None:
        with contextlib.suppress(YishengError):
            names = [name for name in self._store.list_files(FOLDER) if _NAME.fullmatch(name)]
            self._store.delete(
                [f"{FOLDER}/{name}" for name in names if name < _file_name(self.number).rpartition("/")[2]]
            )


def _identify_boot() -> str:
    """Return an identifier of this machine since its start; process numbers are unique in it."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{identify_machine()}-{uuid.getnode():x}-{boot}"


def _file_name(number: int) -> str:
    return f"{FOLDER}/writer-{number:06d}.json"


def _read_owner(store: Store) -> tuple[int, dict[str, Any] | None]:
    """Return the number of the newest writer and what its file says; 0 and None if there was none."""
    numbers = [int(match["number"]) for name in store.list_files(FOLDER) if (match := _NAME.fullmatch(name))]
    if not numbers:
        return 0, None
    number = max(numbers)
    try:
        owner = json.loads(store.read(_file_name(number)))
    except ValueError:  # half-written
        owner = {}
    return number, owner if isinstance(owner, dict) else {}


def _require_ended(store: Store, number: int, owner: dict[str, Any]) -> None:
    """Check that a writer released the address or ended; wait for a sign of life if that is unknown.

    Raises:
        UsageError: it is alive.
    """
    if owner.get("released"):
        return
    values = {
        "address": store.address,
        "host": str(owner.get("host", "?")),
        "process": str(owner.get("process", "?")),
    }
    refusal = UsageError(
        Message("process {process} on {host} writes to {address}", **values), Message("wait for it, or stop it")
    )
    if owner.get("machine") == _identify_boot() and os.name != "nt":
        process = owner.get("process")
        is_own = process == os.getpid() and owner.get("token") not in _held_tokens  # it could not be released
        if isinstance(process, int) and is_process_alive(process) and not is_own:
            raise refusal
        return
    logger.info(
        Message(
            "waiting {seconds} s for a sign of life of process {process} on {host}, which wrote to {address}",
            seconds=f"{LEASE_SECONDS:g}",
            **values,
        )
    )
    deadline = time.monotonic() + LEASE_SECONDS
    while (remaining := deadline - time.monotonic()) > 0:
        time.sleep(min(RENEWAL_SECONDS / 3, remaining))
        current = _read_owner(store)
        if current[0] != number or (current[1] != owner and not (current[1] or {}).get("released")):
            raise refusal
        if current[1] != owner:
            return

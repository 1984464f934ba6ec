"""Stores for the tests: in memory, and one whose network breaks."""

from typing import ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

SCHEME = "breaking"


class BreakingFileSystem(MemoryFileSystem):
    """A store in memory of which every operation after ``remaining`` changes fails, or leaves half of a file."""

    protocol = SCHEME
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    cachable = False
    remaining = None
    half_written = False
    error: Exception = ConnectionError("the network is unreachable")

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(str(path).replace(f"{SCHEME}://", "memory://", 1))

    def _count(self, path, content=b""):
        kind = type(self)
        if kind.remaining is None:
            return
        if kind.remaining <= 0:
            if kind.half_written and content:
                super().pipe_file(path, content[: len(content) // 2])
            raise kind.error
        kind.remaining -= 1

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        self._count(path, value)
        super().pipe_file(path, value, mode=mode, **kwargs)

    def open(self, path, mode="rb", **kwargs):
        if "w" in mode and "data" not in kwargs:
            self._count(path, b"half of a file")
        return super().open(path, mode, **kwargs)

    def rm_file(self, path):
        self._count(path)
        super().rm_file(path)


def break_after(changes, *, half_written=False, error=None):
    """Let a number of changes succeed; None repairs the store."""
    BreakingFileSystem.remaining = changes
    BreakingFileSystem.half_written = half_written
    BreakingFileSystem.error = error or ConnectionError("the network is unreachable")


def clear_stores():
    """Empty all stores in memory."""
    fsspec.register_implementation(SCHEME, BreakingFileSystem, clobber=True)
    for kind in (MemoryFileSystem, BreakingFileSystem):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]
    break_after(None)


def list_store(address):
    """Return the names of all files below an address."""
    fs, path = fsspec.core.url_to_fs(address)
    return sorted(name.removeprefix(f"{path}/") for name in fs.find(path))

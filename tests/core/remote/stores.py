"""Stores for the tests: in memory, and one whose network breaks."""

import io
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
    failing_reads = 0
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
        if "r" in mode and self._fails_to_read():
            content = io.BytesIO(super().cat_file(path)[:-1])
            content.read = lambda size, read=content.read: read(size) or self._drop_connection()
            return content
        return super().open(path, mode, **kwargs)

    def cat_file(self, path, start=None, end=None, **kwargs):
        if self._fails_to_read():
            self._drop_connection()
        return super().cat_file(path, start, end, **kwargs)

    def _fails_to_read(self):
        kind = type(self)
        if not kind.failing_reads:
            return False
        kind.failing_reads -= 1
        return True

    def _drop_connection(self):
        raise ConnectionResetError("the connection was dropped")

    def rm_file(self, path):
        self._count(path)
        super().rm_file(path)


def break_after(changes, *, half_written=False, error=None):
    """Let a number of changes succeed; None repairs the store."""
    BreakingFileSystem.remaining = changes
    BreakingFileSystem.half_written = half_written
    BreakingFileSystem.error = error or ConnectionError("the network is unreachable")


def drop_reads(count):
    """Let the next reads of files break off in the middle."""
    BreakingFileSystem.failing_reads = count


def clear_stores():
    """Empty all stores in memory."""
    fsspec.register_implementation(SCHEME, BreakingFileSystem, clobber=True)
    for kind in (MemoryFileSystem, BreakingFileSystem):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]
    break_after(None)
    drop_reads(0)


def list_store(address):
    """Return the names of all files below an address."""
    fs, path = fsspec.core.url_to_fs(address)
    return sorted(name.removeprefix(f"{path}/") for name in fs.find(path))


def stop_after(count):
    """Return a callback that ends a training as a lost machine does: with an error of no kind that is handled."""

    def callback(events):
        for number, event in enumerate(events):
            if number == count:
                raise KeyboardInterrupt
            yield event

    return callback

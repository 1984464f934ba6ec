"""Predictions of chunks that ended before an earlier one: each in a file of its own until it is its turn.

A file is named after the first row of its chunk and the hash of its content, so that one that was cut off or changed is
not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from pathlib import Path

from yisheng.core import files
from yisheng.inference.bulk.predicted_chunk import PredictedChunk

DIGITS = 12
"""Digits of the number of a row in a name."""


class KeptChunks:
    """The files of such chunks.

    Args:
        folder: where they are; it is created for the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, first_row: int, predicted: PredictedChunk) -> None:
        """Write the predictions of a chunk.

        Raises:
            StorageError: the file cannot be written.
        """
        content = predicted.to_json().encode()
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise files.explain_write_error(error, self.folder) from error
        files.write_file(self.folder / f"{first_row:0{DIGITS}d}-{_hash(content)}.json", content)

    def find(self, first_row: int) -> PredictedChunk | None:
        """Return the predictions of a chunk, None if there are none or their file is damaged."""
        for path in self.folder.glob(f"{first_row:0{DIGITS}d}-*.json"):
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                if path.stem.partition("-")[2] == _hash(content):
                    return PredictedChunk.from_json(content.decode())
        return None

    def remove_before(self, row: int) -> None:
        """Remove the files of the chunks that begin before a row: they are in the file that grows."""
        for path in self.folder.glob(f"{'[0-9]' * DIGITS}-*.json"):
            if int(path.stem.partition("-")[0]) < row:
                path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

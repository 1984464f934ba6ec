"""Content of small files, and checksums as the catalog writes them."""

from __future__ import annotations

import gzip
import hashlib

TEXT = b"1,2,3\n" * 5000
COMPRESSED = gzip.compress(TEXT, 9, mtime=0)


def sum_of(data: bytes, of: str = "file", algorithm: str = "sha256") -> str:
    return f"{of}:{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"

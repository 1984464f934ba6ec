"""Count the instructions of parts of a Python program with Valgrind's callgrind, on Linux and x86-64.

Client requests are instructions that do nothing, except under Valgrind. C programs get them from a header; here they
are written into a page of memory. Source: valgrind.h and callgrind.h, https://valgrind.org/docs/manual/cl-manual.html
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUEST = bytes.fromhex(
    "4889f8"  # mov rax, rdi: the request and its arguments
    "31d2"  # xor edx, edx
    "48c1c703 48c1c70d 48c1c73d 48c1c733"  # rol rdi by 3, 13, 61 and 51: 128 bits, which change nothing
    "4887db"  # xchg rbx, rbx
    "4889d0"  # mov rax, rdx: the answer
    "c3"
)
IS_UNDER_VALGRIND, BASE = 0x1001, ord("C") << 24 | ord("T") << 16
ZERO, DUMP, START, STOP = BASE + 1, BASE + 3, BASE + 4, BASE + 5


class Counter:
    """Count instructions between marks; it must run under ``valgrind --tool=callgrind --instr-atstart=no``."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(REQUEST)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._function = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)(address)

    def request(self, number: int, argument: int = 0) -> int:
        """Make a client request and return its answer."""
        arguments = (ctypes.c_size_t * 6)(number, argument)
        return int(self._function(ctypes.addressof(arguments)))

    def start(self) -> None:
        """Count from now on."""
        self.request(START)
        self.request(ZERO)

    def mark(self, name: str) -> None:
        """Write the instructions since the last mark under a name."""
        text = ctypes.create_string_buffer(name.encode())
        self.request(DUMP, ctypes.addressof(text))
        self.request(ZERO)

    def stop(self) -> None:
        """Do not count any more."""
        self.request(STOP)


def require_callgrind() -> str:
    """Return the path of Valgrind, or end with an error that says what is missing."""
    path = shutil.which("valgrind")
    if path is None:
        raise SystemExit(
            "counter=instructions requires Valgrind, and no program valgrind is in the PATH\n"
            "  install it (apt install valgrind), or measure the time of the processor with counter=time"
        )
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "AMD64"):
        raise SystemExit(
            f"counter=instructions requires Linux on x86-64, got {sys.platform} on {platform.machine()}\n"
            "  measure the time of the processor with counter=time"
        )
    return path


def count_instructions(arguments: Sequence[str]) -> dict[str, int]:
    """Run Python with arguments under callgrind and return the instructions by the name of the mark that ends them."""
    valgrind = require_callgrind()
    with tempfile.TemporaryDirectory() as folder:
        command = [valgrind, "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            [*command, sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise SystemExit(f"the counted program ended with status {result.returncode}:\n{result.stderr[-2000:]}")
        return dict(counts for path in Path(folder).iterdir() if (counts := read_counts(path.read_text())) is not None)


def read_counts(text: str) -> tuple[str, int] | None:
    """Return name and number of instructions of a file of callgrind; None if no mark wrote it.

    >>> read_counts("desc: Trigger: Client Request: plain 7\\nevents: Ir\\ntotals: 42\\n")
    ('plain 7', 42)
    """
    name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
    total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    return None if name is None or total is None else (name[1], int(total[1]))

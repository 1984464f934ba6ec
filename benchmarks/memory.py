"""Peak resident memory of each command, and training from a memory-mapped file beside training from memory.

    python benchmarks/memory.py [rows=400000] [rounds=2] [limit=1024] [most=120]

The commands run on Fashion-MNIST in processes of their own. For the second table a block of so many rows of 3x32x32
bytes is held once in memory, once in a file that is mapped, and twice in such a file by a process that may have only so
many MiB (a control group; needs root), its rows asked for ahead and not: Python and torch take more than half of the
memory, so that most of the file must be read from the disk in every epoch, where the folder for temporary files is on
one. After `most` seconds an epoch is stopped, and the rest reckoned. Memory of its own is what a process has beside
mapped files, whose pages the system takes back when it needs them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from startup import photo
from yisheng.core import machine

COMMANDS = {
    "yisheng --help": ["--help"],
    "yisheng env": ["env"],
    "yisheng train data=fashion-mnist model=mlp": ["train", "data=fashion-mnist", "model=mlp", "epochs=1"],
    "yisheng train data=fashion-mnist model=lenet": ["train", "data=fashion-mnist", "model=lenet", "epochs=1"],
    "yisheng evaluate RUN": ["evaluate", "RUN"],
    "yisheng predict RUN photo.png": ["predict", "RUN", "IMAGE"],
    "yisheng report RUN": ["report", "RUN"],
}
"""What is measured, in this order; RUN is the folder of the last training."""

MAPPED = """
import json, os, signal, sys, tempfile, threading
from pathlib import Path
from yisheng.core.process import prepare
prepare()
import numpy as np
import yisheng
from yisheng.core.errors import StoppedError
from yisheng.core.types import Dataset, Spec
from yisheng.data import ahead
path, rows, mapped = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "mapped"
if sys.argv[4] == "unasked":
    ahead.PART = float("inf")
x = np.load(path, mmap_mode="r" if mapped else None)
y = (np.arange(rows) % 10).astype(np.int64)
data = Dataset("block", Spec("classification", (3, 32, 32), classes=tuple("0123456789")), x, y)
timer = threading.Timer(float(sys.argv[5]), os.kill, (os.getpid(), signal.SIGTERM))
timer.daemon = True
with tempfile.TemporaryDirectory() as out:
    settings = {"model": "lenet", "batch": 256, "epochs": 1, "validation": 1000, "test": 1000, "doctor": "off"}
    timer.start()
    try:
        yisheng.train(data=data, out=out, quiet=True, **settings)
    except StoppedError:
        pass
    last = json.loads(next(Path(out).glob("*/events.jsonl")).read_text().splitlines()[-1])
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
done = last["step"] / -(-(rows - 2000) // 256)
print(json.dumps({"seconds": last["seconds"] / done, "done": done, "own_mib": own / 1024}))
"""


def main(words: list[str]) -> None:
    """Measure and print."""
    options = dict(word.split("=", 1) for word in words)
    print(f"{machine.describe_processor()[0]}, {machine.count_cores()} cores\n")
    print("| command | peak resident memory, MiB |")
    print("|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        _commands(Path(folder))
        print("\n| block of rows | s/epoch | memory of its own at the end, MiB |")
        print("|---|---|---|")
        defaults = {"rows": 400_000, "rounds": 2, "limit": 1024, "most": 120}
        _blocks(Path(folder), *(int(options.get(key, value)) for key, value in defaults.items()))


def _commands(folder: Path) -> None:
    image, run = folder / "photo.png", ""
    photo().save(image)
    for name, words in COMMANDS.items():
        paths = {"RUN": run, "IMAGE": str(image)}
        arguments = [paths.get(word, word) for word in words]
        process = subprocess.Popen(
            [sys.executable, "-m", "yisheng", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (arguments, output)
        if words[0] == "train":
            run = str(folder / output.strip().splitlines()[-1])
        print(f"| `{name}` | {used.ru_maxrss / 1024:.0f} |", flush=True)


def _blocks(folder: Path, rows: int, rounds: int, limit: int, most: int) -> None:
    import numpy as np

    path = folder / "block.npy"
    block = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, 3, 32, 32))
    block[:] = np.random.default_rng(0).integers(256, size=(1, 3, 32, 32), dtype=np.uint8)
    block.flush()
    del block
    narrow = f"mapped, {limit} MiB of memory"
    unasked = f"{narrow}, rows not asked for ahead"
    results: dict[str, list[dict[str, float]]] = {"in memory": [], "mapped": [], narrow: [], unasked: []}
    for _ in range(rounds):
        for how, turns in results.items():
            words = [sys.executable, "-c", MAPPED, str(path), str(rows), how.split(",")[0]]
            words += ["unasked" if how == unasked else "asked", str(most)]
            small = how in (narrow, unasked)
            with _limited(limit, path) if small else contextlib.nullcontext() as group:
                enter = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"] if group else []
                if small and not group:
                    continue
                completed = subprocess.run([*enter, *words], capture_output=True, text=True, check=True)
            turns.append(json.loads(completed.stdout.splitlines()[-1]))
    for how, turns in results.items():
        if not turns:
            print(f"({how}: memory could not be limited; that needs root and control groups)")
            continue
        seconds = sorted(turn["seconds"] for turn in turns)
        own_memory = max(turn["own_mib"] for turn in turns)
        size = rows * 3072 / 2**20
        range_ = f"{seconds[len(seconds) // 2]:.2f} ({seconds[0]:.2f} to {seconds[-1]:.2f})"
        part = min(turn["done"] for turn in turns)
        how += f" ({100 * part:.0f}% of the epoch made)" if part < 1 else ""
        print(f"| {size:.0f} MiB {how} | {range_} | {own_memory:.0f} |", flush=True)


@contextlib.contextmanager
def _limited(mib: int, path: Path) -> Iterator[Path | None]:
    """A control group with so much memory, and the file out of the system's; None where that cannot be."""
    old = Path("/sys/fs/cgroup/memory")
    group = (old if old.is_dir() else old.parent) / "yisheng-benchmark"
    try:
        group.mkdir(exist_ok=True)
        (group / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")).write_text(str(mib << 20))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        yield group
    finally:
        with contextlib.suppress(OSError):  # somebody is still in it
            group.rmdir()


if __name__ == "__main__":
    main(sys.argv[1:])

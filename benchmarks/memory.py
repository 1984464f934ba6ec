"""Measure the peak memory of each command, and compare training from a memory-mapped file with training from memory.

    python benchmarks/memory.py [rows=400000] [rounds=2] [limit=1024] [stop_after=120]

Each command runs on Fashion-MNIST in its own process. For the second table, a block of `rows` rows of 3x32x32 bytes is
in memory, in a memory-mapped file, and in a memory-mapped file of a process with at most `limit` MiB of memory (a
control group, which needs root), with and without prefetching of the rows. Python and torch take more than half of that
memory, so most of the file must be read from the disk in every epoch if the folder for temporary files is on a disk. An
epoch is stopped after `stop_after` seconds, and its time extrapolated. Anonymous memory is that of a process without
mapped files, whose pages the system can drop when it needs memory.
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

from startup import make_photo
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
"""The measured commands, in order; RUN is the folder of the previous training."""

MAPPED = """
import json, os, signal, sys, tempfile, threading
from pathlib import Path
from yisheng.core.process import prepare
prepare()
import numpy as np
import yisheng
from yisheng.core.errors import StoppedError
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.data import prefetch
path, rows, mapped = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "mapped"
if sys.argv[4] == "no prefetch":
    prefetch.MIN_MEMORY_FRACTION = float("inf")
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
    finally:
        timer.cancel()
    event = json.loads(next(Path(out).glob("*/events.jsonl")).read_text().splitlines()[-1])
anonymous = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
fraction = event["step"] / -(-(rows - 2000) // 256)
print(json.dumps({"seconds": event["seconds"] / fraction, "fraction": fraction, "anonymous_mib": anonymous / 1024}))
"""


def main(words: list[str]) -> None:
    """Measure and print both tables."""
    options = dict(word.split("=", 1) for word in words)
    print(f"{machine.describe_processor()[0]}, {machine.count_cores()} cores\n")
    print("| command | peak resident memory, MiB |")
    print("|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        _measure_commands(Path(folder))
        print("\n| block of rows | s/epoch: median (min to max) | anonymous memory at the end, MiB |")
        print("|---|---|---|")
        defaults = {"rows": 400_000, "rounds": 2, "limit": 1024, "stop_after": 120}
        _measure_blocks(Path(folder), *(int(options.get(key, value)) for key, value in defaults.items()))


def _measure_commands(folder: Path) -> None:
    """Print the peak resident memory of each command."""
    image, run = folder / "photo.png", ""
    make_photo().save(image)
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


def _measure_blocks(folder: Path, rows: int, rounds: int, limit: int, stop_after: int) -> None:
    """Print seconds and memory of training on a block in memory and in a file."""
    import numpy as np

    path = folder / "block.npy"
    block = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, 3, 32, 32))
    block[:] = np.random.default_rng(0).integers(256, size=(1, 3, 32, 32), dtype=np.uint8)
    block.flush()
    del block
    limited = f"mapped, {limit} MiB of memory"
    no_prefetch = f"{limited}, no prefetch"
    results: dict[str, list[dict[str, float]]] = {"in memory": [], "mapped": [], limited: [], no_prefetch: []}
    for _ in range(rounds):
        for name, measurements in results.items():
            words = [sys.executable, "-c", MAPPED, str(path), str(rows), name.split(",")[0]]
            words += ["no prefetch" if name == no_prefetch else "prefetch", str(stop_after)]
            is_limited = name in (limited, no_prefetch)
            with _limit_memory(limit, path) if is_limited else contextlib.nullcontext() as group:
                enter = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"] if group else []
                if is_limited and not group:
                    continue
                completed = subprocess.run([*enter, *words], capture_output=True, text=True, check=True)
            measurements.append(json.loads(completed.stdout.splitlines()[-1]))
    for name, measurements in results.items():
        if not measurements:
            print(f"({name}: memory could not be limited; this needs root and control groups)")
            continue
        seconds = sorted(measurement["seconds"] for measurement in measurements)
        anonymous = max(measurement["anonymous_mib"] for measurement in measurements)
        size = rows * 3072 / 2**20
        range_ = f"{seconds[len(seconds) // 2]:.2f} ({seconds[0]:.2f} to {seconds[-1]:.2f})"
        fraction = min(measurement["fraction"] for measurement in measurements)
        suffix = f" (from {100 * fraction:.0f}% of an epoch)" if fraction < 1 else ""
        print(f"| {size:.0f} MiB {name}{suffix} | {range_} | {anonymous:.0f} |", flush=True)


@contextlib.contextmanager
def _limit_memory(mib: int, path: Path) -> Iterator[Path | None]:
    """Yield a control group with limited memory, or None without permission; drop the file from the page cache."""
    v1 = Path("/sys/fs/cgroup/memory")
    group = (v1 if v1.is_dir() else v1.parent) / "yisheng-benchmark"
    try:
        group.mkdir(exist_ok=True)
        (group / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")).write_text(str(mib << 20))
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
        with contextlib.suppress(OSError):  # a process is still in the group
            group.rmdir()


if __name__ == "__main__":
    main(sys.argv[1:])

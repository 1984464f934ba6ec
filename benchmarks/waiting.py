"""Measure where people wait: a short training from the shell, a large table, and the predictions for its rows.

    python benchmarks/waiting.py [rows=1000000] [rounds=3] [before=CHECKOUT] [only=start,table,predict]

With ``before=``, the folder of another checkout of this project (``git worktree add CHECKOUT COMMIT``), each command
runs in turn with that one and with this one. The table has 18 columns of numbers, two of categories and a target of two
classes. The medians over the rounds are printed with the smallest and the largest value; memory is the peak of the
process. Reading the same file with pandas, pyarrow, polars and duckdb is measured next to them.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv

from yisheng.core import machine

READERS = {
    "pandas.read_csv": "import sys, pandas; pandas.read_csv(sys.argv[1])",
    "pyarrow.csv.read_csv": "import sys; from pyarrow import csv; csv.read_csv(sys.argv[1])",
    "polars.read_csv": "import sys, polars; polars.read_csv(sys.argv[1])",
    "duckdb.read_csv": "import sys, duckdb; duckdb.read_csv(sys.argv[1]).fetchnumpy()",
}
"""Programs that read a table; those of libraries that are not installed are left out."""
TOWNS = [f"town {number}" for number in range(40)]
CHECKOUT = Path(__file__).resolve().parent.parent


class Usage(NamedTuple):
    """What a process took.

    Args:
        seconds: from its start to its end.
        processor: seconds of processor time.
        memory: largest resident memory, MiB.
    """

    seconds: float
    processor: float
    memory: float


def write_rows(path: Path, rows: int, seed: int = 0) -> None:
    """Write a table of 20 columns and a target that depends on some of them."""
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(18, rows)).round(4)
    numbers[::3] = (numbers[::3] * 50).round(0)
    town, garden = draw.integers(0, len(TOWNS), rows), draw.integers(0, 2, rows)
    signal = numbers[1] + numbers[2] * garden + town / 20 - 1 + draw.normal(size=rows)
    columns = {f"x{n}": column for n, column in enumerate(numbers)}
    columns |= {"town": pa.array(TOWNS).take(pa.array(town)), "garden": pa.array(["no", "yes"]).take(pa.array(garden))}
    columns["sold"] = pa.array(["no", "yes"]).take(pa.array((signal > 0).astype(int)))
    csv.write_csv(pa.table(columns), path, csv.WriteOptions(quoting_style="none"))


def measure(command: Sequence[str], folder: Path, source: Path | None = None) -> Usage:
    """Run a command in a folder, with the package of a checkout, and return what it took.

    Raises:
        RuntimeError: it failed.
    """
    environment = dict(os.environ)
    if source is not None:
        environment["PYTHONPATH"] = str(source / "src")
    start = time.perf_counter()
    with (folder / "messages").open("wb") as messages:
        process = subprocess.Popen(command, cwd=folder, stdout=messages, stderr=messages, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError((folder / "messages").read_text(errors="replace")[-2000:])
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def list_commands(folder: Path, rows: int, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the measured commands of Yisheng by their description; the files that they need are made."""
    commands = {}
    if "start" in names:
        commands["yisheng train data=iris epochs=2"] = ["train", "data=iris", "epochs=2"]
    if "table" in names or "predict" in names:
        write_rows(folder / "rows.csv", rows)
    if "table" in names:
        settings = ["model=mlp", "batch=1024", "boosting=false", "precision=fp32", "epochs=1"]
        commands[f"train {' '.join(settings)} on {rows:,} rows"] = ["train", "data=rows.csv", "target=sold", *settings]
    if "predict" in names:
        write_rows(folder / "few.csv", 20_000, seed=1)
        train = ["train", "data=few.csv", "target=sold", "model=mlp", "epochs=1", "out=model"]
        measure([sys.executable, "-m", "yisheng", *train], folder)
        (run,) = (folder / "model").glob("[0-9]*")
        commands[f"predict {rows:,} rows into a CSV"] = ["predict", str(run), "rows.csv", "out=a.csv", "force=true"]
    return commands


def main(words: list[str]) -> None:
    """Measure in turn, and print the table."""
    options = dict(word.split("=", 1) for word in words)
    rows, rounds = int(options.get("rows", 1_000_000)), int(options.get("rounds", 3))
    names = options.get("only", "start,table,predict").split(",")
    states = {"before": Path(options["before"]).resolve()} if "before" in options else {}
    states["now"] = CHECKOUT
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        commands = list_commands(folder, rows, names)
        others = {"import torch": ["-c", "import torch"]}
        if (folder / "rows.csv").exists():
            installed = [name for name in READERS if importlib.util.find_spec(name.partition(".")[0])]
            others |= {name: ["-c", READERS[name], "rows.csv"] for name in installed}
        results: dict[tuple[str, str], list[Usage]] = {}
        for _ in range(rounds):
            for name, arguments in others.items():
                results.setdefault((name, ""), []).append(measure([sys.executable, *arguments], folder))
            for name, arguments in commands.items():
                for state, source in states.items():
                    usage = measure([sys.executable, "-m", "yisheng", *arguments, "--quiet"], folder, source)
                    results.setdefault((name, state), []).append(usage)
    print(f"{machine.describe_processor()[0]}, {machine.count_cores()} cores, medians of {rounds} rounds\n")
    print("| command | | seconds (min to max) | seconds of processor | MiB |")
    print("|---|---|---|---|---|")
    for (name, state), usages in results.items():
        seconds = [usage.seconds for usage in usages]
        processor, memory = (statistics.median(usage[n] for usage in usages) for n in (1, 2))
        range_text = f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
        print(f"| {name} | {state} | {range_text} | {processor:.1f} | {memory:.0f} |")


if __name__ == "__main__":
    main(sys.argv[1:])

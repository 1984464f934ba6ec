"""Measure how processor time and memory grow with rows, columns, classes, images, runs, epochs and requests.

    python benchmarks/growth.py [sizes=full] [part=rows,columns,...] [max=N] [results=FILE] [table=true]

Each size is measured in a process of its own, after the same work on a tiny size, so that imports do not count:
seconds of processor time, and MiB of resident memory above those before. An exponent k of ``cost = c n^k`` is fitted
through the sizes within a hundredth of the largest one, by least squares of the logarithms, with its 95% interval; next
to it is the exponent between the last two sizes alone, from which a fixed cost takes less. What was measured is kept in
the file of results (growth.json), and only what is missing there is measured, so that the parts can be run one after
another; `max=` leaves larger sizes out, `table=true` only prints.

By default each part has five sizes, all parts together take about ten minutes of processor time; `sizes=full` adds
larger ones, up to 10,000,000 rows, 20,000 columns, 10,000 classes and 1,000,000 images, which take hours.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DECADES = 2
"""Powers of ten below the largest size that the exponent is fitted through."""
MIN_SECONDS, MIN_MIB = 0.02, 16.0
"""Smaller costs are noise, and no exponent is fitted through them."""
QUICK = ["epochs=1", "ood=false", "doctor=off", "boosting=false", "importance=false"]

Work = Callable[[], Any]
Prepare = Callable[[Path, int], Work]
"""``(folder, size) -> work``: writes what is needed, and returns what is measured."""


@dataclass(frozen=True)
class Part:
    """Something whose cost grows.

    Args:
        unit: what is counted.
        sizes: in rising order.
        larger: further sizes, for ``sizes=full``.
        prepare: prepares a size.
        tiny: the size that is done before.
    """

    unit: str
    sizes: Sequence[int]
    larger: Sequence[int]
    prepare: Prepare
    tiny: int = 60

    def list_sizes(self, *, full: bool) -> list[int]:
        """Return the sizes to measure, in rising order."""
        return [*self.sizes, *(self.larger if full else ())]


def run_command(*words: str) -> None:
    """Run a command of yisheng in this process, without its messages.

    Raises:
        RuntimeError: it failed.
    """
    from yisheng.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(list(words))
    if code:
        raise RuntimeError(f"yisheng {' '.join(words)}: {printed.getvalue()[-1500:]}")


def write_table(path: Path, rows: int, columns: int = 8, classes: int = 2) -> Path:
    """Write a CSV file of numbers and a target with some classes, one of which every row has."""
    draw = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join([*(f"x{n}" for n in range(columns)), "kind"]) + "\n")
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            x = draw.normal(size=(count, columns)).round(3)
            kinds = (np.arange(start, start + count) + (x[:, 0] > 0)) % classes
            for row, kind in zip(x.tolist(), kinds.tolist(), strict=True):
                file.write(",".join(map(str, row)) + f",k{kind}\n")
    return path


def prepare_training(*words: str, **shape: int) -> Prepare:
    """Return what trains on a table whose size is that of the part."""

    def prepare(folder: Path, size: int) -> Work:
        sizes = {"rows": 60, "columns": 8, "classes": 2, **shape}
        name = next(key for key, value in sizes.items() if value == 0)
        sizes[name] = size
        if name == "classes":
            sizes["rows"] = max(60, 8 * size)
        table = write_table(folder / "table.csv", **sizes)
        return lambda: run_command("train", f"data={table}", "target=kind", f"out={folder}", "--quiet", *words)

    return prepare


def prepare_predictions(folder: Path, size: int) -> Work:
    """Train on few rows, and predict many from a file into a file."""
    table = write_table(folder / "table.csv", 500)
    run_command("train", f"data={table}", "target=kind", f"out={folder / 'runs'}", "--quiet", *QUICK)
    run = next((folder / "runs").iterdir())
    rows = write_table(folder / "rows.csv", size)
    return lambda: run_command("predict", str(run), str(rows), f"out={folder / 'predictions.csv'}", "--quiet")


def prepare_scores(folder: Path, size: int) -> Work:
    """Return what scores predictions of many rows for ten classes, with intervals."""
    from yisheng.core.spec import Spec
    from yisheng.evaluation.details import collect_details
    from yisheng.evaluation.predictions import Predictions
    from yisheng.evaluation.scores import compute_scores

    draw = np.random.default_rng(0)
    spec = Spec("classification", (4,), classes=tuple(map(str, range(10))))
    probabilities = draw.dirichlet(np.ones(10), size).astype(np.float32)
    predictions = Predictions(draw.integers(0, 10, size), probabilities, np.arange(size))
    (folder / "unused").touch()

    def work() -> None:
        compute_scores(spec, predictions)
        collect_details(spec, predictions, part="test")

    return work


def prepare_images(*words: str) -> Prepare:
    """Return what trains on a folder of small images, which it decodes first."""

    def prepare(folder: Path, size: int) -> Work:
        from PIL import Image

        draw = np.random.default_rng(size)
        for number in range(size):
            place = folder / "images" / f"kind{number % 2}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (16, 16), dtype=np.uint8)).save(place / f"{number}.png")
        images = folder / "images"
        return lambda: run_command("train", f"data={images}", "model=linear", f"out={folder}", "--quiet", *words)

    return prepare


def prepare_runs(*words: str) -> Prepare:
    """Return what a command does with many runs, which are copies of one."""

    def prepare(folder: Path, size: int) -> Work:
        runs = folder / "runs"
        run_command("train", "data=iris", "model=linear", f"out={runs}", "--quiet", *QUICK)
        first = next(runs.iterdir())
        copies = [runs / f"{number:04}-iris-linear" for number in range(2, size + 1)]
        for copy in copies:
            shutil.copytree(first, copy)
        places = [str(runs)] if words[0] == "runs" else [str(first), *map(str, copies)]
        return lambda: run_command(*words, *places)

    return prepare


def prepare_epochs(folder: Path, size: int) -> Work:
    """Return what trains for many epochs of one update, with journal, checkpoints and report."""
    return lambda: run_command(
        *("train", "data=iris", "model=mlp", f"epochs={size}", "batch=128", f"out={folder}", "--quiet", *QUICK[1:])
    )


def prepare_search(folder: Path, size: int) -> Work:
    """Return what searches with many trials of a small network."""
    lrs = ",".join(f"{0.001 * 1.005**n:.8f}" for n in range(size))
    return lambda: run_command("tune", "data=iris", "model=mlp", f"lr={lrs}", f"out={folder}", "--quiet", *QUICK)


def prepare_requests(folder: Path, size: int) -> Work:
    """Return what predicts many rows, each by a call of its own."""
    import yisheng

    run_command("train", "data=iris", "model=mlp", f"out={folder}", "--quiet", "epochs=1", "doctor=off")
    run = yisheng.load(next(folder.iterdir()))
    row = [[5.1, 3.5, 1.4, 0.2]]

    def work() -> None:
        for _ in range(size):
            run.predict(row)

    return work


PARTS = {
    "rows": Part(
        "rows",
        (10**4, 3 * 10**4, 10**5, 3 * 10**5, 10**6),
        (3 * 10**6, 10**7),
        prepare_training("model=mlp", "batch=1024", *QUICK, rows=0),
    ),
    "rows with all defaults": Part(
        "rows", (100, 300, 10**3, 3 * 10**3, 10**4), (3 * 10**4, 10**5), prepare_training(rows=0)
    ),
    "predictions": Part("rows", (3 * 10**3, 10**4, 3 * 10**4, 10**5, 3 * 10**5), (10**6, 10**7), prepare_predictions),
    "scores and intervals": Part("rows", (10**4, 3 * 10**4, 10**5, 3 * 10**5, 10**6), (10**7,), prepare_scores),
    "columns": Part("columns", (30, 100, 300, 1000, 3000), (10**4, 2 * 10**4), prepare_training(columns=0)),
    "classes": Part("classes", (30, 100, 300, 1000, 3000), (10**4,), prepare_training("model=mlp", *QUICK, classes=0)),
    "images": Part("images", (10**2, 300, 10**3, 3 * 10**3, 10**4), (3 * 10**4, 10**5, 10**6), prepare_images(*QUICK)),
    "images with all defaults": Part(
        "images", (10**2, 300, 10**3, 3 * 10**3, 10**4), (3 * 10**4, 10**5), prepare_images("epochs=1")
    ),
    "runs": Part("runs", (10, 30, 100, 300, 1000), (3000,), prepare_runs("runs"), tiny=1),
    "compare": Part("runs", (10, 30, 100, 300, 1000), (3000,), prepare_runs("compare"), tiny=2),
    "trials": Part("trials", (3, 10, 30, 100, 300), (1000,), prepare_search, tiny=2),
    "epochs": Part("epochs", (30, 100, 300, 1000, 3000), (10**4,), prepare_epochs, tiny=2),
    "requests": Part("requests", (100, 300, 1000, 3000, 10**4), (10**5,), prepare_requests, tiny=2),
}


def measure(name: str, size: int) -> dict[str, float]:
    """Return processor seconds and MiB of a size, measured in this process.

    Raises:
        RuntimeError: a command failed.
    """
    from yisheng.core.process import prepare

    prepare()
    part = PARTS[name]
    with tempfile.TemporaryDirectory() as place:
        os.environ["YISHENG_HOME"] = str(Path(place) / "cache")
        works = []
        for number, count in enumerate((part.tiny, size)):
            folder = Path(place) / str(number)
            folder.mkdir()
            works.append(part.prepare(folder, count))
            if not number:
                works[0]()
        memory, start = _read_peak(), _read_processor_seconds()
        works[1]()
        seconds = _read_processor_seconds() - start
    return {"seconds": round(seconds, 4), "mib": round(max(0.0, _read_peak() - memory), 1)}


def _read_peak() -> float:
    """Return the largest resident memory of this process so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _read_processor_seconds() -> float:
    """Return the seconds of processor time of this process and its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def fit_exponent(points: Sequence[tuple[int, float]], minimum: float) -> tuple[float, float, float] | None:
    """Return k of ``cost = c n^k`` with its 95% interval, or None if fewer than three points are above the noise.

    >>> k, low, high = fit_exponent([(10, 1.0), (100, 10.1), (1000, 99.0)], 0.1)
    >>> round(k, 2), low < 1 < high
    (1.0, True)
    """
    from scipy import stats

    largest = max((size for size, _ in points), default=0)
    usable = [(size, cost) for size, cost in points if size * 10**DECADES >= largest and cost > minimum]
    if len(usable) < 3:
        return None
    result = stats.linregress(*np.log10(np.array(usable, float)).T)
    half = float(stats.t.ppf(0.975, len(usable) - 2) * result.stderr)
    return float(result.slope), float(result.slope) - half, float(result.slope) + half


def compute_last_exponent(points: Sequence[tuple[int, float]], minimum: float) -> float | None:
    """Return k of ``cost = c n^k`` between the two largest sizes, or None if their costs are not above the noise.

    >>> round(compute_last_exponent([(10, 1.0), (100, 10.0), (1000, 1000.0)], 0.1), 2)
    2.0
    """
    usable = sorted(point for point in points if point[1] > minimum)[-2:]
    if len(usable) < 2:
        return None
    (size, cost), (next_size, next_cost) = usable
    return math.log(next_cost / cost) / math.log(next_size / size)


def format_row(name: str, costs: dict[str, dict[str, float]]) -> str:
    """Return a row of the table in Markdown."""
    sizes = sorted(map(int, costs))

    def format_costs(key: str, digits: int) -> str:
        return ", ".join(f"{costs[str(size)][key]:.{digits}f}" for size in sizes)

    def format_exponent(key: str, minimum: float) -> str:
        points = [(size, costs[str(size)][key]) for size in sizes]
        fitted, last = fit_exponent(points, minimum), compute_last_exponent(points, minimum)
        return "" if fitted is None or last is None else "{:.2f} ({:.2f} to {:.2f}), {:.2f}".format(*fitted, last)

    shown = ", ".join(f"10^{round(math.log10(size))}" if math.log10(size) % 1 == 0 else f"{size:,}" for size in sizes)
    seconds, memory = format_exponent("seconds", MIN_SECONDS), format_exponent("mib", MIN_MIB)
    return f"| {name} | {shown} | {format_costs('seconds', 2)} | {seconds} | {format_costs('mib', 0)} | {memory} |"


def main(words: list[str]) -> None:
    """Measure what is missing, and print the table in Markdown."""
    options = dict(word.split("=", 1) for word in words)
    file = Path(options.get("results", "growth.json"))
    results: dict[str, dict[str, dict[str, float]]] = json.loads(file.read_text()) if file.is_file() else {}
    names = options["part"].split(",") if "part" in options else list(PARTS)
    is_full = options.get("sizes") == "full"
    for name in names:
        for size in PARTS[name].list_sizes(full=is_full):
            is_measured = str(size) in results.get(name, {})
            if is_measured or size > float(options.get("max", "inf")) or options.get("table") == "true":
                continue
            command = [sys.executable, __file__, "--measure", name, str(size)]
            process = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if process.returncode:
                print(f"{name} {size}: failed", file=sys.stderr)
                break
            results.setdefault(name, {})[str(size)] = json.loads(process.stdout.splitlines()[-1])
            file.write_text(json.dumps(results, indent=1) + "\n")
            print(name, size, results[name][str(size)], file=sys.stderr, flush=True)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{usage.ru_utime + usage.ru_stime:,.0f} seconds of processor time in all", file=sys.stderr)
    print("| part | sizes | seconds of processor | exponent (95%), last | MiB | exponent (95%), last |")
    print("|---" * 6 + "|")
    for name in names:
        if results.get(name):
            print(format_row(name, results[name]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
    else:
        main(sys.argv[1:])

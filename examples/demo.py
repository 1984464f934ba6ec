"""The demo: train on the digits that ship inside scikit-learn, five times; read a drawing of our own.

Run it with `make demo`. Everything it writes goes to ``runs/`` in the present folder.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

import yisheng

SEEDS = range(5)
STROKES = [(150, 70), (120, 180), (110, 210), (240, 210)], [(210, 120), (205, 320)]
"""A four, in two strokes of a pen: points on a sheet of 360 x 400."""


def draw(path: Path) -> None:
    """A four in dark ink on grey paper, off the middle, as somebody might photograph it."""
    paper = Image.new("L", (360, 400), 214)
    pen = ImageDraw.Draw(paper)
    for stroke in STROKES:
        pen.line(stroke, fill=42, width=26, joint="curve")
        for x, y in stroke:
            pen.ellipse((x - 13, y - 13, x + 13, y + 13), fill=42)
    paper.filter(ImageFilter.GaussianBlur(2)).save(path)


def main() -> int:
    """Train, tell, draw, ask."""
    start = time.perf_counter()
    runs = []
    for seed in SEEDS:
        run = yisheng.train(data="digits", seed=seed, quiet=True)
        test, base = run.scores["test"]["accuracy"], run.scores["baseline"]["accuracy"]
        print(
            f"seed {seed}: test accuracy {test.value:.4f} (95% interval {test.low:.4f} to {test.high:.4f}; "
            f"commonest class {base.value:.4f})  {run.path}",
            flush=True,
        )
        runs.append(run)
    values = [run.scores["test"]["accuracy"].value for run in runs]
    print(f"\nmean over {len(values)} seeds: {statistics.mean(values):.4f} +- {statistics.stdev(values):.4f}")

    image = runs[0].path / "drawn-by-the-demo.png"
    draw(image)
    (answer,) = runs[0].predict(image)
    likely = ", ".join(f"{name} {p:.3f}" for name, p in list(answer.probabilities.items())[:3])
    print(f"\n{image} (a four that this demo drew) is read as: {answer.prediction}   ({likely})")
    print("  " + "; ".join(answer.notes))
    print(f"\nreport: {runs[0].path / 'report.html'}")
    print(f"work: {time.perf_counter() - start:.1f} s")
    is_correct = statistics.mean(values) >= 0.97 and answer.prediction == "4"
    print("demo: done" if is_correct else "demo: the result is not what it should be")
    return 0 if is_correct else 1


if __name__ == "__main__":
    sys.exit(main())

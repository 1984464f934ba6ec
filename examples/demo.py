"""Demo: train on scikit-learn's digits with five seeds, and predict a drawn digit.

Run it with `make demo`. It writes to ``runs/`` in the current folder only.
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
"""The two strokes of a four, as points on a sheet of 360 x 400."""


def draw_four(path: Path) -> None:
    """Draw a dark four on gray paper, off center and blurred like a photograph."""
    paper = Image.new("L", (360, 400), 214)
    pen = ImageDraw.Draw(paper)
    for stroke in STROKES:
        pen.line(stroke, fill=42, width=26, joint="curve")
        for x, y in stroke:
            pen.ellipse((x - 13, y - 13, x + 13, y + 13), fill=42)
    paper.filter(ImageFilter.GaussianBlur(2)).save(path)


def main() -> int:
    """Train, print the scores, draw a digit and predict it."""
    start = time.perf_counter()
    runs = []
    for seed in SEEDS:
        run = yisheng.train(data="digits", seed=seed, quiet=True)
        test, base = run.scores["test"]["accuracy"], run.scores["baseline"]["accuracy"]
        print(
            f"seed {seed}: test accuracy {test.value:.4f} (95% interval {test.low:.4f} to {test.high:.4f}; "
            f"most frequent class {base.value:.4f})  {run.path}",
            flush=True,
        )
        runs.append(run)
    values = [run.scores["test"]["accuracy"].value for run in runs]
    print(f"\nmean over {len(values)} seeds: {statistics.mean(values):.4f} +- {statistics.stdev(values):.4f}")

    image = runs[0].path / "drawn-by-the-demo.png"
    draw_four(image)
    (prediction,) = runs[0].predict(image)
    likely = ", ".join(f"{name} {p:.3f}" for name, p in list(prediction.probabilities.items())[:3])
    print(f"\n{image} (a drawn four) is predicted as {prediction.prediction}   ({likely})")
    print("  " + "; ".join(prediction.notes))
    print(f"\nreport: {runs[0].path / 'report.html'}")
    print(f"time: {time.perf_counter() - start:.1f} s")
    is_correct = statistics.mean(values) >= 0.97 and prediction.prediction == "4"
    print("demo: done" if is_correct else "demo: the accuracy or the prediction is wrong")
    return 0 if is_correct else 1


if __name__ == "__main__":
    sys.exit(main())

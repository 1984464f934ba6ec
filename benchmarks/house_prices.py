"""Compare networks, boosted trees and their mean on house prices: five contiguous folds, RMSE of the logarithm.

No setting is tuned for this data. Compared are `yisheng train data=house-prices folds=5 split=contiguous test=0` with
default settings, once for each seed; boosted trees on the same rows; and the mean of their predicted logarithms. Each
row is predicted by models that were not trained on it.

    python benchmarks/house_prices.py [seeds=3] [out=FOLDER]       existing cross-validations in FOLDER are used
"""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path

from yisheng.core.process import prepare

prepare()

import numpy as np  # noqa: E402

import yisheng  # noqa: E402
from yisheng import transforms  # noqa: E402
from yisheng.core.dataset import Split  # noqa: E402
from yisheng.data.split import make_folds  # noqa: E402
from yisheng.evaluation.tree_baseline import train_tree_baseline  # noqa: E402

K = 5


def main(words: list[str]) -> None:
    """Train what is missing, and print the table."""
    options = dict(word.split("=", 1) for word in words)
    seeds = range(int(options.get("seeds", 3)))
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(options.get("out", temporary))
        data = yisheng.data.load("house-prices")
        splits = make_folds(data, K, test=0, method="contiguous")
        price = data.y[:, 0].astype(np.float64)
        network, seconds = [], []
        for seed in seeds:
            start = time.perf_counter()
            network.append(np.log(predict_out_of_fold(out / f"seed-{seed}", seed, len(price))))
            seconds.append(time.perf_counter() - start)
        trees, start = [], time.perf_counter()
        for seed in seeds:
            prices = np.empty(len(price))
            for split in splits:
                target = transforms.fit("log", data.y, rows=split.train)
                part = Split(split.train, split.validation, split.test)
                results = train_tree_baseline(data, part, target=target, seed=seed).predictions["validation"]
                prices[results.index] = np.log(results.prediction[:, 0])
            trees.append(prices)
        tree_seconds = (time.perf_counter() - start) / len(seeds)
    truth = np.log(price)

    def score(predicted: np.ndarray) -> float:
        return statistics.mean(
            float(np.sqrt(np.mean((predicted[s.validation] - truth[s.validation]) ** 2))) for s in splits
        )

    print("| model | log-RMSE, mean over the folds; mean ± sd over seeds | seconds per cross-validation |")
    print("|---|---|---|")
    print_row("default network", [score(g) for g in network], statistics.mean(seconds))
    print_row("boosted trees", [score(g) for g in trees], tree_seconds)
    print_row("mean of network and trees, same seed", [score((a + b) / 2) for a, b in zip(network, trees, strict=True)])
    print_row(f"mean of the networks of all {len(network)} seeds", [score(np.mean(network, 0))])
    print_row("mean of all networks and all trees", [score((np.mean(network, 0) + np.mean(trees, 0)) / 2)])


def predict_out_of_fold(out: Path, seed: int, n: int) -> np.ndarray:
    """Return each row's price, predicted by the fold model not trained on it; cross-validate if it is not done yet."""
    if not list(out.glob("*/scores.json")):
        yisheng.train(data="house-prices", folds=K, split="contiguous", test=0, seed=seed, out=out, quiet=True)
    (folder,) = {path.parent for path in out.glob("*/scores.json")}
    predicted = np.full(n, np.nan)
    with (folder / "out-of-fold.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            predicted[int(row["row"])] = float(row["predicted"])
    return predicted


def print_row(label: str, values: list[float], seconds: float | None = None) -> None:
    """Print a row of the table."""
    sd = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    print(f"| {label} | {statistics.mean(values):.4f}{sd} | {'' if seconds is None else f'{seconds:.0f}'} |")


if __name__ == "__main__":
    main(sys.argv[1:])

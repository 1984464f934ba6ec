"""Measure the temperature of an ensemble's probabilities that is chosen on few or many rows, on tables of classes.

    python benchmarks/tables/calibration.py data=FOLDER cache=FOLDER [tables=pima,wine] [candidates=boosting,linear]

The out-of-fold predictions are those of `candidates.py` and its cache. The temperature is chosen on random rows and
used for all others, 60 times; the log loss there is divided by that without a temperature. A prior of 0 leaves every
temperature at 1, and with a prior of infinity the rows alone decide.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from candidates import TABLES, make_outcome, train

from yisheng.training.portfolio import calibration
from yisheng.training.portfolio.weights import choose_weights

CLASSES = "wine,breast-cancer,pima,titanic"
CANDIDATES = "boosting,linear,boosting-extra,boosting-small,extra-trees,kernel"
PRIORS = (float("inf"), 1.0, 0.5, 0.3, 0.2, 0.1)
"""Standard deviations of the logarithm of the temperature."""
REPEATS = 60
FRACTION = 0.8
"""Of the rows, for the largest number of them."""


def main(words: list[str]) -> None:
    """Print the ratios of each prior, over the tables and over the ensemble and its candidates."""
    options = dict(word.split("=", 1) for word in words)
    data, cache = Path(options["data"]), Path(options["cache"])
    ratios: dict[tuple[str, float], list[float]] = {}
    for table in options.get("tables", CLASSES).split(","):
        if TABLES[table](data).score != "accuracy":
            continue
        outcome = make_outcome(table, data, 5)
        names = options.get("candidates", CANDIDATES).split(",")
        trained = [train(name, table, outcome.rows, cache) for name in names]
        predictions = [values for values in trained if values is not None]
        rows = np.arange(len(outcome.rows.data))
        folds = [np.sort(fold) for fold in outcome.rows.validation_rows]
        weights = choose_weights(outcome.make_problem(predictions, rows), folds, seed=0)
        mean = sum(weight * values for weight, values in zip(weights, predictions, strict=True))
        for probabilities in (mean, *predictions):
            for count, losses in measure(np.asarray(probabilities, np.float64), outcome.rows.data.y).items():
                for prior, loss in losses.items():
                    ratios.setdefault((count, prior), []).append(loss)
    for (count, prior), values in ratios.items():
        print(f"{count:>4} rows, prior {prior:4}: mean {np.mean(values):.4f}, largest {max(values):.4f}")


def measure(probabilities: np.ndarray, y: np.ndarray) -> dict[str, dict[float, float]]:
    """Return the log loss with each prior divided by that without a temperature, by the number of rows."""
    rng, results = np.random.default_rng(0), {}
    for name, count in {"32": 32, "100": 100, "80%": round(FRACTION * len(y))}.items():
        totals = dict.fromkeys(PRIORS, 0.0)
        plain = 0.0
        for _ in range(REPEATS):
            order = rng.permutation(len(y))
            fitting, held_out = order[:count], order[count:]
            plain += compute_loss(probabilities[held_out], y[held_out])
            for prior in PRIORS:
                calibration.LOG_TEMPERATURE_STD = prior
                folds = np.array_split(np.arange(count), 5)
                temperature = calibration.choose_temperature(probabilities[fitting], y[fitting], folds)
                scaled = calibration.scale_probabilities(probabilities[held_out], temperature)
                totals[prior] += compute_loss(scaled, y[held_out])
        results[name] = {prior: total / plain for prior, total in totals.items()}
    return results


def compute_loss(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Return the mean log loss."""
    return float(-np.log(probabilities[np.arange(len(y)), y].clip(1e-9)).mean())


if __name__ == "__main__":
    main(sys.argv[1:])

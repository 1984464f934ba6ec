"""Train as one contestant on a table and predict its test rows; print the seconds of both as JSON.

    python contestants.py CONTESTANT FOLDER SECONDS

The folder holds ``train.csv`` and ``test.csv`` (whose targets are removed), and ``table.json``. Each contestant writes
``prediction.csv`` with one column: the class, or the number. Only those of Yisheng import it; the others run in an
environment of their own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

NOT_INSTALLED = 5
"""Exit code if a package of the contestant is not installed."""
Predict = Callable[[pd.DataFrame], Any]


def main(words: list[str]) -> None:
    """Train, predict and write."""
    name, folder, seconds = words[0], Path(words[1]), float(words[2])
    table = json.loads((folder / "table.json").read_text())
    try:
        fit = CONTESTANTS[name]
        start = time.perf_counter()
        predict = fit(folder, table, seconds)
        trained = time.perf_counter()
        test = pd.read_csv(folder / "test.csv")
        prediction = predict(test)
        predicted = time.perf_counter()
    except ModuleNotFoundError as error:
        print(f"{name} is skipped: {error}", file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    pd.DataFrame({"prediction": prediction}).to_csv(folder / "prediction.csv", index=False)
    print(json.dumps({"training": trained - start, "prediction": predicted - trained, "rows": len(test)}))


def fit_yisheng(folder: Path, table: dict[str, Any], **settings: Any) -> Predict:
    """Train with Yisheng in this process, as its command does."""
    from yisheng.core.process import prepare

    prepare()
    import yisheng

    if table["score"] == "log-rmse":
        settings["score"] = "log-rmse"
    if table["in_time"]:
        settings.setdefault("split", "contiguous")
    run = yisheng.train(
        data=str(folder / "train.csv"),
        target=table["target"],
        test=0,
        out=str(folder / "runs"),
        ood=False,
        quiet=True,
        **settings,
    )

    def predict(test: pd.DataFrame) -> Any:
        return [prediction.prediction for prediction in run.predict(test)]

    return predict


def fit_sklearn(folder: Path, table: dict[str, Any], _: float) -> Predict:
    """Fit scikit-learn's histogram gradient boosting with its defaults, categories as they are."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, y, prepare_rows = read_rows(folder, table)
    make = HistGradientBoostingClassifier if table["score"] == "accuracy" else HistGradientBoostingRegressor
    model = make(categorical_features="from_dtype", random_state=0).fit(x, y)
    return lambda test: undo(model.predict(prepare_rows(test)), table)


def fit_lightgbm(folder: Path, table: dict[str, Any], _: float) -> Predict:
    """Fit LightGBM with its defaults."""
    import lightgbm

    x, y, prepare_rows = read_rows(folder, table)
    make = lightgbm.LGBMClassifier if table["score"] == "accuracy" else lightgbm.LGBMRegressor
    model = make(random_state=0, verbose=-1).fit(x, y)
    return lambda test: undo(model.predict(prepare_rows(test)), table)


def fit_tabm(folder: Path, table: dict[str, Any], _: float) -> Predict:
    """Train TabM by its own package with its authors' settings: AdamW 2e-3, patience 16, embedded numbers."""
    import torch
    from rtdl_num_embeddings import PiecewiseLinearEmbeddings, compute_bins
    from sklearn.preprocessing import QuantileTransformer
    from tabm import TabM

    x, y, prepare_rows = read_rows(folder, table)
    numbers = [name for name in x if x[name].dtype != "category"]
    categories = [name for name in x if name not in numbers]
    medians = x[numbers].median()
    scaler = QuantileTransformer(n_quantiles=min(1000, len(x)), output_distribution="normal", random_state=0)
    scaler.fit(x[numbers].fillna(medians).astype(np.float32))

    def to_tensors(rows: pd.DataFrame) -> tuple[Any, Any]:
        scaled = scaler.transform(rows[numbers].fillna(medians).astype(np.float32)).astype(np.float32)
        codes = (
            np.stack([rows[name].cat.codes + 1 for name in categories], 1) if categories else np.zeros((len(rows), 0))
        )
        return torch.from_numpy(scaled), torch.from_numpy(codes.astype(np.int64))

    torch.manual_seed(0)
    order = np.random.default_rng(0).permutation(len(x))
    cut = max(1, len(x) // 5)
    held_out, train = order[:cut], order[cut:]
    x_num, x_cat = to_tensors(x)
    is_classes = table["score"] == "accuracy"
    labels = sorted(set(y)) if is_classes else []
    mean, std = (0.0, 1.0) if is_classes else (float(np.mean(y[train])), float(np.std(y[train])) or 1.0)
    target = torch.tensor([labels.index(v) for v in y]) if is_classes else torch.tensor((y - mean) / std).float()
    varying = [i for i in range(x_num.shape[1]) if len(x_num[train][:, i].unique()) > 1]
    x_num = x_num[:, varying]
    embeddings = PiecewiseLinearEmbeddings(
        compute_bins(x_num[train], n_bins=min(48, len(train) // 2)), d_embedding=16, activation=False, version="B"
    )
    model = TabM.make(
        n_num_features=x_num.shape[1],
        cat_cardinalities=[len(x[name].cat.categories) + 1 for name in categories],
        d_out=len(labels) or 1,
        num_embeddings=embeddings,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=3e-4)

    def run(rows_num: Any, rows_cat: Any) -> Any:
        return model(rows_num, rows_cat if categories else None)

    def loss_of(output: Any, truth: Any) -> Any:
        k = output.shape[1]
        if is_classes:
            return torch.nn.functional.cross_entropy(output.flatten(0, 1), truth.repeat_interleave(k))
        return torch.nn.functional.mse_loss(output.squeeze(-1).flatten(), truth.repeat_interleave(k))

    best, weights, waited = np.inf, model.state_dict(), 0
    while waited < 16:
        model.train()
        for rows in torch.randperm(len(train)).split(256):
            index = torch.from_numpy(train[rows.numpy()])
            optimizer.zero_grad()
            loss_of(run(x_num[index], x_cat[index]), target[index]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            index = torch.from_numpy(held_out)
            output = run(x_num[index], x_cat[index])
            mean_output = output.softmax(-1).mean(1) if is_classes else output.mean(1).squeeze(-1)
            error = (
                float((mean_output.argmax(1) != target[index]).float().mean())
                if is_classes
                else float(((mean_output - target[index]) ** 2).mean())
            )
        waited += 1
        if error < best:
            best, waited = error, 0
            weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)

    def predict(test: pd.DataFrame) -> Any:
        rows_num, rows_cat = to_tensors(prepare_rows(test))
        with torch.no_grad():
            output = run(rows_num[:, varying], rows_cat)
        if is_classes:
            return [labels[i] for i in output.softmax(-1).mean(1).argmax(1)]
        return undo(output.mean(1).squeeze(-1).double().numpy() * std + mean, table)

    return predict


def fit_autogluon(folder: Path, table: dict[str, Any], seconds: float, preset: str) -> Predict:
    """Fit AutoGluon with a preset and a time limit."""
    from autogluon.tabular import TabularPredictor

    train = pd.read_csv(folder / "train.csv")
    if table["score"] == "log-rmse":
        train[table["target"]] = np.log(train[table["target"]])
    is_classes = table["score"] == "accuracy"  # few different numbers would be taken for classes
    predictor = TabularPredictor(
        table["target"],
        problem_type=None if is_classes else "regression",
        eval_metric="accuracy" if is_classes else "root_mean_squared_error",
        path=str(folder / "autogluon"),
        verbosity=0,
    )
    predictor.fit(train, time_limit=seconds, presets=preset, num_cpus=os.cpu_count())
    return lambda test: undo(predictor.predict(test).to_numpy(), table)


def read_rows(folder: Path, table: dict[str, Any]) -> tuple[pd.DataFrame, np.ndarray, Callable[..., pd.DataFrame]]:
    """Return inputs, targets (logarithms for log-rmse), and a function that prepares other rows alike.

    Text becomes categories; a column with a different text in nearly every row is left out.
    """
    train = pd.read_csv(folder / "train.csv")
    y = train.pop(table["target"]).to_numpy()
    levels = {name: sorted(train[name].dropna().unique()) for name in train.select_dtypes(exclude="number")}
    left_out = [name for name, values in levels.items() if len(values) > 250]

    def prepare_rows(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.drop(columns=left_out)
        for name in rows.columns.intersection(list(levels)):
            rows[name] = pd.Categorical(rows[name], levels[name])
        return rows

    return prepare_rows(train), np.log(y) if table["score"] == "log-rmse" else y, prepare_rows


def undo(prediction: Any, table: dict[str, Any]) -> Any:
    """Return predictions in the unit of the target."""
    return np.exp(prediction) if table["score"] == "log-rmse" else prediction


CONTESTANTS: dict[str, Callable[[Path, dict[str, Any], float], Predict]] = {
    "yisheng network": lambda folder, table, _: fit_yisheng(folder, table, boosting=False, model="tabm"),
    "yisheng boosting": lambda folder, table, _: fit_yisheng(folder, table, model="boosting"),
    "yisheng budget": lambda folder, table, seconds: fit_yisheng(folder, table, budget=seconds),
    "yisheng distilled": lambda folder, table, seconds: fit_yisheng(
        folder, table, model="ensemble", budget=seconds, distill=True
    ),
    "HistGradientBoosting": fit_sklearn,
    "LightGBM": fit_lightgbm,
    "TabM": fit_tabm,
    "AutoGluon medium": lambda f, t, s: fit_autogluon(f, t, s, "medium_quality"),
    "AutoGluon high": lambda f, t, s: fit_autogluon(f, t, s, "high_quality"),
}

if __name__ == "__main__":
    main(sys.argv[1:])

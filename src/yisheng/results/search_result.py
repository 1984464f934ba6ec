"""A finished search: its trials, and the run of the chosen setting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core import files
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.paths import parse_out_path, parse_path
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.score_table import ScoreTable
from yisheng.core.supplied_components import supply_components
from yisheng.results import summary
from yisheng.results.report_path import ReportPath
from yisheng.results.trained_run import TrainedRun

if TYPE_CHECKING:
    import pandas as pd

    from yisheng.inference.prediction import PredictionList
    from yisheng.reporting.run_figures.figure import RunFigure


class SearchResult:
    """A finished search: its trials, and the run of the chosen setting.

    Args:
        path: the folder.
        data: the data set in memory that the search was made on, if the config cannot name it.
        model: your own network, its class, a function that builds it, or its reference, as for `TrainedRun`.

    Raises:
        DataError: it is not a finished search, or a file in it is damaged.

    >>> import tempfile, yisheng
    >>> settings = {"model": "linear", "lr": [0.01, 0.1], "epochs": 2}
    >>> search = yisheng.tune(data="iris", **settings, out=tempfile.mkdtemp(), quiet=True)
    >>> result = SearchResult(search.path)
    >>> result.best["setting"], result.trials["lr"].tolist()
    ({'lr': 0.1}, [0.01, 0.1])
    >>> result.run.scores == result.scores, len(result.predict([[5.1, 3.5, 1.4, 0.2]]))
    (True, 1)
    >>> result.plot().axes[0].get_xlabel(), result.report().name
    ('lr', 'report.html')
    """

    best: dict[str, Any]
    """The trial with the best mean: ``number``, ``setting``, ``mean``, ``sd``, ``se``, ``jobs``, ``parameters``, ..."""
    chosen: dict[str, Any]
    """The simplest trial within one standard error of the best; its model is trained."""

    def __init__(self, path: str | Path, data: Dataset | None = None, model: Any = None) -> None:
        folder = RunFolder(parse_path(path, "path"))
        self.path = folder.path
        """The folder of the search."""
        self._data = data
        if not folder.is_search:
            raise DataError(
                Message("{path} is not a search", path=path), Message("give the path that `yisheng tune` printed last")
            )
        assert folder.model_folder  # raises an error if the search is not finished
        table = folder.file(RunFolder.TRIALS)
        self._table: Mapping[str, Any] = files.read_json(table)
        try:
            self._trials = {trial["number"]: trial for trial in self._table["trials"]}
            self.best, self.chosen = (self._describe(self._table[key]) for key in ("best", "chosen"))
        except (KeyError, TypeError) as error:
            raise DataError(
                Message(
                    "{table} is damaged: {type_name} {error}", table=table, type_name=type(error).__name__, error=error
                ),
                INTACT_COPY,
            ) from None
        is_chosen = "model" not in self.chosen["setting"]  # else the chosen network may be another one
        self._model = model if is_chosen else None

    @property
    def trials(self) -> pd.DataFrame:
        """Return a row for each trial: its number, a column for each axis, and the columns of ``trials.csv``."""
        import pandas as pd

        axes = [axis["name"] for axis in self._table["axes"]]
        rows = []
        for trial in self._trials.values():
            results = {key: value for key, value in trial.items() if key not in ("number", "setting", "curve")}
            values = {axis: trial["setting"][axis] for axis in axes}
            rows.append({"trial": trial["number"], **values, "epochs": results.pop("epochs"), **results})
        return pd.DataFrame(rows)

    @property
    def run(self) -> TrainedRun:
        """Return the run of the chosen setting."""
        return TrainedRun(self.path, self._data, self._model)

    @property
    def scores(self) -> ScoreTable:
        """Return the scores of the chosen setting's run."""
        return self.run.scores

    def predict(self, inputs: Any, **reading: Any) -> PredictionList:
        """Predict with the chosen setting's model; see `TrainedRun.predict`."""
        return self.run.predict(inputs, **reading)

    def plot(self, kind: str = "trials", out: str | Path | None = None) -> RunFigure:
        """Return a figure of the search, which a notebook shows.

        Args:
            kind: ``trials`` (the score of each trial by each setting) or ``trial-curves`` (training loss by epoch);
                any other figure is that of the chosen setting's run, see `TrainedRun.plot`.
            out: file to write it to: .png, .svg or .pdf.

        Raises:
            UsageError: there is no such figure, or not of this search.
            StorageError: the file cannot be written.
        """
        from yisheng.experiments.plot import plot

        with supply_components(model=self._model):
            return plot(self.path, kind, out=None if out is None else parse_out_path(out), data=self._data)

    def report(self) -> Path:
        """Write ``report.html`` again; return its path, which a notebook shows as the page."""
        from yisheng.experiments.dispatch import write_report

        return ReportPath(write_report(self.path))

    def _describe(self, number: int) -> dict[str, Any]:
        return {key: value for key, value in self._trials[number].items() if key != "curve"}

    def __fspath__(self) -> str:
        """Return the path of the folder: functions and commands that take the path of a run take the run, too."""
        return os.fspath(self.path)

    def __repr__(self) -> str:
        return summary.describe_search(self.path, self._table)

    def _repr_html_(self) -> str:
        return summary.render_search(self.path, self._table)

"""What a training and a search return in Python: a folder, and what can be done with it."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.paths import parse_path
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.types import Dataset, Run, Scores

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from yisheng.experiments.export import Exported
    from yisheng.inference.prediction import PredictionList
    from yisheng.inference.predictor import Predictor
    from yisheng.reporting.findings_schema import Findings


class TrainedRun:
    """A trained run, a cross-validation, or the run of a search's chosen setting.

    `predict` and `outputs` need only the files of a model (see docs/predictor.md); the other methods need the whole
    folder.

    Args:
        path: the folder.

    Raises:
        DataError: the search is not finished.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = RunFolder(parse_path(path, "path")).model_folder.path
        """The folder of the run or cross-validation."""

    @functools.cached_property
    def run(self) -> Run:
        """Return the contents of the folder; they are read once.

        Raises:
            DataError: a file is damaged, or the folder holds only the files of a model.
        """
        if not os.path.lexists(self.path / RunFolder.CONFIG):
            raise DataError(
                f"{self.path} has no {RunFolder.CONFIG}: it holds only the files of a model",
                "copy the other files of the run folder too, for its config, scores and report",
            )
        return RunFolder(self.path).read_run()

    @functools.cached_property
    def predictor(self) -> Predictor:
        """Return the model; it is read once."""
        from yisheng.inference.predictor import Predictor

        return Predictor(self.path)

    @property
    def scores(self) -> Scores:
        """Return scores by part (``test``, ``validation``, ``baseline``; of folds also ``out_of_fold``) and metric."""
        return self.run.scores

    def predict(self, inputs: Any) -> PredictionList:
        """Predict for images, CSV files, an array or a DataFrame; see `yisheng.inference.predictor.Predictor`."""
        return self.predictor.predict(inputs)

    def outputs(self, inputs: Any) -> np.ndarray:
        """Return probabilities ``(N, C)``, in the order of ``predictor.spec.classes``, or values ``(N, T)``."""
        return self.predictor.predict_outputs(inputs)

    def evaluate(self, data: Dataset | None = None, *, force: bool = False) -> Scores:
        """Compute the scores of the best weights again; see `yisheng.experiments.dispatch.evaluate`."""
        from yisheng.experiments.dispatch import evaluate

        return evaluate(self.path, data, force=force)

    def diagnose(self, *, data: bool | Dataset = False) -> Findings:
        """Return the doctor's findings, with ``data`` also those about its rows; see `yisheng.experiments.diagnose`."""
        from yisheng.experiments.diagnose import diagnose

        return diagnose(self.path, data=data)

    def export(self, *, format: str = "onnx", out: str | Path | None = None, force: bool = False) -> Exported:
        """Write the model as one file for other programs; see `yisheng.experiments.export.export`."""
        from yisheng.experiments.export import export

        return export(self.path, format=format, out=None if out is None else parse_path(out, "out"), force=force)

    def report(self) -> Path:
        """Write ``report.html`` again; return its path."""
        from yisheng.experiments.dispatch import write_report

        assert self.run  # reading it raises an error if a file is missing
        return write_report(self.path)

    def __repr__(self) -> str:
        return f"TrainedRun({str(self.path)!r})"


class SearchResult:
    """A finished search: its trials, and the run of the chosen setting.

    Args:
        path: the folder.

    Raises:
        DataError: it is not a finished search, or a file in it is damaged.
    """

    best: dict[str, Any]
    """The trial with the best mean: ``number``, ``setting``, ``mean``, ``sd``, ``se``, ``jobs``, ``parameters``, ..."""
    chosen: dict[str, Any]
    """The simplest trial within one standard error of the best; its model is trained."""

    def __init__(self, path: str | Path) -> None:
        folder = RunFolder(parse_path(path, "path"))
        self.path = folder.path
        if not folder.is_search:
            raise DataError(f"{path} is not a search", "give the path that `yisheng tune` printed last")
        assert folder.model_folder  # raises an error if the search is not finished
        table = folder.file(RunFolder.TRIALS)
        self._table: Mapping[str, Any] = files.read_json(table)
        try:
            self._trials = {trial["number"]: trial for trial in self._table["trials"]}
            self.best, self.chosen = (self._describe(self._table[key]) for key in ("best", "chosen"))
        except (KeyError, TypeError) as error:
            raise DataError(f"{table} is damaged: {type(error).__name__} {error}", INTACT_COPY) from None

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
        return TrainedRun(self.path)

    def predict(self, inputs: Any) -> PredictionList:
        """Predict with the chosen setting's model; see `yisheng.inference.predictor.Predictor.predict`."""
        return self.run.predict(inputs)

    def report(self) -> Path:
        """Write ``report.html`` again; return its path."""
        from yisheng.experiments.dispatch import write_report

        return write_report(self.path)

    def _describe(self, number: int) -> dict[str, Any]:
        return {key: value for key, value in self._trials[number].items() if key != "curve"}

    def __repr__(self) -> str:
        return f"SearchResult({str(self.path)!r})"

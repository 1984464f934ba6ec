"""A trained run, a cross-validation, or the run of a search's chosen setting."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core.dataset import Dataset, Part
from yisheng.core.errors import DataError, UsageError, YishengError
from yisheng.core.input_spec import Inputs
from yisheng.core.messages import Message
from yisheng.core.paths import parse_out_path, parse_run_path
from yisheng.core.remote.sessions import publish_at_end
from yisheng.core.run_contents import Run, read_run
from yisheng.core.run_folder import RunFolder
from yisheng.core.score_table import ScoreTable
from yisheng.core.supplied_components import supply_components
from yisheng.data.tables.frame_columns import column_name
from yisheng.experiments.model_hub.find_model import find_model
from yisheng.results import run_tables, summary
from yisheng.results.config_table import ConfigTable
from yisheng.results.report_path import ReportPath
from yisheng.results.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import nn

    from yisheng.evaluation.importance import ImportanceTable
    from yisheng.experiments.export import Exported
    from yisheng.experiments.other_data.result import Evaluation
    from yisheng.experiments.table_model import TableModel
    from yisheng.inference.dependence import Dependence
    from yisheng.inference.prediction import PredictionList
    from yisheng.inference.predictor import Predictor
    from yisheng.inference.reasons import Reasons
    from yisheng.reporting.findings_schema import Findings
    from yisheng.reporting.findings_text import FindingsByFold
    from yisheng.reporting.run_figures.figure import RunFigure


class TrainedRun:
    """A trained run, a cross-validation, or the run of a search's chosen setting.

    `predict`, `outputs`, `model` and `weights` need only the files of a model (see docs/predictor.md); the others need
    the whole folder. The attributes read the files when they are first used.

    Args:
        path: the folder, or the address of a published model (``hf:user/name``).
        data: the data set in memory that the run was trained on, if the config cannot name it.
        model: your own network, its class, a function that builds it, or its reference; by default the network is
            rebuilt from the program that was saved of it.

    Raises:
        DataError: the search is not finished.

    >>> import tempfile, numpy as np, yisheng
    >>> folder = tempfile.mkdtemp()
    >>> run = TrainedRun(yisheng.train(data="digits", model="linear", epochs=1, out=folder, quiet=True).path)
    >>> run.path.name, run.config["model"], len(run.history), sorted(run.scores), run.dataset
    ('0001-digits-linear', 'linear', 1, ['baseline', 'test', 'validation'], None)
    >>> images = np.eye(8)[None] * np.full((2, 1, 1), 255)
    >>> run.predict(images)[0].prediction in run.predictor.spec.classes, run.outputs(images).shape
    (True, (2, 10))
    >>> run.model(run.prepare(images)).shape, run.weights["output.weight"].shape
    (torch.Size([2, 10]), (10, 64))
    >>> run.confusion_matrix().shape, len(run.findings.findings), run.folds
    ((10, 10), 0, [])
    >>> run.plot("curves", out=f"{folder}/curves.png").axes[0].get_xlabel()
    'epoch'
    >>> run.evaluate() == run.scores, run.evaluations, run.run.best["epoch"]
    (True, [], 1)
    >>> len(run.diagnose().findings)
    0
    >>> run.export(format="safetensors").path.name, run.report().name
    ('export.safetensors', 'report.html')
    """

    def __init__(self, path: str | Path, data: Dataset | None = None, model: Any = None) -> None:
        self.path = RunFolder(find_model(path)).model_folder.path
        """The folder of the run or cross-validation."""
        self._data = data
        self._model = model

    @property
    def dataset(self) -> Dataset | None:
        """Return the data set that the run was trained on in this process, if it was given as an object; else None."""
        return self._data

    @functools.cached_property
    def run(self) -> Run:
        """Return the contents of the folder; they are read once.

        Raises:
            DataError: a file is damaged, or the folder holds only the files of a model.
        """
        if not os.path.lexists(self.path / RunFolder.CONFIG):
            raise DataError(
                Message(
                    "{path} has no {CONFIG}: it holds only the files of a model",
                    path=self.path,
                    CONFIG=RunFolder.CONFIG,
                ),
                Message("copy the other files of the run folder too, for its config, scores and report"),
            )
        return read_run(RunFolder(self.path))

    @functools.cached_property
    def predictor(self) -> Predictor:
        """Return the model with its transforms; it is read once."""
        from yisheng.inference.predictor import Predictor

        return Predictor(self.path, self._model)

    @functools.cached_property
    def model(self) -> nn.Module:
        """Return the network with its best weights, on the CPU and in eval mode; it is not the one that `predict` uses.

        It takes inputs that are scaled as in training: ``run.model(run.prepare("photo.png"))``.

        Raises:
            DataError: a file of the model is missing or damaged.
            UsageError: this is a cross-validation, which has several networks.
        """
        from yisheng.inference import artifact

        self._require_single("model")
        return artifact.load(self.path, self._model).model

    @functools.cached_property
    def weights(self) -> Weights:
        """Return the best weights by layer name, as NumPy arrays.

        Raises:
            DataError: the file is missing or damaged.
            UsageError: this is a cross-validation, which has several networks.
        """
        self._require_single("weights")
        return Weights(self.path)

    @property
    def folds(self) -> list[TrainedRun]:
        """Return the runs of a cross-validation, in the order of its folds; a single run has none."""
        from yisheng.experiments.diagnose import list_runs

        if not RunFolder(self.path).is_cross_validation:
            return []
        return [TrainedRun(path, self._data, self._model) for path in list_runs(self.path).values()]

    @functools.cached_property
    def config(self) -> ConfigTable:
        """Return every resolved choice by key, as plain data; it prints as ``config.toml``."""
        return ConfigTable(self.run.config, (self.path / RunFolder.CONFIG).read_text(encoding="utf-8"))

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """Return a row for each epoch: learning rate, training loss, validation loss and scores, seconds.

        The history of a cross-validation is that of all its folds, with the column ``fold``.
        """
        return run_tables.read_history(self.path)

    @property
    def scores(self) -> ScoreTable:
        """Return scores by part (``test``, ``validation``, ``baseline``; of folds also ``out_of_fold``) and metric."""
        return ScoreTable(self.run.scores)

    @property
    def findings(self) -> Findings | FindingsByFold:
        """Return the doctor's findings; they print as ``yisheng diagnose`` does."""
        return self.diagnose()

    def confusion_matrix(self) -> pd.DataFrame:
        """Return the numbers of test rows by true class (rows) and predicted class (columns).

        Raises:
            UsageError: the run is not a classification, or is not evaluated.
        """
        return run_tables.read_confusion_matrix(self.path)

    def plot(
        self, kind: str | None = None, out: str | Path | None = None, *, n: int = 18, seed: int = 0, data: Any = None
    ) -> RunFigure:
        """Return a figure, which a notebook shows; it is a `matplotlib.figure.Figure` outside pyplot.

        Args:
            kind: ``curves``, ``steps``, ``confusion-matrix``, ``images``, ``mistakes``, ``predicted``, ``calibration``
                or ``folds``; by default the curves of a run, the folds of a cross-validation.
            out: file to write it to: .png, .svg or .pdf.
            n: number of ``images``.
            seed: which images.
            data: the data of the training, for ``images`` of a loaded run whose data was an object in memory.

        Raises:
            UsageError: there is no such figure, or not of this run; the error lists those that it has.
            DataError: the data for ``images`` cannot be read.
            StorageError: the file cannot be written.
        """
        from yisheng.experiments.memory_data import load_again
        from yisheng.experiments.plot import plot

        path = None if out is None else parse_out_path(out)
        dataset = self._data if data is None else load_again(self.path, data)
        with supply_components(model=self._model):
            return plot(self.path, kind, out=path, data=dataset, n=n, seed=seed)

    def predict(self, inputs: Any, interval: float | None = None, **reading: Any) -> PredictionList:
        """Return predictions for one or several images, tables, rows or arrays; see docs/python.md.

        Args:
            inputs: the inputs.
            interval: with an interval for each value that contains the true one in this fraction of rows, as 0.9; see
                docs/uncertainty.md.
            **reading: how the file of a table is read, if not as the training table: ``encoding``, ``decimal``, ...;
                see `yisheng.data.tables.reading_options`.

        Raises:
            DataError: an input cannot be read, or has the wrong shape; the remedy lists the accepted forms.
            UsageError: there are no inputs, or the model has no intervals of this level.
        """
        if reading:
            from yisheng.data.tables.reading_options import ReadingOptions

            return self.predictor.predict_files(inputs, ReadingOptions.parse(reading), interval)
        return self.predictor.predict(inputs, interval)

    def outputs(self, inputs: Any) -> np.ndarray:
        """Return probabilities ``(N, C)``, in the order of ``predictor.spec.classes``, or values ``(N, T)``."""
        return self.predictor.predict_outputs(inputs)

    def prepare(self, inputs: Any) -> Inputs:
        """Return anything that `predict` takes as `model` takes it: read, resized and scaled as in training.

        Raises:
            DataError: an input cannot be read, or has the wrong shape.
            UsageError: this is a cross-validation, whose networks scale differently.
        """
        self._require_single("prepare")
        return self.predictor.prepare(inputs)

    def evaluate(
        self,
        data: Any = None,
        *,
        part: Part | None = None,
        labels: str | Sequence[str] | None = None,
        name: str | None = None,
        predictions: bool = False,
        groups: str | None = None,
        **options: Any,
    ) -> Evaluation:
        """Score the run again on its own data, or on all rows of other data; see docs/evaluation.md.

        Args:
            data: other data: a name or path as in ``train``, a DataFrame, a `Dataset`, arrays; None (default), or the
                data of the training, for the run's own parts.
            part: only the rows of this official part of the data.
            labels: forms of the class names, as in ``strip-dot``.
            name: name of the evaluation in ``evaluations/``; by default that of the data.
            predictions: also write the prediction of each row.
            groups: a column by whose values the scores are reported too; see `Evaluation.groups`.
            **options: options of the data set, as in ``target="income"``.

        Raises:
            UsageError: a name, option or part is unknown.
            DataError: the data cannot be read, or does not fit the run.
        """
        from yisheng.experiments.dispatch import evaluate, evaluate_on
        from yisheng.experiments.other_data.load import Request

        with publish_at_end(), supply_components(model=self._model):
            parse_run_path(self.path, writes=True)  # of a run at an address, take the right to publish
            if data is None:
                return evaluate(self.path, self._data, groups=groups)
            forms = labels.split(",") if isinstance(labels, str) else labels
            request = Request(data, options, part, forms)
            return evaluate_on(self.path, request, name=name, write_predictions=predictions, groups=groups)

    @property
    def evaluations(self) -> list[Evaluation]:
        """Return the evaluations of the run on other data, by name."""
        from yisheng.experiments.other_data.result import list_evaluations

        return list_evaluations(self.path)

    def importance(self, *, repeats: int = 5, data: Any = None) -> ImportanceTable:
        """Return by how much the score becomes worse if the values of a table's column are exchanged between rows.

        Measured on the test part, or without one on the validation part or the folds; see docs/why.md.

        Args:
            repeats: exchanges of each column.
            data: the data of the training, for a loaded run whose data was an object in memory.

        Raises:
            UsageError: the model is not for rows.
            DataError: the data cannot be read or has changed, or the run held out no rows.

        >>> import tempfile, yisheng
        >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
        >>> len(run.importance(repeats=1))
        4
        """
        from yisheng.experiments.column_effects import measure_importance

        with supply_components(model=self._model):
            return measure_importance(self._open_table(data), repeats=repeats)

    def dependence(self, column: str | int | tuple[Any, ...], *, data: Any = None) -> Dependence:
        """Return the mean prediction by the value of a column of the table (partial dependence).

        Args:
            column: its name, as the table or the DataFrame has it.
            data: the data of the training, for a loaded run whose data was an object in memory.

        Raises:
            UsageError: the model is not for rows, or there is no such column.
            DataError: the data cannot be read or has changed.

        >>> import tempfile, yisheng
        >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
        >>> len(run.dependence("petal width (cm)").values) > 5
        True
        """
        from yisheng.experiments.column_effects import measure_dependence

        with supply_components(model=self._model):
            return measure_dependence(self._open_table(data), column_name(column))

    def reasons(self, row: Any, *, pairs: int = 100, seed: int = 0, data: Any = None) -> Reasons:
        """Return what each column of a row contributes to its prediction: Shapley values with standard errors.

        Args:
            row: the number of a row of the data, or the row in any form that `predict` takes.
            pairs: pairs of random orders of the columns; four times as many halve the standard errors.
            seed: of the orders.
            data: the data of the training, for a loaded run whose data was an object in memory.

        Raises:
            UsageError: the model is not for rows, or there is no such row, or there are several.
            DataError: the data cannot be read or has changed, or the row does not fit the model.

        >>> import tempfile, yisheng
        >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
        >>> run.reasons(0, pairs=2).outputs
        ('setosa', 'versicolor', 'virginica')
        """
        from yisheng.experiments.column_effects import explain_row

        with supply_components(model=self._model):
            return explain_row(self._open_table(data), row, pairs=pairs, seed=seed)

    def _open_table(self, data: Any) -> TableModel:
        from yisheng.experiments.memory_data import load_again
        from yisheng.experiments.table_model import open_table_model

        return open_table_model(self.path, self._data if data is None else load_again(self.path, data))

    def diagnose(self, *, data: bool | Dataset = False) -> Findings | FindingsByFold:
        """Return the doctor's findings, with ``data`` also those about its rows; see `yisheng.experiments.diagnose`.

        The findings of a cross-validation are a mapping by fold.
        """
        from yisheng.experiments.diagnose import diagnose, list_runs
        from yisheng.reporting.findings_text import FindingsByFold

        checked = self._data if data is True and self._data is not None else data
        if RunFolder(self.path).is_cross_validation:
            return FindingsByFold({name: diagnose(path, data=checked) for name, path in list_runs(self.path).items()})
        return diagnose(self.path, data=checked)

    def export(
        self, *, format: str = "onnx", out: str | Path | None = None, force: bool = False, resize: bool = True
    ) -> Exported:
        """Write the model as one file for other programs; see `yisheng.experiments.export.export`.

        Args:
            format: ``onnx``, ``safetensors`` or ``torchscript``.
            out: the file; by default ``export.onnx`` (.safetensors, .pt) in the folder.
            force: replace an existing file.
            resize: take images of any size; False for programs that require one size.

        Raises:
            UsageError: the format is unknown, or the file exists.
            MissingPartError: the format needs an extra that is not installed.
        """
        from yisheng.experiments.export import export

        path = None if out is None else parse_out_path(out)
        with supply_components(model=self._model):
            return export(self.path, format=format, out=path, force=force, resize=resize, data=self._data)

    def report(self) -> Path:
        """Write ``report.html`` again; return its path, which a notebook shows as the page."""
        from yisheng.experiments.dispatch import write_report

        assert self.run  # reading it raises an error if a file is missing
        return ReportPath(write_report(self.path))

    def _require_single(self, attribute: str) -> None:
        if RunFolder(self.path).is_cross_validation:
            raise UsageError(
                Message(
                    "{path} is a cross-validation: each fold has its own {attribute}",
                    path=self.path,
                    attribute=attribute,
                ),
                Message("use run.folds[0].{attribute}", attribute=attribute),
            )

    def __fspath__(self) -> str:
        """Return the path of the folder: functions and commands that take the path of a run take the run, too."""
        return os.fspath(self.path)

    def __repr__(self) -> str:
        try:
            return summary.describe_run(self.path)
        except YishengError:  # only the files of a model, or damaged ones
            return f"TrainedRun({str(self.path)!r})"

    def _repr_html_(self) -> str | None:
        try:
            return summary.render_run(self.path)
        except YishengError:
            return None

"""What an evaluation returns in Python: its scores by part and name, and the files behind them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.run_folder import RunFolder
from yisheng.core.score_table import ScoreTable


class Evaluation(ScoreTable):
    """The scores of a run on some data; they print as a table: ``evaluation["test"]["accuracy"].value``.

    Of a run on its own data the parts are those of ``scores.json``. On other data ``test`` is all that was scored, and
    ``baseline`` the best constant prediction for these rows.

    Args:
        path: the folder: a run's, or one in its ``evaluations/``.

    Raises:
        DataError: ``scores.json`` is damaged.

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> rows = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [6.1, 2.8, 4.7, 1.2]]
    >>> evaluation = run.evaluate((rows, ["setosa", "virginica", "versicolor"]), name="three")
    >>> evaluation.name, evaluation.report.name, evaluation.details["rows"], "notes" in evaluation.other_data
    ('three', 'report.html', 3, True)
    >>> run.evaluate(groups="sepal length (cm)").groups["column"], evaluation.groups is None
    ('sepal length (cm)', True)
    """

    def __init__(self, path: Path) -> None:
        super().__init__(RunFolder(path).scores)
        self.path = path
        """The folder with ``scores.json``, ``evaluation.json`` and ``report.html``."""

    @property
    def name(self) -> str:
        """Return the name of the folder."""
        return self.path.name

    @functools.cached_property
    def details(self) -> dict[str, Any]:
        """Return the contents of ``evaluation.json``: classes, confusion matrix, worst rows; see docs/evaluation.md.

        Raises:
            DataError: the file is missing or damaged.
        """
        details: dict[str, Any] = files.read_json(self.path / RunFolder.EVALUATION)
        return details

    @property
    def other_data(self) -> dict[str, Any] | None:
        """Return what was evaluated and how it was matched with the run; None of a run on its own data."""
        about: dict[str, Any] | None = self.details.get("other_data")
        return about

    @property
    def groups(self) -> dict[str, Any] | None:
        """Return the scores by the values of a column, with ``groups=``: ``column``, and a list of ``groups``."""
        groups: dict[str, Any] | None = self.details.get("groups")
        return groups

    @property
    def report(self) -> Path:
        """Return the path of the report."""
        return self.path / RunFolder.REPORT


def list_evaluations(folder: Path) -> list[Evaluation]:
    """Return the evaluations of a run on other data, by name; a folder without scores is left out.

    Args:
        folder: of the run or cross-validation.
    """
    parent = folder / RunFolder.EVALUATIONS
    paths = sorted(parent.iterdir()) if parent.is_dir() else []
    return [Evaluation(path) for path in paths if (path / RunFolder.SCORES).is_file()]

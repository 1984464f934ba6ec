"""What the files of a run hold as tables: DataFrames of its epochs, and of its confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd


def read_history(folder: Path) -> pd.DataFrame:
    """Return a row for each epoch of a run; those of a cross-validation by fold, with the column ``fold``.

    Raises:
        DataError: it is not a run folder, or its log is damaged.
    """
    import pandas as pd

    from yisheng.experiments.diagnose import list_runs
    from yisheng.reporting.history_csv import read_epoch_table

    if RunFolder(folder).is_cross_validation:
        tables = [read_history(path).assign(fold=path.name) for path in list_runs(folder).values()]
        return pd.concat(tables, ignore_index=True)
    columns, rows = read_epoch_table(folder)
    return pd.DataFrame(rows, columns=columns)


def read_confusion_matrix(folder: Path) -> pd.DataFrame:
    """Return the numbers of test rows by true class (rows) and predicted class (columns).

    Raises:
        UsageError: the run is not a classification, or is not evaluated.
    """
    import pandas as pd

    from yisheng.reporting.run_facts import read_run_facts
    from yisheng.reporting.sections.confusion import class_names

    facts = read_run_facts(folder)
    if facts.evaluation is None or not facts.evaluation.confusion:
        task = facts.spec.task if facts.spec else "run"
        reason = Message("it is a {task}", task=task) if task != "classification" else Message("it is not evaluated")
        raise UsageError(
            Message("{path} has no confusion matrix: {reason}", path=folder, reason=reason),
            Message("see run.scores") if task != "classification" else Message("use run.evaluate()"),
        )
    names = class_names(facts, facts.evaluation)
    index, columns = pd.Index(names, name="true"), pd.Index(names, name="predicted")
    return pd.DataFrame(facts.evaluation.confusion_matrix, index=index, columns=columns)

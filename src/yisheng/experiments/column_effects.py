"""Why a model of a table predicts what it does: importance of its columns, their effect, and the reasons of one row."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError, YishengError, suggest
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.evaluation.column_values import group_columns
from yisheng.evaluation.importance import ImportanceTable, permutation_importance
from yisheng.evaluation.partial_dependence import choose_grid, compute_partial_dependence
from yisheng.evaluation.shapley import sample_shapley_values
from yisheng.experiments.table_model import HeldOutRows, TableModel, build_table_model
from yisheng.inference import rows as typed_rows
from yisheng.inference.dependence import Dependence
from yisheng.inference.predictor import Predictor
from yisheng.inference.reasons import Reasons

MAX_ROWS = 1000
"""Held-out rows that the importance of a report is measured on."""
MAX_PREDICTED_ROWS = 50_000
"""Rows that are predicted for the importance of a report; more columns are measured on fewer rows."""
MIN_ROWS = 100
REPEATS = 5
MAX_COLUMNS = 300
"""Columns up to which a report has their importance."""
SHOWN_COLUMNS, DRAWN_COLUMNS = 20, 3
"""Columns that a report lists with an interval, and draws the effect of."""


def measure_importance(model: TableModel, *, repeats: int = REPEATS, seed: int = 0) -> ImportanceTable:
    """Measure the permutation importance of every column, by the run's own score, on all held-out rows.

    Raises:
        DataError: the run held out no rows.
    """
    return _measure(model, model.held_out(), repeats=repeats, seed=seed)


def _measure(
    model: TableModel, rows: HeldOutRows, *, repeats: int, seed: int, with_interval: int | None = None
) -> ImportanceTable:
    metric = model.find_metric()
    columns = permutation_importance(
        rows.predict,
        rows.x,
        rows.y,
        group_columns(model.spec),
        metric,
        repeats=repeats,
        seed=seed,
        blocks=rows.blocks,
        with_interval=with_interval,
    )
    value = float(metric.build(rows.y, rows.predict(rows.x)))
    return ImportanceTable(columns, metric.key, value, rows.part, len(rows.x))


def measure_dependence(model: TableModel, name: str) -> Dependence:
    """Measure the partial dependence of the predictions on one column.

    Args:
        model: the model.
        name: of the column.

    Raises:
        UsageError: there is no such column, or it is a date, which is several input columns.
    """
    groups = group_columns(model.spec)
    if name not in groups:
        raise UsageError(Message("the model has no column {name}", name=f"{name!r}"), suggest(name, groups))
    positions = groups[name]
    if len(positions) > 1:
        parts = {model.spec.columns[i].name: i for i in positions}
        raise UsageError(
            Message("{name} is a date, which the model gets as {parts}", name=name, parts=", ".join(parts)),
            Message("choose another column"),
        )
    return _depend(model, model.draw_background(), name, positions[0])


def _depend(model: TableModel, background: np.ndarray, name: str, position: int) -> Dependence:
    grid = choose_grid(model.spec, background, position)
    effect = compute_partial_dependence(model.predictor.compute_outputs, background, position, grid)
    return Dependence(model.spec, name, position, effect)


def explain_row(model: TableModel, row: Any, *, pairs: int = 100, seed: int = 0) -> Reasons:
    """Estimate what each column of a row contributes to its prediction.

    Args:
        model: the model.
        row: the number of a row of the data set, or the row itself in any form that prediction takes.
        pairs: pairs of orders that are drawn; see `yisheng.evaluation.shapley.sample_shapley_values`.
        seed: of the draws.

    Raises:
        UsageError: there is no such row, or there are several.
        DataError: the row does not fit the model.
    """
    spec, name, x = model.spec, "", None
    if isinstance(row, int | np.integer) and not isinstance(row, bool):
        if not 0 <= row < len(model.data):
            raise UsageError(
                Message("the data has the rows 0 to {last}, got row={row}", last=f"{len(model.data) - 1:,}", row=row),
                Message("use one of them, or give the values of a row"),
            )
        x = np.asarray(model.data.x[row])
        name = model.data.rows[row] if model.data.rows else f"row {row}"
    else:
        block = model.predictor.read_inputs(row)
        if len(block.x) != 1:
            raise UsageError(
                Message("the reasons of one row are explained, got {count} rows", count=f"{len(block.x):,}"),
                Message("give one"),
            )
        x, name = block.x[0], block.names[0]
    values = sample_shapley_values(
        model.predictor.compute_outputs, x, model.draw_background(), group_columns(spec), pairs=pairs, seed=seed
    )
    return Reasons(spec, name, x, values)


def parse_row(text: str, spec: Spec) -> Any:
    """Return ``row=`` of a command: a row number, or a row of values with commas between them.

    Raises:
        DataError: a value does not fit its column.
    """
    if text.strip().isdecimal() and len(group_columns(spec)) > 1:
        return int(text)
    return typed_rows.parse_rows([[value.strip() for value in text.split(",")]], spec, "row=")


def summarize_run(run: RunFolder, config: Config, data: Dataset) -> dict[str, Any] | None:
    """Return `summarize_columns` of a folder whose model was just written; None with a message if that is impossible.

    Args:
        run: the run or cross-validation.
        config: its config.
        data: the data set.
    """
    try:
        return summarize_columns(build_table_model(run, Predictor(run.path), config, data))
    except YishengError as error:
        logger.info(Message("the importance of columns is not in the report: {problem}", problem=error.problem))
        return None


def summarize_columns(model: TableModel) -> dict[str, Any] | None:
    """Return what a report says about the columns, as plain data; None if there are too many, or no held-out rows."""
    groups = group_columns(model.spec)
    if len(groups) > MAX_COLUMNS:
        return None
    held_out = model.held_out(int(np.clip(MAX_PREDICTED_ROWS // len(groups), MIN_ROWS, MAX_ROWS)))
    repeats = int(np.clip(MAX_PREDICTED_ROWS // (len(groups) * len(held_out.x)), 1, REPEATS))  # more rows tell more
    table = _measure(model, held_out, repeats=repeats, seed=0, with_interval=SHOWN_COLUMNS)
    if not np.isfinite([table.value, *(column.importance.value for column in table)]).all():
        return None  # the rows do not define the score, as one class does not define the AUC
    background = model.draw_background(MIN_ROWS)
    single = [column.column for column in table if len(groups[column.column]) == 1 and column.importance.value > 0]
    effects = [_depend(model, background, name, groups[name][0]).to_json() for name in single[:DRAWN_COLUMNS]]
    return {
        "score": table.score,
        "value": table.value,
        "part": table.part,
        "rows": table.rows,
        "repeats": repeats,
        "columns": [
            {"column": c.column, **asdict(c.importance), "deviation": c.deviation} for c in table[:SHOWN_COLUMNS]
        ],
        "omitted": max(0, len(table) - SHOWN_COLUMNS),
        "dependence": effects,
    }

"""See what a model has learned: filters and feature maps of images, importance, effects and reasons of tables.

usage: yisheng look RUN [out=filters.png] [--json]                          filters of the first convolution
       yisheng look RUN photo.png [layer=NAME] [out=photo-NAME.png] [--json]   feature maps of a layer
       yisheng look RUN photo.png explain=true [out=photo-explained.png] [--json]   what the prediction depends on
       yisheng look photo.png kernel=vertical|sobel|scharr [out=photo-KERNEL.png] [--json]
       yisheng look RUN importance=true [--json]           how much each column of a table matters
       yisheng look RUN column=NAME [--json]               the mean prediction by the value of a column
       yisheng look RUN row=12 [pairs=100] [--json]        what each column contributes to the prediction of a row
       yisheng look RUN row=5.1,3.5,1.4,0.2 [--json]       the same for the values of a row

An unknown layer (layer=?) lists the layers with their shapes. explain=true covers one part of the image after another,
and marks in orange the parts without which the network would change its prediction. The edge filters are what the first
convolution of a trained network finds, written from scratch: each is multiplied with every patch of the image, and the
sum of the products is the brightness of the result. Layers of a network of your own are those of its code:
model=net.py:Net.

Columns are explained with the data of the training, which is read again. importance=true exchanges the values of one
column after the other between the rows of the test part, and measures by how much the run's own score becomes worse.
row= estimates Shapley values with their standard errors: the contributions add up to the difference between the
prediction and the average one; pairs=400 halves the standard errors. row=12 is the row of that number in the data.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message

TABLE_KEYS = ("importance", "column", "row", "pairs")
"""Keys about the columns of a table."""
IMAGE_KEYS = ("kernel", "layer", "explain", "out")
"""Keys about images."""


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(1, 2, Message("a run folder and perhaps an image, or an image and kernel="))
    if any(key in arguments.settings for key in TABLE_KEYS):
        return _explain_table(arguments)
    explain, out = arguments.flag("explain"), arguments.path("out")
    kernel, layer, model = (arguments.take(key) for key in ("kernel", "layer", "model"))
    arguments.require_no_more(*IMAGE_KEYS, *TABLE_KEYS, "model")
    path, *photos = arguments.input_paths(Message("the run folder or image"))

    from yisheng.core.errors import UsageError
    from yisheng.experiments.own_model import supply_model
    from yisheng.experiments.visualize import draw_kernel, draw_network

    if kernel is not None:
        if photos or layer is not None or explain:
            raise UsageError(
                Message("kernel= needs one image, without a run and layer="),
                Message("use yisheng look photo.png kernel=sobel"),
            )
        out, size = draw_kernel(path, kernel, out)
    else:
        photo = photos[0] if photos else None
        with supply_model(path, model):
            out, size = draw_network(path, photo, layer=layer, explain=explain, out=out)
    print(json.dumps({"out": str(out), "size": list(size)}) if arguments.json else out)
    return 0


def _explain_table(arguments: Arguments) -> int:
    """Print the importance of columns, the effect of one, or the reasons of a row."""
    from yisheng.core.errors import UsageError

    folder, *photos = arguments.input_paths("the run folder")
    misplaced = [key for key in IMAGE_KEYS if key in arguments.settings]
    importance, pairs = arguments.flag("importance"), arguments.number("pairs", 100)
    column, row, model = (arguments.take(key) for key in ("column", "row", "model"))
    if photos or misplaced or importance + (column is not None) + (row is not None) != 1:
        words = [*misplaced, *map(str, photos)] or [Message("more or less than one of them")]
        raise UsageError(
            Message(
                "importance=true, column= and row= are three questions about a run on a table, got {words}",
                words=", ".join(words),
            ),
            Message("use one of them: yisheng look {folder} row=0", folder=folder),
        )
    arguments.require_no_more(*IMAGE_KEYS, *TABLE_KEYS, "model")

    from yisheng.experiments.own_model import supply_model

    with supply_model(folder, model):
        text, plain = _answer(folder, column, row, pairs)
    print(json.dumps({"run": str(folder), **plain}, ensure_ascii=False) if arguments.json else text)
    return 0


def _answer(folder: Path, column: str | None, row: str | None, pairs: int) -> tuple[str, dict[str, Any]]:
    """Return the answer as text and as plain data."""
    from dataclasses import asdict

    from yisheng.experiments import column_effects, table_model

    model = table_model.open_table_model(folder)
    if row is not None:
        reasons = column_effects.explain_row(model, column_effects.parse_row(row, model.spec), pairs=pairs)
        return repr(reasons), reasons.to_json()
    if column is not None:
        effect = column_effects.measure_dependence(model, column)
        return repr(effect), effect.to_json()
    table = column_effects.measure_importance(model)
    columns = [{"column": c.column, **asdict(c.importance), "deviation": c.deviation} for c in table]
    return repr(table), {
        "score": table.score,
        "value": table.value,
        "part": table.part,
        "rows": table.rows,
        "columns": columns,
    }

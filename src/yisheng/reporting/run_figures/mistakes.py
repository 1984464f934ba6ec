"""The worst mistakes of a run: a sheet of images, or a chart of rows."""

from __future__ import annotations

import base64
import io
import statistics

import numpy as np
from PIL import Image

from yisheng.core.messages import Message, translate
from yisheng.reporting.evaluation_schema import Mistake
from yisheng.reporting.formatting import format_count, format_percent
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.run_figures.figure import RunFigure
from yisheng.reporting.run_figures.image_sheet import SEPARATOR, Tile, draw_image_sheet, format_numbers
from yisheng.reporting.run_figures.worst_rows import MAX_ROWS, draw_worst_rows, draw_worst_targets
from yisheng.reporting.section import PARTS, format_label


def draw_mistakes(facts: RunFacts, count: int, columns: int) -> RunFigure:
    """Return the rows or images with the worst predictions of an evaluated run.

    Args:
        facts: contents of the run folder, evaluated and with mistakes.
        count: number of images at most.
        columns: images in a row.
    """
    evaluation, classes = facts.evaluation, facts.spec.classes if facts.spec else ()
    assert evaluation is not None
    names = facts.spec.target_names if facts.spec else ("target",)
    tiles = [tile for row in evaluation.worst[:count] if (tile := _make_tile(row, classes))]
    if tiles:
        facts_of_images = {"part": PARTS.get(evaluation.part, evaluation.part), "names": SEPARATOR.join(names)}
        if evaluation.pairs is None:
            details = Message(
                "most confident mistakes of the {part} part: true label above, predicted label below",
                part=facts_of_images["part"],
            )
        elif len(names) > 1:
            details = Message(
                "largest errors of the {part} part: true value above, predicted value below ({names})",
                **facts_of_images,
            )
        else:
            details = Message(
                "largest errors of the {part} part: true value above, predicted value below",
                part=facts_of_images["part"],
            )
        return draw_image_sheet(tiles, facts.name, details, columns=columns)
    rows = evaluation.worst[:MAX_ROWS]
    count_of_rows = {"rows": format_count(len(rows), "row"), "part": PARTS.get(evaluation.part, evaluation.part)}
    if evaluation.pairs is None:
        details = Message("{rows} of the {part} part with the most confident mistakes", **count_of_rows)
        return draw_worst_rows(rows, classes or ("",), Message("probability"), facts.name, details)
    target = facts.spec.target if facts.spec else "target"
    unit = f" ({facts.spec.unit})" if facts.spec and facts.spec.unit else ""
    details = Message("{rows} of the {part} part with the largest errors", **count_of_rows)
    by_target = evaluation.pairs.by_target
    if len(by_target) > 1:
        deviations = [statistics.pstdev(pairs.true) or 1.0 for pairs in by_target]
        return draw_worst_targets(rows, names, deviations, facts.name, details)
    return draw_worst_rows(rows, (), f"{target}{unit}", facts.name, details)


def _make_tile(row: Mistake, classes: tuple[str, ...]) -> Tile | None:
    """Return the image of a mistake, or None if there is none that can be drawn."""
    if row.image_size is None or row.image is None:
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(row.image)), formats=("PNG",)) as image:
            pixels = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    except (OSError, ValueError, SyntaxError):  # Pillow raises SyntaxError for a damaged PNG
        return None
    if row.error is not None:
        return Tile(pixels, format_numbers(row.true), format_numbers(row.predicted), None)
    note = (
        ""
        if row.probability is None
        else translate(Message("{probability} sure", probability=format_percent(row.probability)))
    )
    return Tile(pixels, format_label(row.true, classes), format_label(row.predicted, classes), False, note)

"""Figures of a search by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.reporting import search_figures
from yisheng.reporting.formatting import format_count, score_name
from yisheng.reporting.search_facts import Search, read_search

if TYPE_CHECKING:
    from yisheng.reporting.run_figures.figure import RunFigure

MAX_AXES: Final = 9
KINDS: Final[Mapping[str, str]] = {
    "trials": "the score of each trial by each searched setting",
    "trial-curves": "the training loss of the best trials by epoch",
}
"""What each figure of a search shows, by its name; those of its chosen run have their own names."""


def plot(folder: Path, kind: str) -> RunFigure:
    """Return a figure of a search.

    Args:
        folder: of the search.
        kind: a name of `KINDS`.

    Raises:
        UsageError: the search has no trial with a score, or no curves.
        DataError: ``trials.json`` is missing or damaged.
    """
    from yisheng.reporting.run_figures.figure import draw_panels

    search = read_search(folder)
    if not search.ranked:
        raise UsageError(
            Message("{folder} has no figure {kind}: no trial has a score", folder=folder, kind=kind),
            Message("run yisheng resume {folder}", folder=folder),
        )
    if kind == "trials":
        charts = [
            search_figures.plot_score_by_parameter(search, axis, number)
            for number, axis in enumerate(search.axes[:MAX_AXES], 1)
        ]
    else:
        trials = search_figures.select_curves(search)
        if not trials:
            raise UsageError(
                Message("{folder} has no figure {kind}: its trials have no curves", folder=folder, kind=kind),
                Message("use kind='trials'"),
            )
        charts = [search_figures.plot_training_loss(trials)]
    return draw_panels(charts, folder.resolve().name, _describe(search))


def _describe(search: Search) -> str:
    trials = format_count(len(search.ranked), "trial")
    best = search.best_trial
    return f"{trials}, best {score_name(search.score)} {best.score:.{search.decimals}f}" if best else trials

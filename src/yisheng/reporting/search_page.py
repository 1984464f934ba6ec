"""The report of a search: ``report.html``, one self-contained page made from ``trials.json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from yisheng.core import files
from yisheng.core.durations import format_duration
from yisheng.core.messages import Message, translate
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.formatting import format_count, replace_unprintable, score_name
from yisheng.reporting.search_facts import Search, read_search
from yisheng.reporting.search_headline import describe_search_result
from yisheng.reporting.search_sections import coordinates, curves, failures, importance, parameters, time, trials
from yisheng.reporting.section import Section, render_page

SECTIONS: tuple[Callable[[Search], Section | None], ...] = (
    coordinates,
    parameters,
    importance,
    trials,
    curves,
    failures,
    time,
)
"""The sections of the page, in order."""


def render_search_page(folder: Path) -> str:
    """Return the page as HTML. It depends on ``trials.json`` and the folder's name alone.

    Args:
        folder: the folder of a search, finished or not.

    Raises:
        DataError: ``trials.json`` is missing or damaged.
    """
    search = read_search(Path(folder))
    text = render_page(
        "search.html",
        styles=("style.css", "search.css"),
        search_name=Path(folder).resolve().name,
        headline=describe_search_result(search),
        summary_facts=_summary_facts(search),
        sections=[section for make in SECTIONS if (section := make(search))],
    )
    return replace_unprintable(text)


def write_search_page(folder: Path) -> Path:
    """Write the page into the search's folder as ``report.html``; return its path.

    Raises:
        DataError: ``trials.json`` is missing or damaged.
        StorageError: the page cannot be written; an existing report is unchanged.
    """
    path = Path(folder) / RunFolder.REPORT
    files.write_file(path, render_search_page(folder))
    return path


def _summary_facts(search: Search) -> list[tuple[str, str]]:
    """Return the facts below the title as names and texts."""
    trainings = sum(trial.jobs for trial in search.trials)
    seconds = sum(t.seconds for t in search.trials if t.seconds is not None and 0 <= t.seconds < 1e12)
    executors = sorted({trial.executor for trial in search.trials if trial.executor})
    facts = {
        Message("Notes"): search.notes or "",
        Message("Search"): search.search,
        Message("Trials"): Message(
            "{trials} ({trainings})",
            trials=f"{len(search.trials):,}",
            trainings=format_count(trainings, "training"),
        ),
        Message("Parameters"): ", ".join(axis.name for axis in search.axes[:12]),
        Message("Data options"): _describe_data_options(search),
        Message("Score"): _describe_score(search),
        Message("Training"): ", ".join([translate(format_duration(seconds)), *executors]) if seconds else "",
        Message("State"): "" if search.finished else Message("not finished"),
    }
    return [(name, text) for name, text in facts.items() if text]


def _describe_data_options(search: Search) -> str:
    """Return the options of the data that vary, and whether all settings have the same rows."""
    if not search.data_axes:
        return ""
    names = ", ".join(search.data_axes)
    if search.same_rows:
        return Message("{names} (the same rows for all)", names=names)
    return Message("{names} (with other rows: part of a difference may be due to them)", names=names)


def _describe_score(search: Search) -> Message:
    name = score_name(search.score)
    if search.higher:
        return Message("validation {score}, larger is better", score=name)
    return Message("validation {score}, smaller is better", score=name)

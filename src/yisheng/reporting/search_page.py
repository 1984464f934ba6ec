"""The report of a search: ``report.html``, one self-contained page from ``trials.json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from yisheng.core import files
from yisheng.reporting.formatting import clean, duration, plural, score_name
from yisheng.reporting.run_page import REPORT
from yisheng.reporting.search_facts import Search, read
from yisheng.reporting.search_headline import headline
from yisheng.reporting.search_sections import coordinates, curves, failures, importance, parameters, time, trials
from yisheng.reporting.section import Section, page

SECTIONS: tuple[Callable[[Search], Section | None], ...] = (
    coordinates,
    parameters,
    importance,
    trials,
    curves,
    failures,
    time,
)
"""What the page holds, in order."""


def render(folder: Path) -> str:
    """The page as text. It depends on nothing but ``trials.json`` and the folder's name.

    Args:
        folder: of a search, at its end or broken off.

    Raises:
        DataError: ``trials.json`` is missing or damaged.
    """
    search = read(Path(folder))
    text = page(
        "tuning.html",
        styles=("style.css", "tuning.css"),
        study=Path(folder).resolve().name,
        headline=headline(search),
        glance=_glance(search),
        sections=[section for make in SECTIONS if (section := make(search))],
    )
    return clean(text)


def write(folder: Path) -> Path:
    """Write the page into the search's folder as ``report.html``; gives its path.

    Raises:
        DataError: ``trials.json`` is missing or damaged.
        StorageError: it cannot be written; an older report is untouched.
    """
    path = Path(folder) / REPORT
    files.write(path, render(folder))
    return path


def _glance(search: Search) -> list[tuple[str, str]]:
    """The few facts that stand under the title."""
    trainings = sum(trial.jobs for trial in search.trials)
    seconds = sum(t.seconds for t in search.trials if t.seconds is not None and 0 <= t.seconds < 1e12)
    ways = sorted({trial.how for trial in search.trials if trial.how})
    known = {
        "Search": search.search,
        "Trials": f"{len(search.trials):,} ({plural(trainings, 'training')})",
        "Parameters": ", ".join(axis.name for axis in search.axes[:12]),
        "Score": f"validation {score_name(search.score)}, {'larger' if search.higher else 'smaller'} is better",
        "Training": ", ".join([duration(seconds), *ways]) if seconds else "",
        "State": "" if search.finished else "not at its end",
    }
    return [(name, text) for name, text in known.items() if text]

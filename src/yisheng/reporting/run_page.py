"""The report: ``report.html``, one self-contained page from the files of a run folder.

It needs no script and no network: figures are inline SVG, images are data URIs, and a content security
policy forbids everything else, should hostile data ever find a way past the escaping.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from yisheng.core import files
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.formatting import format_count, format_duration, replace_unprintable
from yisheng.reporting.headline import write_headline
from yisheng.reporting.run_facts import RunFacts, read_run_facts
from yisheng.reporting.section import Section, page
from yisheng.reporting.sections.calibration import calibration
from yisheng.reporting.sections.classes import classes
from yisheng.reporting.sections.config import config
from yisheng.reporting.sections.confusion import confusion
from yisheng.reporting.sections.curves import curves
from yisheng.reporting.sections.environment import environment
from yisheng.reporting.sections.findings import findings
from yisheng.reporting.sections.fix import fix
from yisheng.reporting.sections.folds import folds
from yisheng.reporting.sections.mistakes import mistakes
from yisheng.reporting.sections.regression import regression
from yisheng.reporting.sections.scores import scores
from yisheng.reporting.sections.scratch_comparison import scratch_comparison
from yisheng.reporting.sections.usage import usage

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
SECTIONS: tuple[Callable[[RunFacts], Section | None], ...] = (
    findings,
    fix,
    scores,
    folds,
    curves,
    scratch_comparison,
    confusion,
    classes,
    regression,
    mistakes,
    calibration,
    usage,
    config,
    environment,
)
"""What the page holds, in order; a new section is a file in ``sections/`` and a line here."""


def render_run_page(folder: Path) -> str:
    """Return the page as HTML. It depends on the folder's files alone.

    Args:
        folder: a run folder, whole, interrupted or damaged: what is missing is said in its place.

    Raises:
        DataError: it is no run folder at all.
    """
    facts = read_run_facts(Path(folder))
    text = page(
        "page.html",
        facts=facts,
        headline=write_headline(facts),
        glance=_glance(facts),
        sections=[section for make in SECTIONS if (section := make(facts))],
    )
    return replace_unprintable(text)


def write_run_page(folder: Path) -> Path:
    """Write the page into the run folder as ``report.html``; return its path.

    Raises:
        DataError: it is no run folder.
        StorageError: it cannot be written; an older report is untouched.
    """
    path = Path(folder) / RunFolder.REPORT
    files.write_file(path, render_run_page(folder))
    return path


def _glance(facts: RunFacts) -> list[tuple[str, str]]:
    """Return the facts below the title that are known."""
    about = facts.environment.get("data")
    about = about if isinstance(about, dict) else {}
    spent = facts.environment.get("seconds")
    seconds = spent.get("training") if isinstance(spent, dict) else None
    if seconds is None and facts.history.epochs:
        seconds = facts.history.epochs[-1].seconds
    facts_by_name = {
        "Data": _joined(about.get("name") or facts.choice_name("data"), _counted(about.get("rows"), "row")),
        "Model": _joined(facts.choice_name("model"), _counted(facts.model.get("parameters"), "parameter")),
        "Training": _joined(_spent(seconds), _device(facts), between=" "),
        "Started": _date(facts.environment.get("started")),
    }
    return [(name, text) for name, text in facts_by_name.items() if text]


def _joined(*parts: object, between: str = ", ") -> str:
    return between.join(str(part) for part in parts if part)


def _counted(count: object, noun: str) -> str:
    return format_count(count, noun) if isinstance(count, int) else ""


def _spent(seconds: object) -> str:
    return format_duration(seconds) if isinstance(seconds, int | float) else ""


def _device(facts: RunFacts) -> str:
    device = facts.environment.get("device")
    return f"on {device}" if isinstance(device, str) and device else ""


def _date(started: object) -> str:
    """Return a date as text for people, in the time zone that it was written in.

    >>> _date("2025-03-09T14:05:00+00:00"), _date("yesterday"), _date(None)
    ('9 March 2025, 14:05 UTC', 'yesterday', '')
    """
    if not isinstance(started, str):
        return ""
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}, {when:%H:%M} {when.tzname() or ''}".strip()

"""The report: ``report.html``, one self-contained page from the files of a run folder.

It needs no script and no network: figures are inline SVG, images are data URIs, and a content security
policy forbids everything else, should hostile data ever find a way past the escaping.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from yisheng.core import files
from yisheng.reporting.formatting import clean, duration, plural
from yisheng.reporting.headline import headline
from yisheng.reporting.run_facts import Facts, read
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
from yisheng.reporting.sections.scratch_comparison import twin
from yisheng.reporting.sections.usage import usage

REPORT = "report.html"
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
SECTIONS: tuple[Callable[[Facts], Section | None], ...] = (
    findings,
    fix,
    scores,
    folds,
    curves,
    twin,
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


def render(folder: Path) -> str:
    """The page as text. It depends on nothing but the folder's files.

    Args:
        folder: a run folder, whole, interrupted or damaged: what is missing is said in its place.

    Raises:
        DataError: it is no run folder at all.
    """
    facts = read(Path(folder))
    text = page(
        "page.html",
        facts=facts,
        headline=headline(facts),
        glance=_glance(facts),
        sections=[section for make in SECTIONS if (section := make(facts))],
    )
    return clean(text)


def write(folder: Path) -> Path:
    """Write the page into the run folder as ``report.html``; gives its path.

    Raises:
        DataError: it is no run folder.
        StorageError: it cannot be written; an older report is untouched.
    """
    path = Path(folder) / REPORT
    files.write(path, render(folder))
    return path


def _glance(facts: Facts) -> list[tuple[str, str]]:
    """The few facts that stand under the title, those that are known."""
    about = facts.environment.get("data")
    about = about if isinstance(about, dict) else {}
    spent = facts.environment.get("seconds")
    seconds = spent.get("training") if isinstance(spent, dict) else None
    if seconds is None and facts.history.epochs:
        seconds = facts.history.epochs[-1].seconds
    known = {
        "Data": _joined(about.get("name") or facts.choice("data"), _counted(about.get("rows"), "row")),
        "Model": _joined(facts.choice("model"), _counted(facts.model.get("parameters"), "parameter")),
        "Training": _joined(_spent(seconds), _device(facts), between=" "),
        "Started": _date(facts.environment.get("started")),
    }
    return [(name, text) for name, text in known.items() if text]


def _joined(*parts: object, between: str = ", ") -> str:
    return between.join(str(part) for part in parts if part)


def _counted(count: object, noun: str) -> str:
    return plural(count, noun) if isinstance(count, int) else ""


def _spent(seconds: object) -> str:
    return duration(seconds) if isinstance(seconds, int | float) else ""


def _device(facts: Facts) -> str:
    device = facts.environment.get("device")
    return f"on {device}" if isinstance(device, str) and device else ""


def _date(started: object) -> str:
    """A date for people to read, in the time zone that it was written in.

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

"""The report of a run: ``report.html``, one self-contained page made from the files of the run folder.

The page needs no script and no network: figures are inline SVG, images are data URIs. As a second defense after
escaping, a content security policy forbids everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from yisheng.core import files
from yisheng.core.durations import format_duration
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.formatting import format_count, replace_unprintable
from yisheng.reporting.headline import describe_result
from yisheng.reporting.model_card import write_model_card
from yisheng.reporting.run_facts import RunFacts, read_run_facts
from yisheng.reporting.section import Section, render_page
from yisheng.reporting.sections.calibration import calibration
from yisheng.reporting.sections.classes import classes
from yisheng.reporting.sections.config import config
from yisheng.reporting.sections.confusion import confusion
from yisheng.reporting.sections.curves import curves
from yisheng.reporting.sections.environment import environment
from yisheng.reporting.sections.findings import findings
from yisheng.reporting.sections.fix import fix
from yisheng.reporting.sections.folds import folds
from yisheng.reporting.sections.groups import groups
from yisheng.reporting.sections.importance import importance
from yisheng.reporting.sections.intervals import intervals
from yisheng.reporting.sections.leaderboard import leaderboard
from yisheng.reporting.sections.mistakes import mistakes
from yisheng.reporting.sections.regression import regression
from yisheng.reporting.sections.scores import scores
from yisheng.reporting.sections.scratch_comparison import scratch_comparison
from yisheng.reporting.sections.usage import usage

MONTHS = (
    *(Message("January"), Message("February"), Message("March"), Message("April"), Message("May"), Message("June")),
    *(Message("July"), Message("August"), Message("September"), Message("October")),
    *(Message("November"), Message("December")),
)
SECTIONS: tuple[Callable[[RunFacts], Section | None], ...] = (
    findings,
    fix,
    scores,
    folds,
    leaderboard,
    curves,
    scratch_comparison,
    confusion,
    classes,
    regression,
    intervals,
    mistakes,
    calibration,
    groups,
    importance,
    usage,
    config,
    environment,
)
"""The sections of the page, in order; a new section is a file in ``sections/`` and a line here."""


def render_run_page(folder: Path) -> str:
    """Return the page as HTML. It depends on the folder's files alone.

    Args:
        folder: a run folder; for files that are missing or damaged, the page says so.

    Raises:
        DataError: the folder is not a run folder.
    """
    facts = read_run_facts(Path(folder))
    text = render_page(
        "run.html",
        facts=facts,
        headline=describe_result(facts),
        summary_facts=_summary_facts(facts),
        sections=[section for make in SECTIONS if (section := make(facts))],
    )
    return replace_unprintable(text)


def write_run_page(folder: Path) -> Path:
    """Write the page into the run folder as ``report.html``, and the model card of a finished run; return the page.

    Raises:
        DataError: the folder is not a run folder.
        StorageError: the page cannot be written; an existing report is unchanged.
    """
    path = Path(folder) / RunFolder.REPORT
    files.write_file(path, render_run_page(folder))
    write_model_card(folder)
    return path


def _summary_facts(facts: RunFacts) -> list[tuple[str, str]]:
    """Return the facts below the title as names and texts; unknown facts are left out."""
    data = facts.environment.get("data")
    data = data if isinstance(data, dict) else {}
    durations = facts.environment.get("seconds")
    seconds = durations.get("training") if isinstance(durations, dict) else None
    if seconds is None and facts.history.epochs:
        seconds = facts.history.epochs[-1].seconds
    labels = {Message("Name"): facts.config.get("name"), Message("Notes"): facts.config.get("notes")}
    rows = _format_count(data.get("rows"), "row")
    parameters = _format_count(facts.model.get("parameters"), "parameter")
    texts = {
        **{title: text for title, text in labels.items() if isinstance(text, str)},
        Message("Data"): _join(str(data.get("name") or facts.choice_name("data")), rows),
        Message("Model"): _join(facts.choice_name("model"), parameters),
        Message("Training"): _describe_training(_format_seconds(seconds), facts.environment.get("device")),
        Message("Started"): _format_date(facts.environment.get("started")),
    }
    return [(name, text) for name, text in texts.items() if text]


def _join(name: str, count: str) -> str:
    return Message("{name}, {count}", name=name, count=count) if name and count else name or count


def _describe_training(duration: str, device: object) -> str:
    if not isinstance(device, str) or not device:
        return duration
    return Message("{duration} on {device}", duration=duration, device=device) if duration else device


def _format_count(count: object, noun: str) -> str:
    return format_count(count, noun) if isinstance(count, int) else ""


def _format_seconds(seconds: object) -> str:
    return format_duration(seconds) if isinstance(seconds, int | float) else ""


def _format_date(started: object) -> str:
    """Return an ISO 8601 date as text for people, in its own time zone.

    >>> _format_date("2025-03-09T14:05:00+00:00"), _format_date("yesterday"), _format_date(None)
    ('9 March 2025, 14:05 UTC', 'yesterday', '')
    """
    if not isinstance(started, str):
        return ""
    try:
        date = datetime.fromisoformat(started)
    except ValueError:
        return started
    return Message(
        "{day} {month} {year}, {time}",
        day=date.day,
        month=MONTHS[date.month - 1],
        year=date.year,
        time=f"{date:%H:%M} {date.tzname() or ''}".strip(),
    )

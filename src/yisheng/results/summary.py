"""A run and a search in a few lines, as text and as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core.errors import DataError
from yisheng.core.logging import SEVERITIES
from yisheng.core.messages import Message, join_messages, translate
from yisheng.core.notebook_html import MUTED, escape, render_heading, render_table
from yisheng.core.run_folder import RunFolder
from yisheng.core.score_table import ScoreTable
from yisheng.core.text_tables import format_number, format_table

if TYPE_CHECKING:
    from yisheng.reporting.run_facts import RunFacts

MAX_TRIALS = 5


def describe_run(folder: Path) -> str:
    """Return a run's model, data, scores and findings as text.

    Raises:
        DataError: it is not a run folder.
    """
    facts = _read(folder)
    lines = [f"{facts.name}: {_describe_training(facts)}"]
    if facts.scores:
        lines += ["", repr(ScoreTable(facts.scores)), ""]
    lines += _describe_findings(facts)
    return "\n".join([*lines, str(folder)])


def render_run(folder: Path) -> str:
    """Return a run's model, data, scores and findings as HTML.

    Raises:
        DataError: it is not a run folder.
    """
    facts = _read(folder)
    parts = [render_heading(facts.name, _describe_training(facts))]
    if facts.scores:
        parts.append(ScoreTable(facts.scores)._repr_html_())
    notes = [*_describe_findings(facts), str(folder)]
    parts.append(f'<p style="margin:.3em 0;{MUTED}">{"<br>".join(map(escape, notes))}</p>')
    return f"<div>{''.join(parts)}</div>"


def describe_search(folder: Path, table: Mapping[str, Any]) -> str:
    """Return a search's best trials as text.

    Args:
        folder: of the search.
        table: contents of ``trials.json``.
    """
    return "\n".join([_head_search(folder, table), "", format_table(_tabulate_trials(table)), "", str(folder)])


def render_search(folder: Path, table: Mapping[str, Any]) -> str:
    """Return a search's best trials as HTML."""
    rows = _tabulate_trials(table)
    name, _, details = _head_search(folder, table).partition(": ")
    body = render_table(rows, numeric=range(1, len(rows[0]) - 1))
    return f'<div>{render_heading(name, details)}{body}<p style="margin:.3em 0;{MUTED}">{escape(folder)}</p></div>'


def _read(folder: Path) -> RunFacts:
    from yisheng.reporting.run_facts import read_run_facts

    facts = read_run_facts(folder)
    if not facts.config:
        raise DataError(
            Message("{folder} has no {CONFIG}", folder=folder, CONFIG=RunFolder.CONFIG),
            Message("copy it from the complete run folder"),
        )
    return facts


def _describe_training(facts: RunFacts) -> str:
    from yisheng.reporting.formatting import format_count

    recorded = facts.environment.get("data")
    data = recorded.get("name") if isinstance(recorded, Mapping) else None
    model = facts.choice_name("model").rpartition(":")[2]  # of a network of one's own the class, without its module
    parts: list[str] = [Message("{model} on {data}", model=model, data=data or facts.choice_name("data"))]
    if facts.cross_validation is not None:
        models = format_count(len(facts.cross_validation.models), "model")
        return translate(join_messages([*parts, Message("{models} of a cross-validation", models=models)]))
    epochs_done, epochs_requested = facts.epochs
    if epochs_done:
        if epochs_requested and not facts.is_finished:
            count, total = f"{epochs_done:,}", f"{epochs_requested:,}"
            parts.append(Message("{count} of {total} epochs", count=count, total=total))
        else:
            parts.append(format_count(epochs_done, "epoch"))
        if facts.best_epoch:
            parts.append(Message("the weights are those of epoch {epoch}", epoch=f"{facts.best_epoch:,}"))
    return translate(join_messages(parts if facts.is_finished else [*parts, Message("not finished")]))


def _describe_findings(facts: RunFacts) -> list[str]:
    """Return the run's notes, the number of findings, and the first one that is worse than a note."""
    from yisheng.reporting.findings_text import summarize_findings

    notes = [str(facts.config["notes"])] if facts.config.get("notes") else []
    if facts.findings is None:
        return notes
    causes = [cause for cause in facts.findings.findings if cause.severity != "note"]
    lines = [*notes, summarize_findings(facts.findings)]
    if causes:
        lines.append(f"{translate(SEVERITIES[causes[0].severity])}: {translate(causes[0].cause)}")
    return lines


def _head_search(folder: Path, table: Mapping[str, Any]) -> str:
    count = len(table["trials"])
    score = str(table["score"]).replace("_", "-")
    return f"{folder.name}: {count:,} trial{'s' * (count != 1)} by {table['search'] or 'grid'}, score {score}"


def _tabulate_trials(table: Mapping[str, Any]) -> list[list[str]]:
    """Return the best trials and the chosen one: number, setting, mean and standard deviation, and which it is."""
    sign = -1 if table["higher"] else 1
    ranked = sorted((t for t in table["trials"] if t["mean"] is not None), key=lambda t: sign * t["mean"])
    axes = [axis["name"] for axis in table["axes"]]
    rows = [["trial", *axes, str(table["score"]).replace("_", "-"), "± sd", ""]]
    for rank, trial in enumerate(ranked):
        marks = [mark for mark in ("best", "chosen") if table[mark] == trial["number"]]
        if rank >= MAX_TRIALS and not marks:
            continue
        values = [_format_setting(trial["setting"].get(axis)) for axis in axes]
        sd = "" if trial["sd"] is None else format_number(trial["sd"])
        rows.append([str(trial["number"]), *values, format_number(trial["mean"]), sd, ", ".join(marks)])
    return rows


def _format_setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_format_setting, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)

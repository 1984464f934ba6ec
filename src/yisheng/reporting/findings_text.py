"""The doctor's findings as text, for the command line and the interpreter, and as HTML for a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from yisheng.core.logging import SEVERITIES
from yisheng.core.messages import Message, as_message, plural_message, translate
from yisheng.core.notebook_html import MUTED, escape, render_heading
from yisheng.core.printable import escape_line
from yisheng.core.text_wrapping import wrap_words
from yisheng.reporting.formatting import format_count, format_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from yisheng.core.findings import Alternative
    from yisheng.reporting.findings_schema import Alternative as StoredAlternative
    from yisheng.reporting.findings_schema import Cause, Findings, Severity

WIDTH: Final = 100
MAX_LISTED_VALUES: Final = 8
MAX_LISTED_OBJECTS: Final = 3
EVIDENCE: Final = "evidence: "
"""What the texts of the names of evidence begin with in the catalogs, where a word alone may mean something else."""
EXAMINED: Final = {"training": Message("training"), "validation": Message("validation"), "data": Message("data")}
"""Part that can be examined -> how it is called."""
SEVERITY_COLORS: Final = {"error": "#d1495b", "warning": "#d98500", "note": "#4a90c2"}
"""Colors of middle brightness, for light and for dark pages; the severity is also a word."""


def format_findings(findings: Findings) -> str:
    """Return the findings as text.

    >>> from yisheng.reporting.findings_schema import Findings
    >>> print(format_findings(Findings(steps=600, unchecked={"mode": "the network has no such layer"})))
    No problems found in 600 steps of training.
    <BLANKLINE>
    not checked:
      mode: the network has no such layer
    """
    return "\n".join(_lines(findings))


def render_findings(findings: Findings) -> str:
    """Return the findings as HTML for a notebook.

    >>> from yisheng.reporting.findings_schema import Findings
    >>> render_findings(Findings(steps=600)).count("No problems found")
    1
    """
    parts = [render_heading(summarize_findings(findings)), *map(_render_cause, findings.findings)]
    if findings.unchecked:
        items = "".join(
            f"<li><code>{escape(name)}</code>: {escape(reason)}</li>" for name, reason in findings.unchecked.items()
        )
        skipped = Message("{checks} not run", checks=format_count(len(findings.unchecked), "check"))
        parts.append(
            f'<details style="{MUTED}"><summary>{escape(skipped)}</summary>'
            f'<ul style="margin:.3em 0">{items}</ul></details>'
        )
    return f"<div>{''.join(parts)}</div>"


class FindingsByFold(dict[str, "Findings"]):
    """The findings of a cross-validation by the name of the fold's folder; they print one after the other."""

    def __repr__(self) -> str:
        return "\n\n".join(f"{name}\n\n{findings}" for name, findings in self.items())

    def _repr_html_(self) -> str:
        return "".join(render_heading(name) + render_findings(findings) for name, findings in self.items())


def summarize_findings(findings: Findings) -> str:
    """Return the number of findings of each severity as text.

    >>> from yisheng.reporting.findings_schema import Findings
    >>> summarize_findings(Findings(steps=600))
    'No problems found in 600 steps of training.'
    """
    if findings.examined:
        return summarize_parts(findings.examined, findings.missing)
    counts = _join_counts(findings.count_severities())
    steps = format_count(findings.steps, "step")
    if counts and findings.steps:
        return Message("Found in {steps} of training: {counts}.", steps=steps, counts=counts)
    if counts:
        return Message("Found: {counts}.", counts=counts)
    if findings.steps:
        return Message("No problems found in {steps} of training.", steps=steps)
    return Message("No problems found.")


def _join_counts(counts: Mapping[Severity, int]) -> str:
    """Return the counts that are not zero, separated by commas."""
    text = ""
    for count in (format_count(count, severity) for severity, count in counts.items() if count):
        text = Message("{counts}, {count}", counts=text, count=count) if text else count
    return text


def summarize_parts(examined: Mapping[str, Mapping[Severity, int]], missing: Sequence[str]) -> str:
    """Return the number of findings in each examined part, and which parts were not given.

    >>> summarize_parts({"training": {}}, ["validation", "data"])
    'training: nothing found; validation and data were not given'
    >>> summarize_parts({"training": {"error": 1, "note": 2}, "data": {}}, ["validation"])
    'training: 1 error, 2 notes; data: nothing found; validation was not given'
    """
    clauses: list[str] = []
    for part, counts in examined.items():
        described = _join_counts(counts) or Message("nothing found")
        clauses.append(Message("{part}: {counts}", part=EXAMINED.get(part, part), counts=described))
    if missing:
        names: str = EXAMINED.get(missing[0], missing[0])
        for name in missing[1:]:
            last = EXAMINED.get(name, name)
            is_last = name == missing[-1]
            names = (Message("{names} and {last}", names=names, last=last) if is_last
                     else Message("{names}, {last}", names=names, last=last))  # fmt: skip
        clauses.append(plural_message(len(missing), "{names} was not given", "{names} were not given", names=names))
    text = clauses[0] if clauses else ""
    for clause in clauses[1:]:
        text = Message("{clauses}; {clause}", clauses=text, clause=clause)
    return text


def format_alternative(alternative: Alternative | StoredAlternative) -> str:
    """Return another possible cause as a line: the cause, and the experiment that shows it or its result.

    >>> from yisheng.core.findings import Alternative
    >>> format_alternative(Alternative("the inputs are not scaled", "standardize them"))
    'also possible: the inputs are not scaled (to find out: standardize them)'
    """
    if alternative.result:
        values = {"cause": alternative.cause, "result": alternative.result}
        return Message("also possible: {cause} (tried: {result})", **values)
    values = {"cause": alternative.cause, "experiment": alternative.experiment}
    return Message("also possible: {cause} (to find out: {experiment})", **values)


def format_evidence(evidence: Any, cause: str = "") -> str:
    """Return evidence as text on one line, without names and counts that the cause contains already.

    >>> format_evidence({"loss": 0.25, "layers": ["a", "b"], "tried": {"change": "lr x 0.1"}})
    'loss: 0.250; layers: a, b; tried: (change: lr x 0.1)'
    >>> format_evidence({"count": 2, "of": 20, "first": ["a.png", "b.png"]}, "2 images are damaged: a.png, b.png")
    'of: 20'
    """
    separator = translate(Message("; "))
    return separator.join(
        translate(Message("{name}: {description}", name=name_evidence(name), description=_format_value(value)))
        for name, value in evidence.items()
        if value not in ("", None) and not _is_quoted(value, cause)
    )


def name_evidence(name: str) -> str:
    """Return the name of an evidence in the current language; in files it is English.

    >>> name_evidence("loss at the end"), name_evidence("petal length (cm)")
    ('loss at the end', 'petal length (cm)')
    """
    return translate(as_message(f"{EVIDENCE}{name}")).removeprefix(EVIDENCE)


def _is_quoted(value: Any, cause: str) -> bool:
    """Return whether a sentence contains a text, a whole number, or all items of a list of these."""
    if isinstance(value, list):
        return bool(value) and all(_is_quoted(item, cause) for item in value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    spellings = {str(value), f"{value:,}"} if isinstance(value, int) else {value}
    return any(re.search(rf"(?<![\w.,]){re.escape(text)}(?![\w]|[.,]\d)", cause) for text in spellings)


def is_table(value: Any) -> bool:
    """Return whether evidence is a list of objects that is too long for a line."""
    return isinstance(value, list) and len(value) > MAX_LISTED_OBJECTS and all(isinstance(row, dict) for row in value)


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return f"({format_evidence(value)})"
    if is_table(value):
        return f"{len(value):,} entries"
    if isinstance(value, list):
        return ", ".join(map(_format_value, value[:MAX_LISTED_VALUES])) + (
            ", ..." if len(value) > MAX_LISTED_VALUES else ""
        )
    if isinstance(value, float):
        return format_number(value).replace(",", "") if value else "0"
    return str(value)


def _render_cause(cause: Cause) -> str:
    source = f" <code>{escape(cause.source)}</code>" if cause.source else ""
    lines = [f"<strong>{escape(_name_cause(cause))}</strong>{source} <code>{escape(cause.check)}</code>"]
    lines.append(escape(Message("do: {remedy}", remedy=cause.remedy)))
    if evidence := format_evidence(cause.evidence, cause.cause):
        lines.append(f'<span style="{MUTED}">{escape(Message("seen: {evidence}", evidence=evidence))}</span>')
    lines += [
        f'<span style="{MUTED}">{escape(Message("explains: {cause}", cause=symptom.cause))}</span>'
        for symptom in cause.symptoms
    ]
    lines += [
        f'<span style="{MUTED}">{escape(format_alternative(alternative))}</span>' for alternative in cause.alternatives
    ]
    color = SEVERITY_COLORS[cause.severity]
    style = f"margin:.5em 0;padding:.1em 0 .1em .7em;border-left:4px solid {color}"
    return f'<div style="{style}">{"<br>".join(lines)}</div>'


def _name_cause(cause: Cause) -> Message:
    return Message("{severity}: {cause}", severity=SEVERITIES[cause.severity], cause=cause.cause)


def _lines(findings: Findings) -> Iterator[str]:
    yield translate(summarize_findings(findings))
    for number, cause in enumerate(findings.findings, 1):
        yield ""
        values = {"cause": _name_cause(cause), "check": cause.check, "source": cause.source}
        head = Message("{cause} ({check}, at {source})", **values)
        head = head if cause.source else Message("{cause} ({check})", **values)
        yield from _wrap(f"{number}. ", head, "   ")
        yield from _wrap("   ", Message("do: {remedy}", remedy=cause.remedy), "       ")
        if evidence := format_evidence(cause.evidence, cause.cause):
            yield from _wrap("   ", Message("seen: {evidence}", evidence=evidence), "       ")
        for symptom in cause.symptoms:
            yield from _wrap("   ", Message("explains: {cause}", cause=symptom.cause), "       ")
        for alternative in cause.alternatives:
            yield from _wrap("   ", format_alternative(alternative), "       ")
    if findings.unchecked:
        yield ""
        yield translate(Message("not checked:"))
        for name, reason in findings.unchecked.items():
            yield from _wrap("  ", Message("{name}: {description}", name=name, description=reason), "    ")


def _wrap(start: str, text: str, indent: str) -> list[str]:
    return wrap_words(f"{start}{escape_line(translate(text))}", WIDTH, subsequent_indent=indent)

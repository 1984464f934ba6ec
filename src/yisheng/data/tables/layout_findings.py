"""Findings about the layout of a file of text."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, plural_message
from yisheng.data.tables.sniff import Layout


def report_layout(path: Path, layout: Layout, guessed_encoding: str, blank_count: int = 0) -> tuple[Finding, ...]:
    """Return the findings about a file: a guessed encoding, renamed columns, no header, blank lines that are rows.

    Args:
        path: the file.
        layout: layout of the file.
        guessed_encoding: its encoding if that is a guess, else empty.
        blank_count: number of blank lines in a file of one column.
    """
    findings = []
    if guessed_encoding:
        findings.append(
            Finding(
                "encoding",
                "warning",
                {"encoding": guessed_encoding},
                Message("{file} is not in UTF-8: it was read as {encoding}", file=path.name, encoding=guessed_encoding),
                Message("if letters look wrong, name the encoding: encoding=gb18030, shift-jis, ..."),
            )
        )
    if layout.skip and layout.title and not layout.title.strip('"').lower().startswith("sep="):
        title = layout.title if len(layout.title) <= 60 else f"{layout.title[:57]}..."
        findings.append(
            Finding(
                "lines above",
                "note",
                {"lines": layout.skip, "first": title},
                plural_message(
                    layout.skip,
                    "{file}: {count} line above the table skipped: {title}",
                    "{file}: {count} lines above the table skipped: {title}",
                    file=path.name,
                    count=layout.skip,
                    title=f"{title!r}",
                ),
                Message("if they belong to the table, use skip=0"),
            )
        )
    if layout.renamed:
        names = ", ".join(layout.renamed[:5]) + " ..." * (len(layout.renamed) > 5)
        findings.append(
            Finding(
                "header",
                "warning",
                {"columns": list(layout.renamed)},
                Message(
                    "{file} names columns twice or not at all: {names}; they were renamed", file=path.name, names=names
                ),
                Message("give every column a distinct name"),
            )
        )
    if not layout.has_header and layout.names[0] == "column-1":
        findings.append(
            Finding(
                "header",
                "note",
                {"columns": len(layout.names)},
                Message(
                    "{file} has no header: its columns are called column-1 to column-{count}",
                    file=path.name,
                    count=len(layout.names),
                ),
                Message("give them names with names=a,b,c; if its first row is a header, use header=true"),
            )
        )
    if blank_count:
        findings.append(
            Finding(
                "blank lines",
                "warning",
                {"lines": blank_count},
                plural_message(
                    blank_count,
                    "{file} has one column and {count} blank line: each is a row without a value",
                    "{file} has one column and {count} blank lines: each is a row without a value",
                    file=path.name,
                    count=f"{blank_count:,}",
                ),
                Message("remove the lines if they are no rows"),
            )
        )
    return tuple(findings)

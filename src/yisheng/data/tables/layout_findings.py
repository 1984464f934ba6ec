"""Findings about the layout of a file of text."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.types import Finding
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
                f"{path.name} is not in UTF-8: it was read as {guessed_encoding}",
                "if letters look wrong, name the encoding: encoding=gb18030, shift-jis, ...",
            )
        )
    if layout.skip and layout.title and not layout.title.strip('"').lower().startswith("sep="):
        title = layout.title if len(layout.title) <= 60 else f"{layout.title[:57]}..."
        findings.append(
            Finding(
                "lines above",
                "note",
                {"lines": layout.skip, "first": title},
                f"{path.name}: {layout.skip} line{'s' * (layout.skip > 1)} above the table skipped: {title!r}",
                "if they belong to the table, use skip=0",
            )
        )
    if layout.renamed:
        names = ", ".join(layout.renamed[:5]) + " ..." * (len(layout.renamed) > 5)
        findings.append(
            Finding(
                "header",
                "warning",
                {"columns": list(layout.renamed)},
                f"{path.name} names columns twice or not at all: {names}; they were renamed",
                "give every column a distinct name",
            )
        )
    if not layout.has_header and layout.names[0] == "column-1":
        findings.append(
            Finding(
                "header",
                "note",
                {"columns": len(layout.names)},
                f"{path.name} has no header: its columns are called column-1 to column-{len(layout.names)}",
                "give them names with names=a,b,c; if its first row is a header, use header=true",
            )
        )
    if blank_count:
        findings.append(
            Finding(
                "blank lines",
                "warning",
                {"lines": blank_count},
                f"{path.name} has one column and {blank_count:,} blank line{'s' * (blank_count > 1)}: each is a row "
                "without a value",
                "remove the lines if they are no rows",
            )
        )
    return tuple(findings)

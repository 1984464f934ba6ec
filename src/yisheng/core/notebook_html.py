"""HTML that a notebook shows for an object: small tables and lists, readable on light and on dark pages.

Colors are inherited from the page, and differences are made by opacity, weight and borders of middle brightness. Styles
are attributes, because notebooks and their converters remove style sheets. Every text is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

from yisheng.core.messages import translate
from yisheng.core.printable import escape_line

MUTED = "opacity:.7"
LINE = "1px solid rgba(128,128,128,.35)"
CELL = "padding:.15em .7em .15em 0;vertical-align:top;white-space:nowrap"
"""Style of a cell; a table in a notebook has its own padding and stripes otherwise."""


def escape(text: object) -> str:
    """Return text as HTML on one line, in its own writing direction; controls become visible escapes.

    Messages are translated.

    >>> escape("<b>\\n")
    '&lt;b&gt;\\\\n'
    """
    return html.escape(escape_line(translate(text) if isinstance(text, str) else str(text)))


def render_heading(text: str, details: str = "") -> str:
    """Return a heading in bold with details in muted text."""
    muted = f' <span style="{MUTED}">{escape(details)}</span>' if details else ""
    return f'<p style="margin:.3em 0"><strong>{escape(text)}</strong>{muted}</p>'


def render_table(rows: Sequence[Sequence[str]], *, numeric: Collection[int] = (), muted: Collection[int] = ()) -> str:
    """Return rows of text as a table, the first as its head.

    Args:
        rows: head and rows, of equal length.
        numeric: numbers of the columns that are aligned on the right.
        muted: numbers of the columns that are less important.

    >>> render_table([["name"], ["<i>"]]).count("&lt;i&gt;")
    1
    """
    head, *body = rows
    cells = "".join(
        f'<th scope="col" style="{CELL};{_align(column in numeric)};border-bottom:{LINE}">{escape(text)}</th>'
        for column, text in enumerate(head)
    )
    lines = [f'<tr style="background:none">{cells}</tr>']
    for row in body:
        cells = "".join(
            f'<td style="{CELL};{_align(column in numeric)}{f";{MUTED}" * (column in muted)}">'
            f"<bdi>{escape(text)}</bdi></td>"
            for column, text in enumerate(row)
        )
        lines.append(f'<tr style="background:none">{cells}</tr>')
    return f'<table style="border-collapse:collapse;border:none;margin:.3em 0">{"".join(lines)}</table>'


def render_text(text: str) -> str:
    """Return text of several lines as it is printed, in a font of equal widths."""
    lines = "\n".join(escape(line) for line in text.split("\n"))
    return f'<pre style="margin:.3em 0;line-height:1.35;background:none;color:inherit">{lines}</pre>'


def _align(is_numeric: bool) -> str:
    return "text-align:right;font-variant-numeric:tabular-nums" if is_numeric else "text-align:left"

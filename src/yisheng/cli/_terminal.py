"""The width of the terminal, and help texts wrapped to it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence

from yisheng.core.messages import translate
from yisheng.core.text_tables import format_table, text_width
from yisheng.core.text_wrapping import wrap_words

DEFAULT_WIDTH = 80
MAX_TEXT_WIDTH = 120
"""Width of paragraphs on wider terminals: longer lines are hard to read."""
MIN_WIDTH = 30
MIN_LAST_COLUMN = 30
"""A table whose last column would be narrower is written with one cell below another."""
USAGE_HEADS = ("usage:", "用法：")
USAGE_PATTERN = f"(?:{'|'.join(USAGE_HEADS)})"


def terminal_width() -> int:
    """Return the columns of the terminal (``COLUMNS`` wins), 80 if they are unknown."""
    return max(MIN_WIDTH, shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns)


def wrap_text(text: str, width: int) -> str:
    """Return a help text with every line within a width.

    Paragraphs are filled again. A line that is indented, or belongs to ``usage:``, is kept; if it is too long, it
    continues below its last column, or below its command.

    >>> print(wrap_text("usage: yisheng go [fast=true] [far=true]\\n\\nGo where it is nice,\\nor stay.", 30))
    usage: yisheng go [fast=true]
                      [far=true]
    <BLANKLINE>
    Go where it is nice, or stay.
    """
    width = min(width, MAX_TEXT_WIDTH)
    return "\n\n".join("\n".join(_wrap_block(block.split("\n"), width)) for block in text.strip("\n").split("\n\n"))


def wrap_table(rows: Sequence[Sequence[str]], width: int) -> str:
    """Return a table with a head whose last column is wrapped to a width.

    Where that leaves too little for the last column, each row is a line with the text of the last column below it.

    >>> print(wrap_table([["key", "what it is"], ["lr", "the learning rate of all groups"]], 30))
    key
      what it is
    lr
      the learning rate of all
      groups
    """
    rows = [[translate(cell) for cell in row] for row in rows]
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    start = sum(widths[:-1]) + 2 * (len(widths) - 1)
    if width - start < MIN_LAST_COLUMN:
        return "\n".join(line for row in rows for line in _stack_cells(row, width))
    head, *body = rows
    lines = [list(head)]
    for row in body:
        parts = wrap_words(row[-1], width - start, break_long_words=True) or [""]
        lines += [[*row[:-1], parts[0]], *([*[""] * (len(row) - 1), part] for part in parts[1:])]
    return format_table(lines)


def _stack_cells(row: Sequence[str], width: int) -> list[str]:
    head = wrap_words(" ".join(row[:-1]), width, subsequent_indent="  ", break_long_words=True)
    last = wrap_words(row[-1], width, initial_indent="  ", subsequent_indent="  ", break_long_words=True)
    return head + last


def _wrap_block(lines: list[str], width: int) -> Iterator[str]:
    """Yield the lines of a block of text, which has no empty line."""
    if lines[0].startswith(USAGE_HEADS):
        for line in _join_continued(lines):
            yield from _wrap_usage(line, width)
    elif any(line.startswith(" ") for line in lines):
        for line in lines:
            yield from _wrap_columns(line, width)
    else:
        yield from wrap_words(" ".join(lines), width)


def _join_continued(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a usage, each with the deeper indented lines that continue it."""
    current = ""
    for line in lines:
        if re.match(rf"({USAGE_PATTERN} |       )yisheng ", line):
            if current:
                yield current
            current = line
        else:
            current += f" {line.strip()}"
    yield current


def _wrap_usage(line: str, width: int) -> list[str]:
    """Return a line of a usage; what does not fit continues below the first input, and no ``[...]`` is broken.

    A remark after three spaces or more gets a line of its own if it does not fit.
    """
    if text_width(line) <= width:
        return [line]
    start = len(line) - len(line.lstrip())
    text, *remarks = re.split(r" {3,}", line[start:], maxsplit=1)
    words = re.findall(r"\[[^\]]*\][^\s\[]*|\S+", text)
    command = re.match(rf"(?:{USAGE_PATTERN} )?yisheng [a-z-]+ (?:[a-z]+ )?", text)
    indent = start + text_width(command[0]) if command else 9
    if indent + max(map(text_width, words)) > width:
        indent = 9
    lines = [" " * start + words[0]]
    for word in words[1:]:
        if text_width(lines[-1]) + 1 + text_width(word) > width:
            lines.append(" " * indent + word)
        else:
            lines[-1] += f" {word}"
    remark = "".join(remarks).strip()
    return [*lines, *wrap_words(remark, width, initial_indent=" " * indent, subsequent_indent=" " * indent)]


def _wrap_columns(line: str, width: int) -> list[str]:
    """Return an indented line; what does not fit continues below its last column."""
    if text_width(line) <= width:
        return [line]
    last = [match.end() for match in re.finditer(r"\S {2,}(?=\S)", line)]
    indent = last[-1] if last and last[-1] < width - MIN_LAST_COLUMN // 2 else len(line) - len(line.lstrip()) + 2
    return wrap_words(line, width, subsequent_indent=" " * indent)

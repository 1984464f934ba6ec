"""Help texts and docstrings divided into what is translated and what is syntax."""

from __future__ import annotations

import re
from collections.abc import Callable

from yisheng.core.messages import as_message, translate

Change = Callable[[str], str]
USAGE = "usage:"


def map_help(text: str, change: Change) -> str:
    """Return a help text with each of its texts changed; the syntax of commands stays.

    A text is a paragraph, as one line; an item of a list; the remark of a usage; or the last column of a table, whose
    lines are indented. Where every text is collected for translation, and where it is translated, this function decides
    what a text is.

    Args:
        text: paragraphs with empty lines between them.
        change: is called with each text, and returns what takes its place.

    >>> text = "Go far,\\nor stay.\\n\\nusage: yisheng go [far=true]     (or not)\\n\\n  far=true   to go far"
    >>> print(map_help(text, str.upper))
    GO FAR, OR STAY.
    <BLANKLINE>
    USAGE: yisheng go [far=true]     (OR NOT)
    <BLANKLINE>
      far=true   TO GO FAR
    """
    return "\n\n".join(_map_block(block.split("\n"), change) for block in text.strip("\n").split("\n\n"))


def _map_block(lines: list[str], change: Change) -> str:
    if lines[0].startswith(USAGE):
        mapped = "\n".join(_map_last_column(line, change, 3) for line in lines)
        return f"{change(USAGE)}{mapped.removeprefix(USAGE)}"
    if lines[0].startswith("- "):
        items = re.split(r"\n- ", "\n".join(lines)[2:])
        return "\n".join(f"- {change(' '.join(item.split()))}" for item in items)
    if any(line.startswith(" ") for line in lines):
        return "\n".join(_map_last_column(line, change, 2) for line in lines)
    return change(" ".join(lines))


def _map_last_column(line: str, change: Change, min_gap: int) -> str:
    """Return a line with its last column changed; an indented line of one column is code."""
    columns = re.fullmatch(rf"(\s*\S.*?)( {{{min_gap},}})(\S.*)", line)
    if columns:
        return f"{columns[1]}{columns[2]}{change(columns[3])}"
    return line if line.startswith((" ", USAGE)) else change(line)


def translate_help(text: str) -> str:
    """Return a help text in the current language."""
    return map_help(text, lambda part: translate(as_message(part)))


def argument_help(doc: str, section: str = "Args") -> dict[str, str]:
    """Return the lines of a docstring's section, by argument.

    Args:
        doc: the docstring, without its indentation.
        section: the heading, without its colon.
    """
    match = re.search(rf"^{section}:\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE)
    if not match:
        return {}
    lines: dict[str, str] = {}
    argument = ""
    for line in match[1].splitlines():
        start = re.match(r"    ([\w-]+): (.*)", line)
        if start:
            argument, lines[start[1]] = start[1], start[2]
        elif argument and line.strip():
            lines[argument] += " " + line.strip()
    return lines

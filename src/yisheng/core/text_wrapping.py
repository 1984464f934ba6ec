"""Text wrapped to columns of a terminal, also Chinese, which has no spaces between its words."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator

from yisheng.core.text_tables import text_width

NOT_AT_START = frozenset("，。、；：！？）》」』】〉”’…％～,.;:!?)]}%")
"""Characters that no line begins with."""
NOT_AT_END = frozenset("（《「『【〈“‘([{")
"""Characters that no line ends with."""


def wrap_words(
    text: str,
    width: int,
    *,
    initial_indent: str = "",
    subsequent_indent: str = "",
    break_long_words: bool = False,
) -> list[str]:
    """Return the lines of a text within a width; lines break at spaces and between Chinese characters.

    Args:
        text: the text; without wide characters it is wrapped as by `textwrap.wrap`.
        width: columns of a line, of which a wide character takes two.
        initial_indent: what the first line begins with.
        subsequent_indent: what the others begin with.
        break_long_words: whether a word that is wider than a line is broken.

    >>> wrap_words("权重衰减（weight decay）不作用于偏置。", 16)
    ['权重衰减（weight', 'decay）不作用于', '偏置。']
    """
    if not any(map(_is_wide, text)):
        return textwrap.wrap(
            text,
            width,
            initial_indent=initial_indent,
            subsequent_indent=subsequent_indent,
            break_on_hyphens=False,
            break_long_words=break_long_words,
        )
    lines: list[str] = []
    indent, line = initial_indent, ""
    for piece in _split_pieces(text.rstrip(), width - text_width(subsequent_indent) if break_long_words else None):
        if line.strip() and text_width(indent) + text_width(line) + text_width(piece.rstrip()) > width:
            lines.append(f"{indent}{line}".rstrip())
            indent, line = subsequent_indent, ""
            piece = piece.lstrip()
        line += piece
    return [*lines, f"{indent}{line}".rstrip()] if line.strip() else lines


def fill_words(text: str, width: int, *, subsequent_indent: str = "") -> str:
    """Return a text as lines within a width; see `wrap_words`."""
    return "\n".join(wrap_words(text, width, subsequent_indent=subsequent_indent))


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def _split_pieces(text: str, max_width: int | None) -> Iterator[str]:
    """Yield the pieces between which a line may break: spaces, words and wide characters with their punctuation.

    Args:
        text: the text.
        max_width: wider words are broken; None keeps them.
    """
    piece = ""
    for part in re.findall(r"\s+|[^\s]", text):
        is_too_wide = max_width is not None and text_width(piece) + text_width(part) > max_width
        if piece and (is_too_wide or _may_break(piece, part)):
            yield piece
            piece = ""
        piece += part
    if piece:
        yield piece


def _may_break(piece: str, part: str) -> bool:
    """Return whether a line may break between a piece and the character or the spaces after it."""
    if part.isspace() or piece.isspace():
        return True
    if part in NOT_AT_START or piece[-1] in NOT_AT_END:
        return False
    return _is_wide(piece[-1]) or _is_wide(part)

"""The language of a command: ``lang=zh|en|auto``, which every command takes, else ``YISHENG_LANG``, else the locale."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

from yisheng.core.messages import AUTO, ENGLISH, LANGUAGE_VARIABLE, LANGUAGES, Message, detect_language

KEY = "lang"
SAMPLE = "中文"
"""Text that an output must be able to encode, or ``auto`` is English."""


def take_language(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the value of ``lang=`` (None if it is not given), and the other words.

    It is read before all other words, so that their errors are in this language.

    Raises:
        UsageError: it is given twice, or without a value.

    >>> take_language(["train", "data=digits", "--lang", "zh"])
    ('zh', ['train', 'data=digits'])
    >>> take_language(["train", "--notes", "lang=zh", "--", "lang=en"])
    (None, ['train', '--notes', 'lang=zh', '--', 'lang=en'])
    """
    from yisheng.cli._arguments import FLAGS

    values: list[str] = []
    other_words: list[str] = []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            other_words += [word, *remaining]
            break
        match = re.fullmatch(rf"(?:--)?{KEY}=(.*)", word, re.DOTALL)
        if match:
            values.append(match[1])
        elif word == f"--{KEY}":
            values.append(remaining.pop(0) if remaining else "")
        else:
            other_words.append(word)
            has_value = word.startswith("--") and "=" not in word and word[2:] not in FLAGS
            if has_value and remaining and not remaining[0].startswith("--"):
                other_words.append(remaining.pop(0))
    if len(values) > 1:
        from yisheng.core.errors import UsageError

        raise UsageError(
            Message("{key} is given twice: {first!r} and {second!r}", key=KEY, first=values[0], second=values[1]),
            Message("leave one of them out"),
        )
    return (values[0] if values else None), other_words


@contextlib.contextmanager
def language_of_process(choice: str | None) -> Iterator[None]:
    """Show messages of this process, and of those that it starts, in a language during the block.

    Args:
        choice: the value of ``lang=``, or None: that of ``YISHENG_LANG``, and without it ``auto``.

    Raises:
        UsageError: it is not a language.
    """
    previous = os.environ.get(LANGUAGE_VARIABLE)
    origin = LANGUAGE_VARIABLE if choice is None else KEY
    value = (previous or AUTO) if choice is None else choice
    language = value.strip().lower()
    if language not in (*LANGUAGES, AUTO):
        from yisheng.core.errors import UsageError

        raise UsageError(
            Message("{key} must be zh, en or auto, got {value!r}", key=origin, value=value),
            Message("use {key}=zh for Chinese, or {key}=en for English", key=origin),
        )
    if language == AUTO:
        language = detect_language() if _can_encode(sys.stdout) else ENGLISH
    os.environ[LANGUAGE_VARIABLE] = language
    try:
        yield
    finally:
        if previous is None:
            os.environ.pop(LANGUAGE_VARIABLE, None)
        else:
            os.environ[LANGUAGE_VARIABLE] = previous


def _can_encode(stream: object) -> bool:
    """Return whether a stream can show Chinese; a console of Windows in a western code page cannot."""
    try:
        SAMPLE.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return True

"""Text from files and users, made safe to print: names must not command the terminal or forge lines.

A file, folder, class or column may be called anything: an escape sequence in a name would clear the screen or set the
window's title, a newline would forge a line of output, and a bidirectional control would show the name reversed.
"""

from __future__ import annotations

import io
import re
from typing import Any, Final, TextIO

_LINE_ENDS: Final = "\n\t"
_UNSAFE: Final = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1, which terminals obey
    "\u2028\u2029"  # line and paragraph separators
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\u2060-\u2064\ufeff\U000e0000-\U000e007f"  # invisible, so that two names look the same
)
_UNSAFE_IN_LINE: Final = re.compile(f"[{_UNSAFE}]")
_UNSAFE_IN_TEXT: Final = re.compile(f"(?![{_LINE_ENDS}])[{_UNSAFE}]")
_NAMED_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_line(text: str) -> str:
    """Return text that may quote a hostile name as one line, with the escapes of JSON and Python.

    Letters of every script, and the joiners that some scripts need, are unchanged.

    >>> print(escape_line("no file 'a\\x1b[2J\\nb'"))
    no file 'a\\u001b[2J\\nb'
    >>> escape_line("\u4e2d\u6587 é")
    '\u4e2d\u6587 é'
    """
    return _UNSAFE_IN_LINE.sub(_escape, text)


def escape_text(text: str) -> str:
    """Return text of several lines with everything escaped but its newlines and tabs.

    >>> print(escape_text("a\\x07\\nb"))
    a\\u0007
    b
    """
    return _UNSAFE_IN_TEXT.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    units = char.encode("utf-16-be")  # JSON writes characters beyond U+FFFF as two
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


class PrintedStream(io.TextIOBase):
    """A text stream that escapes what could command a terminal, and that may lose its reader.

    When nobody reads any more (``yisheng train | head -1``, a closed terminal), it discards what follows: the work
    goes on. Every other error, such as a full disk, is kept in ``error`` for the end of the command.

    Args:
        stream: where the text goes.
        escape: escape unsafe characters; False for progress bars, whose cursor movements are meant.
    """

    def __init__(self, stream: TextIO, *, escape: bool = True) -> None:
        self.stream = stream
        self._escape = escape
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write text, unless an earlier write failed."""
        self._try(self.stream.write, escape_text(text) if self._escape else text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, unless an earlier write failed."""
        self._try(self.stream.flush)

    def _try(self, method: Any, *arguments: str) -> None:
        if self.error is not None:
            return
        try:
            try:
                method(*arguments)
            except UnicodeEncodeError:  # a file name that is not text, or a character that the encoding lacks
                encoding = self.stream.encoding or "ascii"
                method(*(text.encode(encoding, "backslashreplace").decode(encoding) for text in arguments))
        except OSError as error:
            self.error = error
        except ValueError as error:  # the stream is closed
            self.error = BrokenPipeError(*error.args)

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the stream."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the stream."""
        return self.stream.encoding

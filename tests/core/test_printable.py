"""What may be printed: names escape to what terminals, JSON readers and people take for plain text."""

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.printable import PrintedStream, escape_line, escape_text

COMMANDS = ["\x1b[2J", "\x07", "\x9b31m", "\x1b]0;title\x07", "\r", "\x7f", "\u202e", "\u2066", "\u2028", "\ufeff"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_reaches_the_terminal(command):
    for escape in (escape_line, escape_text):
        escaped = escape(f"a{command}b")
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in escaped)
        assert escaped.startswith("a\\")
        assert escaped.endswith("b")


@pytest.mark.parametrize("text", ["cat", "é", "猫 狗", "می\u200cخواهم", "👩\u200d👧", "a b\u00a0c", "100 % \\n"])
def test_names_in_every_script_stay_as_they_are(text):
    assert escape_line(text) == text


@given(st.text())
def test_escapes_are_those_of_json(text):
    assert json.loads(escape_text(json.dumps(text, ensure_ascii=False))) == text
    assert not any(unicodedata.category(c) == "Cc" for c in escape_line(text))


def test_lines_stay_in_a_text_and_become_escapes_in_a_line():
    assert escape_text("a\n\tb\r") == "a\n\tb\\r"
    assert escape_line("a\n\tb\r") == "a\\n\\tb\\r"


class Broken(io.StringIO):
    """A stream that takes some characters, and then no more."""

    def __init__(self, error: Exception, room: int = 0) -> None:
        super().__init__()
        self.error, self.room = error, room

    def write(self, text: str) -> int:
        if self.tell() + len(text) > self.room:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "full"), ValueError("closed")])
def test_a_stream_that_breaks_discards_what_follows(error):
    inner = Broken(error, room=6)
    stream = PrintedStream(inner)
    for _ in range(3):
        print("hello", file=stream, flush=True)
    assert inner.getvalue() == "hello\n"
    assert isinstance(stream.error, OSError)
    assert stream.writable()
    assert not stream.isatty()


def test_progress_may_move_the_cursor():
    inner = io.StringIO()
    PrintedStream(inner, escape=False).write("\r50%")
    assert inner.getvalue() == "\r50%"


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [("utf-8", "a\udcffb é", "a\\udcffb é\n"), ("ascii", "é", "\\xe9\n")],
)
def test_names_that_cannot_be_encoded_are_written_as_escapes(encoding, text, expected):
    file = io.BytesIO()
    inner = io.TextIOWrapper(file, encoding, write_through=True)
    print(text, file=PrintedStream(inner))
    assert file.getvalue().decode() == expected

"""The package's logger, and which of its messages a call shows on standard error.

Every message goes through ``logging.getLogger("yisheng")``: notes at INFO, findings at WARNING. As in any library,
nothing is shown unless somebody asks for it. The functions of `yisheng.api` and the command line ask with
`show_on_stderr`, for the time of one call and in its own thread only: the choice is in a context variable, and the
root logger stays as it is. A thread that is started during a call inherits the choice with
``threading.Thread(target=contextvars.copy_context().run, args=(function,))``.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TextIO, cast

from yisheng.core.messages import Message, translate
from yisheng.core.printable import PrintedStream, escape_line

if TYPE_CHECKING:
    from yisheng.core.findings import Finding

SEVERITIES: Final = {"note": Message("note"), "warning": Message("warning"), "error": Message("error")}
"""Severity of a finding -> how it is called."""
logger: Final = logging.getLogger("yisheng")
if logger.level == logging.NOTSET:
    logger.setLevel(logging.INFO)  # else the root logger's level, WARNING by default, would drop the notes


@dataclass(frozen=True)
class _Output:
    """What the current call shows on standard error."""

    messages: bool = False
    progress: bool = False


_HIDDEN: Final = _Output()
_output: ContextVar[_Output] = ContextVar("yisheng_output", default=_HIDDEN)


class _StderrHandler(logging.Handler):
    """Print each message as one line on the current ``sys.stderr``, if the current call shows them.

    A reader that is gone stops neither the training nor anything else.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not _output.get().messages:
            return
        try:
            text = translate(record.msg) if isinstance(record.msg, Message) else self.format(record)
            print(escape_line(text), file=PrintedStream(sys.stderr), flush=True)
        except Exception:
            self.handleError(record)


logger.addHandler(_StderrHandler())


@contextlib.contextmanager
def show_on_stderr(*, quiet: bool = False) -> Iterator[None]:
    """Show messages and progress on standard error during the block, in this thread.

    Args:
        quiet: show neither, even if the caller's block shows them.

    >>> import io
    >>> with contextlib.redirect_stderr(io.StringIO()) as text, show_on_stderr():
    ...     logger.info("3 files were left out")
    >>> text.getvalue()
    '3 files were left out\\n'
    """
    token = _output.set(_Output(messages=not quiet, progress=not quiet))
    try:
        yield
    finally:
        _output.reset(token)


@contextlib.contextmanager
def hide_messages(*, progress: bool = True) -> Iterator[None]:
    """Hide messages during the block, in this thread: one training of many does not describe itself.

    Args:
        progress: keep progress bars, if the caller shows them.
    """
    output = _output.get()
    token = _output.set(replace(output, messages=False, progress=output.progress and progress))
    try:
        yield
    finally:
        _output.reset(token)


def progress_stream() -> TextIO | None:
    """Return the stream for progress bars, or None if the current call shows none.

    It discards what it cannot write, so that a training goes on when nobody reads its progress any more.
    """
    if not _output.get().progress or sys.stderr is None:
        return None
    printed = sys.stderr
    stream = printed.stream if isinstance(printed, PrintedStream) else printed
    return cast("TextIO", PrintedStream(stream, escape=False))


def log_findings(findings: Iterable[Finding]) -> None:
    """Log each finding with its remedy: notes at INFO, warnings and errors at WARNING."""
    for finding in findings:
        level = logging.INFO if finding.severity == "note" else logging.WARNING
        values = {"severity": SEVERITIES[finding.severity], "cause": finding.cause, "remedy": finding.remedy}
        logger.log(level, Message("{severity}: {cause}; {remedy}", **values))

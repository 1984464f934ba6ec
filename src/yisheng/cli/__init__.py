"""The command line: ``yisheng COMMAND [input ...] [key=value ...]``.

Each command is one file of this folder: its docstring is its help, ``run(arguments)`` runs it and returns the exit
code. A command parses, calls a function of `yisheng.experiments` or `yisheng.api`, and prints. Nothing heavy is
imported before a command runs.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from yisheng.cli._language import language_of_process, take_language
from yisheng.core.errors import UsageError
from yisheng.core.messages import ENGLISH, Message, translate, use_language
from yisheng.core.os_errors import describe_os_error
from yisheng.core.printable import PrintedStream, escape_line
from yisheng.core.signals import StopSignal, handle_stop_signals

MAX_LINE_LENGTH = 1500
"""Characters of an error's line; longer ones are shortened in the middle."""
SERVING_COMMANDS = ("serve", "watch")
SHARED_COMMANDS = ("train", "resume", "env")
"""Commands that several processes of `torchrun` or `srun` run together; each of them would do all of another one."""
OVERVIEW = """Yisheng: a supervised model's whole life, from its data to its use.

usage: yisheng COMMAND [input ...] [key=value ...]     (--key value means the same)

commands:
{commands}

With --json a command prints one JSON object; with --quiet it shows no messages and no progress. Texts are in Chinese
with lang=zh, in English with lang=en, and by default in the language of the system.

examples:
  yisheng train data=digits
  yisheng train data=fashion-mnist model=lenet epochs=10 lr=0.1
  yisheng train config=run.toml lr=0.05
  yisheng predict runs/0001-digits-lenet photo.png

`yisheng COMMAND --help` describes a command.
"""
READER_IS_GONE = (errno.EPIPE, errno.EIO, None)
"""Errors of a stream whose reader has ended: a pipe, a closed terminal, a closed stream."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code.

    0 done, 2 usage, 3 bad data, 4 non-finite numbers, 5 missing optional part, 6 findings that ``fail_on=`` forbids,
    129, 130 or 143 stopped by a signal (the terminal was closed, Ctrl-C, SIGTERM), 1 anything else. A reader that goes
    away changes nothing: the work is completed, and its code returned; `docs/reference.md` has a table. With
    ``YISHENG_DEBUG=1`` an unforeseen exception is raised instead of printed as two lines.
    """
    _occupy_standard_descriptors()
    with _printed_streams() as stdout, contextlib.ExitStack() as stack:
        try:
            language, words = take_language(list(sys.argv[1:] if argv is None else argv))
            stack.enter_context(language_of_process(language))
        except UsageError as error:
            with use_language(ENGLISH):
                _print_error(error.problem, error.remedy)
            return error.code
        try:
            with handle_stop_signals(_raise_stopped):
                code = _run_and_report(words)
        except KeyboardInterrupt:
            code = _report_stop(signal.SIGINT)
        except StopSignal as stop:
            code = _report_stop(stop.number)
        stdout.flush()  # an error of a full disk appears here, while it can still be reported
        if stdout.error is not None and stdout.error.errno not in READER_IS_GONE:
            problem = Message("the output cannot be written: {reason}", reason=describe_os_error(stdout.error))
            _print_error(problem, Message("check the disk that it goes to"))
            code = code or 1
    return code


def _run_and_report(argv: list[str]) -> int:
    """Run one command; print its error, if there is one, and return the exit code."""
    from yisheng.core.errors import YishengError

    try:
        return _run(argv)
    except YishengError as error:
        _print_error(error.problem, error.remedy)
        return error.code
    except Exception as error:  # a defect, or an error of the system that no code above foresees
        if os.environ.get("YISHENG_DEBUG", "").strip() not in ("", "0"):
            raise
        _print_error(*_describe_unforeseen(error))
        return 1


def _raise_stopped(number: int) -> None:
    """Stop what the command does, so that it removes its temporary files; a training handles signals itself."""
    raise KeyboardInterrupt if number == signal.SIGINT else StopSignal(number)


def _report_stop(number: int) -> int:
    _print_error(Message("stopped by {signal}", signal=signal.Signals(number).name), Message("run the command again"))
    return 128 + number


def _print_error(problem: str, remedy: str) -> None:
    lines = [escape_line(_shorten(translate(text))) for text in (problem, remedy)]
    print(f"yisheng: {lines[0]}\n  {lines[1]}", file=sys.stderr)


def list_commands() -> dict[str, str]:
    """Return command -> first line of its help, from the files of this folder.

    >>> "train" in list_commands()
    True
    """
    commands = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        with path.open(encoding="utf-8") as file:
            commands[path.stem.replace("_", "-")] = file.readline().strip().strip('"')
    return commands


def _describe_unforeseen(error: Exception) -> tuple[str, str]:
    """Return problem and remedy of an exception that no code foresees."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text:
        return (
            Message("there is not enough memory"),
            Message("close other programs, or use a smaller batch, model or data set"),
        )
    if isinstance(error, OSError) and error.errno is not None:
        return text, Message("check the path, its permissions and the disk; YISHENG_DEBUG=1 shows where it happened")
    problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return problem, Message("this is a defect: run it again with YISHENG_DEBUG=1, and report what it shows")


def _shorten(text: str, max_length: int = MAX_LINE_LENGTH) -> str:
    """Return a line of an error that quotes a long value without its middle."""
    if len(text) <= max_length:
        return text
    return f"{text[: max_length // 2]} ... {text[-max_length // 2 :]}"


def _occupy_standard_descriptors() -> None:
    """Open standard descriptors that are closed (``>&-``), or the next file would get the number of one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


@contextlib.contextmanager
def _printed_streams() -> Iterator[PrintedStream]:
    """Make standard output and error safe for hostile names and lost readers during the block; yield the output.

    Whatever else fails after the command, when Python flushes its streams, would change the exit code; hence a stream
    without a reader leads nowhere from then on.
    """
    streams = (sys.stdout or io.StringIO(), sys.stderr or io.StringIO())  # a closed stream is None
    _accept_any_name(streams[0])
    stdout, stderr = map(PrintedStream, streams)
    sys.stdout, sys.stderr = stdout, stderr
    try:
        yield stdout
    finally:
        sys.stdout, sys.stderr = streams
        for stream, printed in zip(streams, (stdout, stderr), strict=True):
            printed.flush()
            if printed.error is not None:
                with contextlib.suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _accept_any_name(stream: object) -> None:
    """Let standard output take file names that are not valid text, and characters that it cannot encode."""
    if isinstance(stream, io.TextIOWrapper):
        is_utf8 = stream.encoding.lower().replace("-", "") == "utf8"
        stream.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("--help", "-h", "help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] in ("--version", "-V"):
        from yisheng import __version__

        print(f"yisheng {__version__}")
        return 0

    import importlib

    from yisheng.cli._arguments import Arguments
    from yisheng.cli._terminal import terminal_width, wrap_text
    from yisheng.core.errors import suggest
    from yisheng.core.help_texts import translate_help
    from yisheng.core.launch import require_one_process
    from yisheng.core.logging import show_on_stderr
    from yisheng.core.process import prepare
    from yisheng.core.remote.sessions import publish_at_end

    command = argv[0]
    if command not in list_commands():
        problem = Message("unknown command {command!r}", command=command)
        raise UsageError(problem, suggest(command.lower(), list_commands()))
    prepare(serves=command in SERVING_COMMANDS)  # before any module imports torch
    module = importlib.import_module(f"yisheng.cli.{command.replace('-', '_')}")
    arguments = Arguments.parse(command, argv[1:])
    if arguments.help:
        width = terminal_width()
        print(wrap_text(translate_help(module.__doc__ or ""), width))
        if hasattr(module, "more_help"):
            print(f"\n{module.more_help(width)}")
        return 0
    if command not in SHARED_COMMANDS:
        require_one_process(f"yisheng {command}")
    with show_on_stderr(quiet=arguments.quiet), publish_at_end():
        code: int = module.run(arguments)
    return code


def _overview() -> str:
    from yisheng.cli._terminal import terminal_width, wrap_text
    from yisheng.core.help_texts import translate_help

    commands = "\n".join(f"  {name:<11}  {about}" for name, about in list_commands().items())
    return wrap_text(translate_help(OVERVIEW.format(commands=commands)), terminal_width())

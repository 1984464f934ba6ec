"""The command line: ``yisheng COMMAND [input ...] [key=value ...]``.

Each command is one file of this folder: its docstring is its help, ``run(arguments)`` runs it and returns the exit
code. A command parses, calls a function of `yisheng.experiments` or `yisheng.api`, and prints. Nothing heavy is
imported before a command runs.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

MAX_LINE_LENGTH = 1500
"""Characters of an error's line; longer ones are shortened in the middle."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code.

    0 done, 2 usage, 3 bad data, 4 non-finite numbers, 5 missing optional part, 6 findings that ``fail_on=`` forbids,
    130 or 143 stopped by a signal, 1 anything else. With ``YISHENG_DEBUG=1`` an unforeseen exception is raised instead
    of printed as two lines.
    """
    from yisheng.core.errors import YishengError

    for name in ("stdout", "stderr"):  # a closed stream is None
        if getattr(sys, name) is None:
            setattr(sys, name, io.StringIO())
    try:
        _accept_any_name()
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # an error of a full disk appears here, while it can still be reported
        return code
    except YishengError as error:
        print(f"yisheng: {_escape(error.problem)}\n  {_escape(error.remedy)}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("yisheng: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a defect, or an error of the system that no code above foresees
        if os.environ.get("YISHENG_DEBUG", "").strip() not in ("", "0"):
            raise
        problem, remedy = _describe_unforeseen(error)
        print(f"yisheng: {_escape(problem)}\n  {remedy}", file=sys.stderr)
        return 1


def list_commands() -> dict[str, str]:
    """Return command -> first line of its help, from the files of this folder.

    >>> "train" in list_commands()
    True
    """
    commands = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        with path.open(encoding="utf-8") as file:
            commands[path.stem] = file.readline().strip().strip('"')
    return commands


def _describe_unforeseen(error: Exception) -> tuple[str, str]:
    """Return problem and remedy of an exception that no code foresees."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text:
        return "there is not enough memory", "close other programs, or use a smaller batch, model or data set"
    if isinstance(error, OSError) and error.errno is not None:
        return text, "check the path, its permissions and the disk; YISHENG_DEBUG=1 shows where it happened"
    problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return problem, "this is a defect: run it again with YISHENG_DEBUG=1, and report what it shows"


def _escape(text: str, max_length: int = MAX_LINE_LENGTH) -> str:
    """Return text that may quote a hostile name or value as one printable line.

    >>> print(_escape("no file 'a\\x1b[2J\\nb'"))
    no file 'a\\x1b[2J\\nb'
    """
    if len(text) > max_length:
        text = f"{text[: max_length // 2]} ... {text[-max_length // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _accept_any_name() -> None:
    """Let standard output take file names that are not valid text, and characters that it cannot encode."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


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
    from yisheng.core.errors import UsageError, suggest
    from yisheng.core.logging import show_on_stderr
    from yisheng.core.process import prepare

    command = argv[0]
    if command not in list_commands():
        raise UsageError(f"unknown command {command!r}", suggest(command.lower(), list_commands()))
    prepare()  # before any module imports torch
    module = importlib.import_module(f"yisheng.cli.{command}")
    arguments = Arguments.parse(command, argv[1:])
    if arguments.help:
        print((module.__doc__ or "").strip())
        if hasattr(module, "more_help"):
            print(module.more_help())
        return 0
    with show_on_stderr(quiet=arguments.quiet):
        code: int = module.run(arguments)
    return code


def _overview() -> str:
    lines = [f"  {name:<10} {about}" for name, about in list_commands().items()]
    return "\n".join(
        [
            "Yisheng: a supervised model's whole life, from its data to its use.",
            "",
            "usage: yisheng COMMAND [input ...] [key=value ...]     (--key value means the same)",
            "",
            "commands:",
            *lines,
            "",
            "With --json a command prints one JSON object; with --quiet it shows no messages and no progress.",
            "",
            "examples:",
            "  yisheng train data=digits",
            "  yisheng train data=fashion-mnist model=lenet epochs=10 lr=0.1",
            "  yisheng train config=run.toml lr=0.05",
            "  yisheng predict runs/0001-digits-lenet photo.png",
            "",
            "`yisheng COMMAND --help` describes a command.",
        ]
    )

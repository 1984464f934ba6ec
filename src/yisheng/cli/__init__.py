"""The command line: ``yisheng VERB [input ...] [key=value ...]``.

A verb is one file here: its docstring is its help, ``run(arguments)`` does it. Nothing heavy is
imported before a verb runs.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

FLAGS = {"json", "quiet", "help", "version"}


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives its exit code.

    0 done, 2 bad usage or value, 3 bad data, 4 numbers went non-finite, 5 missing optional part,
    6 findings that ``fail_on=`` does not allow, 130 or 143 stopped by a signal, 1 anything else. With
    ``YISHENG_DEBUG=1`` an unforeseen exception is not made into two lines but raised.
    """
    from yisheng.core.errors import YishengError

    for name in ("stdout", "stderr"):  # a closed stream is None; what would go there goes nowhere
        if getattr(sys, name) is None:
            setattr(sys, name, io.StringIO())
    try:
        _print_any_name()
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # a full disk behind it shows here, while it can still be told
        return code
    except YishengError as error:
        print(f"yisheng: {_line(error.problem)}\n  {_line(error.remedy)}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("yisheng: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a defect, or a trouble of the machine that nothing above foresaw
        if os.environ.get("YISHENG_DEBUG", "").strip() not in ("", "0"):
            raise
        problem, remedy = _unforeseen(error)
        print(f"yisheng: {_line(problem)}\n  {remedy}", file=sys.stderr)
        return 1


def verbs() -> dict[str, str]:
    """Verb -> first line of its help, found by listing this folder.

    >>> "train" in verbs()
    True
    """
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        with path.open(encoding="utf-8") as file:
            found[path.stem] = file.readline().strip().strip('"')
    return found


def _unforeseen(error: Exception) -> tuple[str, str]:
    """Problem and remedy of an exception that nothing foresaw, in a line each."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text:
        return "there is not enough memory", "close other programs, or use a smaller batch, model or data set"
    if isinstance(error, OSError) and error.errno is not None:
        return text, "check the path, its permissions and the disk; YISHENG_DEBUG=1 shows where it happened"
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return said, "this should not happen: set YISHENG_DEBUG=1 to see where, and report it with what it shows"


def _line(text: str, most: int = 1500) -> str:
    """Text that may quote a hostile name or value, as one line that a terminal only shows.

    >>> print(_line("no file 'a\\x1b[2J\\nb'"))
    no file 'a\\x1b[2J\\nb'
    """
    text = text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _print_any_name() -> None:
    """Let standard output take file names that are no valid text, and characters that it cannot encode."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        as_bytes = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if as_bytes else "backslashreplace")


def _run(argv: list[str]) -> int:
    from yisheng.cli._arguments import Arguments
    from yisheng.core.errors import UsageError, closest

    if not argv or argv[0] in ("--help", "-h", "help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] in ("--version", "-V"):
        from yisheng import __version__

        print(f"yisheng {__version__}")
        return 0
    verb = argv[0]
    if verb not in verbs():
        raise UsageError(f"unknown command {verb!r}", closest(verb.lower(), verbs()))
    import importlib

    from yisheng.core.machine import prepare

    prepare()
    module = importlib.import_module(f"yisheng.cli.{verb}")
    arguments = Arguments.parse(verb, argv[1:])
    if arguments.flag("help"):
        print((module.__doc__ or "").strip())
        if hasattr(module, "more_help"):
            print(module.more_help())
        return 0
    code: int = module.run(arguments)
    return code


def _overview() -> str:
    lines = [f"  {name:<10} {about}" for name, about in verbs().items()]
    return "\n".join(
        [
            "Yisheng: a supervised model's whole life, from its data to its use.",
            "",
            "usage: yisheng COMMAND [input ...] [key=value ...]     (--key value means the same)",
            "",
            "commands:",
            *lines,
            "",
            "examples:",
            "  yisheng train data=digits",
            "  yisheng train data=fashion-mnist model=lenet epochs=10 lr=0.1",
            "  yisheng train config=run.toml lr=0.05",
            "  yisheng predict runs/0001-digits-lenet photo.png",
            "",
            "`yisheng COMMAND --help` tells more.",
        ]
    )

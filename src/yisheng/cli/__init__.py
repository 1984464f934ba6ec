"""The command line: ``yisheng VERB [input ...] [key=value ...]``.

A verb is one file here: its docstring is its help, ``run(arguments)`` does it. Nothing heavy is
imported before a verb runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

FLAGS = {"json", "quiet", "help", "version"}


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives its exit code.

    0 done, 2 bad usage or value, 3 bad data, 4 numbers went non-finite, 5 missing optional part,
    130 or 143 stopped by a signal, 1 anything else.
    """
    from yisheng.core.errors import YishengError

    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except YishengError as error:
        print(f"yisheng: {error.problem}\n  {error.remedy}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("yisheng: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        raise UsageError(f"unknown command {verb!r}", closest(verb, verbs()))
    import importlib

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

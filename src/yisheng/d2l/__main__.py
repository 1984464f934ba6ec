"""Run a notebook or script of Dive into Deep Learning, without the book's package.

usage: python -m yisheng.d2l FILE [out=FILE.ipynb] [pandas=true] [errors=stop]

FILE is a notebook (.ipynb) or a script (.py). `from d2l import torch as d2l` imports Yisheng's functions in it, and
`import torchvision` a stand-in where torchvision is absent or broken. A notebook runs in a kernel if the extra
`notebook` is installed, and is written with its outputs; otherwise its cells run one after another, and figures become
PNG files. YISHENG_D2L_FAST=1 makes the data smaller, so that a notebook runs in seconds.

keys:
  out      the notebook with its outputs (default: a new file FILE-run.ipynb next to it)
  pandas   change pandas back to what the book expects: true or false (default: true)
  errors   after a cell that fails: stop or continue (default: stop)

exit codes: 0 all cells ran, 1 a cell failed, 2 usage, 3 the file cannot be read, 5 an optional part is missing
"""

from __future__ import annotations

import sys

from yisheng.core.errors import UsageError, YishengError, suggest
from yisheng.core.messages import Message, translate
from yisheng.core.paths import parse_path
from yisheng.core.process import prepare

CHOICES = {"pandas": ("true", "false"), "errors": ("stop", "continue")}
DEFAULTS = {"out": "", "pandas": "true", "errors": "stop"}


def main(words: list[str]) -> int:
    """Run the file that the words of the command line name; return the exit code."""
    if not words or set(words) & {"--help", "-h", "help"}:
        print(__doc__)
        return 0 if words else 2
    try:
        file, settings = _parse(words)
        prepare()  # before torch is imported
        from yisheng.d2l.execution import run_file

        completed = run_file(
            parse_path(file, "FILE"),
            out=parse_path(settings["out"], "out") if settings["out"] else None,
            pandas=settings["pandas"] == "true",
            stop_at_error=settings["errors"] == "stop",
        )
    except YishengError as error:
        print(f"yisheng.d2l: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print(f"yisheng.d2l: {translate(Message('stopped'))}", file=sys.stderr)
        return 130
    return 0 if completed else 1


def _parse(words: list[str]) -> tuple[str, dict[str, str]]:
    """Return the file and the settings.

    Raises:
        UsageError: an unknown key or value, or not exactly one file.
    """
    files, settings = [], dict(DEFAULTS)
    for word in words:
        key, sign, value = word.removeprefix("--").partition("=")
        if not sign or not key.isidentifier():
            files.append(word)
        elif key not in DEFAULTS:
            raise UsageError(Message("unknown key {key}", key=f"{key!r}"), suggest(key, DEFAULTS))
        elif key in CHOICES and value not in CHOICES[key]:
            raise UsageError(
                Message(
                    "{key} must be {choices}, got {value}",
                    key=key,
                    choices=" or ".join(CHOICES[key]),
                    value=f"{value!r}",
                ),
                Message("use {key}={default}", key=key, default=DEFAULTS[key]),
            )
        else:
            settings[key] = value
    if len(files) != 1:
        raise UsageError(
            Message("one notebook or script is required, got {count}", count=len(files)),
            Message("write python -m yisheng.d2l FILE"),
        )
    return files[0], settings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Train a model on a data set, evaluate it, and write a run folder with a report.

usage: yisheng train [config=FILE.toml] [key=value ...] [out=runs] [--json] [--quiet]

Keys are the recipe's, and the options of its choices; see the list below and `yisheng config`.
The last line printed is the path of the run folder.
"""

from __future__ import annotations

from pathlib import Path

from yisheng.cli._arguments import Arguments, streams


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 0, "keys and values only (data=NAME, not a bare NAME)")
    as_json, quiet = arguments.flag("json"), arguments.flag("quiet")
    out = Path(arguments.take("out") or "runs")
    for_people, remarks = streams(as_json, quiet)

    from yisheng.cli._recipe import resolved

    recipe = resolved(arguments).recipe

    from yisheng.cli._outcome import show
    from yisheng.verbs.train import train

    show(train(recipe, out=out, stream=remarks), as_json=as_json, stream=for_people, quiet=quiet)
    return 0


def more_help() -> str:
    """The keys of the recipe."""
    from yisheng.cli._recipe import keys_help

    return keys_help()

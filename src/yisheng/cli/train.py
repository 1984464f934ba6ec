"""Train a model on a data set, evaluate it, and write a run folder with a report.

usage: yisheng train [config=FILE.toml] [key=value ...] [out=runs] [fail_on=error|warning] [--json] [--quiet]

Keys are the recipe's, and the options of its choices; see the list below and `yisheng config`.
The last line printed is the path of the run folder. With fail_on= a finished run of which the doctor found something
of that severity or worse ends in exit code 6.
"""

from __future__ import annotations

from pathlib import Path

from yisheng.cli._arguments import Arguments, streams


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 0, "keys and values only (data=NAME, not a bare NAME)")
    as_json, quiet = arguments.flag("json"), arguments.flag("quiet")
    out, fail_on = Path(arguments.take("out") or "runs"), arguments.take("fail_on")
    for_people, remarks = streams(as_json, quiet)

    from yisheng.cli._recipe import resolved

    recipe = resolved(arguments).recipe

    from yisheng.cli._outcome import show
    from yisheng.verbs import diagnose
    from yisheng.verbs.train import train

    if fail_on is not None:
        diagnose.require_doctor(recipe, fail_on)
    folder = train(recipe, out=out, stream=remarks)
    show(folder, as_json=as_json, stream=for_people, quiet=quiet)
    if fail_on is not None:
        diagnose.require_healthy(folder, fail_on)
    return 0


def more_help() -> str:
    """The keys of the recipe."""
    from yisheng.cli._recipe import keys_help

    return keys_help()

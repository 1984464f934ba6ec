"""Train a model on a data set, evaluate it, and write a run folder with a report.

usage: yisheng train [config=FILE.toml] [key=value ...] [out=runs] [fail_on=error|warning] [fix=true]
                     [--json] [--quiet]

Keys are the config's, and the options of its choices; see the list below and `yisheng config`.
The last line printed is the path of the run folder. With fail_on= a finished run of which the doctor found something
of that severity or worse ends in exit code 6. With fix=true the doctor's first remedy is applied and the run trained
again, and both are compared. With watch=true a page in the browser follows the run.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from yisheng.cli._arguments import Arguments, streams


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 0, "keys and values only (data=NAME, not a bare NAME)")
    as_json, quiet = arguments.flag("json"), arguments.flag("quiet")
    fix, fail_on = arguments.flag("fix"), arguments.take("fail_on")
    out = Path(arguments.take("out") or "runs")
    for_people, remarks = streams(as_json, quiet)

    from yisheng.cli._config import resolved

    config = resolved(arguments).config

    from yisheng.cli._summary import show
    from yisheng.experiments import diagnose, watch
    from yisheng.experiments.fix import train as train_and_fix
    from yisheng.experiments.run import train

    if fail_on is not None:
        diagnose.require_doctor(config, fail_on)
    with watch.beside(out, remarks) if config.watch else contextlib.nullcontext():
        folder = (train_and_fix if fix else train)(config, out=out, stream=remarks)
    show(folder, as_json=as_json, stream=for_people, quiet=quiet)
    if fail_on is not None:
        diagnose.require_healthy(folder, fail_on)
    return 0


def more_help() -> str:
    """The keys of the config."""
    from yisheng.cli._config import keys_help

    return keys_help()

"""Train a model on a data set, evaluate it, and write a run folder with a report.

usage: yisheng train [config=FILE.toml] [key=value ...] [out=runs] [fail_on=error|warning] [fix=true]
                     [processes=N|auto] [cluster=local:4|auto|HOST:PORT] [--json] [--quiet]

Keys are those of the config and the options of its choices; see the list below and `yisheng config`.
The last line printed is the path of the run folder. With fail_on= a finished run with findings of that severity or
worse ends in exit code 6. With fix=true the doctor's first remedy is applied, the run is trained again, and both are
compared. With watch=true a page in the browser follows the run. With processes=2 two processes of this machine compute
the shards of each batch: the same weights as one process with shards=2. processes=auto has one for each GPU, and a
single one without GPUs. `torchrun ... -m yisheng train ...` does so on several machines. cluster= trains the models of
folds=, or the candidates of a table's budget=, on a cluster of Ray, as in `yisheng tune`.
"""

from __future__ import annotations

import contextlib

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(0, 0, Message("keys and values only (data=NAME, not a bare NAME)"))
    should_fix, fail_on = arguments.flag("fix"), arguments.take("fail_on")
    processes = arguments.process_count()
    cluster = arguments.take("cluster")
    out = arguments.runs_path()

    from yisheng.cli._config import parse_config

    config = parse_config(arguments).config

    from yisheng.cli._summary import print_summary
    from yisheng.experiments import diagnose, dispatch, watch
    from yisheng.experiments.processes import is_first_process

    if fail_on is not None:
        diagnose.require_doctor(config, fail_on)
    with watch.watch_training(out) if config.watch and is_first_process() else contextlib.nullcontext():
        folder = dispatch.train(config, out=out, fix=should_fix, processes=processes, cluster=cluster)
    if not is_first_process():
        return 0
    print_summary(folder, arguments)
    if fail_on is not None:
        diagnose.require_healthy(folder, fail_on)
    return 0


def more_help(width: int) -> str:
    """Return the keys of the config, wrapped to a width."""
    from yisheng.cli._config import keys_help

    return keys_help(width)

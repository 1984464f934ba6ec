"""Test a range of learning rates in a few steps, and suggest one.

usage: yisheng lr-find [config=FILE.toml] [key=value ...] [low=1e-6] [high=10]
                       [steps=100] [seeds=3] [out=runs] [--json] [--quiet]

Keys are those of the config, as for `yisheng train`. Each seed trains a new network for steps= steps, at a learning
rate that grows from low= to high= by the same factor in every step, and stops when the loss diverges. These networks
are discarded: nothing else changes.

The suggestion is a tenth of the rate with the smallest smoothed loss, the median over the seeds; the rate of the
steepest descent is reported too. It is a starting point that may mislead: it is made from the first updates only, and
depends on the batch size, the schedule and the warm-up. The report shows the curves and says what applies. The folder
of the report is printed last.

With --json: run, report, suggestion, steepest and minimum_tenth (lr, low, high), data, model, optimizer, batch,
schedule, current, steps, low, high, updates, caveats, and curves (seed, lr, loss, smooth, steepest, minimum, diverged).
"""

from __future__ import annotations

import json
from pathlib import Path

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.remote.sessions import name_address


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(0, 0, Message("keys and values only (data=NAME, not a bare NAME)"))
    out = arguments.runs_path()
    low, high = arguments.decimal("low", 1e-6), arguments.decimal("high", 10.0)
    steps, seeds = arguments.number("steps", 100), arguments.number("seeds", 3)

    from yisheng.cli._config import parse_config

    config = parse_config(arguments).config

    from yisheng.experiments.lr_find import find_lr

    test = find_lr(config, out=out, low=low, high=high, steps=steps, seeds=seeds)
    path = name_address(Path(test.path))
    report = f"{path}/report.html"
    if arguments.json:
        print(json.dumps({"run": path, "report": report, **test.to_json()}, ensure_ascii=False))
        return 0
    if not arguments.quiet:
        print(translate(test.describe()), translate(test.caveats[0]), sep="\n")
        print(translate(Message("report: {path}", path=report)))
    print(path)
    return 0


def more_help(width: int) -> str:
    """Return the keys of the config, wrapped to a width."""
    from yisheng.cli._config import keys_help

    return keys_help(width)

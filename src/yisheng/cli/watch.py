"""Watch runs live in the browser: growing curves, the doctor's findings, the worst mistakes.

usage: yisheng watch [runs] [port=8001] [--json]
       yisheng train data=digits watch=true          (the same page during one training)

The page lists the runs of the folder, the newest first, and follows those that are in training, in any process. It is
served to this machine only. port=0 takes a free port. With --json the address is printed as JSON, before the serving.
until_eof=true also ends it when standard input is closed, as a training does that started it.
"""

from __future__ import annotations

import json
from pathlib import Path

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(0, 1, Message("one folder of runs"))
    until_eof, port = arguments.flag("until_eof"), arguments.number("port", 8001, minimum=0)
    arguments.require_no_more("port", "until_eof")
    out = arguments.input_paths(Message("the folder of runs"))[0] if arguments.inputs else Path("runs")

    from yisheng.core.logging import logger
    from yisheng.experiments.watch import serve_live_page

    def announce(address: str) -> None:
        print(json.dumps({"address": address, "out": str(out)}) if arguments.json else address, flush=True)
        if not arguments.json:
            logger.info(Message("open it in a browser; Ctrl-C ends it"))

    serve_live_page(out, port, announce, until_eof=until_eof)
    return 0

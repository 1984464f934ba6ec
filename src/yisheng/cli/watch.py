"""Watch runs live in the browser: curves as they grow, the doctor's findings, the last mistakes.

usage: yisheng watch [runs] [port=8001] [--json]
       yisheng train data=digits watch=true          (the same page beside one training, and no longer)

The page lists the runs of the folder, the newest first, and follows those that are in training, in whatever process.
It is served to this machine only. port=0 takes a free one. With --json the address is printed as JSON, before the
serving. beside=true ends it when standard input is closed: that is how a training takes it along.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 1, "one folder of runs")
    as_json, beside = arguments.flag("json"), arguments.flag("beside")
    port = arguments.number("port", 8001, least=0)
    arguments.end({"json", "port", "beside"})
    out = Path(arguments.inputs[0] if arguments.inputs else "runs")

    from yisheng.core.errors import DataError, StoppedError
    from yisheng.core.signals import signals

    if not beside and not os.path.isdir(out):  # noqa: PTH112  # never raises; a training makes its folder in a moment
        raise DataError(f"there is no folder {out}", "name the folder of runs: yisheng watch runs/")

    from yisheng.serving.live_page import serve

    def announce(address: str) -> None:
        print(json.dumps({"address": address, "out": str(out)}) if as_json else address, flush=True)
        if not as_json:
            print("open it in a browser; Ctrl-C ends it", file=sys.stderr)

    with signals() as caught:
        serve(out, port, announce, beside=beside)
    if caught and not beside:
        raise StoppedError(caught[0], "stopped", f"the runs in {out} are as they were")
    return 0

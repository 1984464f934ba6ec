"""Show runs in TensorBoard: its own server, on this machine only.

usage: yisheng tensorboard RUN|FOLDER [port=6006] [--json]

Runs that were trained with tensorboard=true show everything; of others, what their logs and scores tell. With port=0
any free port is taken. It runs until Ctrl-C. With --json one object tells the address.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 1, "one run folder, or a folder of them")
    as_json, port = arguments.flag("json"), arguments.number("port", 6006, least=0)
    arguments.end({"json", "port"})

    from yisheng.core.errors import UsageError
    from yisheng.core.signals import signals

    if port > 65535:
        raise UsageError(f"port must be from 0 to 65535, got {port}", "write port=6006")

    from yisheng.experiments.tensorboard_server import serving

    with signals() as caught, serving(Path(arguments.inputs[0]), port=port) as found:
        if as_json:
            print(json.dumps(asdict(found)), flush=True)
        else:
            print(f"TensorBoard is at {found.address}", flush=True)
            if found.converted:
                print(f"{found.converted} of the runs are shown from their logs", file=sys.stderr)
            print("Ctrl-C ends it", file=sys.stderr)
        while not caught:
            time.sleep(0.1)
    return 0

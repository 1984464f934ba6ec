"""Show runs in TensorBoard, served to this machine only.

usage: yisheng tensorboard RUN|FOLDER [port=6006] [--json]

Runs that were trained with tensorboard=true show everything; other runs show the curves of their logs and their scores.
port=0 takes a free port. It runs until Ctrl-C. With --json the address is printed as one object.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    port = arguments.number("port", 6006, minimum=0)
    folder = arguments.run_folder({"port"})

    from yisheng.core.errors import UsageError
    from yisheng.core.logging import logger
    from yisheng.core.signals import collect_signals

    if port > 65535:
        raise UsageError(Message("port must be from 0 to 65535, got {port}", port=port), Message("write port=6006"))

    from yisheng.experiments.tensorboard_server import serve_tensorboard

    with collect_signals() as caught, serve_tensorboard(folder, port=port) as server:
        if arguments.json:
            print(json.dumps(asdict(server)), flush=True)
        else:
            print(translate(Message("TensorBoard is at {address}", address=server.address)), flush=True)
            if server.converted:
                logger.info(Message("{count} of the runs are shown from their logs", count=server.converted))
            logger.info(Message("Ctrl-C ends it"))
        while not caught:
            time.sleep(0.1)
    return 0

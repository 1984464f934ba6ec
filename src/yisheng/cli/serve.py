"""Serve a trained model over HTTP, with a page to try it on.

usage: yisheng serve RUN [port=8000] [host=127.0.0.1] [token=...] [hosts=NAME,NAME]
                     [batch=64] [wait=2] [body=16] [pixels=64] [images=256] [rows=10000] [seconds=30]
                     [engine=auto] [workers=1] [model=FILE.py:CLASS] [--json]

It listens on this machine only. With another host= it can be reached from other machines, and then requires a token=;
hosts= are the names that it is reached by (numeric addresses are accepted with host=0.0.0.0). port=0 takes a free port.

Requests that come at the same time go through the network together: at most batch= samples, for which an idle network
waits at most wait= milliseconds. A request may have body= MiB, images= images with pixels= million pixels together,
rows= rows, and take seconds= seconds.

engine=torch and engine=onnxruntime name what computes the predictions. engine=auto takes onnxruntime if it is
installed, a trial at the start shows that it is faster, and it predicts what torch does; the network is converted once.

workers=4 serves by four processes at the same port, one for each core; one that dies is restarted. Each has its own
limits, and its own memory.

POST /predict takes an image, a CSV, a form with files, or JSON; GET /openapi.json describes it. With --json the address
is printed as {"address": ...}. Ctrl-C ends it (exit code 130). model= names a network of your own that could not be
saved without its code.
"""

from __future__ import annotations

import json
import sys

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message

MAX_SHUTDOWN_SECONDS = 4.0
"""Time from a signal to the end of the process, whatever it does then; requests in progress have less."""
KEYS = (
    *("host", "token", "hosts", "port", "batch", "wait", "body", "pixels", "images", "rows", "seconds"),
    *("engine", "workers", "model"),
)


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    host, token = arguments.take("host") or "127.0.0.1", arguments.take("token")
    hosts = [name for name in (arguments.take("hosts") or "").split(",") if name]
    port, batch = arguments.number("port", 8000, minimum=0), arguments.number("batch", 64)
    wait = arguments.number("wait", 2, minimum=0)
    body, pixels = arguments.number("body", 16), arguments.number("pixels", 64)
    images, rows = arguments.number("images", 256), arguments.number("rows", 10_000)
    seconds, model = arguments.number("seconds", 30), arguments.take("model")
    engine, workers = arguments.take("engine") or "auto", arguments.number("workers", 1)
    arguments.require_inputs(1, 1, Message("one run folder"))
    arguments.require_no_more(*KEYS)

    from yisheng.core.process import end_after_signals
    from yisheng.experiments.model_hub.find_model import find_model
    from yisheng.experiments.own_model import supply_model
    from yisheng.experiments.serve import Limits, serve, serve_with_workers

    def print_address(address: str) -> None:
        end_after_signals(MAX_SHUTDOWN_SECONDS)
        if arguments.json:
            print(json.dumps({"address": address}), flush=True)

    folder = find_model(arguments.inputs[0], "the run folder")
    if workers > 1:
        settings = {"host": host, "token": token, "hosts": ",".join(hosts), "batch": batch, "wait": wait, "body": body}
        settings |= {"pixels": pixels, "images": images, "rows": rows, "seconds": seconds}
        settings |= {"engine": engine, "model": model}
        words = [f"{key}={value}" for key, value in settings.items() if value not in (None, "")]
        command = [sys.executable, "-m", "yisheng", "serve", str(folder), *words, "--json"]
        serve_with_workers(folder, command, workers, host=host, port=port, token=token, ready=print_address)
        return 0
    with supply_model(folder, model):
        serve(
            folder,
            host=host,
            port=port,
            token=token,
            hosts=hosts,
            batch=batch,
            wait=wait,
            engine=engine,
            limits=Limits(body=body << 20, pixels=pixels * 1_000_000, images=images, rows=rows, seconds=seconds),
            ready=print_address,
        )
    return 0

"""Serve a trained model over HTTP, with a page to try it on.

usage: yisheng serve RUN [port=8000] [host=127.0.0.1] [token=...] [hosts=NAME,NAME]
                     [batch=64] [wait=2] [body=16] [pixels=64] [images=256] [rows=10000] [seconds=30] [--json]

It listens on this machine alone. With another host= it can be reached from elsewhere, and then demands a token=;
hosts= are the names that it is reached by there (addresses in numbers are taken with host=0.0.0.0). port=0 takes a
free port.

Requests that come at the same time go through the network together: at most batch= samples, for which an idle
network waits at most wait= milliseconds. A request may have body= MiB, images= images with pixels= million pixels
together, rows= rows, and take seconds= seconds.

POST /predict takes an image, a CSV, a form with files, or JSON; GET /openapi.json tells it exactly. With --json the
address is printed as {"address": ...}. Ctrl-C ends it (exit code 130).
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 1, "one run folder")
    as_json, quiet = arguments.flag("json"), arguments.flag("quiet")
    host, token = arguments.take("host") or "127.0.0.1", arguments.take("token")
    hosts = [name for name in (arguments.take("hosts") or "").split(",") if name]
    port, batch = arguments.number("port", 8000, least=0), arguments.number("batch", 64)
    wait = arguments.number("wait", 2, least=0)
    body, pixels = arguments.number("body", 16), arguments.number("pixels", 64)
    images, rows = arguments.number("images", 256), arguments.number("rows", 10_000)
    seconds = arguments.number("seconds", 30)
    known = {"json", "quiet", "host", "token", "hosts", "port", "batch", "wait"}
    arguments.end(known | {"body", "pixels", "images", "rows", "seconds"})

    from yisheng.experiments.serve import serve
    from yisheng.serving.limits import Limits

    def tell(address: str) -> None:
        if as_json:
            print(json.dumps({"address": address}), flush=True)

    serve(
        Path(arguments.inputs[0]),
        host=host,
        port=port,
        token=token,
        hosts=hosts,
        batch=batch,
        wait=wait,
        limits=Limits(body=body << 20, pixels=pixels * 1_000_000, images=images, rows=rows, seconds=seconds),
        stream=io.StringIO() if quiet else sys.stderr,
        ready=tell,
    )
    return 0

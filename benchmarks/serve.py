"""A LeNet over HTTP: 32 clients that ask again as soon as they are answered, batched and one by one.

The service and the clients are processes of their own. A client sends a 28 x 28 drawing as PNG, another one each time,
and reads the whole answer. Every answer must be 200; right answers are counted. Each form is measured in turn.

    yisheng train data=mnist model=lenet epochs=2
    python benchmarks/serve.py RUN [seconds=60] [clients=32] [rounds=1] [forms=batched,one-by-one]
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

FORMS = {"batched": ["batch=64", "wait=2"], "one-by-one": ["batch=1", "wait=0"]}
WARM = 2.0


@dataclass
class Seen:
    """What the clients of a measurement saw."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    right: int = 0


class Client(asyncio.Protocol):
    """Asks, and when answered asks again, until it is told to stop.

    Args:
        requests: whole requests, and the right answer of each as it stands in JSON.
        first: with which to begin.
        seen: where to note.
    """

    def __init__(self, requests: Sequence[tuple[bytes, bytes]], first: int, seen: Seen) -> None:
        self.requests = requests
        self.next = first
        self.seen = seen
        self.buffer = b""
        self.counting = False
        self.stopped = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        request, self.wanted = self.requests[self.next % len(self.requests)]
        self.next += 1
        self.began = time.perf_counter()
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        at = head.lower().index(b"content-length:") + 15
        if len(body) < int(head[at:].split(b"\r\n", 1)[0]):
            return
        if self.counting:
            self.seen.seconds.append(time.perf_counter() - self.began)
            self.seen.errors += not head.startswith(b"HTTP/1.1 200 ")
            self.seen.right += self.wanted in body
        self.buffer = b""
        if self.stopped:
            self.transport.close()
        else:
            self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        self.seen.errors += not self.stopped
        if not self.done.done():
            self.done.set_result(None)


def drawings(count: int = 200) -> list[tuple[bytes, bytes]]:
    """Requests with drawings of the run's own test part as PNG, and the right answers."""
    import yisheng

    data = yisheng.data.load("mnist")
    rows = np.flatnonzero(data.part == 2)[:count]
    images = []
    for row in rows:
        file = io.BytesIO()
        Image.fromarray(data.x[row, 0]).save(file, "PNG")
        png = file.getvalue()
        heads = "POST /predict HTTP/1.1", "Host: localhost", "Content-Type: image/png", f"Content-Length: {len(png)}"
        head = "\r\n".join((*heads, "", ""))
        images.append((head.encode() + png, f'"prediction":"{data.spec.classes[data.y[row]]}"'.encode()))
    return images


def resident(process: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def spent(process: int) -> float:
    """Seconds of processor time of a process."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def load(port: int, process: int, requests: list[tuple[bytes, bytes]], clients: int, seconds: float) -> dict:
    """Throughput, latency, errors and memory under a load."""
    seen, loop = Seen(), asyncio.get_running_loop()
    busy = []
    for number in range(clients):
        _, client = await loop.create_connection(lambda n=number: Client(requests, 7 * n, seen), "127.0.0.1", port)
        busy.append(client)
    await asyncio.sleep(WARM)
    for client in busy:
        client.counting = True
    began, before = time.perf_counter(), spent(process)
    early = min(10.0, seconds / 6)
    await asyncio.sleep(early)
    memory = [resident(process)]
    await asyncio.sleep(seconds - early)
    memory.append(resident(process))
    took, cost = time.perf_counter() - began, spent(process) - before
    answered = len(seen.seconds)
    times = sorted(seen.seconds)
    for client in busy:
        client.counting, client.stopped = False, True
    await asyncio.wait([client.done for client in busy], timeout=10)
    return {
        "a second": answered / took,
        "CPU ms each": 1000 * cost / answered,
        "p50 ms": 1000 * statistics.median(times),
        "p99 ms": 1000 * times[int(0.99 * len(times))],
        "errors": seen.errors,
        "right": seen.right / answered,
        f"MiB at {early:.0f} s": memory[0],
        f"MiB at {seconds:.0f} s": memory[1],
    }


def measure(run: str, form: str, clients: int, seconds: float, requests: list[tuple[bytes, bytes]]) -> dict:
    """One service, measured and ended."""
    words = [str(Path(sys.executable).with_name("yisheng")), "serve", run, "port=0", "--json", *FORMS[form]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        assert service.stdout is not None
        try:
            address = json.loads(service.stdout.readline())["address"]
            port = int(address.rstrip("/").rpartition(":")[2])
            return asyncio.run(load(port, service.pid, requests, clients, seconds))
        finally:
            service.terminate()


def main(words: list[str]) -> None:
    """Measure and print a table."""
    run, *remaining = words
    options = dict(word.split("=", 1) for word in remaining)
    seconds, clients = float(options.get("seconds", 60)), int(options.get("clients", 32))
    requests = drawings()
    rates: dict[str, list[float]] = {}
    for _ in range(int(options.get("rounds", 1))):
        for form in options.get("forms", ",".join(FORMS)).split(","):
            results = measure(run, form, clients, seconds, requests)
            rates.setdefault(form, []).append(results["a second"])
            print(f"{form:<12}" + "".join(f"  {name} {value:,.4g}" for name, value in results.items()), flush=True)
    if len(rates) == len(FORMS):
        batched, single = (statistics.median(rates[form]) for form in FORMS)
        print(f"batched {batched:,.0f} a second, one by one {single:,.0f}: {batched / single:.2f} times")


if __name__ == "__main__":
    main(sys.argv[1:])

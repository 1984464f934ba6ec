"""Measure a LeNet over HTTP: 32 clients that each send a request after the previous response, batched and one by one.

The service runs in another process than the clients. A client sends a different 28 x 28 drawing as PNG each time and
reads the complete response. Every status must be 200; correct predictions are counted. Both forms alternate.

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
WARM_UP_SECONDS = 2.0


@dataclass
class Measurement:
    """The latencies, errors and correct predictions of all clients."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    correct: int = 0


class Client(asyncio.Protocol):
    """A client that sends a request after each response, until it is stopped.

    Args:
        requests: complete requests, and the correct prediction of each in JSON.
        start: index of the first request.
        measurement: collects the responses.
    """

    def __init__(self, requests: Sequence[tuple[bytes, bytes]], start: int, measurement: Measurement) -> None:
        self.requests = requests
        self.next = start
        self.measurement = measurement
        self.buffer = b""
        self.counting = False
        self.stopped = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send_request()

    def send_request(self) -> None:
        request, self.expected = self.requests[self.next % len(self.requests)]
        self.next += 1
        self.start_time = time.perf_counter()
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        position = head.lower().index(b"content-length:") + 15
        if len(body) < int(head[position:].split(b"\r\n", 1)[0]):
            return
        if self.counting:
            self.measurement.seconds.append(time.perf_counter() - self.start_time)
            self.measurement.errors += not head.startswith(b"HTTP/1.1 200 ")
            self.measurement.correct += self.expected in body
        self.buffer = b""
        if self.stopped:
            self.transport.close()
        else:
            self.send_request()

    def connection_lost(self, _: Exception | None) -> None:
        self.measurement.errors += not self.stopped
        if not self.done.done():
            self.done.set_result(None)


def make_requests(count: int = 200) -> list[tuple[bytes, bytes]]:
    """Return requests with drawings of the test part as PNG, and the correct predictions."""
    import yisheng

    data = yisheng.data.load("mnist")
    rows = np.flatnonzero(data.part == 2)[:count]
    requests = []
    for row in rows:
        file = io.BytesIO()
        Image.fromarray(data.x[row, 0]).save(file, "PNG")
        png = file.getvalue()
        heads = "POST /predict HTTP/1.1", "Host: localhost", "Content-Type: image/png", f"Content-Length: {len(png)}"
        head = "\r\n".join((*heads, "", ""))
        requests.append((head.encode() + png, f'"prediction":"{data.spec.classes[data.y[row]]}"'.encode()))
    return requests


def resident_mib(process: int) -> float:
    """Return the resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / (1 << 20)


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds of a process."""
    user, system = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def measure_load(
    port: int, process: int, requests: list[tuple[bytes, bytes]], clients: int, seconds: float
) -> dict:
    """Return throughput, latency, errors and memory under a load."""
    measurement, loop = Measurement(), asyncio.get_running_loop()
    active_clients = []
    for number in range(clients):
        _, client = await loop.create_connection(
            lambda n=number: Client(requests, 7 * n, measurement), "127.0.0.1", port
        )
        active_clients.append(client)
    await asyncio.sleep(WARM_UP_SECONDS)
    for client in active_clients:
        client.counting = True
    start, start_cpu = time.perf_counter(), cpu_seconds(process)
    warm_seconds = min(10.0, seconds / 6)
    await asyncio.sleep(warm_seconds)
    memory = [resident_mib(process)]
    await asyncio.sleep(seconds - warm_seconds)
    memory.append(resident_mib(process))
    wall, cpu = time.perf_counter() - start, cpu_seconds(process) - start_cpu
    latencies = sorted(measurement.seconds)
    count = len(latencies)
    for client in active_clients:
        client.counting, client.stopped = False, True
    await asyncio.wait([client.done for client in active_clients], timeout=10)
    return {
        "responses/s": count / wall,
        "CPU ms each": 1000 * cpu / count,
        "p50 ms": 1000 * statistics.median(latencies),
        "p99 ms": 1000 * latencies[int(0.99 * count)],
        "errors": measurement.errors,
        "correct": measurement.correct / count,
        f"MiB at {warm_seconds:.0f} s": memory[0],
        f"MiB at {seconds:.0f} s": memory[1],
    }


def measure(run: str, form: str, clients: int, seconds: float, requests: list[tuple[bytes, bytes]]) -> dict:
    """Start a service, measure it, and stop it."""
    words = [str(Path(sys.executable).with_name("yisheng")), "serve", run, "port=0", "--json", *FORMS[form]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        assert service.stdout is not None
        try:
            address = json.loads(service.stdout.readline())["address"]
            port = int(address.rstrip("/").rpartition(":")[2])
            return asyncio.run(measure_load(port, service.pid, requests, clients, seconds))
        finally:
            service.terminate()


def main(words: list[str]) -> None:
    """Measure and print the results."""
    run, *remaining = words
    options = dict(word.split("=", 1) for word in remaining)
    seconds, clients = float(options.get("seconds", 60)), int(options.get("clients", 32))
    requests = make_requests()
    rates: dict[str, list[float]] = {}
    for _ in range(int(options.get("rounds", 1))):
        for form in options.get("forms", ",".join(FORMS)).split(","):
            results = measure(run, form, clients, seconds, requests)
            rates.setdefault(form, []).append(results["responses/s"])
            print(f"{form:<12}" + "".join(f"  {name} {value:,.4g}" for name, value in results.items()), flush=True)
    if len(rates) == len(FORMS):
        batched, single = (statistics.median(rates[form]) for form in FORMS)
        print(f"batched {batched:,.0f} responses/s, one by one {single:,.0f}: ratio {batched / single:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])

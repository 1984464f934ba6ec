"""Measure a LeNet over HTTP next to other servers: clients that each send a request after the previous response.

Each service runs in other processes than the clients, on the same cores. A client sends a different 28 x 28 drawing as
PNG each time and reads the complete response. Every status must be 200; correct predictions are counted. The services
alternate. Those of other libraries, `serve_peers.py`, compute with onnxruntime what `yisheng export` has written.

    yisheng train data=mnist model=lenet epochs=2
    .peers/bin/pip install litserve onnxruntime
    python benchmarks/serve.py RUN [seconds=8] [clients=32] [rounds=2] [forms=yisheng,...] [peers=.peers/bin/python]
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from yisheng.core import machine

FORMS = {"yisheng": [], "yisheng one-by-one": ["batch=1", "wait=0"]}
PEERS = {"FastAPI + onnxruntime": "fastapi", "LitServe + onnxruntime": "litserve"}
DEFAULT_FORMS = ("yisheng", *PEERS)
WARM_UP_SECONDS = 2.0
MAX_START_SECONDS = 60.0
RANGES = ("responses/s", "p99 ms")


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


def make_requests(count: int = 200, *, as_json: bool = False) -> list[tuple[bytes, bytes]]:
    """Return requests with drawings of the test part as PNG (in JSON for LitServe), and the correct predictions."""
    import yisheng

    data = yisheng.data.load("mnist")
    rows = np.flatnonzero(data.part == 2)[:count]
    requests = []
    for row in rows:
        file = io.BytesIO()
        Image.fromarray(data.x[row, 0]).save(file, "PNG")
        png = file.getvalue()
        body = json.dumps({"image": base64.b64encode(png).decode()}).encode() if as_json else png
        kind = "application/json" if as_json else "image/png"
        heads = "POST /predict HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", f"Content-Length: {len(body)}"
        head = "\r\n".join((*heads, "", ""))
        requests.append((head.encode() + body, f'"prediction":"{data.spec.classes[data.y[row]]}"'.encode()))
    return requests


def list_processes(process: int) -> list[int]:
    """Return a process and its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    members = [process]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def resident_mib(process: int) -> float:
    """Return the resident memory of a process and its descendants in MiB, each with what it shares."""
    pages = 0
    for member in list_processes(process):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{member}/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / (1 << 20)


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds of a process and its descendants."""
    ticks = 0
    for member in list_processes(process):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


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
        "CPU ms each": 1000 * cpu / max(1, count),
        "p50 ms": 1000 * statistics.median(latencies),
        "p99 ms": 1000 * latencies[int(0.99 * count)],
        "errors": measurement.errors,
        "correct": measurement.correct / count,
        "MiB at the start": memory[0],
        "MiB at the end": memory[1],
    }


def measure(
    command: Sequence[str], port: int, requests: list[tuple[bytes, bytes]], clients: int, seconds: float
) -> dict:
    """Start a service, measure it, and stop it."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        try:
            wait_until_ready(port, requests[0][0])
            return asyncio.run(measure_load(port, service.pid, requests, clients, seconds))
        finally:
            members = list_processes(service.pid)[1:]
            service.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.wait(10)
            for member in members:
                with contextlib.suppress(OSError):
                    os.kill(member, signal.SIGKILL)
            service.kill()


def wait_until_ready(port: int, request: bytes) -> None:
    """Return when a service has responded to a request.

    Raises:
        TimeoutError: it did not within `MAX_START_SECONDS`.
    """
    end = time.monotonic() + MAX_START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(request)
            if client.recv(1 << 16).startswith(b"HTTP/1.1 200 "):
                return
        time.sleep(0.2)
    raise TimeoutError(f"nothing responds at port {port}")


def find_free_port() -> int:
    """Return the number of a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def make_command(form: str, run: str, port: int, folder: Path, peers: str) -> list[str]:
    """Return the command that serves a run; what `serve_peers.py` needs is written into a folder."""
    if form in FORMS:
        return [str(Path(sys.executable).with_name("yisheng")), "serve", run, f"port={port}", *FORMS[form]]
    model, classes = folder / "model.onnx", folder / "classes.json"
    if not model.exists():
        import yisheng

        words = [str(Path(sys.executable).with_name("yisheng")), "export", run, "format=onnx", f"out={model}"]
        subprocess.run([*words, "resize=false"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        classes.write_text(json.dumps(yisheng.data.load("mnist").spec.classes), "utf-8")
    script = Path(__file__).with_name("serve_peers.py")
    return [peers, str(script), PEERS[form], str(model), str(port), str(classes)]


def main(words: list[str]) -> None:
    """Measure in turn, and print the table."""
    run, *remaining = words
    options = dict(word.split("=", 1) for word in remaining)
    seconds, clients = float(options.get("seconds", 8)), int(options.get("clients", 32))
    forms = options["forms"].split(",") if "forms" in options else list(DEFAULT_FORMS)
    peers = options.get("peers", ".peers/bin/python")
    requests = {as_json: make_requests(as_json=as_json) for as_json in (False, True)}
    results: dict[str, list[dict]] = {form: [] for form in forms}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(int(options.get("rounds", 2))):
            for form in forms:
                port = find_free_port()
                command = make_command(form, run, port, Path(folder), peers)
                sent = requests[form.startswith("LitServe")]
                results[form].append(measure(command, port, sent, clients, seconds))
                print(f"{form:<24}" + "".join(f"  {k} {v:,.4g}" for k, v in results[form][-1].items()), flush=True)
    print_table(results, clients)


def print_table(results: dict[str, list[dict]], clients: int) -> None:
    """Print medians over the rounds, and the ranges of throughput and tail."""
    print(f"\n{machine.describe_processor()[0]}, {machine.count_cores()} cores, {clients} clients on them\n")
    names = list(next(iter(results.values()))[0])
    print(f"| | {' | '.join(names)} |")
    print("|---" * (len(names) + 1) + "|")
    for form, rounds in results.items():
        cells = []
        for name in names:
            values = sorted(result[name] for result in rounds)
            cell = f"{statistics.median(values):,.{2 if name == 'CPU ms each' else 3 if name == 'correct' else 0}f}"
            cells.append(f"{cell} ({values[0]:,.0f} to {values[-1]:,.0f})" if name in RANGES else cell)
        print(f"| {form} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(sys.argv[1:])

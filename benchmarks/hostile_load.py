"""Send hostile images to a service in another process while other clients send ordinary ones.

Four clients send 200 files of about 40 kinds (see `benchmarks/hostile_images.py`) for a minute. Meanwhile three clients
send a drawing, a small image and a photograph, and measure how long they wait. Then the memory of the
service with its readers is compared with that before, and it must end in 5 seconds after SIGTERM while it is busy.

    yisheng train data=mnist model=lenet epochs=1
    python benchmarks/hostile_load.py RUN [seconds=60] [count=200] [clients=4] [seed=0] [kinds=true]
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

try:
    from benchmarks.hostile_images import HostileImage, make_hostile_images
except ImportError:  # run as a script
    from hostile_images import HostileImage, make_hostile_images

PAUSE = 0.05
"""Seconds between two requests of a client with ordinary images."""
SETTLE_SECONDS = 15.0
"""Time after which the memory is measured: readers that are not needed end after 10 seconds."""
TIMEOUT = 60.0


@dataclass
class Measurement:
    """What happened.

    Args:
        waits: seconds of each request by the name of the ordinary image.
        failures: statuses of ordinary requests other than 200.
        hostile: seconds and status of each hostile request by kind.
        bytes_before: resident memory of the service and its readers.
        bytes_peak: the largest during the attack.
        bytes_after: after it.
        end_seconds: from SIGTERM to the end of the process.
        exit_code: of the process.
        processes_left: readers that outlived it.
    """

    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    hostile: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    bytes_before: int = 0
    bytes_peak: int = 0
    bytes_after: int = 0
    end_seconds: float = 0.0
    exit_code: int = 0
    processes_left: int = 0


def make_ordinary_images() -> dict[str, tuple[bytes, str]]:
    """Return ordinary images with their media types by name."""
    drawing = np.zeros((28, 28), np.uint8)
    drawing[4:24, 12:16] = 250
    file = io.BytesIO()
    Image.fromarray(drawing).save(file, "PNG")
    images = {"drawing, 28x28 PNG": (file.getvalue(), "image/png")}
    for name, size in (("image, 500x375 JPEG", (500, 375)), ("photograph, 4000x3000 JPEG", (4000, 3000))):
        coarse = np.random.default_rng(0).integers(0, 255, (size[1] // 20, size[0] // 20, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        images[name] = (file.getvalue(), "image/jpeg")
    return images


@contextlib.contextmanager
def serve(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a run; yield the process and its address."""
    command = [sys.executable, "-m", "yisheng", "serve", str(run), "port=0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["address"]
    finally:
        process.kill()
        process.communicate()


def resident_bytes(process_id: int) -> int:
    """Return the resident memory of a process and its children."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        service = psutil.Process(process_id)
        for process in (service, *service.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total


def send(client: httpx.Client, content: bytes, media_type: str) -> tuple[float, str]:
    """Send an image; return the seconds that it took and the status."""
    start = time.perf_counter()
    try:
        status = str(client.post("/predict", content=content, headers={"content-type": media_type}).status_code)
    except httpx.HTTPError as error:
        status = type(error).__name__
    return time.perf_counter() - start, status


class Load:
    """Clients in threads, until they are stopped.

    Args:
        address: of the service.
        images: hostile images.
        clients: number of clients that send them.
        measurement: what they measure.
    """

    def __init__(self, address: str, images: Sequence[HostileImage], clients: int, measurement: Measurement) -> None:
        self._address, self._measurement = address, measurement
        self._stop = threading.Event()
        self._images = itertools.cycle(images)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send_hostile) for _ in range(clients)]
        for name, (content, media_type) in make_ordinary_images().items():
            self._threads.append(threading.Thread(target=self._send_ordinary, args=(name, content, media_type)))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send_hostile(self) -> None:
        with httpx.Client(base_url=self._address, timeout=TIMEOUT) as client:
            while not self._stop.is_set():
                with self._lock:
                    image = next(self._images)
                self._measurement.hostile[image.kind].append(send(client, image.content, image.media_type))

    def _send_ordinary(self, name: str, content: bytes, media_type: str) -> None:
        with httpx.Client(base_url=self._address, timeout=TIMEOUT) as client:
            while not self._stop.is_set():
                seconds, status = send(client, content, media_type)
                if self._stop.is_set():
                    return
                self._measurement.waits[name].append(seconds)
                if status not in ("200", "422"):  # a blank drawing is refused
                    self._measurement.failures.append(f"{name}: {status}")
                time.sleep(PAUSE)


def measure(run: Path, images: Sequence[HostileImage], *, seconds: float = 60, clients: int = 4) -> Measurement:
    """Attack a service of a run, and end it while it is busy.

    Args:
        run: the run.
        images: hostile images.
        seconds: of the attack.
        clients: that send hostile images at a time.
    """
    measurement = Measurement()
    with serve(run) as (process, address):
        with httpx.Client(base_url=address, timeout=TIMEOUT) as client:
            for content, media_type in make_ordinary_images().values():
                for _ in range(3):
                    send(client, content, media_type)
        time.sleep(SETTLE_SECONDS)
        measurement.bytes_before = resident_bytes(process.pid)
        with Load(address, images, clients, measurement):
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                measurement.bytes_peak = max(measurement.bytes_peak, resident_bytes(process.pid))
                time.sleep(0.1)
        time.sleep(SETTLE_SECONDS)
        measurement.bytes_after = resident_bytes(process.pid)
        with Load(address, images, clients, Measurement()):
            time.sleep(3)
            readers = psutil.Process(process.pid).children(recursive=True)
            start = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            measurement.exit_code = process.wait(timeout=TIMEOUT)
            measurement.end_seconds = time.perf_counter() - start
        _, alive = psutil.wait_procs(readers, timeout=2)
        measurement.processes_left = len(alive)
    return measurement


def describe(measurement: Measurement) -> str:
    """Return the result in lines."""
    lines = [f"{'ordinary image':<30}{'requests':>9}{'median':>9}{'p99':>9}{'longest':>9}"]
    for name, waits in measurement.waits.items():
        median, p99 = np.percentile(waits, [50, 99])
        lines.append(f"{name:<30}{len(waits):>9,}{median:>8.3f}s{p99:>8.3f}s{max(waits):>8.3f}s")
    requests = [request for results in measurement.hostile.values() for request in results]
    statuses: dict[str, int] = defaultdict(int)
    for _, status in requests:
        statuses[status] += 1
    lines.append(f"ordinary requests that failed: {len(measurement.failures)} {measurement.failures[:3]}")
    lines.append(
        f"hostile requests: {len(requests):,}, of {len(measurement.hostile)} kinds, by status {dict(statuses)}"
    )
    before, peak, after = (
        n / 2**20 for n in (measurement.bytes_before, measurement.bytes_peak, measurement.bytes_after)
    )
    lines.append(f"memory with readers: {before:.0f} MiB before, {peak:.0f} at the peak, {after:.0f} after")
    lines.append(f"that is {after / before:.2f} times the memory before")
    lines.append(
        f"SIGTERM while busy: ended in {measurement.end_seconds:.1f} s with code {measurement.exit_code}, "
        f"{measurement.processes_left} readers left"
    )
    return "\n".join(lines)


def main(words: list[str]) -> None:
    """Attack a service, and print the result."""
    run, *remaining = words
    options = dict(word.split("=", 1) for word in remaining)
    images = list(make_hostile_images(int(options.get("count", 200)), int(options.get("seed", 0))))
    size = sum(len(image.content) for image in images) / 1e6
    print(f"{len(images)} hostile files of {len({image.kind for image in images})} kinds, {size:.0f} MB", flush=True)
    measurement = measure(
        Path(run), images, seconds=float(options.get("seconds", 60)), clients=int(options.get("clients", 4))
    )
    print(describe(measurement))
    if options.get("kinds") == "true":
        for kind, results in sorted(measurement.hostile.items()):
            statuses = ", ".join(sorted({status for _, status in results}))
            print(f"  {kind:<34}{len(results):>5}{max(seconds for seconds, _ in results):>8.2f} s  {statuses}")


if __name__ == "__main__":
    main(sys.argv[1:])

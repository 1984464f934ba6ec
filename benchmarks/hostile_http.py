"""Send hostile requests to a service in another process; print its responses and its resources afterwards.

There are three kinds of requests. schemathesis makes valid and invalid ones from the service's OpenAPI document. Valid
requests are mutated: bytes are changed, deleted or repeated, or the length is wrong; some connections are closed early.
Known attacks are sent: oversized bodies, decompression bombs, path traversal, slow clients. A status of 5xx other than
503 with Retry-After is a failure, and so is a response that does not match the document.

    yisheng train data=digits model=lenet
    python benchmarks/hostile_http.py RUN [described=5000] [broken=5000] [seed=0]
"""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image

Tally = Counter[tuple[str, str]]


def describe_process(process: int) -> str:
    """Return the resident memory and the number of open files of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return f"{pages * 4096 / (1 << 20):.0f} MiB, {len(list(Path(f'/proc/{process}/fd').iterdir()))} open files"


def encode_png(values: np.ndarray) -> bytes:
    """Return an image as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def send_described(url: str, count: int, tally: Tally) -> list[str]:
    """Send requests made from the OpenAPI document; return the failures."""
    import hypothesis
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi.checks import positive_data_acceptance  # a schema cannot express "is an image"

    failures: list[str] = []
    session = requests.Session()
    posts = [result.ok() for result in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations()]
    posts = [operation for operation in posts if operation.method.lower() == "post"]
    for operation in posts:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @hypothesis.seed(0)
            @hypothesis.settings(
                max_examples=count // len(posts) // 2,
                deadline=None,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
                phases=[hypothesis.Phase.generate],
            )
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def send_case(case: Any) -> None:
                response = case.call(session=session)
                tally["described", str(response.status_code)] += 1
                try:
                    case.validate_response(response, excluded_checks=[positive_data_acceptance])
                except FailureGroup as error:
                    failures.append(f"{case.as_curl_command()[:300]}\n{str(error)[:500]}")

            send_case()
    return failures


def make_valid_requests() -> list[bytes]:
    """Return valid requests."""
    image = encode_png(np.pad(np.full((4, 2), 250, np.uint8), 2))
    form = (
        b'--line\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + image + b"\r\n--line--\r\n"
    )
    rows = json.dumps({"rows": [[1.0, 2.0, 3.0, 4.0]]}).encode()
    bodies = [(image, "image/png"), (form, "multipart/form-data; boundary=line"), (rows, "application/json")]
    requests = [b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    for body, kind in bodies:
        heads = (
            "POST /predict?top=3 HTTP/1.1",
            "Host: localhost",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
        )
        head = "\r\n".join((*heads, "", ""))
        requests.append(head.encode() + body)
    return requests


def mutate_requests(count: int, rng: random.Random) -> Iterator[bytes]:
    """Yield valid requests with mutations."""
    valid = make_valid_requests()
    for _ in range(count):
        request = bytearray(rng.choice(valid))
        for _ in range(rng.choice((1, 1, 2, 5, 30))):
            start = rng.randrange(len(request))
            end = min(len(request), start + rng.choice((1, 1, 4, 40)))
            mutation = rng.randrange(5)
            if mutation == 0:
                request[start] = rng.randrange(256)
            elif mutation == 1:
                del request[start:end]
            elif mutation == 2:
                request[start:start] = request[start:end]
            elif mutation == 3:
                request[start:start] = rng.choice(
                    (b"\r\n", b"\0", b"../", b"%00", b"\xff\xfe", b"9" * 30, b"Transfer-Encoding: chunked\r\n")
                )
            else:
                request = request[: max(1, start)]
            if not request:
                break
        yield bytes(request)


def make_attacks() -> Iterator[bytes]:
    """Yield known attacks."""
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    bomb = encode_png(np.zeros((9000, 9000), np.uint8))
    yield head + b"Content-Length: %d\r\n\r\n" % (17 << 20) + bytes(17 << 20)
    yield head + b"Content-Length: %d\r\n\r\n" % len(bomb) + bomb
    yield head + b"Content-Length: 999999999999\r\n\r\n" + bytes(1 << 20)
    yield head + b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for path in (
        b"/static/../../../etc/passwd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/static/%00",
        b"//etc/passwd",
        b"http://evil/",
    ):
        yield b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield b"GET /model HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    yield b"POST /predict HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200_000


def send(port: int, content: bytes, close_early: bool) -> str:
    """Send bytes over a new socket; return the statuses of the responses.

    Args:
        port: port of the service.
        content: the bytes.
        close_early: close the connection immediately after sending them.
    """
    response = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        try:
            client.sendall(content)
            if close_early:
                return "closed early"
            client.settimeout(2)  # an incomplete request gets no response
            while chunk := client.recv(1 << 16):
                response += chunk
                client.settimeout(0.5)
        except OSError:
            pass
    return " ".join(status.decode() for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", response)) or "no response"


def send_concurrently(port: int, requests: Iterator[bytes], rng: random.Random) -> Counter[str]:
    """Send requests with 32 threads; close a fifth of the connections early."""
    with ThreadPoolExecutor(32) as threads:
        return Counter(threads.map(lambda content: send(port, content, rng.random() < 0.2), requests))


def main(words: list[str]) -> None:
    """Attack a service, and print the outcome."""
    run, *remaining = words
    options = dict(word.split("=", 1) for word in remaining)
    rng = random.Random(int(options.get("seed", 0)))
    with tempfile.TemporaryDirectory() as folder:
        run_copy = shutil.copytree(run, Path(folder, "run"))  # the service stores corrections in the folder
        command = [str(Path(sys.executable).with_name("yisheng")), "serve", str(run_copy), "port=0", "--json"]
        with (
            Path(folder, "stderr").open("w+", encoding="utf-8") as stderr,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as service,
        ):
            assert service.stdout is not None
            try:
                url = json.loads(service.stdout.readline())["address"].rstrip("/")
                attack(url, int(url.rpartition(":")[2]), service.pid, options, rng)
                alive = service.poll() is None
            finally:
                service.terminate()
                service.wait()
            stderr.seek(0)
            tracebacks = [line for line in stderr if "Traceback" in line]
    print(f"alive to the end: {alive}; tracebacks printed: {len(tracebacks)}")


def attack(url: str, port: int, process: int, options: dict[str, str], rng: random.Random) -> None:
    """Send all three kinds of requests, and print the responses."""
    tally: Tally = Counter()
    slow_clients = [
        socket.create_connection(("127.0.0.1", port)) for _ in range(50)
    ]  # they never complete their headers
    for client in slow_clients:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: loc")
    send_concurrently(
        port, mutate_requests(300, rng), rng
    )  # warm up, so that memory of the first requests is in "before"
    print(f"before: {describe_process(process)}", flush=True)
    start = time.perf_counter()
    failures = send_described(url, int(options.get("described", 5000)), tally)
    mutated = mutate_requests(int(options.get("broken", 5000)), rng)
    for kind, contents in (("broken", mutated), ("attacks", make_attacks())):
        for statuses, count in send_concurrently(port, contents, rng).items():
            tally[kind, statuses] += count
    time.sleep(12)  # the service disconnects slow clients after 10 s
    for client in slow_clients:
        client.settimeout(1)
        try:
            tally["slow", "disconnected" if client.recv(1) == b"" else "answered"] += 1
        except ConnectionError:
            tally["slow", "disconnected"] += 1
        except TimeoutError:
            tally["slow", "still connected"] += 1
        client.close()
    print(
        f"after:  {describe_process(process)}; {sum(tally.values()):,} requests in {time.perf_counter() - start:.0f} s"
    )
    for (kind, statuses), count in sorted(tally.items()):
        print(f"  {kind:<10} {statuses:<16} {count:>6}")
    failed = sum(count for (_, statuses), count in tally.items() if re.search(r"\b5(?!03)\d\d\b", statuses))
    print(f"5xx: {failed}; responses against the document: {len(failures)}")
    for failure in failures[:5]:
        print(failure)
    response = requests.get(f"{url}/health", timeout=10)
    print(f"/health: {response.status_code}")


if __name__ == "__main__":
    main(sys.argv[1:])

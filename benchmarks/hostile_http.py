"""Hostile requests to a service in a process of its own: how it answers, and what is left behind.

Three kinds: made by schemathesis from the service's own OpenAPI document, valid and broken; whole requests whose bytes
are changed, cut, doubled or told with a wrong length, over bare sockets, some of them broken off; and the known tricks
(oversized bodies, bombs, paths, slow clients). An answer of 5xx other than 503 with Retry-After, or an answer against
the document, is a failure.

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


def state(process: int) -> str:
    """Resident memory and open files of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return f"{pages * 4096 / (1 << 20):.0f} MiB, {len(list(Path(f'/proc/{process}/fd').iterdir()))} open files"


def png(values: np.ndarray) -> bytes:
    """An image as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def described(url: str, count: int, tally: Tally) -> list[str]:
    """Requests from the OpenAPI document; gives what was wrong with answers."""
    import hypothesis
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi.checks import positive_data_acceptance  # a schema cannot say "is an image"

    wrong: list[str] = []
    session = requests.Session()
    posts = [stat.ok() for stat in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations()]
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
            def ask(case: Any) -> None:
                answer = case.call(session=session)
                tally["described", str(answer.status_code)] += 1
                try:
                    case.validate_response(answer, excluded_checks=[positive_data_acceptance])
                except FailureGroup as error:
                    wrong.append(f"{case.as_curl_command()[:300]}\n{str(error)[:500]}")

            ask()
    return wrong


def whole() -> list[bytes]:
    """Good requests."""
    image = png(np.pad(np.full((4, 2), 250, np.uint8), 2))
    form = (
        b'--line\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + image + b"\r\n--line--\r\n"
    )
    rows = json.dumps({"rows": [[1.0, 2.0, 3.0, 4.0]]}).encode()
    bodies = [(image, "image/png"), (form, "multipart/form-data; boundary=line"), (rows, "application/json")]
    found = [b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    for body, kind in bodies:
        heads = (
            "POST /predict?top=3 HTTP/1.1",
            "Host: localhost",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
        )
        head = "\r\n".join((*heads, "", ""))
        found.append(head.encode() + body)
    return found


def broken(count: int, draw: random.Random) -> Iterator[bytes]:
    """Good requests with something done to them."""
    valid = whole()
    for _ in range(count):
        sent = bytearray(draw.choice(valid))
        for _ in range(draw.choice((1, 1, 2, 5, 30))):
            at = draw.randrange(len(sent))
            end = min(len(sent), at + draw.choice((1, 1, 4, 40)))
            kind = draw.randrange(5)
            if kind == 0:
                sent[at] = draw.randrange(256)
            elif kind == 1:
                del sent[at:end]
            elif kind == 2:
                sent[at:at] = sent[at:end]
            elif kind == 3:
                sent[at:at] = draw.choice(
                    (b"\r\n", b"\0", b"../", b"%00", b"\xff\xfe", b"9" * 30, b"Transfer-Encoding: chunked\r\n")
                )
            else:
                sent = sent[: max(1, at)]
            if not sent:
                break
        yield bytes(sent)


def tricks() -> Iterator[bytes]:
    """Known attacks."""
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    bomb = png(np.zeros((9000, 9000), np.uint8))
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


def send(port: int, sent: bytes, off: bool) -> str:
    """Send bytes over a socket of its own; gives the statuses that were answered.

    Args:
        port: of the service.
        sent: the bytes.
        off: break the connection off right after them.
    """
    response = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        try:
            client.sendall(sent)
            if off:
                return "broken off"
            client.settimeout(2)  # a request that never ends is not answered
            while piece := client.recv(1 << 16):
                response += piece
                client.settimeout(0.5)
        except OSError:
            pass
    return " ".join(status.decode() for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", response)) or "no answer"


def together(port: int, requests: Iterator[bytes], draw: random.Random) -> Counter[str]:
    """Send many at the same time."""
    with ThreadPoolExecutor(32) as threads:
        return Counter(threads.map(lambda sent: send(port, sent, draw.random() < 0.2), requests))


def main(words: list[str]) -> None:
    """Attack, and print how it went."""
    run, *remaining = words
    options = dict(word.split("=", 1) for word in remaining)
    draw = random.Random(int(options.get("seed", 0)))
    with tempfile.TemporaryDirectory() as folder:
        own_options = shutil.copytree(run, Path(folder, "run"))  # corrections are kept in it
        command = [str(Path(sys.executable).with_name("yisheng")), "serve", str(own_options), "port=0", "--json"]
        with (
            Path(folder, "said").open("w+") as stderr,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as service,
        ):
            assert service.stdout is not None
            try:
                url = json.loads(service.stdout.readline())["address"].rstrip("/")
                attack(url, int(url.rpartition(":")[2]), service.pid, options, draw)
                alive = service.poll() is None
            finally:
                service.terminate()
                service.wait()
            stderr.seek(0)
            printed = [line for line in stderr if "Traceback" in line]
    print(f"alive to the end: {alive}; tracebacks printed: {len(printed)}")


def attack(url: str, port: int, process: int, options: dict[str, str], draw: random.Random) -> None:
    """All three kinds."""
    tally: Tally = Counter()
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]  # slow: they never end their heads
    for client in waiting:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: loc")
    together(port, broken(300, draw), draw)  # warm: memory that is taken once
    print(f"before: {state(process)}", flush=True)
    start = time.perf_counter()
    wrong = described(url, int(options.get("described", 5000)), tally)
    for kind, sent in (("broken", broken(int(options.get("broken", 5000)), draw)), ("tricks", tricks())):
        for answered, count in together(port, sent, draw).items():
            tally[kind, answered] += count
    time.sleep(12)  # slow clients are cut off after 10
    for client in waiting:
        client.settimeout(1)
        try:
            tally["slow", "cut off" if client.recv(1) == b"" else "answered"] += 1
        except ConnectionError:
            tally["slow", "cut off"] += 1
        except TimeoutError:
            tally["slow", "still there"] += 1
        client.close()
    print(f"after:  {state(process)}; {sum(tally.values()):,} requests in {time.perf_counter() - start:.0f} s")
    for (kind, answered), count in sorted(tally.items()):
        print(f"  {kind:<10} {answered:<16} {count:>6}")
    failed = sum(count for (_, answered), count in tally.items() if re.search(r"\b5(?!03)\d\d\b", answered))
    print(f"5xx: {failed}; answers against the document: {len(wrong)}")
    for text in wrong[:5]:
        print(text)
    answer = requests.get(f"{url}/health", timeout=10)
    print(f"/health: {answer.status_code}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Hostile HTTP against a real server: no 5xx, no crash, no leak. ``YISHENG_EXAMPLES`` is the number of requests."""

import gzip
import json
import os
import random
import re
import shutil
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.serving.service_client import encode_png
from yisheng.serving import connections
from yisheng.serving.app import create_app
from yisheng.serving.limits import Limits

EXAMPLES = int(os.environ.get("YISHENG_EXAMPLES", "200"))


def statuses(response):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", response)]


VALID_PNG = encode_png(np.pad(np.full((4, 2), 250, np.uint8), 2))


def make_post(body, *headers):
    lines = (b"POST /predict HTTP/1.1", b"Host: localhost", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join((*lines, b"Connection: close", b"", body))


@pytest.fixture(scope="module")
def server(digits_run, start_server):
    with start_server(create_app(digits_run, limits=Limits(body=1 << 20, seconds=20))) as running:
        yield running
        response = httpx.post(f"{running.url}/predict", content=VALID_PNG, headers={"content-type": "image/png"})
        assert response.status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("run_fixture", ["digits_run", "iris_run", "people_run"])
def test_responses_follow_the_openapi_document(run_fixture, start_server, request, tmp_path):
    """Schemathesis makes valid and invalid requests from the OpenAPI document and checks the responses against it."""
    import hypothesis
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance  # a schema cannot say "is an image"

    run = Path(shutil.copytree(request.getfixturevalue(run_fixture), tmp_path / "run"))
    with start_server(create_app(run)) as running:
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations()]
        assert {operation.path for operation in operations} == {"/predict", "/wrong", "/model", "/health"}
        for operation in operations:
            cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
            if operation.method.lower() == "post":
                cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

            @hypothesis.settings(
                max_examples=max(1, EXAMPLES // 6),
                deadline=None,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(case=cases)
            def check(case):
                response = case.call()
                assert response.status_code < 500, response.text
                case.validate_response(response, excluded_checks=[positive_data_acceptance])

            check()


@pytest.mark.parametrize(
    "path",
    [
        *(
            b"/static/../../../../../etc/passwd",
            b"/static/%2e%2e/%2e%2e/serving/app.py",
            b"/static/..%2f..%2fserving%2fapp.py",
        ),
        *(
            b"/static/....//serving/app.py",
            b"/static/..\\..\\serving\\app.py",
            b"/static/style.css%00.png",
            b"/%2e%2e/etc/passwd",
        ),
        *(b"//etc/passwd", b"/./predict/..", b"http://localhost/static/../serving/app.py", b"*", b"/" + b"a" * 60_000),
        *(b"/%ff%fe", b"/%", b"/static/%252e%252e/serving/app.py", b"/static//etc/passwd", b"/file:///etc/passwd"),
    ],
)
def test_no_path_reaches_a_file(server, path):
    response = server.send(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert statuses(response)[0] in (400, 404, 405)
    assert b"root:" not in response
    assert b"import" not in response


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\nabcde",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5, 6\r\n\r\nabcde",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999999\r\n\r\nabc",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"A" * 200_000,
        b"\r\n" * 50_000,
        bytes(range(256)) * 10,
    ],
    ids=lambda content: f"{content[:24]!r} of {len(content)}",
)
def test_invalid_headers_get_no_server_error(server, request_bytes, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    for status in statuses(server.send(request_bytes, timeout=8)):
        assert status < 500


def test_no_request_is_smuggled_inside_another(server):
    """A proxy and this server could read a body with two lengths in two ways."""
    hidden = b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for headers in (
        [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 4"],
        [b"Content-Length: 4", b"Transfer-Encoding : chunked"],
        [b"Content-Length: 4", b"Transfer-Encoding: xchunked"],
    ):
        lines = (b"POST /predict HTTP/1.1", b"Host: localhost", *headers, b"", b"0\r\n\r\n" + hidden)
        response = server.send(b"\r\n".join(lines), timeout=3)
        assert statuses(response) in ([400], [501])
        assert b'"classes"' not in response


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n" + VALID_PNG, b"multipart/form-data; boundary=x"),
        (b"--x\r\n" * 5000, b"multipart/form-data; boundary=x"),
        (b"--x\r\n\r\n\r\n" * 5000 + b"--x--\r\n", b"multipart/form-data; boundary=x"),
        (b"--x--\r\n", b"multipart/form-data; boundary=" + b"x" * 5000),
        (b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n\r\n--x--\r\n", b"multipart/form-data; boundary=x"),
        (
            b"--x\r\nContent-Disposition: " + b"a" * 90_000 + b"\r\n\r\n\r\n--x--\r\n",
            b"multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="fi\xff\xfele"\r\n\r\n\r\n--x--\r\n',
            b"multipart/form-data; boundary=x",
        ),
        (b"--x--\r\n", b"multipart/form-data; charset=idna; boundary=x"),
        (b"GIF89a", b"image/"),
        (b"<svg onload=alert(1)>", b"image/svg+xml"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"image/eps"),
        (VALID_PNG, b"application/x-pickle"),
        (VALID_PNG, b"\xff\xfe"),
        (b"\xff\xfe{\0}\0", b"application/json"),
        (b'{"images": ' + b"[" * 50_000, b"application/json"),
        (b'{"images": [' + b"1" * 10_000 + b"]}", b"application/json"),
        (b'{"images": ["' + b"A" * 900_000 + b'"]}', b"application/json"),
        (json.dumps({"images": ["A"] * 100_000}).encode(), b"application/json"),
    ],
    ids=lambda value: f"{value[:20]!r} of {len(value)}",
)
def test_invalid_bodies_are_client_errors(server, body, content_type):
    (status,) = statuses(server.send(make_post(body, b"Content-Type: " + content_type), timeout=30))
    assert 400 <= status < 500


def make_bombs():
    """Yield small files that decompress to far more than the limits."""
    yield encode_png(np.zeros((9000, 9000), np.uint8))

    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    sides = (8).to_bytes(4, "big") * 2
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sides + b"\x08\0\0\0\0")
    compressed_zeros = zlib.compress(bytes(100 << 20), 9)
    yield head + chunk(b"IDAT", compressed_zeros) + chunk(b"IEND", b"")  # more pixels than the header declares
    yield (
        head
        + chunk(b"zTXt", b"a\0\0" + compressed_zeros)
        + chunk(b"IDAT", zlib.compress(bytes(72)))
        + chunk(b"IEND", b"")
    )
    yield (
        head
        + chunk(b"iCCP", b"a\0\0" + compressed_zeros)
        + chunk(b"IDAT", zlib.compress(bytes(72)))
        + chunk(b"IEND", b"")
    )
    huge_sides = (0xFFFFFFF).to_bytes(4, "big") * 2
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", huge_sides + b"\x08\0\0\0\0") + chunk(b"IEND", b"")
    yield gzip.compress(bytes(100 << 20))


@pytest.mark.slow
def test_decompression_bombs_use_little_memory(server):
    import psutil

    initial_memory = psutil.Process().memory_info().rss
    for content in make_bombs():
        for kind in (b"image/png", b"image/jpeg", b"text/csv"):
            (status,) = statuses(server.send(make_post(content, b"Content-Type: " + kind), timeout=60))
            assert status == 200 or 400 <= status < 500
    assert psutil.Process().memory_info().rss - initial_memory < 400 << 20


def test_a_compressed_body_is_not_decompressed(server):
    body = gzip.compress(VALID_PNG)
    (status,) = statuses(server.send(make_post(body, b"Content-Type: image/png", b"Content-Encoding: gzip")))
    assert status == 422


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_interrupted_requests_leave_no_open_files(server):
    """Clients disconnect at random positions; open files and temporary folders are as before."""
    import socket
    import tempfile
    import time

    rng = random.Random(0)
    form = b"--x\r\nContent-Disposition: form-data; name=file; filename=a.csv\r\n\r\n%s\r\n--x--\r\n" % VALID_PNG
    requests = [
        make_post(VALID_PNG, b"Content-Type: image/png"),
        make_post(form, b"Content-Type: multipart/form-data; boundary=x"),
        make_post(b"1,2", b"Content-Type: text/csv"),
        b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]

    def count_files():
        return len(list(Path("/proc/self/fd").iterdir())), len(list(Path(tempfile.gettempdir()).glob("yisheng-*")))

    httpx.get(f"{server.url}/health")
    initial = count_files()
    for n in range(EXAMPLES):
        content = requests[n % len(requests)]
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(content[: rng.randint(0, len(content))])
            if rng.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
    for _ in range(100):
        time.sleep(0.1)
        if count_files()[0] <= initial[0]:
            break
    assert count_files()[0] <= initial[0]
    assert count_files()[1] <= initial[1]

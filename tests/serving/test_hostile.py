"""Hostile HTTP against a real server: no 5xx, no crash, no leak. ``YISHENG_EXAMPLES`` says how many requests."""

import gzip
import io
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
from PIL import Image

from yisheng.serving import connections
from yisheng.serving.app import application
from yisheng.serving.limits import Limits

EXAMPLES = int(os.environ.get("YISHENG_EXAMPLES", "200"))


def statuses(said):
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d\d\d) ", said)]


def png(values):
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


GOOD = png(np.pad(np.full((4, 2), 250, np.uint8), 2))


def post(body, *heads, path=b"/predict"):
    lines = (b"POST " + path + b" HTTP/1.1", b"Host: localhost", b"Content-Length: %d" % len(body), *heads)
    return b"\r\n".join((*lines, b"Connection: close", b"", body))


@pytest.fixture(scope="module")
def served(digits, serving):
    with serving(application(digits, limits=Limits(body=1 << 20, seconds=20))) as found:
        yield found
        assert (
            httpx.post(f"{found.url}/predict", content=GOOD, headers={"content-type": "image/png"}).status_code == 200
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["digits", "iris", "people"])
def test_requests_made_from_its_own_description(kind, serving, request, tmp_path):
    """Schemathesis makes valid and broken requests from the OpenAPI document and holds the answers to it."""
    import hypothesis
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance  # a schema cannot say "is an image"

    run = Path(shutil.copytree(request.getfixturevalue(kind), tmp_path / "run"))
    with serving(application(run)) as found:
        schema = schemathesis.openapi.from_url(f"{found.url}/openapi.json")
        operations = [one.ok() for one in schema.get_all_operations()]
        assert {one.path for one in operations} == {"/predict", "/wrong", "/model", "/health"}
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
            def hold(case):
                answer = case.call()
                assert answer.status_code < 500, answer.text
                case.validate_response(answer, excluded_checks=[positive_data_acceptance])

            hold()


@pytest.mark.parametrize(
    "path",
    [
        *(b"/static/../../../../../etc/passwd", b"/static/%2e%2e/%2e%2e/web/api.py", b"/static/..%2f..%2fweb%2fapi.py"),
        *(
            b"/static/....//web/api.py",
            b"/static/..\\..\\web\\api.py",
            b"/static/style.css%00.png",
            b"/%2e%2e/etc/passwd",
        ),
        *(b"//etc/passwd", b"/./predict/..", b"http://localhost/static/../web/api.py", b"*", b"/" + b"a" * 60_000),
        *(b"/%ff%fe", b"/%", b"/static/%252e%252e/web/api.py", b"/static//etc/passwd", b"/file:///etc/passwd"),
    ],
)
def test_no_path_reaches_a_file(served, path):
    said = served.raw(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert statuses(said)[0] in (400, 404, 405)
    assert b"root:" not in said
    assert b"import" not in said


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # somebody speaks TLS
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
    ids=lambda head: f"{head[:24]!r} of {len(head)}",
)
def test_broken_heads(served, head, monkeypatch):
    monkeypatch.setattr(connections, "HEAD", 1.0)
    for status in statuses(served.raw(head, wait=8)):
        assert status < 500


def test_no_request_is_smuggled_inside_another(served):
    """Both lengths at once could be read in two ways, by a proxy and by this server."""
    hidden = b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for heads in (
        [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 4"],
        [b"Content-Length: 4", b"Transfer-Encoding : chunked"],
        [b"Content-Length: 4", b"Transfer-Encoding: xchunked"],
    ):
        lines = (b"POST /predict HTTP/1.1", b"Host: localhost", *heads, b"", b"0\r\n\r\n" + hidden)
        said = served.raw(b"\r\n".join(lines), wait=3)
        assert statuses(said) in ([400], [501])
        assert b'"classes"' not in said


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n" + GOOD, b"multipart/form-data; boundary=x"),
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
        (GOOD, b"application/x-pickle"),
        (GOOD, b"\xff\xfe"),
        (b"\xff\xfe{\0}\0", b"application/json"),
        (b'{"images": ' + b"[" * 50_000, b"application/json"),
        (b'{"images": [' + b"1" * 10_000 + b"]}", b"application/json"),
        (b'{"images": ["' + b"A" * 900_000 + b'"]}', b"application/json"),
        (json.dumps({"images": ["A"] * 100_000}).encode(), b"application/json"),
    ],
    ids=lambda value: f"{value[:20]!r} of {len(value)}",
)
def test_broken_bodies(served, body, kind):
    (status,) = statuses(served.raw(post(body, b"Content-Type: " + kind), wait=30))
    assert 400 <= status < 500


def bombs():
    """Small files that say they are, or unfold to, far more than is taken."""
    yield png(np.zeros((9000, 9000), np.uint8))

    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    sides = (8).to_bytes(4, "big") * 2
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sides + b"\x08\0\0\0\0")
    million = zlib.compress(bytes(100 << 20), 9)
    yield head + chunk(b"IDAT", million) + chunk(b"IEND", b"")  # more pixels than its head tells
    yield head + chunk(b"zTXt", b"a\0\0" + million) + chunk(b"IDAT", zlib.compress(bytes(72))) + chunk(b"IEND", b"")
    yield head + chunk(b"iCCP", b"a\0\0" + million) + chunk(b"IDAT", zlib.compress(bytes(72))) + chunk(b"IEND", b"")
    huge = (0xFFFFFFF).to_bytes(4, "big") * 2
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", huge + b"\x08\0\0\0\0") + chunk(b"IEND", b"")
    yield gzip.compress(bytes(100 << 20))


@pytest.mark.slow
def test_bombs(served):
    import psutil

    before = psutil.Process().memory_info().rss
    for content in bombs():
        for kind in (b"image/png", b"image/jpeg", b"text/csv"):
            (status,) = statuses(served.raw(post(content, b"Content-Type: " + kind), wait=60))
            assert status == 200 or 400 <= status < 500
    assert psutil.Process().memory_info().rss - before < 400 << 20


def test_a_compressed_body_is_not_unfolded(served):
    body = gzip.compress(GOOD)
    (status,) = statuses(served.raw(post(body, b"Content-Type: image/png", b"Content-Encoding: gzip")))
    assert status == 422


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_nothing_is_left_behind(served):
    """Clients that break off, at random places: open files and temporary folders are as before."""
    import socket
    import tempfile
    import time

    draw = random.Random(0)
    form = b"--x\r\nContent-Disposition: form-data; name=file; filename=a.csv\r\n\r\n%s\r\n--x--\r\n" % GOOD
    whole = [
        post(GOOD, b"Content-Type: image/png"),
        post(form, b"Content-Type: multipart/form-data; boundary=x"),
        post(b"1,2", b"Content-Type: text/csv"),
        b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]

    def left():
        return len(list(Path("/proc/self/fd").iterdir())), len(list(Path(tempfile.gettempdir()).glob("yisheng-*")))

    httpx.get(f"{served.url}/health")
    before = left()
    for n in range(EXAMPLES):
        sent = whole[n % len(whole)]
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
            client.sendall(sent[: draw.randint(0, len(sent))])
            if draw.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
    for _ in range(100):
        time.sleep(0.1)
        if left()[0] <= before[0]:
            break
    assert left()[0] <= before[0]
    assert left()[1] <= before[1]

"""The bound on what a request sends besides its body, and predictions with and without FastAPI."""

import json

import pytest

from tests.serving.service_client import IMAGE, JSON, ServiceClient, digit_pixels, encode_png
from yisheng.serving.guard import RequestGuard

HEADERS = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


async def count_body(scope, receive, send):
    size, has_more = 0, True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        has_more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d bytes" % size})


@pytest.mark.parametrize(
    "start",
    [
        b"GET /" + b"a" * 100,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
        HEADERS + b"2\r\nab\r\n0\r\nX: ",
        HEADERS + b"2;x=",
        b"\r\n\r\n",
    ],
    ids=["path", "header", "trailer", "chunk size", "line ends"],
)
def test_a_header_or_trailer_that_never_ends_is_not_kept(start_server, start):
    """uvicorn's httptools protocol alone would keep it until the timeout, however long."""
    filler = (b"\r\n" if start.startswith(b"\r") else b"ab") * (4 << 20)
    with start_server(RequestGuard(count_body)) as server:
        response = server.send(start + filler, timeout=8)
    assert response == b"" or response.startswith(b"HTTP/1.1 400 ")


def test_a_body_in_chunks_of_one_byte_is_read(start_server):
    chunks = b"".join(b"1\r\n%c\r\n" % (n % 256) for n in range(200_000))
    with start_server(RequestGuard(count_body)) as server:
        response = server.send(HEADERS + chunks + b"0\r\n\r\n", timeout=30)
    assert b"200000 bytes" in response


def test_predictions_are_the_same_with_and_without_a_query(digits_run):
    """Without a query a request does not pass through FastAPI."""
    client = ServiceClient(digits_run)
    bodies = [
        (encode_png(digit_pixels(3)), IMAGE),
        (b"no image", IMAGE),
        (b"{", JSON),
        (json.dumps({"images": ["!"]}).encode(), JSON),
        (b"x", {"content-type": "text/html"}),
        (b"", {}),
    ]
    requests = [
        ("POST", f"/predict{query}", {"content": content, "headers": headers})
        for content, headers in bodies
        for query in ("", "?explain=false")
    ]
    responses = client.request_all(*requests)
    for direct, queried in zip(responses[::2], responses[1::2], strict=True):
        assert (direct.status_code, direct.content) == (queried.status_code, queried.content)
        assert dict(direct.headers) == dict(queried.headers)
    assert [response.status_code for response in responses[::2]] == [200, 422, 400, 422, 415, 415]


def test_a_defect_in_a_prediction_is_a_500(digits_run, monkeypatch):
    from yisheng.serving.service import Service

    async def fail(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(Service, "predict", fail)
    client = ServiceClient(digits_run)
    import httpx

    class Quiet(httpx.ASGITransport):
        def __init__(self, app):
            super().__init__(app, raise_app_exceptions=False)

    monkeypatch.setattr(httpx, "ASGITransport", Quiet)
    for path in ("/predict", "/predict?explain=false"):
        response = client.post(path, encode_png(digit_pixels(1)), IMAGE)
        assert (response.status_code, response.json()["error"]["code"]) == (500, "defect")

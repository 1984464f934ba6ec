"""The guard: which requests pass, the errors for the others, and the headers of every response."""

import asyncio
import contextlib
import json
import socket
import time

import httpx
import pytest

from tests.serving.service_client import error_code
from yisheng.serving import connections, request_bodies
from yisheng.serving.guard import SECURITY_HEADERS, RequestGuard

TOKEN = "a-token-of-some-length"


async def echo(scope, receive, send):
    """Respond with the number of bytes in the body, and with headers that would let other sites in."""
    assert scope["type"] == "http"
    body, is_complete = b"", False
    while not is_complete:
        message = await receive()
        body += message["body"]
        is_complete = not message["more_body"]
    headers = [(b"access-control-allow-origin", b"*"), (b"X-Frame-Options", b"ALLOWALL"), (b"x-own", b"kept")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": f"{len(body)}".encode()})


def send(method="GET", path="/", *, app=echo, headers=None, content=None, **settings):
    """Send one request through a guard."""

    async def request():
        transport = httpx.ASGITransport(app=RequestGuard(app, **settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(request())


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[0:0:0:0:0:0:0:1]"]
)
def test_own_host_names_are_accepted(host):
    assert send(headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "evil.localhost", "127.0.0.1.evil.example"),
        *("192.168.0.7", "[::2]", "0.0.0.0", "127.0.0.2", "2130706433", "localhost."),
    ],
)
def test_foreign_host_names_are_refused(host):
    assert error_code(send(headers={"host": host})) == (403, "host")


@pytest.mark.parametrize("host", ["", " ", "a b", "localhost:port", "localhost:8000@evil", "[::1", "localhost:8000:1"])
def test_an_invalid_host_is_refused(host):
    assert error_code(send(headers={"host": host})) == (400, "host")


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]])
def test_a_request_has_exactly_one_host(hosts):
    messages = []

    async def send_message(message):
        messages.append(message)

    async def receive():
        raise AssertionError("the body of such a request is not read")

    headers = [(b"host", host) for host in hosts]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(RequestGuard(echo)(scope, receive, send_message))
    assert messages[0]["status"] == 400


def test_further_hosts_can_be_accepted():
    hosts = ["Models.example", "10.0.0.5"]
    assert send(hosts=hosts, headers={"host": "models.example:80"}).status_code == 200
    assert send(hosts=hosts, headers={"host": "10.0.0.5:1"}).status_code == 200
    assert send(hosts=hosts, headers={"host": "localhost"}).status_code == 403


@pytest.mark.parametrize(("host", "status"), [("10.1.2.3:8000", 200), ("[fe80::1]", 200), ("evil.example", 403)])
def test_with_all_addresses_numeric_hosts_are_accepted_but_no_names(host, status):
    assert send(hosts=["0.0.0.0"], headers={"host": host}).status_code == status


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "https://localhost", "file://"]
)
def test_other_origins_are_refused_without_cors_headers(method, origin):
    response = send(method, headers={"origin": origin, "access-control-request-method": "POST"})
    assert error_code(response) == (403, "origin")
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "site", "mode", "status"),
    [
        ("POST", "cross-site", "cors", 403),
        ("POST", "same-site", "cors", 403),  # another port of this machine
        ("POST", "cross-site", "navigate", 403),  # a form that is sent from another page
        ("GET", "cross-site", "no-cors", 403),
        ("GET", "cross-site", "navigate", 200),  # a link that is followed
        ("POST", "same-origin", "cors", 200),
        ("GET", "none", "navigate", 200),  # typed into the address bar
    ],
)
def test_fetch_metadata_of_browsers_is_checked(method, site, mode, status):
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
    assert send(method, headers=headers).status_code == status


def test_the_own_origin_is_accepted():
    assert send("POST", headers={"origin": "http://localhost:8000"}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"host": "evil.example"}])
def test_every_response_has_the_security_headers(headers):
    response = send(headers=headers)
    for name, value in SECURITY_HEADERS.items():
        assert response.headers.get_list(name) == [value]
    assert "script-src" not in response.headers["content-security-policy"]  # default-src applies: no inline scripts
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_the_application_may_allow_caching():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"max-age=9")]})
        await send({"type": "http.response.body", "body": b""})

    assert send(app=app).headers["cache-control"] == "max-age=9"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        ({"authorization": f"bearer  {TOKEN} "}, 200),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": "Bearer t\u00f6ken"}, 401),
        ({"cookie": f"yisheng-8000={TOKEN}"}, 401),
        ({"cookie": "yisheng-8000="}, 401),
    ],
)
def test_a_token_is_required_and_compared(headers, status):
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    response = send("POST", "/predict", headers=encoded, token=TOKEN)
    assert response.status_code == status
    if status == 401:
        assert error_code(response) == (401, "token")
        assert response.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in response.text


def test_the_page_url_with_the_token_sets_a_cookie_and_redirects():
    response = send(path=f"/?token={TOKEN}", token=TOKEN)
    assert (response.status_code, response.headers["location"]) == (303, "/")
    cookie = response.headers["set-cookie"]
    assert {part.lower() for part in cookie.split("; ")[1:]} == {"path=/", "httponly", "samesite=strict"}
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert send(headers={"cookie": f"other=1; {pair}"}, token=TOKEN).status_code == 200
    assert (
        send(headers={"cookie": pair, "host": "localhost:9000"}, token=TOKEN).status_code == 401
    )  # the cookie of another port


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/?token=wrong"), ("POST", f"/?token={TOKEN}"), ("GET", f"/x?token={TOKEN}")]
)
def test_a_token_in_a_url_is_accepted_for_the_page_only(method, path):
    assert send(method, path, token=TOKEN).status_code == 401


def test_a_body_is_passed_on_completely():
    async def pieces():
        for _ in range(5):
            yield b"ab"

    assert send("POST", content=pieces()).text == "10"
    assert send("POST", content=b"x" * 100, max_body=100).text == "100"


@pytest.mark.parametrize("length", ["right", "missing", "wrong"])
def test_a_body_that_is_too_large_is_refused(length):
    async def pieces():
        for _ in range(101):
            yield b"x"

    headers = {"content-length": "5"} if length == "wrong" else {}
    content = b"x" * 101 if length == "right" else pieces()
    assert error_code(send("POST", content=content, headers=headers, max_body=100)) == (413, "too-large")


def test_the_sum_of_bodies_is_limited(monkeypatch):
    monkeypatch.setattr(request_bodies, "MAX_BODIES_IN_MEMORY", 2)
    is_released = asyncio.Event()

    async def slow(scope, receive, send):
        await is_released.wait()
        await echo(scope, receive, send)

    async def request():
        app = RequestGuard(slow, max_body=100)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
            accepted = [asyncio.create_task(client.post("/", content=b"x" * 90)) for _ in range(2)]
            await asyncio.sleep(0.05)
            refused = await client.post("/", content=b"x" * 90)
            is_released.set()
            responses = await asyncio.gather(*accepted)
            return refused, responses, await client.post("/", content=b"x" * 90)

    refused, responses, last_response = asyncio.run(request())
    assert error_code(refused) == (503, "busy")
    assert refused.headers["retry-after"] == "1"
    assert [response.text for response in (*responses, last_response)] == ["90"] * 3


def test_websockets_are_closed_and_the_lifespan_passes():
    messages, scope_types = [], []

    async def app(scope, receive, send):
        scope_types.append(scope["type"])

    async def send_message(message):
        messages.append(message)

    async def connect():
        guard = RequestGuard(app)
        await guard({"type": "websocket", "headers": []}, None, send_message)
        await guard({"type": "lifespan"}, None, send_message)

    asyncio.run(connect())
    assert (messages, scope_types) == ([{"type": "websocket.close", "code": 1008}], ["lifespan"])


def test_a_stream_is_not_buffered():
    """The first piece of a response is sent before the application sends the next."""
    messages = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        assert messages[-1]["body"] == b"a"
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    async def send_message(message):
        messages.append(message)

    incoming = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])

    async def receive():
        return next(incoming)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"::1")]}
    asyncio.run(RequestGuard(app)(scope, receive, send_message))
    assert messages[0]["status"] == 400  # ::1 without brackets is not a host
    messages.clear()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"[::1]")]}
    asyncio.run(RequestGuard(app)(scope, receive, send_message))
    assert messages[0]["status"] == 200


# ---- a real server and real sockets


def status_line(response):
    return response.partition(b"\r\n")[0]


def test_a_real_server_refuses_foreign_hosts_and_origins(start_server):
    with start_server(RequestGuard(echo)) as server:
        own_host = f"127.0.0.1:{server.port}"
        assert httpx.get(server.url).text == "0"
        assert httpx.get(server.url, headers={"host": f"evil.example:{server.port}"}).status_code == 403
        assert httpx.post(server.url, headers={"origin": f"http://{own_host}"}).status_code == 200
        response = httpx.post(server.url, headers={"origin": f"http://evil.example:{server.port}"})
        assert response.status_code == 403
        assert response.headers["connection"] == "close"
        preflight = httpx.options(
            server.url, headers={"origin": "http://evil.example", "access-control-request-method": "POST"}
        )
        assert preflight.status_code == 403
        assert not [name for name in preflight.headers if name.startswith("access-control")]
        assert "server" not in response.headers
        for line in (b"GET http://evil.example/ HTTP/1.1", b"GET / HTTP/1.1"):
            raw_response = server.send(line + b"\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
            assert status_line(raw_response) == b"HTTP/1.1 403 Forbidden"
        assert status_line(server.send(b"GET / HTTP/1.0\r\n\r\n")) == b"HTTP/1.1 400 Bad Request"


def test_a_slow_body_times_out(start_server):
    with start_server(RequestGuard(echo, body_seconds=0.3)) as server:
        request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"
        response = server.send(request, delayed=[(0.1, b"x")] * 9)
        assert status_line(response) == b"HTTP/1.1 408 Request Timeout"
        assert json.loads(response.partition(b"\r\n\r\n")[2])["error"]["code"] == "too-slow"
        assert httpx.get(server.url).text == "0"


def test_a_large_body_is_refused_while_it_comes(start_server):
    start = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    large = b"x" * 3000
    with_length = start + b"Content-Length: 3000\r\n\r\n" + large
    chunked = start + b"Transfer-Encoding: chunked\r\n\r\nbb8\r\n" + large + b"\r\n0\r\n\r\n"
    asking_first = start + b"Content-Length: 3000\r\nExpect: 100-continue\r\n\r\n"
    with start_server(RequestGuard(echo, max_body=1000)) as server:
        for request in (with_length, chunked, asking_first):
            assert status_line(server.send(request)).startswith(b"HTTP/1.1 413 ")


def test_headers_that_never_end_time_out(start_server, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with start_server(RequestGuard(echo)) as server:
        start = time.monotonic()
        assert server.send(b"") == b""
        assert server.send(b"GET / HTTP/1.1\r\nHost: local", delayed=[(0.1, b"h")] * 9) == b""
        complete = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        response = server.send(complete, delayed=[(0.1, b"GET"), *[(0.1, b"x")] * 9])
        assert response.count(b"HTTP/1.1 200 OK") == 1
        assert time.monotonic() - start < 60  # the client's own timeout would end three times later
        assert httpx.get(server.url).text == "0"


def test_clients_that_do_not_read_are_disconnected(start_server, monkeypatch):
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.3)

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with (
        start_server(RequestGuard(endless)) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.settimeout(20)
        time.sleep(1.5)
        received = 0
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(1 << 20):
                received += len(piece)
    assert 0 < received < 2000 * 65536


def test_the_number_of_connections_is_limited(start_server, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    with start_server(RequestGuard(echo)) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(3)]
        time.sleep(0.3)
        assert server.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
        for client in clients:
            client.close()
        time.sleep(0.3)
        assert httpx.get(server.url).text == "0"

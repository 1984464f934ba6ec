"""The guard: whom it lets in, what it says to the others, and what every answer carries."""

import asyncio
import contextlib
import json
import socket
import time

import httpx
import pytest

from yisheng.serving import connections, request_bodies
from yisheng.serving.guard import HEADERS, guarded

TOKEN = "a-token-of-some-length"


async def echo(scope, receive, send):
    """Says how many bytes came; tries to let other sites in."""
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    headers = [(b"access-control-allow-origin", b"*"), (b"X-Frame-Options", b"ALLOWALL"), (b"x-own", b"kept")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": f"{len(body)}".encode()})


def ask(method="GET", path="/", *, app=None, headers=None, content=None, base="http://localhost:8000", **settings):
    """One request through a guard."""

    async def go():
        transport = httpx.ASGITransport(app=guarded(app or echo, **settings))
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(go())


def code(answer):
    error = answer.json()["error"]
    assert set(error) == {"problem", "remedy", "code"}
    return answer.status_code, error["code"]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[0:0:0:0:0:0:0:1]"]
)
def test_this_machines_own_names_are_let_in(host):
    assert ask(headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "evil.localhost", "127.0.0.1.evil.example"),
        *("192.168.0.7", "[::2]", "0.0.0.0", "127.0.0.2", "2130706433", "localhost."),
    ],
)
def test_a_foreign_name_is_refused_whatever_it_points_to(host):
    assert code(ask(headers={"host": host})) == (403, "host")


@pytest.mark.parametrize("host", ["", " ", "a b", "localhost:port", "localhost:8000@evil", "[::1", "localhost:8000:1"])
def test_a_host_that_is_none_is_refused(host):
    assert code(ask(headers={"host": host})) == (400, "host")


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]])
def test_there_is_one_host(hosts):
    told = []

    async def send(message):
        told.append(message)

    async def receive():
        raise AssertionError("nothing is read of such a request")

    headers = [(b"host", host) for host in hosts]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(guarded(echo)(scope, receive, send))
    assert told[0]["status"] == 400


def test_other_names_are_let_in_when_they_are_given():
    hosts = ["Models.example", "10.0.0.5"]
    assert ask(hosts=hosts, headers={"host": "models.example:80"}).status_code == 200
    assert ask(hosts=hosts, headers={"host": "10.0.0.5:1"}).status_code == 200
    assert ask(hosts=hosts, headers={"host": "localhost"}).status_code == 403


@pytest.mark.parametrize(("host", "status"), [("10.1.2.3:8000", 200), ("[fe80::1]", 200), ("evil.example", 403)])
def test_all_addresses_in_numbers_are_let_in_but_no_names(host, status):
    assert ask(hosts=["0.0.0.0"], headers={"host": host}).status_code == status


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "https://localhost", "file://"]
)
def test_other_origins_are_refused_without_a_word_to_their_browser(method, origin):
    answer = ask(method, headers={"origin": origin, "access-control-request-method": "POST"})
    assert code(answer) == (403, "origin")
    assert not [name for name in answer.headers if name.startswith("access-control")]


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
def test_what_browsers_tell_of_the_page_that_asks_is_believed(method, site, mode, status):
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
    assert ask(method, headers=headers).status_code == status


def test_its_own_page_is_let_in():
    assert ask("POST", headers={"origin": "http://localhost:8000"}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"host": "evil.example"}])
def test_every_answer_keeps_other_sites_out(headers):
    answer = ask(headers=headers)
    for name, value in HEADERS:
        assert answer.headers[name.decode()] == value.decode()
        assert len(answer.headers.get_list(name.decode())) == 1
    assert "script-src" not in answer.headers["content-security-policy"]  # so it is default-src: no inline scripts
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_application_may_allow_caching():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"max-age=9")]})
        await send({"type": "http.response.body", "body": b""})

    assert ask(app=app).headers["cache-control"] == "max-age=9"


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
def test_the_token(headers, status):
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = ask("POST", "/predict", headers=encoded, token=TOKEN)
    assert answer.status_code == status
    if status == 401:
        assert code(answer) == (401, "token")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.text


def test_the_pages_address_leaves_a_cookie_and_no_token_behind():
    answer = ask(path=f"/?token={TOKEN}", token=TOKEN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert ask(headers={"cookie": f"other=1; {pair}"}, token=TOKEN).status_code == 200
    assert ask(headers={"cookie": pair, "host": "localhost:9000"}, token=TOKEN).status_code == 401  # another server's


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/?token=wrong"), ("POST", f"/?token={TOKEN}"), ("GET", f"/x?token={TOKEN}")]
)
def test_a_token_in_an_address_is_for_the_page_alone(method, path):
    assert ask(method, path, token=TOKEN).status_code == 401


def test_the_body_comes_whole():
    async def pieces():
        for _ in range(5):
            yield b"ab"

    assert ask("POST", content=pieces()).text == "10"
    assert ask("POST", content=b"x" * 100, most_body=100).text == "100"


@pytest.mark.parametrize("how", ["told", "untold", "lied"])
def test_a_body_that_is_too_large_is_refused(how):
    async def pieces():
        for _ in range(101):
            yield b"x"

    headers = {"content-length": "5"} if how == "lied" else {}
    content = b"x" * 101 if how == "told" else pieces()
    assert code(ask("POST", content=content, headers=headers, most_body=100)) == (413, "too-large")


def test_bodies_together_have_a_limit(monkeypatch):
    monkeypatch.setattr(request_bodies, "AT_ONCE", 2)
    held = asyncio.Event()

    async def slow(scope, receive, send):
        await held.wait()
        await echo(scope, receive, send)

    async def go():
        app = guarded(slow, most_body=100)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
            first = [asyncio.create_task(client.post("/", content=b"x" * 90)) for _ in range(2)]
            await asyncio.sleep(0.05)
            refused = await client.post("/", content=b"x" * 90)
            held.set()
            answers = await asyncio.gather(*first)
            return refused, answers, await client.post("/", content=b"x" * 90)

    refused, answers, after = asyncio.run(go())
    assert code(refused) == (503, "busy")
    assert refused.headers["retry-after"] == "1"
    assert [a.text for a in (*answers, after)] == ["90"] * 3


def test_web_sockets_are_closed_and_the_lifespan_passes():
    told, seen = [], []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    async def send(message):
        told.append(message)

    async def go():
        guard = guarded(app)
        await guard({"type": "websocket", "headers": []}, None, send)
        await guard({"type": "lifespan"}, None, send)

    asyncio.run(go())
    assert (told, seen) == ([{"type": "websocket.close", "code": 1008}], ["lifespan"])


def test_a_stream_is_not_held_back():
    """What the application sends first is on its way before it sends more."""
    told = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        assert told[-1]["body"] == b"a"
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    async def send(message):
        told.append(message)

    messages = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    asyncio.run(
        guarded(app)({"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"::1")]}, receive, send)
    )
    assert told[0]["status"] == 400  # ::1 without brackets is no host
    told.clear()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"[::1]")]}
    asyncio.run(guarded(app)(scope, receive, send))
    assert told[0]["status"] == 200


# ---- a real server and real sockets


def head(said):
    return said.partition(b"\r\n")[0]


def test_a_real_server_refuses_rebound_names_and_other_sites(serving):
    with serving(guarded(echo)) as served:
        mine = f"127.0.0.1:{served.port}"
        assert httpx.get(served.url).text == "0"
        assert httpx.get(served.url, headers={"host": f"evil.example:{served.port}"}).status_code == 403
        assert httpx.post(served.url, headers={"origin": f"http://{mine}"}).status_code == 200
        answer = httpx.post(served.url, headers={"origin": f"http://evil.example:{served.port}"})
        assert answer.status_code == 403
        assert answer.headers["connection"] == "close"
        preflight = httpx.options(
            served.url, headers={"origin": "http://evil.example", "access-control-request-method": "POST"}
        )
        assert preflight.status_code == 403
        assert not [name for name in preflight.headers if name.startswith("access-control")]
        assert "server" not in answer.headers
        for line in (b"GET http://evil.example/ HTTP/1.1", b"GET / HTTP/1.1"):
            said = served.raw(line + b"\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
            assert head(said) == b"HTTP/1.1 403 Forbidden"
        assert head(served.raw(b"GET / HTTP/1.0\r\n\r\n")) == b"HTTP/1.1 400 Bad Request"


def test_a_slow_body_is_cut_off(serving):
    with serving(guarded(echo, body_seconds=0.3)) as served:
        sent = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"
        said = served.raw(sent, more=[(0.1, b"x")] * 9)
        assert head(said) == b"HTTP/1.1 408 Request Timeout"
        assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "too-slow"
        assert httpx.get(served.url).text == "0"


def test_a_large_body_is_refused_while_it_comes(serving):
    with serving(guarded(echo, most_body=1000)) as served:
        large = b"x" * 3000
        told = served.raw(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000\r\n\r\n" + large)
        chunked = (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n"
            + large
            + b"\r\n0\r\n\r\n"
        )
        asking = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000\r\nExpect: 100-continue\r\n\r\n"
        for said in (told, served.raw(chunked), served.raw(asking)):
            assert head(said).startswith(b"HTTP/1.1 413 ")
        assert not served.raw(asking).startswith(b"HTTP/1.1 100")


def test_heads_that_do_not_end_are_cut_off(serving, monkeypatch):
    monkeypatch.setattr(connections, "HEAD", 0.3)
    with serving(guarded(echo)) as served:
        began = time.monotonic()
        assert served.raw(b"") == b""
        assert served.raw(b"GET / HTTP/1.1\r\nHost: local", more=[(0.1, b"h")] * 9) == b""
        kept_open = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        said = served.raw(kept_open, more=[(0.1, b"GET"), *[(0.1, b"x")] * 9])
        assert said.count(b"HTTP/1.1 200 OK") == 1
        assert time.monotonic() - began < 60  # it did not wait for the client's patience to end three times
        assert httpx.get(served.url).text == "0"


def test_clients_that_do_not_read_are_cut_off(serving, monkeypatch):
    monkeypatch.setattr(connections, "UNREAD", 0.3)

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with serving(guarded(endless)) as served, socket.create_connection(("127.0.0.1", served.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.settimeout(20)
        time.sleep(1.5)
        got = 0
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(1 << 20):
                got += len(piece)
    assert 0 < got < 2000 * 65536


def test_connections_have_a_limit(serving, monkeypatch):
    monkeypatch.setattr(connections.Patience.__init__, "__defaults__", (3,))
    with serving(guarded(echo)) as served:
        clients = [socket.create_connection(("127.0.0.1", served.port), timeout=5) for _ in range(3)]
        time.sleep(0.3)
        assert served.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
        for client in clients:
            client.close()
        time.sleep(0.3)
        assert httpx.get(served.url).text == "0"

"""The guard at the door of every page and service: who may come in, and what goes out."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import parse_qs

from yisheng.serving.errors import App, Message, Receive, Refusal, Scope, Send, say
from yisheng.serving.request_bodies import Bodies, again

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of this machine for itself."""
ANY = frozenset(("0.0.0.0", "::"))
"""All addresses of this machine: a name in numbers is then taken, since no name server can bend one elsewhere."""
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""What every answer carries: nothing runs or loads from elsewhere, and no other site shows or reads it."""

_HEADER_NAMES = frozenset(name for name, _ in HEADERS)
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
Heads = Mapping[str, Sequence[str]]


def guarded(
    app: App,
    *,
    hosts: Collection[str] = LOOPBACK,
    token: str | None = None,
    most_body: int = 16 << 20,
    body_seconds: float = 30,
) -> App:
    """The same ASGI application behind a guard.

    It lets in requests for its own names only (a foreign name means that a name server was bent toward this machine:
    DNS rebinding); refuses what other sites' pages send and sets no CORS header, so that they read nothing; asks for
    the token; and reads the whole body before the application sees it, within the limits. Answers pass through as
    they come, streams too.

    Args:
        app: what is guarded.
        hosts: names that a request may be for, without ports; ``0.0.0.0`` or ``::`` among them takes any address in
            numbers.
        token: to be given as ``Authorization: Bearer TOKEN``, or once as ``/?token=TOKEN``, which sets a cookie for
            the page; None asks for none.
        most_body: bytes of a body; a telephone's photo has about 5 MB.
        body_seconds: for the whole body.

    >>> import asyncio
    >>> async def hello(scope, receive, send):
    ...     await send({"type": "http.response.start", "status": 200, "headers": []})
    ...     await send({"type": "http.response.body", "body": b"hello"})
    >>> async def ask(host):
    ...     told = []
    ...     async def send(message): told.append(message)
    ...     async def receive(): return {"type": "http.request", "body": b""}
    ...     scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host)]}
    ...     await guarded(hello)(scope, receive, send)
    ...     return told[0]["status"]
    >>> asyncio.run(ask(b"localhost:8000")), asyncio.run(ask(b"evil.example:8000"))
    (200, 403)
    """
    names = frozenset(_plain(name.lower()) for name in hosts)
    bodies = Bodies(most_body, body_seconds)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        sending = _closed_to_others(send)
        try:
            heads = _heads(scope)
            _require_one_length(heads)
            host, port = _require_host(heads, names)
            _require_same_origin(scope, heads, host)
            if token is not None:
                cookie = f"yisheng-{port}"  # cookies do not tell ports apart by themselves
                if _brings_token(scope, token):
                    await _welcome(sending, cookie, token)
                    return
                _require_token(heads, cookie, token)
            body = await bodies.read(heads, receive)
        except Refusal as refusal:
            await say(sending, refusal, close=True)
            return
        if body is None:
            return
        try:
            await app(scope, again(body, receive), sending)
        finally:
            bodies.release(len(body))

    return answer


def _heads(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _plain(name: str) -> str:
    """A host's name; of an address in numbers the shortest form.

    >>> _plain("[0:0:0:0:0:0:0:1]"), _plain("localhost")
    ('::1', 'localhost')
    """
    name = name.removeprefix("[").removesuffix("]")
    if not _in_numbers(name):
        return name
    try:
        return ipaddress.ip_address(name).compressed
    except ValueError:
        return name


def _in_numbers(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdecimal()


def _require_one_length(heads: Heads) -> None:
    """A proxy may read a body with two lengths in another way, and take its end for a request of its own."""
    if "content-length" in heads and "transfer-encoding" in heads:
        raise Refusal(400, "length", "a body has a length or comes in chunks, not both", "send Content-Length alone")


def _require_host(heads: Heads, names: frozenset[str]) -> tuple[str, str]:
    """The request's host as it was written, and its port."""
    given = heads.get("host", ())
    match = _HOST.fullmatch(given[0].lower()) if len(given) == 1 else None
    if match is None:
        raise Refusal(400, "host", "a request needs one Host header with one name in it", "use an HTTP/1.1 client")
    name = _plain(match[1])
    if name not in names and not (_in_numbers(name) and names & ANY):
        known = ", ".join(sorted(names))
        raise Refusal(403, "host", f"this is not {name}", f"ask for {known}; or serve it under this name, too")
    return match[0], match[2] or "80"


def _require_same_origin(scope: Scope, heads: Heads, host: str) -> None:
    """Other sites' pages send nothing; a link on them may be followed."""
    ours = (f"http://{host}", f"https://{host}")
    followed = scope["method"] in ("GET", "HEAD") and heads.get("sec-fetch-mode") == ["navigate"]
    sites = heads.get("sec-fetch-site", ())
    if any(origin.lower() not in ours for origin in heads.get("origin", ())) or (
        not followed and any(site not in ("same-origin", "none") for site in sites)
    ):
        raise Refusal(403, "origin", "a page of another site sent this", "use the page of this server, or a program")


def _brings_token(scope: Scope, token: str) -> bool:
    """Whether it is the page's address with the right token in it."""
    if scope["method"] != "GET" or scope["path"] != "/":
        return False
    given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
    return len(given) == 1 and _same(given[0], token)


async def _welcome(send: Send, cookie: str, token: str) -> None:
    """Keep the token in a cookie, and lead to the page without it: addresses are written down in many places."""
    value = f"{cookie}={_pass(token)}; Path=/; HttpOnly; SameSite=Strict"
    headers = [(b"location", b"/"), (b"set-cookie", value.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _require_token(heads: Heads, cookie: str, token: str) -> None:
    for value in heads.get("authorization", ()):
        scheme, _, given = value.partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), token):
            return
    for part in ";".join(heads.get("cookie", ())).split(";"):
        name, _, given = part.strip().partition("=")
        if name == cookie and _same(given, _pass(token)):
            return
    raise Refusal(
        401,
        "token",
        "the token is missing or wrong",
        "send the header Authorization: Bearer TOKEN, or open /?token=TOKEN in a browser",
        (b"www-authenticate", b"Bearer"),
    )


def _same(given: str, wanted: str) -> bool:
    """Compared in a time that does not tell how much of it was right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass"))


def _pass(token: str) -> str:
    """What stands for the token in a cookie, which cannot hold every character."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _closed_to_others(send: Send) -> Send:
    """Answers with the headers that keep other sites out, and without any that would let them in."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = []
            cached = False
            for name, value in message.get("headers", ()):
                lower = name.lower()
                if lower not in _HEADER_NAMES and not lower.startswith(b"access-control-"):
                    kept.append((name, value))
                    cached = cached or lower == b"cache-control"
            if not cached:
                kept.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return send_with_headers

"""The guard around every service: host names, origins, token, body limits, and security headers."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Collection
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as AsgiMessage

from yisheng.core.messages import ENGLISH, LANGUAGES, Message, use_language
from yisheng.serving.errors import ApiError
from yisheng.serving.request_bodies import BodyReader, RequestHeaders, replay_body
from yisheng.serving.server import LOOPBACK

ALL_ADDRESSES = frozenset(("0.0.0.0", "::"))
"""With one of these every numeric address is accepted: a name server cannot redirect a numeric address."""
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""Headers of every response: nothing runs or loads from elsewhere, and no other site can embed or read it."""

_RAW_SECURITY_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_SECURITY_NAMES = frozenset(name for name, _ in _RAW_SECURITY_HEADERS)

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?")


class RequestGuard:
    """ASGI middleware that checks a request before the application sees it.

    It accepts only its own host names (DNS rebinding points a foreign name at this machine), refuses what pages of
    other sites send and sets no CORS header, requires the token, and reads the body within limits. Responses pass
    through as they come, streams too. Starlette's TrustedHostMiddleware responds in plain text and knows no numeric
    addresses; its CORSMiddleware only opens a service to other sites, and refuses nothing.

    Args:
        app: the application.
        hosts: accepted host names, without ports; ``0.0.0.0`` or ``::`` among them accepts any numeric address.
        token: required as ``Authorization: Bearer TOKEN``, or once as ``/?token=TOKEN``, which sets a cookie for the
            page; None requires none.
        max_body: bytes of a body; a phone's photo has about 5 MB.
        body_seconds: to receive a body.

    >>> import asyncio
    >>> async def hello(scope, receive, send):
    ...     await send({"type": "http.response.start", "status": 200, "headers": []})
    ...     await send({"type": "http.response.body", "body": b"hello"})
    >>> async def get_status(host):
    ...     messages = []
    ...     async def send(message): messages.append(message)
    ...     async def receive(): return {"type": "http.request", "body": b""}
    ...     scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host)]}
    ...     await RequestGuard(hello)(scope, receive, send)
    ...     return messages[0]["status"]
    >>> asyncio.run(get_status(b"localhost:8000")), asyncio.run(get_status(b"evil.example:8000"))
    (200, 403)
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] = LOOPBACK,
        token: str | None = None,
        max_body: int = 16 << 20,
        body_seconds: float = 30,
    ) -> None:
        self._app = app
        self._hosts = frozenset(_normalize_host(name.lower()) for name in hosts)
        self._token = token
        self._bodies = BodyReader(max_body, body_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection; texts are in the language that the request prefers."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            headers = RequestHeaders(scope["headers"])
            accepted = headers.get("accept-language", "")
            with use_language(choose_language(accepted) if accepted else ENGLISH):
                await self._handle(headers, scope, receive, _add_security_headers(send))

    async def _handle(self, headers: RequestHeaders, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _require_single_length(headers)
            host, port = _require_host(headers, self._hosts)
            _require_same_origin(scope, headers, host)
            if self._token is not None:
                cookie_name = f"yisheng-{port}"  # cookies do not distinguish ports
                if _has_token_in_url(scope, self._token):
                    await _set_cookie_and_redirect(cookie_name, self._token)(scope, receive, send)
                    return
                _require_token(headers, cookie_name, self._token)
            body = await self._bodies.read(headers, receive)
        except ApiError as error:
            await error.to_response(connection="close")(scope, receive, send)  # parts of the body may be unread
            return
        if body is None:
            return
        try:
            await self._app(scope, replay_body(body, receive), send)
        finally:
            self._bodies.release(len(body))


def choose_language(accepted: str) -> str:
    """Return the language of an ``Accept-Language`` header that its client likes best, among those of the package.

    Args:
        accepted: the header; without one the texts are English, as in all JSON.

    >>> choose_language("zh-CN,zh;q=0.9,en;q=0.8"), choose_language("de, en;q=0.8, zh;q=0.5"), choose_language("")
    ('zh', 'en', 'en')
    """
    best, best_quality = ENGLISH, 0.0
    for item in accepted.split(","):
        tag, _, parameter = item.partition(";")
        language = tag.strip().lower().partition("-")[0]
        name, _, number = parameter.strip().partition("=")
        quality = float(number) if name == "q" and re.fullmatch(r"[01](\.\d{0,3})?", number) else 1.0
        if language in LANGUAGES and quality > best_quality:
            best, best_quality = language, quality
    return best


def _normalize_host(name: str) -> str:
    """Return a host name without brackets; a numeric address in its shortest form.

    >>> _normalize_host("[0:0:0:0:0:0:0:1]"), _normalize_host("localhost")
    ('::1', 'localhost')
    """
    name = name.removeprefix("[").removesuffix("]")
    if not _is_numeric(name):
        return name
    try:
        return ipaddress.ip_address(name).compressed
    except ValueError:
        return name


def _is_numeric(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdecimal()


def _require_single_length(headers: RequestHeaders) -> None:
    """Refuse a body with two lengths: a proxy may read it differently, and take its end for another request."""
    if "content-length" in headers and "transfer-encoding" in headers:
        problem = Message("a body has a length or comes in chunks, not both")
        raise ApiError(400, "length", problem, Message("send Content-Length alone"))


def _require_host(headers: RequestHeaders, hosts: frozenset[str]) -> tuple[str, str]:
    """Return the request's host as it was written, and its port."""
    values = headers.getlist("host")
    match = _HOST.fullmatch(values[0].lower()) if len(values) == 1 else None
    if match is None:
        problem = Message("a request needs one Host header with one name")
        raise ApiError(400, "host", problem, Message("use an HTTP/1.1 client"))
    name = _normalize_host(match[1])
    if name not in hosts and not (_is_numeric(name) and hosts & ALL_ADDRESSES):
        accepted = ", ".join(sorted(hosts))
        problem = Message("this server is not {name}", name=name)
        remedy = Message("use {accepted}; or start it with hosts={name}", accepted=accepted, name=name)
        raise ApiError(403, "host", problem, remedy)
    return match[0], match[2] or "80"


def _require_same_origin(scope: Scope, headers: RequestHeaders, host: str) -> None:
    """Refuse what pages of other sites send; following a link to this server is allowed."""
    own_origins = (f"http://{host}", f"https://{host}")
    is_navigation = scope["method"] in ("GET", "HEAD") and headers.getlist("sec-fetch-mode") == ["navigate"]
    has_foreign_origin = any(origin.lower() not in own_origins for origin in headers.getlist("origin"))
    has_foreign_site = any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site"))
    if has_foreign_origin or (has_foreign_site and not is_navigation):
        problem = Message("a page of another site sent this request")
        raise ApiError(403, "origin", problem, Message("use this server's page, or a program"))


def _has_token_in_url(scope: Scope, token: str) -> bool:
    if scope["method"] != "GET" or scope["path"] != "/":
        return False
    values = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
    return len(values) == 1 and _is_equal(values[0], token)


def _set_cookie_and_redirect(name: str, token: str) -> RedirectResponse:
    """Return a redirect to the page without the token in its address: addresses are recorded in many places."""
    response = RedirectResponse("/", 303)
    response.set_cookie(name, _hash_token(token), httponly=True, samesite="strict")
    return response


def _require_token(headers: RequestHeaders, cookie_name: str, token: str) -> None:
    for value in headers.getlist("authorization"):
        scheme, _, credentials = value.partition(" ")
        if scheme.lower() == "bearer" and _is_equal(credentials.strip(), token):
            return
    for pair in ";".join(headers.getlist("cookie")).split(";"):
        name, _, value = pair.strip().partition("=")
        if name == cookie_name and _is_equal(value, _hash_token(token)):
            return
    raise ApiError(
        401,
        "token",
        Message("the token is missing or wrong"),
        Message("send the header Authorization: Bearer TOKEN, or open /?token=TOKEN in a browser"),
        {"WWW-Authenticate": "Bearer"},
    )


def _is_equal(value: str, secret: str) -> bool:
    """Compare in a time that does not depend on how much of the value is right."""
    return hmac.compare_digest(value.encode("utf-8", "surrogatepass"), secret.encode("utf-8", "surrogatepass"))


def _hash_token(token: str) -> str:
    """Return the value of the cookie: a hash, since a cookie cannot hold every character."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _add_security_headers(send: Send) -> Send:
    """Return a ``send`` that adds the security headers, and removes headers that open a response to other sites."""

    async def send_with_headers(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            headers = [header for header in headers if not _is_replaced(header[0])]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message["headers"] = headers + _RAW_SECURITY_HEADERS
        await send(message)

    return send_with_headers


def _is_replaced(name: bytes) -> bool:
    """Return whether a header is one of the guard's, or opens a response to other sites."""
    return name in _SECURITY_NAMES or name.startswith(b"access-control-")

"""How a request is refused: one form for every error, ``{"error": {"problem", "remedy", "code"}}``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Refusal(Exception):  # noqa: N818  # what is said to a client, no defect
    """An answer that says no.

    Args:
        status: of HTTP.
        code: a word for programs.
        problem: what was wanted and what came.
        remedy: what to do about it.
        headers: further ones.

    >>> Refusal(413, "too-large", "that is too much", "send less").body()
    b'{"error": {"problem": "that is too much", "remedy": "send less", "code": "too-large"}}'
    """

    def __init__(self, status: int, code: str, problem: str, remedy: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(status, code, problem, remedy)
        self.status = status
        self.code = code
        self.problem = problem
        self.remedy = remedy
        self.headers = headers

    def body(self) -> bytes:
        """The answer as JSON, in ASCII: it may quote half a surrogate pair."""
        return json.dumps({"error": {"problem": self.problem, "remedy": self.remedy, "code": self.code}}).encode()


async def say(send: Send, refusal: Refusal, *, close: bool = False) -> None:
    """Answer with a refusal; ``close`` where the request may not have been read to its end."""
    body = refusal.body()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *refusal.headers,
        *([(b"connection", b"close")] if close else []),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

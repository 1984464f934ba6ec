"""A server for an ASGI application: a socket of its own, uvicorn on it, quiet and with limits."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from yisheng.core.errors import MissingPartError, UsageError
from yisheng.serving.connections import Patience
from yisheng.serving.errors import App

if TYPE_CHECKING:
    import uvicorn

GRACE = 3
"""Seconds that requests under way have to end when the server is stopped."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on.

    Args:
        host: a name or address of this machine.
        port: 0 takes a free one.

    Raises:
        UsageError: the host is not this machine, or the port is taken.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"port must be from 0 to 65535, got {port}", "say port=8000, or port=0 for a free one")
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"host={host} is no name or address of this machine: {why}", "say host=127.0.0.1") from None
    try:
        if os.name != "nt":  # there it would let two servers share a port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(512)
    except OSError as error:
        made.close()
        raise UsageError(
            f"{host}:{port} cannot be listened at: {error.strerror}", "say another port=, or port=0 for a free one"
        ) from None
    return made


def address(listening: socket.socket) -> str:
    """Where a socket listens, for a browser on this machine.

    >>> with listen("127.0.0.1", 0) as listening:
    ...     address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
    True
    """
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server(app: App) -> uvicorn.Server:
    """A server for the application: ``server(app).run(sockets=[listen(...)])``; it ends on Ctrl-C or SIGTERM.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    try:
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol
    except Exception:
        raise missing() from None
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it tells of every broken form

    def protocol(**given: Any) -> Patience:
        return Patience(H11Protocol(**given))

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol,  # type: ignore[arg-type]  # whatever makes a protocol
            ws="none",
            loop="asyncio",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
    )


def missing() -> MissingPartError:
    """The error for serving without the extra."""
    return MissingPartError("serving needs fastapi, uvicorn and python-multipart", 'pip install "yisheng[serve]"')


def run(app: App, listening: socket.socket, *, ready: Callable[[str], None]) -> None:
    """Serve until a signal comes; it is then given on to whoever listened for it before.

    Args:
        app: the application.
        listening: see `listen`; closed in the end.
        ready: is told the address when connections are taken.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    with listening:
        made = server(app)
        ready(address(listening))
        made.run(sockets=[listening])

"""A server for an ASGI application: its own socket, and uvicorn with timeouts and without messages."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from yisheng.core.errors import MissingPartError, UsageError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.serving.connections import TimeoutProtocol

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of this machine that only this machine can reach."""
SHUTDOWN_SECONDS = 2
"""Time for requests that are being processed when the server is stopped."""
MAX_PENDING_CONNECTIONS = 512
PACKAGES = ("fastapi", "uvicorn", "httptools", "python_multipart")


def require_packages() -> None:
    """Check that the packages of the extra ``serve`` are installed.

    Raises:
        MissingPartError: one is missing.
    """
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except Exception:  # absent, or built for other packages
            raise MissingPartError(
                Message("serving needs fastapi, uvicorn, httptools and python-multipart"),
                Message('pip install "yisheng[serve]"'),
            ) from None


def listen(host: str, port: int, *, shares_port: bool = False) -> socket.socket:
    """Return a socket that accepts connections.

    Args:
        host: a name or address of this machine.
        port: 0 for any that is free.
        shares_port: let other sockets of this user listen at the port, too; Linux spreads connections over them.

    Raises:
        UsageError: the host is not this machine, or the port is in use.
    """
    if not 0 <= port <= 65535:
        raise UsageError(
            Message("port must be from 0 to 65535, got {port}", port=port),
            Message("use port=8000, or port=0 for any that is free"),
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            Message("host={host} is not a name or address of this machine: {reason}", host=host, reason=reason),
            Message("use host=127.0.0.1"),
        ) from None
    try:
        if os.name != "nt":  # on Windows this option lets two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        listening.listen(MAX_PENDING_CONNECTIONS)
    except OSError as error:
        listening.close()
        raise UsageError(
            Message(
                "{host}:{port} cannot be listened at: {reason}", host=host, port=port, reason=describe_os_error(error)
            ),
            Message("use another port=, or port=0 for any that is free"),
        ) from None
    return listening


def format_url(listening: socket.socket) -> str:
    """Return the URL of a socket for a browser on this machine.

    >>> with listen("127.0.0.1", 0) as listening:
    ...     format_url(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
    True
    """
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server for the application, for ``make_server(app).run(sockets=[listen(...)])``.

    It ends on Ctrl-C or SIGTERM.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    require_packages()
    import uvicorn

    from yisheng.serving.http_protocol import LimitedHttpProtocol

    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every damaged form

    def make_protocol(**options: Any) -> TimeoutProtocol:
        return TimeoutProtocol(LimitedHttpProtocol(**options))

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=make_protocol,  # type: ignore[arg-type]  # uvicorn accepts any function that returns a protocol
            ws="none",
            loop="auto",  # uvloop, where it is installed
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )


def serve_app(app: ASGIApp, listening: socket.socket, *, ready: Callable[[str], None]) -> None:
    """Serve until a signal comes, which is then raised again for the handlers that were installed before.

    Args:
        app: the application.
        listening: from `listen`; closed in the end.
        ready: called with the URL when connections are accepted.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    with listening:
        server = make_server(app)
        ready(format_url(listening))
        with _keep_loaded_objects():
            server.run(sockets=[listening])


@contextlib.contextmanager
def _keep_loaded_objects() -> Iterator[None]:
    """Let Python's garbage collection leave out what is loaded now: to look at all of it delays a request by 0.1 s."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

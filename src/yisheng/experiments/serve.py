"""``serve``: serve a trained model over HTTP, with a web page to try it, until Ctrl-C."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from urllib.parse import quote

from yisheng.core.errors import StoppedError, UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.signals import collect_signals
from yisheng.serving import server
from yisheng.serving.limits import Limits
from yisheng.serving.server import LOOPBACK
from yisheng.serving.workers import (
    WorkerGroup,
    listen_for_workers,
    read_worker_place,
    require_workers,
    stop_with_parent,
)

__all__ = ["Limits", "serve", "serve_with_workers"]

MIN_TOKEN_LENGTH = 16
"""Of a token that other machines may try to guess."""


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    hosts: Collection[str] = (),
    batch: int = 64,
    wait: float = 2,
    engine: str = "auto",
    limits: Limits = Limits(),  # noqa: B008  # frozen
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve a run until a signal comes.

    Args:
        folder: of a run, a cross-validation, or a search.
        host: the address to listen at; by default only this machine can connect, any other host requires a token.
        port: 0 for any that is free.
        token: secret that every request must send.
        hosts: further host names that requests may use, for a machine that others reach.
        batch: largest number of samples in one forward pass.
        wait: milliseconds that an idle network waits for requests that are still arriving.
        engine: what computes the predictions: torch, onnxruntime, or the faster one (auto).
        limits: of a request.
        ready: called with the address when the server accepts connections.

    Raises:
        UsageError: the host requires a token, or cannot be listened at.
        DataError: the folder does not hold a complete model.
        MissingPartError: the extra ``serve`` is not installed, or onnxruntime was asked for and is not.
        StoppedError: a signal came; this is how serving ends.
    """
    require_token(host, token)
    server.require_packages()
    from yisheng.serving.app import load_service, make_app

    place = read_worker_place()
    listening = place.listening or server.listen(host, port)
    with listening:
        service = load_service(folder, limits, batch=batch, wait=wait, engine=engine, place=place)
        app = make_app(service, token=token, hosts=allowed_hosts(host, hosts))

        def announce(address: str) -> None:
            page = _format_page(address, token)
            if place.listening is None:
                _report_start(folder, page)
                values = {"engine": service.engine.name, "reason": service.engine.reason}
                logger.info(Message("predictions by {engine}: {reason}", **values))
                logger.info(Message("press Ctrl-C to stop"))
            else:
                stop_with_parent()
            ready(page)

        with collect_signals(with_server=True) as caught:
            server.serve_app(app, listening, ready=announce)
    if place.listening is None:
        raise _stopped(folder, caught)


def serve_with_workers(
    folder: Path,
    command: Sequence[str],
    count: int,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve a run by several processes at one port until a signal comes; those that die are restarted.

    Args:
        folder: of a run, a cross-validation, or a search.
        command: of a worker, which calls `serve` with the same host and token.
        count: of workers.
        host: see `serve`.
        port: see `serve`.
        token: see `serve`.
        ready: called with the address when all workers accept connections.

    Raises:
        UsageError: this system cannot run several workers; the host requires a token, or cannot be listened at.
        DataError: a worker ended before it was ready.
        MissingPartError: the extra ``serve`` is not installed.
        StoppedError: a signal came; this is how serving ends.
    """
    require_workers(count)
    require_token(host, token)
    server.require_packages()
    with contextlib.ExitStack() as stack:
        sockets = listen_for_workers(host, port, count)
        for listening in sockets:
            stack.enter_context(listening)
        group = WorkerGroup(command, sockets)
        stack.callback(group.stop)
        group.start()
        page = _format_page(server.format_url(sockets[0]), token)
        with collect_signals() as caught:
            _report_start(folder, page)
            logger.info(Message("{count} workers; press Ctrl-C to stop", count=count))
            ready(page)
            group.watch(caught)
    raise _stopped(folder, caught)


def _format_page(address: str, token: str | None) -> str:
    """Return the address of the page, with its token."""
    return f"{address}/" + (f"?token={quote(token, safe='')}" if token else "")


def _report_start(folder: Path, page: str) -> None:
    logger.info(Message("serving {folder} at {address}", folder=folder, address=page))


def _stopped(folder: Path, caught: Sequence[int]) -> StoppedError:
    """Return the error by which serving ends."""
    number = caught[0] if caught else signal.SIGINT
    return StoppedError(
        number,
        Message("stopped by {name}", name=signal.Signals(number).name),
        Message(
            "requests in progress had {SHUTDOWN_SECONDS} seconds; serve again: yisheng serve {folder}",
            SHUTDOWN_SECONDS=server.SHUTDOWN_SECONDS,
            folder=folder,
        ),
    )


def require_token(host: str, token: str | None) -> None:
    """Require a token from hosts that other machines can reach.

    Raises:
        UsageError: there is none, it is easy to guess, or an HTTP header cannot hold it.

    >>> require_token("127.0.0.1", None)
    """
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
        raise UsageError(
            Message("a token must consist of letters, digits and signs"),
            Message("use token={token}", token=secrets.token_urlsafe(24)),
        )
    if not is_loopback(host) and len(token or "") < MIN_TOKEN_LENGTH:
        raise UsageError(
            Message(
                "host={host} can be reached from other machines and needs a token of {length} or more characters",
                host=host,
                length=MIN_TOKEN_LENGTH,
            )
            if token
            else Message("host={host} can be reached from other machines and needs a token", host=host),
            Message("use token={token}, or leave host out", token=secrets.token_urlsafe(24)),
        )


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine and no other machine can reach it.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_hosts(host: str, hosts: Collection[str]) -> frozenset[str]:
    """Return the host names that requests may use."""
    names = {*LOOPBACK, *hosts, host}
    return frozenset(names if is_loopback(host) else {*names, socket.gethostname()})

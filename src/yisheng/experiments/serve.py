"""``serve``: a trained model over HTTP, with a page to try it on, until Ctrl-C."""

from __future__ import annotations

import ipaddress
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from yisheng.core.errors import StoppedError, UsageError
from yisheng.core.signals import signals
from yisheng.serving import server
from yisheng.serving.guard import LOOPBACK
from yisheng.serving.limits import Limits

SHORTEST = 16
"""Characters of a token that others than this machine may try to guess."""


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    hosts: Collection[str] = (),
    batch: int = 64,
    wait: float = 2,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    stream: TextIO = sys.stderr,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve a run until a signal comes.

    Args:
        folder: a run folder, a study of k folds, or a search.
        host: where to listen: this machine alone by default; any other demands a token.
        port: 0 takes a free one.
        token: what every request must bring.
        hosts: further names that requests may be for, of a machine that others reach.
        batch: samples that go through the network together, at most.
        wait: milliseconds that an idle network waits for requests that are being read.
        limits: of a request.
        stream: where the address is said.
        ready: is told the address when connections are taken.

    Raises:
        UsageError: the host demands a token, or cannot be listened at.
        DataError: the folder does not hold a whole model.
        MissingPartError: the extra ``serve`` is not installed.
        StoppedError: a signal came; this is how serving ends.
    """
    require_token(host, token)
    try:
        from yisheng.serving.app import application
    except ImportError:
        raise server.missing() from None
    listening = server.listen(host, port)
    with listening:
        app = application(folder, token=token, hosts=names(host, hosts), limits=limits, batch=batch, wait=wait)

        def tell(address: str) -> None:
            page = f"{address}/" + (f"?token={quote(token, safe='')}" if token else "")
            print(f"serving {folder} at {page}\nCtrl-C ends it", file=stream, flush=True)
            ready(page)

        with signals() as caught:
            server.run(app, listening, ready=tell)
    number = caught[0] if caught else signal.SIGINT
    raise StoppedError(number, f"stopped by {signal.Signals(number).name}", "what was asked before has been answered")


def require_token(host: str, token: str | None) -> None:
    """Whoever can be reached from elsewhere asks for a token.

    Raises:
        UsageError: there is none, or it is easy to guess, or no header can hold it.

    >>> require_token("127.0.0.1", None)
    """
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
        raise UsageError("a token must be of letters, digits and signs", f"say token={secrets.token_urlsafe(24)}")
    if not is_loopback(host) and len(token or "") < SHORTEST:
        what = f"a token of {SHORTEST} or more characters" if token else "a token"
        raise UsageError(
            f"host={host} can be reached from other machines and needs {what}",
            f"say token={secrets.token_urlsafe(24)}, or leave host out",
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and nobody else can reach it.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names(host: str, hosts: Collection[str]) -> frozenset[str]:
    """The names that requests may be for."""
    ours = {*LOOPBACK, *hosts, host}
    return frozenset(ours if is_loopback(host) else {*ours, socket.gethostname()})

"""Plot the curves of a training in a Visdom server while it runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from yisheng.core.events import Event
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.loggers.background import BackgroundCalls
from yisheng.loggers.points import pass_points
from yisheng.reporting.history import MAX_STEPS, Epoch, Step, read_history
from yisheng.training.setup import Assembly

TIMEOUT_SECONDS: Final = 5.0
MAX_RESPONSE_BYTES: Final = 1 << 16

Points: TypeAlias = list[tuple[int, float]]


def plot_events(events: Iterator[Event], folder: Path, assembly: Assembly) -> Iterator[Event]:
    """Yield the same events and draw their curves in a Visdom server, in an environment named like the run's folder.

    Each message holds the complete curves, so a server that was restarted has all of them again, and a resumed run
    draws no step twice. They are sent from another thread: training waits for no network. If the server does not
    respond, one note is logged.

    Args:
        events: the events of a training.
        folder: the run folder; its log holds the curves before a resume.
        assembly: the training setup; its config names the server.

    Source: the messages are those of Visdom's own client (``visdom.Visdom.line``), version 0.2.4.
    """
    address = assembly.config.visdom
    assert address is not None  # checked by the caller
    curves = _Curves()
    past = read_history(folder)
    points: list[Step | Epoch] = [*past.steps, *past.epochs]
    for point in points:
        curves.add(point)
    with _Sender(address, folder.name, curves):
        yield from pass_points(events, assembly.config.log_every, curves.add)


class _Curves:
    """The curves so far by window and name, with at most 2,000 points each."""

    def __init__(self) -> None:
        self._lock, self._points = threading.Lock(), dict[tuple[str, str], Points]()
        self.changes = 0

    def add(self, point: Step | Epoch) -> None:
        """Add a step or an epoch to its curves."""
        if isinstance(point, Step):
            values = {("loss", "batch"): point.loss, ("lr", "lr"): point.lr}
        else:
            scores = {
                ("loss", "validation") if name == "loss" else (name, "validation"): value
                for name, value in point.scores.items()
            }
            values = {("loss", "training"): point.loss, **scores}
        with self._lock:
            for curve, value in values.items():
                points = self._points.setdefault(curve, [])
                points.append((point.step, value))
                if len(points) > MAX_STEPS:
                    del points[1::2]
            self.changes += 1

    def traces(self) -> Mapping[str, list[dict[str, Any]]]:
        """Return the curves in Visdom's form by window; NaN and infinity become gaps."""
        traces: dict[str, list[dict[str, Any]]] = {}
        with self._lock:
            for (window, name), points in self._points.items():
                trace = {
                    "x": [step for step, _ in points],
                    "y": [value if math.isfinite(value) else None for _, value in points],
                    "name": name,
                    "type": "scatter",
                    "mode": "lines",
                }
                traces.setdefault(window, []).append(trace)
        return traces


class _Sender:
    """Send the curves every two seconds in a thread, and once more at the end."""

    def __init__(self, address: str, name: str, curves: _Curves) -> None:
        self._address, self._name, self._curves = address.rstrip("/"), name, curves
        self._sent_changes, self._has_warned = 0, False
        self._calls = BackgroundCalls(self._send_changes, "visdom")
        # The system's proxy is for the internet; a Visdom server is usually on this machine or network.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> None:
        self._calls.start()

    def __exit__(self, *_: object) -> None:
        self._calls.stop(2 * TIMEOUT_SECONDS)

    def _send_changes(self) -> None:
        """Send the curves if they changed; log once that the server does not respond."""
        changes = self._curves.changes
        if changes == self._sent_changes:
            return
        try:
            for window, traces in self._curves.traces().items():
                self._send_window(window, traces)
            self._sent_changes = changes
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not self._has_warned:
                logger.info(
                    Message(
                        "Visdom at {address} does not respond ({error}); training continues",
                        address=self._address,
                        error=error,
                    )
                )
            self._has_warned = True

    def _send_window(self, window: str, traces: list[dict[str, Any]]) -> None:
        layout = {"title": {"text": window}, "xaxis": {"title": {"text": "step"}}, "showlegend": True}
        message = {"win": window, "eid": self._name, "data": traces, "layout": layout, "opts": {"title": window}}
        request = urllib.request.Request(f"{self._address}/events", json.dumps(message).encode())
        with contextlib.closing(self._opener.open(request, timeout=TIMEOUT_SECONDS)) as response:
            response.read(MAX_RESPONSE_BYTES)

"""A run for Visdom: its curves in a server that runs somewhere, sent beside the training."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from yisheng.core.types import Event, Stepped
from yisheng.reporting.history import STEPS, Epoch, Step, history
from yisheng.training.setup import Assembly

EVERY, PATIENCE = 2.0, 5.0
"""Seconds between two messages, and how long one waits for an answer."""
Points = list[tuple[int, float]]


def plotted(events: Iterator[Event], folder: Path, assembly: Assembly, stream: TextIO) -> Iterator[Event]:
    """The same events; their curves are drawn in a Visdom server, in an environment named like the run's folder.

    Each message holds the curves from their beginning, so that a server that was restarted has them all again, and a
    run that goes on draws no step twice. They are sent from a thread of their own: training waits for no network. A
    server that does not answer costs one remark.

    Args:
        events: what happens.
        folder: the run folder; what it did before is in its log.
        assembly: what is trained; its config names the server.
        stream: where the remark goes.

    Source: the messages are those of Visdom's own client (``visdom.Visdom.line``), version 0.2.4.
    """
    address = assembly.config.visdom
    assert address is not None  # asked by the caller
    curves = _Curves()
    past = history(folder)
    for step in past.steps:
        curves.add(step)
    for epoch in past.epochs:
        curves.add(epoch)
    with _Sender(address, folder.name, curves, stream):
        every = assembly.config.log_every
        waiting: list[Stepped] = []
        for event in events:
            if isinstance(event, Stepped):
                if event.step % every == 0:
                    waiting.append(event)
                if len(waiting) * every >= 100:  # read from their device together
                    _read(waiting, curves)
            else:
                _read(waiting, curves)
                curves.add(Epoch(event.step, event.epoch, event.loss, event.scores))
            yield event
        _read(waiting, curves)


def _read(waiting: list[Stepped], curves: _Curves) -> None:
    for one in waiting:
        curves.add(Step(one.step, float(one.loss), one.lr))
    waiting.clear()


class _Curves:
    """What was seen so far, by window and curve, at most 2,000 points each."""

    def __init__(self) -> None:
        self._lock, self._known = threading.Lock(), dict[tuple[str, str], Points]()
        self.changes = 0

    def add(self, seen: Step | Epoch) -> None:
        if isinstance(seen, Step):
            values = {("loss", "batch"): seen.loss, ("lr", "lr"): seen.lr}
        else:
            named = {
                ("loss", "validation") if name == "loss" else (name, "validation"): value
                for name, value in seen.scores.items()
            }
            values = {("loss", "training"): seen.loss, **named}
        with self._lock:
            for curve, value in values.items():
                points = self._known.setdefault(curve, [])
                points.append((seen.step, value))
                if len(points) > STEPS:
                    del points[1::2]
            self.changes += 1

    def windows(self) -> Mapping[str, list[dict[str, Any]]]:
        """The curves as Visdom draws them, by window; a gap is what is no number."""
        found: dict[str, list[dict[str, Any]]] = {}
        with self._lock:
            for (window, name), points in self._known.items():
                trace = {
                    "x": [step for step, _ in points],
                    "y": [value if math.isfinite(value) else None for _, value in points],
                    "name": name,
                    "type": "scatter",
                    "mode": "lines",
                }
                found.setdefault(window, []).append(trace)
        return found


class _Sender:
    """Sends the curves every two seconds, and once more at the end."""

    def __init__(self, address: str, name: str, curves: _Curves, stream: TextIO) -> None:
        self._address, self._name, self._curves, self._stream = address.rstrip("/"), name, curves, stream
        self._over, self._sent = threading.Event(), 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="visdom")
        # A proxy of the system is for the web; this is a server of one's own.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(2 * PATIENCE)

    def _run(self) -> None:
        said = False
        while not self._over.wait(EVERY):
            said = self._send(said)
        self._send(said)

    def _send(self, said: bool) -> bool:
        """Send what is new; gives whether it was said that the server does not answer."""
        changes = self._curves.changes
        if changes == self._sent:
            return said
        try:
            for window, traces in self._curves.windows().items():
                layout = {"title": {"text": window}, "xaxis": {"title": {"text": "step"}}, "showlegend": True}
                message = {
                    "win": window,
                    "eid": self._name,
                    "data": traces,
                    "layout": layout,
                    "opts": {"title": window},
                }
                request = urllib.request.Request(f"{self._address}/events", json.dumps(message).encode())
                with contextlib.closing(self._opener.open(request, timeout=PATIENCE)) as answer:
                    answer.read(1 << 16)
            self._sent = changes
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not said:
                print(f"Visdom at {self._address} does not answer ({error}); training goes on", file=self._stream)
            return True
        return said

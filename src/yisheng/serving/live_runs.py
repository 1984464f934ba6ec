"""What the live page tells of a folder of runs: which there are, how each stands, and its log as it grows."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from yisheng.core import files
from yisheng.reporting.history import EVENTS
from yisheng.serving.log_tail import Tail, number

State = Literal["running", "finished", "stopped", "broken"]

CONFIG, ENVIRONMENT, MODEL, FINDINGS = "config.toml", "environment.json", "model.json", "findings.json"
MISTAKES, REPORT, LOCK = "mistakes.json", "report.html", "checkpoint/lock"
LOOKED_AT = (CONFIG, ENVIRONMENT, MODEL, FINDINGS, MISTAKES, REPORT, EVENTS)
MOST_RUNS = 500
"""Runs that are listed: the newest."""
MOST_OPEN = 32
"""Logs that are kept in memory of runs that nobody trains in: those looked at last."""
LARGEST = 8 << 20
"""Bytes of a file that are read, besides logs."""
FRESH = 60.0
"""Seconds after its last line in which a run counts as running, on systems that do not tell who holds a lock."""

Stamp = tuple[int, int] | None
News = tuple[str, dict[str, Any]]


@dataclass
class Run:
    """One run folder, and what was last seen of it.

    Args:
        id: its name in addresses; no path.
        folder: where it lies.
        name: the path below the folder of runs.
        stamps: size and time of its files when they were last looked at.
        config: what the list shows of it.
        finished: whether training came to its end.
        best: which epoch's weights are kept, and their score.
        findings: what the doctor says.
        summary: all that the list shows.
        tail: its log, where it is open.
        sent: how much of the log was told.
        used: when it was last asked for.
    """

    id: str
    folder: Path
    name: str
    stamps: dict[str, Stamp] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    finished: bool = False
    best: Mapping[str, Any] | None = None
    findings: list[dict[str, str]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    tail: Tail | None = None
    sent: tuple[int, int, int] = (0, 0, 0)
    used: float = 0.0

    def opened(self) -> Tail:
        """Its log, read up to its end when it is first asked for."""
        if self.tail is None:
            self.tail = Tail(self.folder / EVENTS)
            while self.tail.read():
                pass
            self.sent = self.tail.size
        return self.tail


class Runs:
    """The runs of a folder, followed. A client names them by ids that are looked up here, never by paths.

    Args:
        out: the folder of runs; or a single run's.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.left_out = 0
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()  # looks and answers come from different threads

    def listed(self) -> dict[str, Any]:
        """All that the list shows, the newest first."""
        with self._lock:
            return {"runs": [run.summary for run in self._runs.values()], "left_out": self.left_out}

    def look(self) -> list[News]:
        """Look at everything once; gives what changed since the last time.

        ``run``: its line of the list; ``gone``: it is no longer there; ``points``: its curves grew; ``anew``: they are
        others; ``more``: findings or mistakes changed.
        """
        with self._lock:
            found, held = self._found(), _held()
            said: list[News] = [("gone", {"id": id}) for id in self._runs if id not in found]
            self._runs = {id: self._runs.get(id) or Run(id, path, self._name(path)) for id, path in found.items()}
            for run in self._runs.values():
                said += _news(run, held)
            idle = [run for run in self._runs.values() if run.tail is not None and run.summary["state"] != "running"]
            for run in sorted(idle, key=lambda run: run.used)[: max(0, len(idle) - MOST_OPEN)]:
                run.tail = None
            return said

    def whole(self, id: str) -> dict[str, Any] | None:
        """All that the page shows of a run; None where there is no such run."""
        with self._lock:
            run = self._runs.get(id)
            if run is None:
                return None
            run.used = time.monotonic()
            run.summary = _summary(run, run.summary["state"], run.opened())
            return {
                "run": run.summary,
                "curves": run.opened().points(),
                "findings": run.findings,
                "mistakes": _object(run.folder / MISTAKES) or None,
            }

    def report(self, id: str) -> Path | None:
        """The run's report, where there is one."""
        with self._lock:
            run = self._runs.get(id)
        path = run.folder / REPORT if run else None
        return path if path is not None and _is_plain(path) else None

    def _found(self) -> dict[str, Path]:
        """Run folders by their ids, the newest first: those in the folder, and in studies and searches in it."""
        if _is_plain(self.out / CONFIG):
            folders = [self.out, *_below(self.out)]
        else:
            folders = [one for first in _below(self.out) for one in (first, *_below(first))]
        runs = [one for one in folders if all(_is_plain(one / name) for name in (ENVIRONMENT, CONFIG))]
        runs = [one for one in runs if not any(_is_plain(one / name) for name in ("folds.json", "study.toml"))]
        runs.sort(key=self._name, reverse=True)
        self.left_out = max(0, len(runs) - MOST_RUNS)
        return {hashlib.sha256(os.fsencode(run)).hexdigest()[:16]: run for run in runs[:MOST_RUNS]}

    def _name(self, folder: Path) -> str:
        name = folder.name if folder == self.out else folder.relative_to(self.out).as_posix()
        return name.encode("utf-8", "replace").decode()


def _news(run: Run, held: set[int] | None) -> Iterator[News]:
    """What is new of a run."""
    now = {name: _stamp(run.folder / name) for name in LOOKED_AT}
    changed = {name for name in LOOKED_AT if name not in run.stamps or run.stamps[name] != now[name]}
    run.stamps = now
    _read(run, changed)
    state = _state(run, held)
    tail = run.opened() if state == "running" else run.tail
    if tail is not None:
        tail.read()
        before, run.sent = run.sent, tail.size
        if before[0] != tail.generation:
            yield "anew", {"id": run.id}
        elif before != run.sent:
            yield "points", {"id": run.id, "curves": tail.points(*before[1:])}
    summary = _summary(run, state, tail)
    if summary != run.summary:
        run.summary = summary
        yield "run", summary
    if changed & {FINDINGS, MISTAKES}:
        yield "more", {"id": run.id}


def _read(run: Run, changed: set[str]) -> None:
    """What the changed files say."""
    if CONFIG in changed:
        config = _config(run.folder / CONFIG)
        epochs = config.get("epochs")
        named = {key: _choice(config.get(key)) for key in ("data", "model", "optimizer")}
        countable = isinstance(epochs, int) and not isinstance(epochs, bool) and 0 < epochs < 1 << 31
        run.config = {**named, "epochs": epochs if countable else None}
    if ENVIRONMENT in changed:
        run.finished = _object(run.folder / ENVIRONMENT).get("finished") is True
    if MODEL in changed:
        best = _object(run.folder / MODEL).get("best")
        run.best = {key: best.get(key) for key in ("epoch", "score", "value")} if isinstance(best, dict) else None
    if FINDINGS in changed:
        found, words = _object(run.folder / FINDINGS).get("findings"), ("check", "severity", "cause", "remedy")
        listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        run.findings = [{word: str(one.get(word, "")) for word in words} for one in listed[:50]]


def _state(run: Run, held: set[int] | None) -> State:
    """How a run stands; it is running while a process holds its lock."""
    if held is None:
        log = run.stamps.get(EVENTS)
        if not run.finished and log is not None and time.time() - log[1] / 1e9 < FRESH:
            return "running"
    elif not run.finished and _inode(run.folder / LOCK) in held:
        return "running"
    if run.finished:
        return "finished"
    return "broken" if any(found["check"] == "non-finite-loss" for found in run.findings) else "stopped"


def _summary(run: Run, state: State, tail: Tail | None) -> dict[str, Any]:
    about = {"id": run.id, "name": run.name, "state": state, **run.config, "best": run.best}
    progress = tail.progress(run.config["epochs"]) if tail is not None else {}
    return {**about, "report": run.stamps[REPORT] is not None, **progress}


def _object(path: Path) -> dict[str, Any]:
    """A JSON object of a file; empty where there is none that can be read."""
    if not _is_plain(path):
        return {}
    try:
        content = files.read_bytes(path, LARGEST)
        # What is no JSON number (NaN, 1e999) could not be sent on as JSON.
        found = json.loads(content or b"", parse_constant=lambda _: None, parse_float=lambda text: number(float(text)))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _config(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8", "replace"))
    except (OSError, ValueError, RecursionError):
        return {}


def _choice(value: Any) -> str:
    """The name of one of the config's choices."""
    return str(value.get("name", "") if isinstance(value, Mapping) else value or "")


def _below(folder: Path) -> list[Path]:
    """Folders in a folder; links are not followed."""
    try:
        with os.scandir(folder) as entries:
            return [folder / e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _is_plain(path: Path) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)  # noqa: PTH113, PTH114  # never raise


def _stamp(path: Path) -> Stamp:
    try:
        about = path.lstat()
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


def _held() -> set[int] | None:
    """Inodes of the files that any process holds a lock on; None where the system does not tell (all but Linux).

    To try the lock itself would stop a training that begins in that moment.
    """
    try:
        lines = Path("/proc/locks").read_text("ascii", "replace").splitlines() if sys.platform == "linux" else None
    except OSError:
        return None
    if lines is None:
        return None
    places = (word.rpartition(":")[2] for line in lines for word in line.split() if word.count(":") == 2)
    return {int(place) for place in places if place.isdecimal()}

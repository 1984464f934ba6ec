"""The runs of a folder for the live page: their states, and new lines of their logs."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from yisheng.core import files
from yisheng.core.messages import restore_message, translate
from yisheng.core.natural_sort import natural_key
from yisheng.core.run_folder import RunFolder
from yisheng.core.run_state import find_locked_inodes, is_nonfinite, is_running
from yisheng.serving.log_tail import LogTail, finite_or_none

State = Literal["running", "finished", "stopped", "broken"]
Phase = Literal["training", "scoring", "report"]
"""What a running run does: it trains, predicts the test and validation rows, or writes its report."""

WATCHED_FILES = (
    RunFolder.CONFIG,
    RunFolder.ENVIRONMENT,
    RunFolder.MODEL,
    RunFolder.SCORES,
    RunFolder.FINDINGS,
    RunFolder.MISTAKES,
    RunFolder.REPORT,
    RunFolder.EVENTS,
)
MAX_RUNS = 500
"""Only the newest runs are listed."""
MAX_IDLE_LOGS = 32
"""Maximum number of logs in memory of runs that are not training; the least recently requested ones are dropped."""
MAX_FILE_BYTES = 8 << 20
"""Maximum size of a file that is read; logs are exempt."""
MAX_FINDINGS = 50
MAX_EPOCHS = 1 << 31

Stamp = tuple[int, int] | None
"""Size and modification time of a file; None if it does not exist."""
Change = tuple[str, dict[str, Any]]
"""Kind and data of a change; see `LiveRuns.poll`."""


@dataclass
class LiveRun:
    """The state of a run folder at the last poll.

    Args:
        id: identifier of the run in URLs; not a path.
        folder: path of the run folder.
        name: path of the run folder relative to the folder of runs.
        stamps: size and modification time of each watched file.
        config: the config values that the list of runs shows.
        is_finished: whether training is complete.
        best: epoch, name and value of the best validation score.
        findings: the doctor's findings.
        is_broken: whether one of them is that the numbers became non-finite.
        summary: the run's entry in the list of runs.
        log: the log, or None if it is not in memory.
        sent: size of the log up to which changes were reported.
        last_request: monotonic time of the last request for this run.
    """

    id: str
    folder: Path
    name: str
    stamps: dict[str, Stamp] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    is_finished: bool = False
    best: Mapping[str, Any] | None = None
    findings: list[dict[str, str]] = field(default_factory=list)
    is_broken: bool = False
    summary: dict[str, Any] = field(default_factory=dict)
    log: LogTail | None = None
    sent: tuple[int, int, int] = (0, 0, 0)
    last_request: float = 0.0

    def open_log(self) -> LogTail:
        """Return the log; the first call reads it to the end."""
        if self.log is None:
            self.log = LogTail(self.folder / RunFolder.EVENTS)
            while self.log.read():
                pass
            self.sent = self.log.size
        return self.log

    def poll(self, locked_inodes: set[int] | None) -> Iterator[Change]:
        """Yield the changes since the last poll."""
        stamps = {name: _stamp(self.folder / name) for name in WATCHED_FILES}
        changed = {name for name in WATCHED_FILES if name not in self.stamps or self.stamps[name] != stamps[name]}
        self.stamps = stamps
        self._read(changed)
        state = self._find_state(locked_inodes)
        log = self.open_log() if state == "running" else self.log
        if log is not None:
            log.read()
            earlier, self.sent = self.sent, log.size
            if earlier[0] != log.generation:
                yield "reset", {"id": self.id}
            elif earlier != self.sent:
                yield "points", {"id": self.id, "curves": log.to_json(*earlier[1:])}
        summary = self.summarize(state, log)
        if summary != self.summary:
            self.summary = summary
            yield "run", summary
        if changed & {RunFolder.FINDINGS, RunFolder.MISTAKES}:
            yield "details", {"id": self.id}

    def summarize(self, state: State, log: LogTail | None) -> dict[str, Any]:
        """Return the run's entry in the list of runs."""
        progress = log.progress(self.config["epochs"]) if log is not None else {}
        return {
            "id": self.id,
            "name": self.name,
            "state": state,
            "phase": self._find_phase(log) if state == "running" else None,
            **self.config,
            "best": self.best,
            "report": self.stamps[RunFolder.REPORT] is not None,
            **progress,
        }

    def _read(self, changed: set[str]) -> None:
        """Update the fields from the files that have changed."""
        if RunFolder.CONFIG in changed:
            self.config = _read_config(self.folder / RunFolder.CONFIG)
        if RunFolder.ENVIRONMENT in changed:
            self.is_finished = read_json_object(self.folder / RunFolder.ENVIRONMENT).get("finished") is True
        if RunFolder.MODEL in changed:
            best = read_json_object(self.folder / RunFolder.MODEL).get("best")
            self.best = {key: best.get(key) for key in ("epoch", "score", "value")} if isinstance(best, dict) else None
        if RunFolder.FINDINGS in changed:
            findings = read_json_object(self.folder / RunFolder.FINDINGS).get("findings")
            self.findings, self.is_broken = _describe_findings(findings), is_nonfinite(findings)

    def _find_state(self, locked_inodes: set[int] | None) -> State:
        """Return the state of the run; it is running while a process holds its lock."""
        if self.is_finished:
            return "finished"
        if is_running(self.folder, locked_inodes, self.folder / RunFolder.EVENTS):
            return "running"
        return "broken" if self.is_broken else "stopped"

    def _find_phase(self, log: LogTail | None) -> Phase:
        """Return the phase of a running run, from the order in which its files are written.

        A resumed run has older files of its earlier end next to a log that grows.
        """
        log_time, model_time, scores_time = (
            stamp[1] if (stamp := self.stamps.get(name)) is not None else -1
            for name in (RunFolder.EVENTS, RunFolder.MODEL, RunFolder.SCORES)
        )
        epochs = self.config["epochs"]
        is_trained = log is not None and bool(epochs) and log.epoch >= epochs
        if model_time <= log_time and not is_trained:
            return "training"
        return "report" if scores_time >= model_time > log_time else "scoring"


class LiveRuns:
    """The runs of a folder. Clients refer to them by ids that are looked up here, never by paths.

    Args:
        out: a folder of runs, or a single run folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.omitted = 0
        self._runs: dict[str, LiveRun] = {}
        self._lock = threading.Lock()  # polls and requests come from different threads

    def list_runs(self) -> dict[str, Any]:
        """Return the entries of all listed runs, the newest first, and the number of runs that were omitted."""
        with self._lock:
            return {"runs": [run.summary for run in self._runs.values()], "omitted": self.omitted}

    def poll(self) -> list[Change]:
        """Read the changed files of all runs; return the changes since the last poll.

        The kinds of changes are ``run`` (the run's entry in the list changed), ``removed`` (the run no longer exists),
        ``points`` (its curves have new points), ``reset`` (its curves were replaced), ``details`` (its findings or
        mistakes changed).
        """
        with self._lock:
            folders, locked_inodes = self._find_folders(), find_locked_inodes()
            changes: list[Change] = [("removed", {"id": id}) for id in self._runs if id not in folders]
            self._runs = {id: self._runs.get(id) or LiveRun(id, path, self._name(path)) for id, path in folders.items()}
            for run in self._runs.values():
                changes += run.poll(locked_inodes)
            self._forget_idle_logs()
            return changes

    def describe_run(self, id: str) -> dict[str, Any] | None:
        """Return a run's entry, curves, findings and mistakes for the page, or None if there is no such run."""
        with self._lock:
            run = self._runs.get(id)
            if run is None:
                return None
            run.last_request = time.monotonic()
            run.summary = run.summarize(run.summary["state"], run.open_log())
            return {
                "run": run.summary,
                "curves": run.open_log().to_json(),
                "findings": [{key: translate(text) for key, text in finding.items()} for finding in run.findings],
                "mistakes": read_json_object(run.folder / RunFolder.MISTAKES) or None,
            }

    def find_report(self, id: str) -> Path | None:
        """Return the path of a run's report, or None if it does not exist."""
        with self._lock:
            run = self._runs.get(id)
        path = run.folder / RunFolder.REPORT if run else None
        return path if path is not None and _is_regular_file(path) else None

    def _find_folders(self) -> dict[str, Path]:
        """Return the run folders by id, the newest first, including those of cross-validations and searches."""
        if _is_regular_file(self.out / RunFolder.CONFIG):
            folders = [self.out, *_subfolders(self.out)]
        else:
            folders = [path for folder in _subfolders(self.out) for path in (folder, *_subfolders(folder))]
        runs = [folder for folder in folders if _is_run(folder)]
        runs.sort(key=lambda folder: natural_key(self._name(folder)), reverse=True)
        self.omitted = max(0, len(runs) - MAX_RUNS)
        return {hashlib.sha256(os.fsencode(run)).hexdigest()[:16]: run for run in runs[:MAX_RUNS]}

    def _forget_idle_logs(self) -> None:
        idle = [run for run in self._runs.values() if run.log is not None and run.summary["state"] != "running"]
        for run in sorted(idle, key=lambda run: run.last_request)[: max(0, len(idle) - MAX_IDLE_LOGS)]:
            run.log = None

    def _name(self, folder: Path) -> str:
        name = folder.name if folder == self.out else folder.relative_to(self.out).as_posix()
        return name.encode("utf-8", "replace").decode()


def _is_run(folder: Path) -> bool:
    """Return whether a folder is a single run, not a cross-validation or a search."""
    has_run_files = all(_is_regular_file(folder / name) for name in (RunFolder.ENVIRONMENT, RunFolder.CONFIG))
    return has_run_files and not any(
        _is_regular_file(folder / name) for name in (RunFolder.CROSS_VALIDATION, RunFolder.SEARCH)
    )


def _read_config(path: Path) -> dict[str, Any]:
    """Return the config values that the list of runs shows: data, model, optimizer, epochs."""
    try:
        config: Mapping[str, Any] = tomllib.loads(path.read_text("utf-8", "replace"))
    except (OSError, ValueError, RecursionError):
        config = {}
    epochs = config.get("epochs")
    is_valid = isinstance(epochs, int) and not isinstance(epochs, bool) and 0 < epochs < MAX_EPOCHS
    names = {key: _component_name(config.get(key)) for key in ("data", "model", "optimizer")}
    return {**names, "epochs": epochs if is_valid else None}


def _component_name(value: Any) -> str:
    return str(value.get("name", "") if isinstance(value, Mapping) else value or "")


def _describe_findings(findings: Any) -> list[dict[str, str]]:
    if not isinstance(findings, list):
        return []
    objects = [finding for finding in findings if isinstance(finding, dict)][:MAX_FINDINGS]
    keys = ("check", "severity", "cause", "remedy")
    return [{key: _restore_text(finding, key) for key in keys} for finding in objects]


def _restore_text(finding: Mapping[str, Any], key: str) -> str:
    """Return a text of a finding as a message, if the file has its template and values."""
    text, messages = str(finding.get(key, "")), finding.get("messages")
    return restore_message(text, messages.get(key)) if isinstance(messages, Mapping) else text


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, empty if it cannot be read; NaN and infinity become None."""
    if not _is_regular_file(path):
        return {}
    try:
        value = json.loads(
            files.read_bytes(path, MAX_FILE_BYTES) or b"",
            parse_constant=lambda _: None,
            parse_float=lambda text: finite_or_none(float(text)),
        )
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _subfolders(folder: Path) -> list[Path]:
    """Return the subfolders of a folder, without hidden ones and links."""
    try:
        with os.scandir(folder) as entries:
            return [folder / e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _is_regular_file(path: Path) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)  # noqa: PTH113, PTH114  # never raise


def _stamp(path: Path) -> Stamp:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns

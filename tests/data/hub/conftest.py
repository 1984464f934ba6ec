"""A real HTTP server with a script for each path, a catalogue of small sets, and an empty cache."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from yisheng.data.hub import download

Answer = Callable[["Handler"], None]
SOURCES = Path(__file__).parents[2] / "src"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        request = Request(self.path, dict(self.headers))
        self.request_seen = request
        with self.server.lock:
            self.server.requests.append(request)
            answers = self.server.answers.get(self.path, [])
            answer = answers.pop(0) if len(answers) > 1 else answers[0] if answers else Server.status(404)
        answer(self)

    def begin(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), 16384):
            self.wfile.write(data[start : start + 16384])
            self.request_seen.sent += len(data[start : start + 16384])

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at `Server.requests`."""


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    sent: int = 0


class Server(ThreadingHTTPServer):
    """Answers each path with its list of answers, the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[Request] = []
        self.stop = threading.Event()

    def handle_error(self, *_: Any) -> None:
        """A client that went away is part of the tests."""

    def on(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_port}{path}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @staticmethod
    def whole(data: bytes, *, ranges: bool = True, etag: str | None = None, chunk_pause: float = 0) -> Answer:
        """A good server: the file, or the range that was asked for."""

        def answer(to: Handler) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", to.headers.get("Range", "")) if ranges else None
            if asked and to.headers.get("If-Range") not in (None, etag):
                asked = None
            extra = {"ETag": etag} if etag else {}
            start = int(asked[1]) if asked else 0
            if asked and start >= len(data):
                to.begin(416, Content_Range=f"bytes */{len(data)}", Content_Length=0)
                return
            extra |= {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
            to.begin(206 if asked else 200, Content_Length=len(data) - start, **extra)
            for place in range(start, len(data), 65536) if chunk_pause else []:
                to.send(data[place : place + 65536])
                time.sleep(chunk_pause)
            if not chunk_pause:
                to.send(data[start:])

        return answer

    @staticmethod
    def cut(data: bytes, after: int, *, etag: str | None = None) -> Answer:
        """Promises all of it, but closes the connection after some bytes."""

        def answer(to: Handler) -> None:
            to.begin(200, Content_Length=len(data), **({"ETag": etag} if etag else {}))
            to.send(data[:after])

        return answer

    @staticmethod
    def status(code: int, data: bytes = b"", **headers: object) -> Answer:
        def answer(to: Handler) -> None:
            to.begin(code, Content_Length=len(data), **headers)
            to.send(data)

        return answer

    @staticmethod
    def stalled(data: bytes = b"", length: int = 100) -> Answer:
        """Sends a few bytes, then nothing more, and keeps the connection."""

        def answer(to: Handler) -> None:
            to.begin(200, Content_Length=length)
            to.send(data)
            to.server.stop.wait(10)

        return answer


@dataclass
class Catalogue:
    """Writes sets of a plugin package."""

    folder: Path
    cache: Path

    def add(self, name: str, *files: dict[str, Any], **about: Any) -> None:
        data = {"about": "a set of the tests", **about, "files": list(files)}
        (self.folder / f"{name}.toml").write_text(tomli_w.dumps(data), encoding="utf-8")


@dataclass
class Child:
    """Runs Python with the hub in a process of its own."""

    path: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, code: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": self.path}
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", f"from yisheng.data import hub\n{code}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.started.append(process)
        return process


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.stop.set()
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and an environment without mirrors, proxies or long waits."""
    for name in ("YISHENG_MIRROR", "YISHENG_OFFLINE", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "RETRY_POLICY", download.RetryPolicy(timeout=0.4, speed_window=0.5, backoff=0.01))
    return tmp_path / "home"


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Catalogue:
    folder = tmp_path / "plugins" / "hubplug" / "data" / "catalog"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("YISHENG_PLUGINS", "hubplug")
    (tmp_path / "plugins" / "hubplug" / "__init__.py").write_text("", encoding="utf-8")
    return Catalogue(folder, home / "data")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    running = Child(os.pathsep.join([str(SOURCES), str(tmp_path / "plugins")]))
    yield running
    for process in running.started:
        if process.poll() is None:
            process.kill()
        process.communicate()

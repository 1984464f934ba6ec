"""A real HTTP server with scripted responses, a catalog of small sets, and an empty cache."""

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

from tests.data.hub.sample_files import COMPRESSED, TEXT, sum_of
from yisheng.data.hub import download

Response = Callable[["Handler"], None]
SOURCES = Path(__file__).parents[3] / "src"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        request = Request(self.path, dict(self.headers))
        self.current_request = request
        with self.server.lock:
            self.server.requests.append(request)
            responses = self.server.responses.get(self.path, [])
            respond = responses.pop(0) if len(responses) > 1 else responses[0] if responses else Server.status(404)
        respond(self)

    def begin(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), 16384):
            self.wfile.write(data[start : start + 16384])
            self.current_request.sent += len(data[start : start + 16384])

    def log_message(self, *_: Any) -> None:
        """Print nothing: the tests read `Server.requests`."""


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    sent: int = 0


class Server(ThreadingHTTPServer):
    """Answers requests of each path with its list of responses; the last one is repeated."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.responses: dict[str, list[Response]] = {}
        self.requests: list[Request] = []
        self.stop = threading.Event()

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that close the connection, which is part of the tests."""

    def on(self, path: str, *responses: Response) -> str:
        """Set the responses for a path, and return its address."""
        self.responses[path] = list(responses)
        return f"http://127.0.0.1:{self.server_port}{path}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @staticmethod
    def serve(data: bytes, *, ranges: bool = True, etag: str | None = None, chunk_pause: float = 0) -> Response:
        """Return a correct response: the file, or the requested range."""

        def respond(handler: Handler) -> None:
            requested = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", "")) if ranges else None
            if requested and handler.headers.get("If-Range") not in (None, etag):
                requested = None
            headers = {"ETag": etag} if etag else {}
            start = int(requested[1]) if requested else 0
            if requested and start >= len(data):
                handler.begin(416, Content_Range=f"bytes */{len(data)}", Content_Length=0)
                return
            headers |= {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if requested else {}
            handler.begin(206 if requested else 200, Content_Length=len(data) - start, **headers)
            for position in range(start, len(data), 65536) if chunk_pause else []:
                handler.send(data[position : position + 65536])
                time.sleep(chunk_pause)
            if not chunk_pause:
                handler.send(data[start:])

        return respond

    @staticmethod
    def interrupt(data: bytes, sent: int, *, etag: str | None = None) -> Response:
        """Return a response that announces all of it, but closes the connection after some bytes."""

        def respond(handler: Handler) -> None:
            handler.begin(200, Content_Length=len(data), **({"ETag": etag} if etag else {}))
            handler.send(data[:sent])

        return respond

    @staticmethod
    def status(code: int, data: bytes = b"", **headers: object) -> Response:
        def respond(handler: Handler) -> None:
            handler.begin(code, Content_Length=len(data), **headers)
            handler.send(data)

        return respond

    @staticmethod
    def stall(data: bytes = b"", length: int = 100) -> Response:
        """Return a response that sends a few bytes, then nothing, and keeps the connection."""

        def respond(handler: Handler) -> None:
            handler.begin(200, Content_Length=length)
            handler.send(data)
            handler.server.stop.wait(10)

        return respond


@dataclass
class PluginCatalog:
    """Writes the sets of a plugin package."""

    folder: Path
    cache: Path

    def add(self, name: str, *files: dict[str, Any], **about: Any) -> None:
        data = {"about": "a set of the tests", **about, "files": list(files)}
        (self.folder / f"{name}.toml").write_text(tomli_w.dumps(data), encoding="utf-8")


@dataclass
class Child:
    """Runs Python with the hub in another process."""

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
    """Set an empty cache, and an environment without mirrors, proxies or long waits."""
    for name in ("YISHENG_MIRROR", "YISHENG_OFFLINE", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "RETRY_POLICY", download.RetryPolicy(speed_window=0.5, backoff=0.01))
    return tmp_path / "home"


@pytest.fixture
def plugin_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> PluginCatalog:
    folder = tmp_path / "plugins" / "hubplug" / "data" / "catalog"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("YISHENG_PLUGINS", "hubplug")
    monkeypatch.delitem(sys.modules, "hubplug", raising=False)  # that of an earlier test, in another folder
    (tmp_path / "plugins" / "hubplug" / "__init__.py").write_text("", encoding="utf-8")
    return PluginCatalog(folder, home / "data")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    running = Child(os.pathsep.join([str(SOURCES), str(tmp_path / "plugins")]))
    yield running
    for process in running.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin_catalog: Any) -> Path:
    """Write a mirror with a compressed file, two forms of a set, and a set without checksums."""
    folder = tmp_path / "mirror with space"
    plugin_catalog.add("tiny", {"name": "a.csv.gz", "content_size": len(TEXT), "sums": [sum_of(TEXT, "content")]})
    plugin_catalog.add(
        "forms",
        {"name": "best.bin", "form": "exact", "sums": [sum_of(b"exact")]},
        {"name": "copy.bin", "form": "copies", "sums": [sum_of(b"copies")]},
        {"name": "more.bin", "form": "extra", "sums": [sum_of(b"extra")]},
        forms=["exact", "copies"],
    )
    plugin_catalog.add("loose", {"name": "b.bin"}, {"name": "images", "folder": True})
    for name, data in {
        "tiny/a.csv.gz": COMPRESSED,
        "forms/copy.bin": b"copies",
        "loose/b.bin": b"loose",
        "loose/images/ants/1.jpg": b"ant",
        "loose/images/bees/1.jpg": b"bee",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    monkeypatch.setenv("YISHENG_MIRROR", folder.as_uri())
    return folder

"""Downloads from a real server: correct, interrupted, stalled, false and changing responses."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest

from yisheng.core.errors import DataError, UsageError
from yisheng.data import hub
from yisheng.data.hub import download, http

BODY = hashlib.shake_128(b"body").digest(600_000)
CHANGED_BODY = hashlib.shake_128(b"other").digest(600_000)
SUM = f"file:sha256:{hashlib.sha256(BODY).hexdigest()}"


@pytest.fixture
def add_tiny(plugin_catalog: Any) -> Any:
    """Return a function that adds the set ``tiny`` with one file at the given addresses."""

    def add(*urls: str, sums: tuple[str, ...] = (SUM,), **keys: Any) -> None:
        plugin_catalog.add("tiny", {"name": "a.bin", "sums": list(sums), "urls": list(urls), **keys})

    return add


def requested_paths(server: Any) -> list[str]:
    return [r.path for r in server.requests]


def test_file_is_downloaded_once(server: Any, add_tiny: Any, home: Path) -> None:
    add_tiny(server.on("/a.bin", server.serve(BODY)), size=len(BODY))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert hub.fetch_file("tiny", "a.bin") == home / "data" / "tiny" / "a.bin"
    assert requested_paths(server) == ["/a.bin"]
    assert not list((home / "data" / "tiny").glob(".a.bin.part*"))


@pytest.mark.parametrize("etag", [None, '"v1"'])
def test_interrupted_download_is_resumed(server: Any, add_tiny: Any, etag: str | None) -> None:
    add_tiny(server.on("/a.bin", server.interrupt(BODY, 400_000, etag=etag), server.serve(BODY, etag=etag)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    first, second = server.requests
    assert "Range" not in first.headers
    assert second.headers["Range"] == "bytes=400000-"
    assert second.headers.get("If-Range") == etag
    assert first.sent + second.sent == len(BODY)


def test_later_call_resumes(server: Any, add_tiny: Any) -> None:
    cut = server.interrupt(BODY, 300_000)
    add_tiny(server.on("/a.bin", cut, server.status(503)))
    with pytest.raises(DataError, match="HTTP 503"):
        hub.fetch_file("tiny", "a.bin")
    server.on("/a.bin", server.serve(BODY))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].sent == 300_000


def test_another_mirror_resumes_if_the_bytes_are_fixed(server: Any, add_tiny: Any) -> None:
    add_tiny(
        server.on("/1/a.bin", server.interrupt(BODY, 500_000), server.status(404)),
        server.on("/2/a.bin", server.serve(BODY)),
    )
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].headers["Range"] == "bytes=500000-"
    assert sum(r.sent for r in server.requests) == len(BODY)


def test_another_mirror_restarts_if_its_compression_may_differ(server: Any, plugin_catalog: Any) -> None:
    text = BODY[:200_000].hex().encode()
    first, second = gzip.compress(text, 9), gzip.compress(text, 1)
    urls = [server.on("/1", server.interrupt(first, 90_000), server.status(404)), server.on("/2", server.serve(second))]
    total = f"content:sha256:{hashlib.sha256(text).hexdigest()}"
    plugin_catalog.add("tiny", {"name": "a.gz", "content_size": len(text), "sums": [total], "urls": urls})
    assert hub.fetch_file("tiny", "a.gz").read_bytes() == second
    assert "Range" not in server.requests[-1].headers


def test_file_that_changed_during_the_download_is_sent_completely(server: Any, add_tiny: Any) -> None:
    add_tiny(server.on("/a.bin", server.interrupt(CHANGED_BODY, 300_000, etag='"v1"'), server.serve(BODY, etag='"v2"')))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert len(server.requests) == 2


def test_mixture_of_two_versions_is_downloaded_again(server: Any, add_tiny: Any) -> None:
    """Without a validator only the checksum shows the mixture."""
    add_tiny(server.on("/a.bin", server.interrupt(CHANGED_BODY, 300_000), server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert [r.headers.get("Range") for r in server.requests] == [None, "bytes=300000-", None]


def test_changed_validator_is_noticed_although_the_server_ignores_if_range(server: Any, add_tiny: Any) -> None:
    def careless(handler: Any) -> None:
        handler.begin(
            206, Content_Range=f"bytes 300000-{len(BODY) - 1}/{len(BODY)}", Content_Length=300_000, ETag='"v2"'
        )
        handler.send(BODY[300_000:])

    url = server.on(
        "/a.bin", server.interrupt(CHANGED_BODY, 300_000, etag='"v1"'), careless, server.serve(BODY, etag='"v2"')
    )
    add_tiny(url, sums=())
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_server_without_ranges_restarts(server: Any, add_tiny: Any) -> None:
    add_tiny(server.on("/a.bin", server.interrupt(BODY, 300_000), server.serve(BODY, ranges=False)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[1].headers["Range"] == "bytes=300000-"
    assert server.requests[1].sent == len(BODY)


def test_server_that_always_interrupts_is_given_up(server: Any, add_tiny: Any) -> None:
    add_tiny(server.on("/1", server.interrupt(BODY, 1000)), server.on("/2", server.serve(BODY, ranges=False)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert requested_paths(server).count("/1") <= 2 * download.RETRY_POLICY.max_attempts


def test_wrong_content_is_refused_and_the_next_mirror_used(server: Any, add_tiny: Any, home: Path) -> None:
    add_tiny(server.on("/bad", server.serve(CHANGED_BODY)), server.on("/good", server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert requested_paths(server) == ["/bad", "/good"]


def test_error_names_every_address_and_the_manual_download(server: Any, add_tiny: Any, home: Path) -> None:
    page = b"<!DOCTYPE html><html>please log in</html>"
    urls = [server.on("/page", server.serve(page)), server.on("/gone"), server.on("/broken", server.status(500))]
    add_tiny(*urls)
    with pytest.raises(DataError) as caught:
        hub.fetch_file("tiny", "a.bin")
    assert all(part in caught.value.problem for part in (*urls, "web page", "HTTP 404", "HTTP 500"))
    assert all(part in caught.value.remedy for part in (urls[0], SUM[12:], "yisheng data import", str(home)))
    assert "\n" not in caught.value.problem + caught.value.remedy
    assert not (home / "data" / "tiny" / "a.bin").exists()


def test_mirror_may_compress_the_same_content_differently(server: Any, plugin_catalog: Any, monkeypatch: Any) -> None:
    text = b"the same content\n" * 1000
    total = f"content:sha256:{hashlib.sha256(text).hexdigest()}"
    plugin_catalog.add("tiny", {"name": "a.gz", "size": len(gzip.compress(text)), "sums": [total], "urls": []})
    recompressed = gzip.compress(text, 1) + gzip.compress(b"")
    server.on("/pub/tiny/a.gz", server.serve(recompressed))
    monkeypatch.setenv("YISHENG_MIRROR", f"{server.url}/pub/")
    assert hub.fetch_file("tiny", "a.gz").read_bytes() == recompressed


def test_mirrors_come_first_and_in_order(server: Any, add_tiny: Any, monkeypatch: Any) -> None:
    add_tiny(server.on("/a.bin", server.serve(BODY)))
    server.on("/m2/tiny/a.bin", server.serve(BODY))
    monkeypatch.setenv("YISHENG_MIRROR", f"{server.url}/m1, {server.url}/m2/")
    hub.fetch_file("tiny", "a.bin")
    assert requested_paths(server) == ["/m1/tiny/a.bin", "/m2/tiny/a.bin"]


@pytest.mark.parametrize("moment", ["before the response", "in the middle"])
def test_stalled_server_is_given_up(server: Any, add_tiny: Any, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def silent(handler: Any) -> None:
        handler.server.stop.wait(10)

    monkeypatch.setattr(download, "RETRY_POLICY", download.RetryPolicy(timeout=2, max_attempts=1))
    slow = silent if moment == "before the response" else server.stall(BODY[:1000], len(BODY))
    add_tiny(server.on("/slow", slow), server.on("/good", server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert sum(r.sent for r in server.requests if r.path == "/good") == len(BODY) - (1000 if slow != silent else 0)


def test_slow_server_is_given_up(server: Any, add_tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def crawl(handler: Any) -> None:
        handler.begin(200, Content_Length=len(BODY))
        while not handler.server.stop.wait(0.02):
            handler.send(b"x")

    monkeypatch.setattr(download, "RETRY_POLICY", download.RetryPolicy(timeout=5, speed_window=0.1, max_attempts=1))
    add_tiny(server.on("/slow", crawl), server.on("/good", server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_refused_connection_is_skipped(server: Any, add_tiny: Any) -> None:
    add_tiny("http://127.0.0.1:9/a.bin", "http://no-such-host.invalid/a.bin", server.on("/good", server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Any, add_tiny: Any, code: int) -> None:
    target = server.on("/there", server.serve(BODY))
    add_tiny(server.on("/here", server.status(code, Location=target)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_redirects_keep_the_range(server: Any, add_tiny: Any) -> None:
    target = server.on("/there", server.interrupt(BODY, 300_000), server.serve(BODY))
    add_tiny(server.on("/here", server.status(302, Location=target)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].headers["Range"] == "bytes=300000-"


def test_redirect_loop_ends(server: Any, add_tiny: Any) -> None:
    add_tiny(server.on("/loop", server.status(302, Location="/loop")), server.on("/good", server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert requested_paths(server).count("/loop") <= http.MAX_REDIRECTS + 1


def test_long_chain_of_redirects_ends(server: Any, add_tiny: Any) -> None:
    for step in range(30):
        server.on(f"/{step}", server.status(302, Location=f"/{step + 1}"))
    add_tiny(f"{server.url}/0")
    with pytest.raises(DataError, match="HTTP 302"):
        hub.fetch_file("tiny", "a.bin")
    assert len(server.requests) <= http.MAX_REDIRECTS + 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/"])
def test_redirects_to_other_schemes_are_refused(server: Any, add_tiny: Any, target: str) -> None:
    add_tiny(server.on("/here", server.status(302, Location=target)))
    with pytest.raises(DataError, match=r"redirect|HTTP 302"):
        hub.fetch_file("tiny", "a.bin")


def test_redirects_from_https_to_http_are_refused() -> None:
    import urllib.error
    import urllib.request
    from email.message import Message

    (redirects,) = [h for h in http.build_opener().handlers if isinstance(h, urllib.request.HTTPRedirectHandler)]
    request = urllib.request.Request("https://example.org/a")
    redirected = redirects.redirect_request(request, None, 302, "Found", Message(), "https://example.org/b")
    assert redirected is not None
    with pytest.raises(urllib.error.HTTPError, match="redirect to http refused"):
        redirects.redirect_request(request, None, 302, "Found", Message(), "http://example.org/b")


def test_fewer_bytes_than_announced_are_refused(server: Any, add_tiny: Any) -> None:
    """The server announces more than it has, with any range, and there is no other address."""
    add_tiny(server.on("/a.bin", server.interrupt(BODY + b"more", len(BODY)), server.status(416)))
    with pytest.raises(DataError):
        hub.fetch_file("tiny", "a.bin")


def test_false_length_is_corrected_by_a_range(server: Any, add_tiny: Any) -> None:
    add_tiny(server.on("/a.bin", server.interrupt(BODY + b"more", len(BODY)), server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].headers["Range"] == f"bytes={len(BODY)}-"


def test_more_bytes_than_announced_are_noticed(server: Any, add_tiny: Any) -> None:
    def send_too_much(handler: Any) -> None:
        handler.begin(200, Content_Length=1000)
        handler.send(BODY)

    add_tiny(server.on("/lie", send_too_much), server.on("/good", server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_unexpected_size_is_refused_before_reading(server: Any, add_tiny: Any) -> None:
    add_tiny(server.on("/a.bin", server.serve(BODY)), size=1000)
    with pytest.raises(DataError, match="offers 600,000 bytes where 1,000"):
        hub.fetch_file("tiny", "a.bin")


def test_endless_body_is_stopped(server: Any, add_tiny: Any) -> None:
    def endless(handler: Any) -> None:
        handler.begin(200)
        while not handler.server.stop.is_set():
            handler.send(bytes(65536))

    add_tiny(server.on("/endless", endless), server.on("/good", server.serve(BODY)), size=len(BODY))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[0].sent < 20 << 20


@pytest.mark.parametrize("chunks", [b"nonsense\r\n", b"-5\r\nabc\r\n", b"5\r\nab", b"ffffffffffffffff\r\nab"])
def test_broken_chunks_are_skipped(server: Any, add_tiny: Any, chunks: bytes) -> None:
    def broken(handler: Any) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.begin(200, Transfer_Encoding="chunked", Connection="close")
        handler.send(chunks)

    add_tiny(server.on("/broken", broken), server.on("/good", server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_chunks_are_read(server: Any, add_tiny: Any) -> None:
    def chunked(handler: Any) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.begin(200, Transfer_Encoding="chunked", Connection="close")
        handler.send(f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n")

    add_tiny(server.on("/a.bin", chunked))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    "response", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 999 what\r\n\r\n", b"HTTP/1.1 204 none\r\n\r\n"]
)
def test_responses_that_are_not_http_are_skipped(server: Any, add_tiny: Any, response: bytes) -> None:
    add_tiny(server.on("/odd", lambda handler: handler.send(response)), server.on("/good", server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    "header", ["bytes 0-9/10", "bytes 299999-599999/600000", "lines 1-2/3", "", "bytes 300000-599999/700000"]
)
def test_wrong_range_restarts(server: Any, add_tiny: Any, header: str) -> None:
    def wrong(handler: Any) -> None:
        handler.begin(206, Content_Length=300_000, **({"Content_Range": header} if header else {}))
        handler.send(BODY[300_000:])

    add_tiny(server.on("/a.bin", server.interrupt(BODY, 300_000), wrong, server.serve(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert "Range" not in server.requests[-1].headers


def test_damaged_note_of_the_partial_file_restarts(server: Any, add_tiny: Any, home: Path) -> None:
    add_tiny(server.on("/a.bin", server.interrupt(BODY, 300_000), server.status(503)))
    with pytest.raises(DataError):
        hub.fetch_file("tiny", "a.bin")
    (home / "data" / "tiny" / ".a.bin.part.json").write_text('{"url": 3', encoding="utf-8")
    server.on("/a.bin", server.serve(BODY))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert "Range" not in server.requests[-1].headers


def test_complete_partial_file_needs_no_request(server: Any, add_tiny: Any, home: Path) -> None:
    """As after a kill between the last byte and the check."""
    add_tiny(server.on("/a.bin", server.interrupt(BODY, 599_999), server.status(503)))
    with pytest.raises(DataError):
        hub.fetch_file("tiny", "a.bin")
    with (home / "data" / "tiny" / ".a.bin.part").open("ab") as part:
        part.write(BODY[-1:])
    n_requests = len(server.requests)
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert len(server.requests) == n_requests


def test_proxies_of_the_environment_are_used(server: Any, add_tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.on("http://data.invalid/a.bin", server.serve(BODY))
    monkeypatch.setenv("http_proxy", server.url)
    add_tiny("http://data.invalid/a.bin")
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert requested_paths(server) == ["http://data.invalid/a.bin"]


def test_file_without_checksum_and_validator_is_not_resumed(server: Any, add_tiny: Any) -> None:
    add_tiny(server.on("/a.bin", server.interrupt(CHANGED_BODY, 300_000), server.serve(BODY)), sums=())
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert "Range" not in server.requests[-1].headers


def test_slow_download_is_reported_in_a_log(server: Any, add_tiny: Any, monkeypatch: Any, capsys: Any) -> None:
    from yisheng.data.hub import progress

    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LOG_INTERVAL_SECONDS", 0.0)
    add_tiny(server.on("/a.bin", server.serve(BODY)))
    hub.fetch_file("tiny", "a.bin")
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert lines[-1] == "a.bin: 0.6 of 0.6 MB"


def test_slow_download_shows_a_bar_on_a_terminal(server: Any, add_tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from yisheng.data.hub import progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", terminal)
    add_tiny(server.on("/a.bin", server.interrupt(BODY, 300_000), server.serve(BODY)))
    hub.fetch_file("tiny", "a.bin")
    assert "a.bin:  50%" in terminal.getvalue()
    assert "300k/600k" in terminal.getvalue()


def test_quick_download_is_silent(server: Any, add_tiny: Any, capsys: Any) -> None:
    add_tiny(server.on("/a.bin", server.serve(BODY)))
    hub.fetch_file("tiny", "a.bin")
    assert capsys.readouterr() == ("", "")


def test_unknown_names_are_refused_before_any_request(server: Any, add_tiny: Any) -> None:
    add_tiny(server.on("/a.bin", server.serve(BODY)))
    with pytest.raises(UsageError, match=r"did you mean a\.bin"):
        hub.fetch_file("tiny", "b.bin")
    with pytest.raises(UsageError, match="did you mean mnist"):
        hub.fetch("mnits")
    with pytest.raises(UsageError, match="no form"):
        hub.fetch("tiny", "jpeg")
    assert server.requests == []

"""Downloads against a real server that behaves, breaks off, stalls, lies and changes its mind."""

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
OTHER = hashlib.shake_128(b"other").digest(600_000)
SUM = f"file:sha256:{hashlib.sha256(BODY).hexdigest()}"


@pytest.fixture
def one(catalogue: Any) -> Any:
    """Set ``tiny`` with one file at the given addresses."""

    def add(*urls: str, sums: tuple[str, ...] = (SUM,), **more: Any) -> None:
        catalogue.add("tiny", {"name": "a.bin", "sums": list(sums), "urls": list(urls), **more})

    return add


def asked(server: Any) -> list[str]:
    return [r.path for r in server.requests]


def test_a_file_is_fetched_once(server: Any, one: Any, home: Path) -> None:
    one(server.on("/a.bin", server.whole(BODY)), size=len(BODY))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert hub.fetch_file("tiny", "a.bin") == home / "data" / "tiny" / "a.bin"
    assert asked(server) == ["/a.bin"]
    assert not list((home / "data" / "tiny").glob(".a.bin.part*"))


@pytest.mark.parametrize("etag", [None, '"v1"'])
def test_a_cut_connection_goes_on_where_it_stopped(server: Any, one: Any, etag: str | None) -> None:
    one(server.on("/a.bin", server.cut(BODY, 400_000, etag=etag), server.whole(BODY, etag=etag)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    first, second = server.requests
    assert "Range" not in first.headers
    assert second.headers["Range"] == "bytes=400000-"
    assert second.headers.get("If-Range") == etag
    assert first.sent + second.sent == len(BODY)


def test_a_later_call_goes_on_too(server: Any, one: Any) -> None:
    cut = server.cut(BODY, 300_000)
    one(server.on("/a.bin", cut, server.status(503)))
    with pytest.raises(DataError, match="HTTP 503"):
        hub.fetch_file("tiny", "a.bin")
    server.on("/a.bin", server.whole(BODY))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].sent == 300_000


def test_another_mirror_goes_on_when_the_bytes_are_fixed(server: Any, one: Any) -> None:
    one(server.on("/1/a.bin", server.cut(BODY, 500_000), server.status(404)), server.on("/2/a.bin", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].headers["Range"] == "bytes=500000-"
    assert sum(r.sent for r in server.requests) == len(BODY)


def test_another_mirror_begins_anew_when_it_may_have_packed_otherwise(server: Any, catalogue: Any) -> None:
    text = BODY[:200_000].hex().encode()
    one, two = gzip.compress(text, 9), gzip.compress(text, 1)
    urls = [server.on("/1", server.cut(one, 90_000), server.status(404)), server.on("/2", server.whole(two))]
    total = f"content:sha256:{hashlib.sha256(text).hexdigest()}"
    catalogue.add("tiny", {"name": "a.gz", "content_size": len(text), "sums": [total], "urls": urls})
    assert hub.fetch_file("tiny", "a.gz").read_bytes() == two
    assert "Range" not in server.requests[-1].headers


def test_a_file_that_changed_under_way_comes_whole(server: Any, one: Any) -> None:
    one(server.on("/a.bin", server.cut(OTHER, 300_000, etag='"v1"'), server.whole(BODY, etag='"v2"')))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert len(server.requests) == 2


def test_two_versions_that_met_are_noticed_and_fetched_again(server: Any, one: Any) -> None:
    """Without a validator nothing but the checksum can tell."""
    one(server.on("/a.bin", server.cut(OTHER, 300_000), server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert [r.headers.get("Range") for r in server.requests] == [None, "bytes=300000-", None]


def test_a_validator_that_changed_in_spite_of_if_range_is_noticed(server: Any, one: Any) -> None:
    def careless(to: Any) -> None:
        to.begin(206, Content_Range=f"bytes 300000-{len(BODY) - 1}/{len(BODY)}", Content_Length=300_000, ETag='"v2"')
        to.send(BODY[300_000:])

    url = server.on("/a.bin", server.cut(OTHER, 300_000, etag='"v1"'), careless, server.whole(BODY, etag='"v2"'))
    one(url, sums=())
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_a_server_without_ranges_begins_anew(server: Any, one: Any) -> None:
    one(server.on("/a.bin", server.cut(BODY, 300_000), server.whole(BODY, ranges=False)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[1].headers["Range"] == "bytes=300000-"
    assert server.requests[1].sent == len(BODY)


def test_a_server_that_always_breaks_off_is_given_up(server: Any, one: Any) -> None:
    one(server.on("/1", server.cut(BODY, 1000)), server.on("/2", server.whole(BODY, ranges=False)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert asked(server).count("/1") <= 2 * download.RETRY_POLICY.max_attempts


def test_wrong_content_is_refused_and_the_next_mirror_taken(server: Any, one: Any, home: Path) -> None:
    one(server.on("/bad", server.whole(OTHER)), server.on("/good", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert asked(server) == ["/bad", "/good"]


def test_the_error_names_every_address_and_the_way_by_hand(server: Any, one: Any, home: Path) -> None:
    page = b"<!DOCTYPE html><html>please log in</html>"
    urls = [server.on("/page", server.whole(page)), server.on("/gone"), server.on("/broken", server.status(500))]
    one(*urls)
    with pytest.raises(DataError) as caught:
        hub.fetch_file("tiny", "a.bin")
    assert all(part in caught.value.problem for part in (*urls, "web page", "HTTP 404", "HTTP 500"))
    assert all(part in caught.value.remedy for part in (urls[0], SUM[12:], "yisheng data import", str(home)))
    assert "\n" not in caught.value.problem + caught.value.remedy
    assert not (home / "data" / "tiny" / "a.bin").exists()


def test_a_mirror_may_pack_the_same_content_otherwise(server: Any, catalogue: Any, monkeypatch: Any) -> None:
    text = b"the same content\n" * 1000
    total = f"content:sha256:{hashlib.sha256(text).hexdigest()}"
    catalogue.add("tiny", {"name": "a.gz", "size": len(gzip.compress(text)), "sums": [total], "urls": []})
    other = gzip.compress(text, 1) + gzip.compress(b"")
    server.on("/pub/tiny/a.gz", server.whole(other))
    monkeypatch.setenv("YISHENG_MIRROR", f"{server.url}/pub/")
    assert hub.fetch_file("tiny", "a.gz").read_bytes() == other


def test_mirrors_come_first_and_in_order(server: Any, one: Any, monkeypatch: Any) -> None:
    one(server.on("/a.bin", server.whole(BODY)))
    server.on("/m2/tiny/a.bin", server.whole(BODY))
    monkeypatch.setenv("YISHENG_MIRROR", f"{server.url}/m1, {server.url}/m2/")
    hub.fetch_file("tiny", "a.bin")
    assert asked(server) == ["/m1/tiny/a.bin", "/m2/tiny/a.bin"]


@pytest.mark.parametrize("where", ["before the answer", "in the middle"])
def test_a_stalled_server_is_given_up(server: Any, one: Any, where: str) -> None:
    def silent(to: Any) -> None:
        to.server.stop.wait(10)

    slow = silent if where == "before the answer" else server.stalled(BODY[:1000], len(BODY))
    one(server.on("/slow", slow), server.on("/good", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert sum(r.sent for r in server.requests if r.path == "/good") == len(BODY) - (1000 if slow != silent else 0)


def test_a_crawling_server_is_given_up(server: Any, one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def crawl(to: Any) -> None:
        to.begin(200, Content_Length=len(BODY))
        while not to.server.stop.wait(0.02):
            to.send(b"x")

    monkeypatch.setattr(download, "RETRY_POLICY", download.RetryPolicy(timeout=5, speed_window=0.1, max_attempts=1))
    one(server.on("/slow", crawl), server.on("/good", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_a_refused_connection_is_passed_over(server: Any, one: Any) -> None:
    one("http://127.0.0.1:9/a.bin", "http://no-such-host.invalid/a.bin", server.on("/good", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Any, one: Any, code: int) -> None:
    target = server.on("/there", server.whole(BODY))
    one(server.on("/here", server.status(code, Location=target)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_redirects_keep_the_range(server: Any, one: Any) -> None:
    target = server.on("/there", server.cut(BODY, 300_000), server.whole(BODY))
    one(server.on("/here", server.status(302, Location=target)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].headers["Range"] == "bytes=300000-"


def test_a_redirect_loop_ends(server: Any, one: Any) -> None:
    one(server.on("/loop", server.status(302, Location="/loop")), server.on("/good", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert asked(server).count("/loop") <= http.MAX_REDIRECTS + 1


def test_a_long_chain_of_redirects_ends(server: Any, one: Any) -> None:
    for step in range(30):
        server.on(f"/{step}", server.status(302, Location=f"/{step + 1}"))
    one(f"{server.url}/0")
    with pytest.raises(DataError, match="HTTP 302"):
        hub.fetch_file("tiny", "a.bin")
    assert len(server.requests) <= http.MAX_REDIRECTS + 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/"])
def test_redirects_to_other_schemes_are_refused(server: Any, one: Any, target: str) -> None:
    one(server.on("/here", server.status(302, Location=target)))
    with pytest.raises(DataError, match=r"redirect|HTTP 302"):
        hub.fetch_file("tiny", "a.bin")


def test_redirects_from_https_to_http_are_refused() -> None:
    import urllib.error
    import urllib.request
    from email.message import Message

    (redirects,) = [h for h in http.build_opener().handlers if isinstance(h, urllib.request.HTTPRedirectHandler)]
    request = urllib.request.Request("https://example.org/a")
    fine = redirects.redirect_request(request, None, 302, "Found", Message(), "https://example.org/b")
    assert fine is not None
    with pytest.raises(urllib.error.HTTPError, match="redirect to http refused"):
        redirects.redirect_request(request, None, 302, "Found", Message(), "http://example.org/b")


def test_less_than_was_promised_is_refused(server: Any, one: Any) -> None:
    """The server promises more than it has, whatever is asked: no address is better than that."""
    one(server.on("/a.bin", server.cut(BODY + b"more", len(BODY)), server.status(416)))
    with pytest.raises(DataError):
        hub.fetch_file("tiny", "a.bin")


def test_a_promise_too_large_that_range_corrects_is_no_harm(server: Any, one: Any) -> None:
    one(server.on("/a.bin", server.cut(BODY + b"more", len(BODY)), server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].headers["Range"] == f"bytes={len(BODY)}-"


def test_more_than_was_promised_is_cut_off_and_noticed(server: Any, one: Any) -> None:
    def short_promise(to: Any) -> None:
        to.begin(200, Content_Length=1000)
        to.send(BODY)

    one(server.on("/lie", short_promise), server.on("/good", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_another_size_than_known_is_refused_before_reading(server: Any, one: Any) -> None:
    one(server.on("/a.bin", server.whole(BODY)), size=1000)
    with pytest.raises(DataError, match="offers 600,000 bytes where 1,000"):
        hub.fetch_file("tiny", "a.bin")


def test_an_endless_body_is_cut_off(server: Any, one: Any) -> None:
    def endless(to: Any) -> None:
        to.begin(200)
        while not to.server.stop.is_set():
            to.send(bytes(65536))

    one(server.on("/endless", endless), server.on("/good", server.whole(BODY)), size=len(BODY))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[0].sent < 20 << 20


@pytest.mark.parametrize("chunks", [b"nonsense\r\n", b"-5\r\nabc\r\n", b"5\r\nab", b"ffffffffffffffff\r\nab"])
def test_broken_chunks_are_passed_over(server: Any, one: Any, chunks: bytes) -> None:
    def broken(to: Any) -> None:
        to.protocol_version = "HTTP/1.1"
        to.begin(200, Transfer_Encoding="chunked", Connection="close")
        to.send(chunks)

    one(server.on("/broken", broken), server.on("/good", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


def test_chunks_are_read(server: Any, one: Any) -> None:
    def chunked(to: Any) -> None:
        to.protocol_version = "HTTP/1.1"
        to.begin(200, Transfer_Encoding="chunked", Connection="close")
        to.send(f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n")

    one(server.on("/a.bin", chunked))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    "answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 999 what\r\n\r\n", b"HTTP/1.1 204 none\r\n\r\n"]
)
def test_answers_that_are_no_http_are_passed_over(server: Any, one: Any, answer: bytes) -> None:
    one(server.on("/odd", lambda to: to.send(answer)), server.on("/good", server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    "header", ["bytes 0-9/10", "bytes 299999-599999/600000", "lines 1-2/3", "", "bytes 300000-599999/700000"]
)
def test_a_wrong_range_makes_it_begin_anew(server: Any, one: Any, header: str) -> None:
    def wrong(to: Any) -> None:
        to.begin(206, Content_Length=300_000, **({"Content_Range": header} if header else {}))
        to.send(BODY[300_000:])

    one(server.on("/a.bin", server.cut(BODY, 300_000), wrong, server.whole(BODY)))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert "Range" not in server.requests[-1].headers


def test_a_damaged_note_beside_the_part_makes_it_begin_anew(server: Any, one: Any, home: Path) -> None:
    one(server.on("/a.bin", server.cut(BODY, 300_000), server.status(503)))
    with pytest.raises(DataError):
        hub.fetch_file("tiny", "a.bin")
    (home / "data" / "tiny" / ".a.bin.part.json").write_text('{"url": 3', encoding="utf-8")
    server.on("/a.bin", server.whole(BODY))
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert "Range" not in server.requests[-1].headers


def test_a_finished_part_needs_no_request(server: Any, one: Any, home: Path) -> None:
    """As after a kill between the last byte and the check."""
    one(server.on("/a.bin", server.cut(BODY, 599_999), server.status(503)))
    with pytest.raises(DataError):
        hub.fetch_file("tiny", "a.bin")
    with (home / "data" / "tiny" / ".a.bin.part").open("ab") as part:
        part.write(BODY[-1:])
    before = len(server.requests)
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert len(server.requests) == before


def test_proxies_of_the_environment_are_used(server: Any, one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.on("http://data.invalid/a.bin", server.whole(BODY))
    monkeypatch.setenv("http_proxy", server.url)
    one("http://data.invalid/a.bin")
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert asked(server) == ["http://data.invalid/a.bin"]


def test_a_file_without_checksum_is_not_stitched_without_a_validator(server: Any, one: Any) -> None:
    one(server.on("/a.bin", server.cut(OTHER, 300_000), server.whole(BODY)), sums=())
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert "Range" not in server.requests[-1].headers


def test_progress_is_said_when_it_takes_long(server: Any, one: Any, monkeypatch: Any, capsys: Any) -> None:
    from yisheng.data.hub import progress

    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LOG_INTERVAL_SECONDS", 0.0)
    one(server.on("/a.bin", server.whole(BODY)))
    hub.fetch_file("tiny", "a.bin")
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert lines[-1] == "a.bin: 0.6 of 0.6 MB"


def test_a_terminal_gets_a_bar(server: Any, one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from yisheng.data.hub import progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", shown)
    one(server.on("/a.bin", server.cut(BODY, 300_000), server.whole(BODY)))
    hub.fetch_file("tiny", "a.bin")
    assert "a.bin:  50%" in shown.getvalue()
    assert "300k/600k" in shown.getvalue()


def test_a_quick_file_is_fetched_silently(server: Any, one: Any, capsys: Any) -> None:
    one(server.on("/a.bin", server.whole(BODY)))
    hub.fetch_file("tiny", "a.bin")
    assert capsys.readouterr() == ("", "")


def test_unknown_names_are_refused_before_any_request(server: Any, one: Any) -> None:
    one(server.on("/a.bin", server.whole(BODY)))
    with pytest.raises(UsageError, match=r"did you mean a\.bin"):
        hub.fetch_file("tiny", "b.bin")
    with pytest.raises(UsageError, match="did you mean mnist"):
        hub.fetch("mnits")
    with pytest.raises(UsageError, match="no form"):
        hub.fetch("tiny", "jpeg")
    assert server.requests == []

"""The live page's server: the list, the runs, the stream of events, and its errors."""

import asyncio
import json

import httpx
import pytest

from tests.serving.service_client import error_code
from yisheng.core.errors import UsageError
from yisheng.serving import event_feed, live_page
from yisheng.serving.event_feed import EventFeed, format_event
from yisheng.serving.guard import RequestGuard
from yisheng.serving.live_page import LivePage, create_live_app, serve
from yisheng.serving.server import listen


def make_run(folder, *, finished=False):
    """Make a run folder with two epochs."""
    folder.mkdir()
    (folder / "environment.json").write_text(json.dumps({"finished": finished}))
    (folder / "config.toml").write_text('epochs = 4\ndata = "digits"\n')
    lines = [{"event": "epoch", "step": 10 * n, "epoch": n, "loss": 1 / n, "scores": {}} for n in (1, 2)]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def parse_event(chunk):
    """Return kind, data and id of a server-sent event."""
    fields = dict(line.split(": ", 1) for line in chunk.decode().strip().splitlines())
    return fields["event"], json.loads(fields["data"]), fields["id"]


def request_all(live, *requests, host="127.0.0.1:8001"):
    """Return the responses of the application behind its guard."""

    async def send():
        transport = httpx.ASGITransport(app=RequestGuard(create_live_app(live)))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return [await client.request(*request) for request in requests]

    return asyncio.run(send())


async def read_events(stream, count):
    """Return the next events of a stream, without comments; fewer if the stream ends."""
    events = []
    async for chunk in stream:
        if chunk.startswith(b"id:"):
            events.append(parse_event(chunk))
            if len(events) == count:
                break
    return events


async def read_first_events(stream, count):
    events = await read_events(stream, count)
    await stream.aclose()
    return events


def test_the_page_and_its_files_are_served(tmp_path):
    paths = ("/", "/static/live.js", "/static/style.css")
    responses = request_all(LivePage(tmp_path), *[("GET", path) for path in paths])
    assert [response.status_code for response in responses] == [200, 200, 200]
    assert "text/html" in responses[0].headers["content-type"]
    assert "text/javascript" in responses[1].headers["content-type"]
    assert "default-src 'self'" in responses[0].headers["content-security-policy"]


def test_a_run_is_described_and_its_report_is_a_download(tmp_path):
    folder = make_run(tmp_path / "0001-a-b", finished=True)
    (folder / "report.html").write_text("<p>report")
    live = LivePage(tmp_path)
    (listing,) = request_all(live, ("GET", "/runs"))
    (run,) = listing.json()["runs"]
    response, report = request_all(live, ("GET", f"/runs/{run['id']}"), ("GET", f"/runs/{run['id']}/report"))
    description = response.json()
    assert run.items() <= description["run"].items()
    assert description["curves"]["epochs"][-1][:2] == [20, 2]
    assert report.text == "<p>report"
    assert 'attachment; filename="0001-a-b.html"' in report.headers["content-disposition"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/runs/..%2F..%2Fetc", "not-found"),
        ("/runs/0001-a-b", "unknown"),
        ("/runs/x/report", "unknown"),
        ("/static/../live_page.py", "not-found"),
        ("/static/%2e%2e%2fdom.js", "not-found"),
        ("/x", "not-found"),
    ],
)
def test_no_path_of_a_client_is_followed(tmp_path, path, code):
    make_run(tmp_path / "0001-a-b")
    _, response = request_all(LivePage(tmp_path), ("GET", "/runs"), ("GET", path))
    assert error_code(response) == (404, code)


def test_foreign_hosts_are_refused(tmp_path):
    (response,) = request_all(LivePage(tmp_path), ("GET", "/runs"), host="evil.example")
    assert response.status_code == 403
    assert "runs" not in response.json()


def test_a_page_receives_the_list_then_changes_then_the_end(tmp_path):
    folder = make_run(tmp_path / "0001-a-b")

    async def follow():
        live = LivePage(tmp_path)
        stream = live.stream("")
        ((kind, listing, _),) = await read_events(stream, 1)
        assert kind == "runs"
        (run,) = listing["runs"]
        live.runs.describe_run(run["id"])  # as the page requests it
        with (folder / "events.jsonl").open("a") as file:
            file.write(json.dumps({"event": "step", "step": 21, "epoch": 2, "loss": 0.5, "lr": 0.1}) + "\n")
        await live.poll()
        changes = {kind: data for kind, data, _ in await read_events(stream, 2)}
        assert changes["points"]["curves"]["steps"] == [[21, 0.5, 0.1]]
        assert changes["run"]["step"] == 21
        live.feed.post("end", {})
        live.feed.close()
        assert [kind for kind, _, _ in await read_events(stream, 5)] == ["end"]
        assert live.open_pages == 0

    asyncio.run(follow())


def test_a_page_that_reconnects_receives_what_it_missed(tmp_path):
    async def follow():
        live = LivePage(tmp_path)
        for n in range(5):
            live.feed.post("run", {"id": n})
        last_id = live.feed.last_id
        for n in range(5, 8):
            live.feed.post("run", {"id": n})
        events = await read_first_events(live.stream(last_id), 3)
        assert [data["id"] for _, data, _ in events] == [5, 6, 7]
        assert events[-1][2] == live.feed.last_id
        for unknown in ("", "x", "elsewhere-3", last_id + "9", last_id.replace("-", "--"), f"{last_id}\u0663"):
            ((kind, _, id),) = await read_first_events(live.stream(unknown), 1)
            assert (kind, id) == ("runs", live.feed.last_id)

    asyncio.run(follow())


def test_the_events_that_are_kept_are_limited(monkeypatch):
    feed = EventFeed()
    initial_id = feed.last_id
    for n in range(event_feed.MAX_EVENTS + 10):
        feed.post("run", {"n": n})
    assert feed.events_after(initial_id) is None
    assert len(feed._events) == event_feed.MAX_EVENTS
    size = len(format_event("run", {"text": "x" * 1000}, feed.last_id))
    monkeypatch.setattr(event_feed, "MAX_BYTES", 20 * size)
    for _ in range(100):
        feed.post("run", {"text": "x" * 1000})
    assert sum(map(len, feed._events)) == feed._bytes <= 20 * size
    last_id = feed.last_id
    feed.post("run", {"n": 1})
    assert [parse_event(event)[1] for event in feed.events_after(last_id)] == [{"n": 1}]


def test_too_many_pages_are_refused(tmp_path):
    live = LivePage(tmp_path)
    live.open_pages = live_page.MAX_PAGES
    (response,) = request_all(live, ("GET", "/events"))
    assert error_code(response) == (503, "busy")


def test_a_port_in_use_is_reported(tmp_path):
    with listen("127.0.0.1", 0) as listening, pytest.raises(UsageError, match="port"):
        serve(tmp_path, listening.getsockname()[1], lambda _: None)

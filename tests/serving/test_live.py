"""The live page's server: the list, the runs, the stream of what is new, and what it refuses."""

import asyncio
import json

import httpx
import pytest

from yisheng.core.errors import UsageError
from yisheng.serving import live_page as module
from yisheng.serving.guard import guarded
from yisheng.serving.live_page import Feed, Live, application, message, serve
from yisheng.serving.server import listen


def make(folder, *, finished=False):
    """A run folder with two epochs."""
    folder.mkdir()
    (folder / "environment.json").write_text(json.dumps({"finished": finished}))
    (folder / "config.toml").write_text('epochs = 4\ndata = "digits"\n')
    lines = [{"event": "epoch", "step": 10 * n, "epoch": n, "loss": 1 / n, "scores": {}} for n in (1, 2)]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def told(chunk):
    """Kind, data and place of a server-sent event."""
    parts = dict(line.split(": ", 1) for line in chunk.decode().strip().splitlines())
    return parts["event"], json.loads(parts["data"]), parts["id"]


def asked(live, *requests, host="127.0.0.1:8001"):
    """Answers of the application behind its guard."""

    async def ask():
        transport = httpx.ASGITransport(app=guarded(application(live)))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return [await client.request(*request) for request in requests]

    return asyncio.run(ask())


async def first(stream, count):
    """The first events of a stream, comments left out."""
    found = []
    async for chunk in stream:
        if chunk.startswith(b"id:"):
            found.append(told(chunk))
        if len(found) == count:
            await stream.aclose()
            return found
    return found


def test_the_page_and_what_it_is_made_of_come_from_the_package(tmp_path):
    answers = asked(Live(tmp_path), *[("GET", path) for path in ("/", "/static/live.js", "/static/style.css")])
    assert [a.status_code for a in answers] == [200, 200, 200]
    assert "text/html" in answers[0].headers["content-type"]
    assert "text/javascript" in answers[1].headers["content-type"]
    assert "default-src 'self'" in answers[0].headers["content-security-policy"]


def test_a_run_is_told_whole_with_its_report_to_keep(tmp_path):
    folder = make(tmp_path / "0001-a-b", finished=True)
    (folder / "report.html").write_text("<p>report")
    live = Live(tmp_path)
    (listed,) = asked(live, ("GET", "/runs"))
    (run,) = listed.json()["runs"]
    whole, report = asked(live, ("GET", f"/runs/{run['id']}"), ("GET", f"/runs/{run['id']}/report"))
    assert whole.json()["run"] == {
        **run,
        **{k: whole.json()["run"][k] for k in whole.json()["run"].keys() - run.keys()},
    }
    assert whole.json()["curves"]["epochs"][-1][:2] == [20, 2]
    assert report.text == "<p>report"
    assert 'attachment; filename="0001-a-b.html"' in report.headers["content-disposition"]


@pytest.mark.parametrize(
    "path",
    ["/runs/..%2F..%2Fetc", "/runs/0001-a-b", "/runs/x/report", "/static/../live.py", "/static/%2e%2e%2fdom.js", "/x"],
)
def test_no_path_of_a_client_is_followed(tmp_path, path):
    make(tmp_path / "0001-a-b")
    live = Live(tmp_path)
    _, answer = asked(live, ("GET", "/runs"), ("GET", path))
    assert answer.status_code == 404


def test_other_names_and_other_sites_are_refused(tmp_path):
    (answer,) = asked(Live(tmp_path), ("GET", "/runs"), host="evil.example")
    assert answer.status_code == 403
    assert "runs" not in answer.json()


def test_a_page_gets_the_list_then_what_is_new_then_the_end(tmp_path):
    folder = make(tmp_path / "0001-a-b")

    async def follow():
        live = Live(tmp_path)
        stream = live.stream("")
        (kind, listed, _), *_ = await first_of(stream, 1)
        assert kind == "runs"
        (run,) = listed["runs"]
        live.runs.whole(run["id"])  # the page shows it
        with (folder / "events.jsonl").open("a") as file:
            file.write(json.dumps({"event": "step", "step": 21, "epoch": 2, "loss": 0.5, "lr": 0.1}) + "\n")
        await live.look()
        kinds = {kind: data for kind, data, _ in await first_of(stream, 2)}
        assert kinds["points"]["curves"]["steps"] == [[21, 0.5, 0.1]]
        assert kinds["run"]["step"] == 21
        live.feed.post("end", {})
        live.feed.end()
        assert [kind for kind, _, _ in await first_of(stream, 5)] == ["end"]
        assert live.clients == 0

    async def first_of(stream, count):
        found = []
        async for chunk in stream:
            if chunk.startswith(b"id:"):
                found.append(told(chunk))
                if len(found) == count:
                    break
        return found

    asyncio.run(follow())


def test_a_page_that_comes_back_gets_what_it_missed_and_no_more(tmp_path):
    async def follow():
        live = Live(tmp_path)
        for n in range(5):
            live.feed.post("run", {"id": n})
        place = live.feed.place
        for n in range(5, 8):
            live.feed.post("run", {"id": n})
        back = await first(live.stream(place), 3)
        assert [data["id"] for _, data, _ in back] == [5, 6, 7]
        assert back[-1][2] == live.feed.place
        for strange in ("", "x", "elsewhere-3", place + "9", place.replace("-", "--"), f"{place}\u0663"):
            ((kind, _, at),) = await first(live.stream(strange), 1)
            assert (kind, at) == ("runs", live.feed.place)

    asyncio.run(follow())


def test_what_is_kept_for_slow_pages_is_bounded(monkeypatch):
    feed = Feed()
    begin = feed.place
    for n in range(module.MESSAGES + 10):
        feed.post("run", {"n": n})
    assert feed.after(begin) is None
    assert len(feed._kept) == module.MESSAGES
    size = len(message("run", {"text": "x" * 1000}, feed.place))
    monkeypatch.setattr(module, "BYTES", 20 * size)
    for _ in range(100):
        feed.post("run", {"text": "x" * 1000})
    assert sum(map(len, feed._kept)) == feed._size <= 20 * size
    last = feed.place
    feed.post("run", {"n": 1})
    assert [told(one)[1] for one in feed.after(last)] == [{"n": 1}]


def test_too_many_pages_are_refused_in_words(tmp_path):
    live = Live(tmp_path)
    live.clients = module.CLIENTS
    (answer,) = asked(live, ("GET", "/events"))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "busy"


def test_a_port_that_is_taken_is_said(tmp_path):
    with listen("127.0.0.1", 0) as taken, pytest.raises(UsageError, match="port"):
        serve(tmp_path, taken.getsockname()[1], lambda _: None)

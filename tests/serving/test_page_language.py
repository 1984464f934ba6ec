"""The pages and the service in Chinese: chosen by the server for its pages, and by the request for its texts."""

import asyncio
import json
import re

import pytest

from tests.cli.test_language import english_sentences
from tests.reporting.test_report_language import visible_text
from tests.serving import test_pages as pages
from yisheng.core.messages import use_language
from yisheng.serving import static_files
from yisheng.serving.guard import RequestGuard

PAGES = ["try.html", "live.html"]
ON_SCREEN = """() => [document.title, document.body.innerText, ...[...document.querySelectorAll('*')].flatMap((e) =>
  ['aria-label', 'alt', 'placeholder', 'title'].map((name) => e.getAttribute(name)).filter(Boolean))].join('\\n')"""
"""What a page says, also to a screen reader."""


def read_translations(page: str) -> dict[str, str]:
    match = re.search(r'<script type="application/json" id="translations">(.*?)</script>', page)
    assert match is not None
    return json.loads(match[1])


@pytest.mark.parametrize("name", PAGES)
def test_no_english_sentence_is_left(name):
    with use_language("zh"):
        page = static_files.render_page(name)
    texts = read_translations(page)
    assert '<html lang="zh">' in page
    assert english_sentences(visible_text(page)) == []
    assert len(texts) > 80
    assert [text for text in texts.values() if english_sentences(text)] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_english_page_translates_nothing(name):
    page = static_files.render_page(name)
    assert '<html lang="en">' in page
    assert read_translations(page) == {}


def test_a_translation_cannot_end_the_script_that_holds_it(monkeypatch):
    monkeypatch.setattr(static_files, "translate", lambda text, _: f"</script><b>{text}")
    page = static_files.render_page("try.html")
    assert page.count("</script>") == 2
    assert "<b>&lt;/script&gt;" in page  # the button's own tag
    assert page.count("<b>") == 1


def ask_wrong_host(language: str) -> dict[str, str]:
    """Return the error of a request for another host."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    headers = [(b"host", b"evil.example"), (b"accept-language", language.encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(RequestGuard(lambda *_: None)(scope, receive, send))
    return json.loads(sent[1]["body"])["error"]


def test_an_error_is_in_the_language_of_the_request():
    with use_language("zh"):  # the server's language is that of its pages only
        assert ask_wrong_host("")["problem"] == "this server is not evil.example"
        assert ask_wrong_host("de")["problem"] == "this server is not evil.example"
    assert ask_wrong_host("zh-CN,zh;q=0.9,en;q=0.8")["problem"] == "本服务器不是 evil.example"
    assert ask_wrong_host("zh")["code"] == ask_wrong_host("en")["code"] == "host"


@pytest.fixture
def page(monkeypatch, browser):
    monkeypatch.setenv("YISHENG_LANG", "zh")
    with pages.open_page(browser) as page:
        yield page


browser, digits_run = pages.browser, pages.digits_run
slow_browser = [pytest.mark.slow, pytest.mark.skipif(pages.CHROMIUM is None, reason="no Chromium")]


@pytest.mark.usefixtures("page")
class TestInABrowser:
    pytestmark = slow_browser

    def test_the_page_of_a_service(self, page, digits_run):
        with pages.serve_run(digits_run) as address:
            page.goto(address)
            page.wait_for_selector("#drawing:not([hidden])")
            pages.predict(page, lambda: pages.draw(page, pages.SEVEN))
            page.wait_for_selector("#occlusion-map")
            assert english_sentences(page.evaluate(ON_SCREEN)) == []
            assert "概率" in page.locator("p.result").inner_text()
            files = [("a.png", pages.make_photo(pages.THREE)), ("b.png", b"no image")]
            uploads = [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in files]
            pages.predict(page, lambda: page.locator("#file").set_input_files(uploads))
            page.wait_for_selector("#download")
            assert english_sentences(page.evaluate(ON_SCREEN)) == []
            assert "已反相" in page.locator(".notes").inner_text()

    def test_the_live_page(self, page, tmp_path):
        words = ["data=iris", "model=mlp", "lr=1e-7", "epochs=40", f"out={tmp_path}"]
        with pages.run_command("train", *words) as child:
            child.wait(60)
        with pages.run_command("watch", tmp_path, "port=0", "--json") as child:
            page.goto(json.loads(child.stdout.readline())["address"])
            page.wait_for_selector("#findings .finding, #findings .hint")
            page.wait_for_selector(".legend b")
            assert english_sentences(page.evaluate(ON_SCREEN)) == []
            assert "已完成" in page.locator("#state").inner_text()
            assert "学习率" in page.locator("#charts").inner_text()

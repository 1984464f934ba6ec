"""The report in Chinese: no English sentence is left on the page of a run, and it can be written again in English."""

import html
import re

import pytest

from tests.cli.test_language import english_sentences
from yisheng.cli import main
from yisheng.core.messages import use_language
from yisheng.reporting.run_page import render_run_page

CASES = {
    "classes": ["data=iris", "epochs=2"],
    "images": ["data=digits", "model=linear", "epochs=1", "calibrate=true"],
    "a regression": ["data=diabetes", "epochs=2", "importance=true"],
    "folds": ["data=iris", "model=linear", "epochs=1", "folds=2"],
}
CODE = re.compile(r"<(style|svg|code|pre)\b.*?</\1>", re.DOTALL)
ENVIRONMENT = re.compile(r'<section id="environment".*?</section>', re.DOTALL)
"""Facts such as the name of the processor, in a table whose names are those of ``environment.json``."""


def visible_text(page: str) -> str:
    """Return the text of a page without code and figures, with what screen readers and tooltips say."""
    page = CODE.sub("`", ENVIRONMENT.sub("", page))
    spoken = "\n".join(re.findall(r'(?:title|alt|aria-label)="([^"]*)"', page))
    return html.unescape(f"{re.sub('<[^>]*>', chr(10), page)}\n{spoken}")


@pytest.fixture(
    scope="module",
    params=["classes", *(pytest.param(case, marks=pytest.mark.slow) for case in CASES if case != "classes")],
)
def folder(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", *CASES[request.param], "doctor=off", f"out={out}", "--quiet"]) == 0
    return next(path for path in out.iterdir() if path.is_dir())


def test_no_english_sentence_is_left(folder):
    with use_language("zh"):
        page = render_run_page(folder)
    assert '<html lang="zh">' in page
    assert english_sentences(visible_text(page)) == []


def test_the_page_is_written_again_in_the_other_language(folder):
    english = render_run_page(folder)
    assert '<html lang="en">' in english
    assert not re.search(r"[\u4e00-\u9fff]", visible_text(english))
    with use_language("zh"):
        assert render_run_page(folder) != english
    assert render_run_page(folder) == english

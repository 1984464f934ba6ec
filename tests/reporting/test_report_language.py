"""The report in Chinese: no English sentence is left on the page of a run, and it can be written again in English."""

import html
import re

import pytest

from tests.cli.test_language import english_sentences
from yisheng.cli import main
from yisheng.core.messages import use_language
from yisheng.reporting.run_page import render_run_page
from yisheng.reporting.search_page import render_search_page

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


def run(*words):
    assert main([*words, "lang=zh", "--quiet"]) == 0


def read_page(folder):
    return visible_text((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of another number of epochs."""
    out = tmp_path_factory.mktemp("compared")
    for epochs in (1, 2):
        run("train", "data=iris", "model=linear", f"epochs={epochs}", "doctor=off", "ood=off", f"out={out}")
    return sorted(path for path in out.iterdir() if path.is_dir())


def test_the_page_of_a_comparison_is_chinese(runs, tmp_path):
    run("compare", *map(str, runs), f"out={tmp_path / 'page.html'}")
    text = visible_text((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert english_sentences(text) == []
    assert "它们是否不同尚不可知" in text


def test_the_page_of_an_evaluation_is_chinese_in_every_state(runs, tmp_path):
    """Also what was matched with the run, which is stored in the folder."""
    rows = ["sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),species,extra"]
    rows += ["5.1,3.5,1.4,0.2,setosa,1", "6.3,3.3,6.0,2.5,virginica,2", "6.1,2.8,4.7,1.2,unknown,3"]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    run("evaluate", str(runs[0]), f"data={tmp_path / 'rows.csv'}", "target=species")
    text = read_page(runs[0] / "evaluations" / "rows")
    assert english_sentences(text) == []
    assert "运行不认识的类别的行不评分：'unknown'（共 1 行）" in text


def test_the_page_of_a_search_is_chinese(tmp_path):
    """Also why a trial has no score, which is stored in the folder."""
    setting = ["model=mlp", "epochs=1", "lr=0.1,1e30", "scale=raw", "executor=serial", "doctor=off", "ood=off"]
    run("tune", "data=diabetes", *setting, f"out={tmp_path}")
    (folder,) = tmp_path.iterdir()
    text = read_page(folder)
    assert english_sentences(text) == []
    assert "损失在第 " in text
    english = visible_text(render_search_page(folder))
    assert not re.search(r"[\u4e00-\u9fff]", english)
    assert "the loss became" in english


def test_the_page_of_a_range_test_is_chinese(tmp_path):
    run("lr-find", "data=iris", "model=linear", "steps=20", "seeds=2", f"out={tmp_path}")
    (folder,) = tmp_path.iterdir()
    text = read_page(folder)
    assert english_sentences(text) == []
    assert "何时会误导" in text


@pytest.mark.slow
def test_the_page_of_an_ensemble_is_chinese(tmp_path):
    """Also why candidates were left out, which is stored in the folder."""
    table = "a,b,y\n" + "\n".join(f"{n % 7},{n % 11},{(n % 7) * 2 + n % 3}" for n in range(200)) + "\n"
    (tmp_path / "rows.csv").write_text(table, encoding="utf-8")
    data = [f"data={tmp_path / 'rows.csv'}", "target=y"]
    run("train", *data, "budget=8s", "doctor=off", "ood=off", f"out={tmp_path / 'runs'}")
    (folder,) = (tmp_path / "runs").iterdir()
    text = read_page(folder)
    assert english_sentences(text) == []
    assert "跳过：" in text

"""The report of an evaluation on other data: its sections, escaped names, and damaged files."""

import json

import pytest

import yisheng
from yisheng import DataError
from yisheng.data.datasets.digits import digits
from yisheng.reporting.evaluation_page import render_evaluation_page


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    run = yisheng.train(
        data="digits", model="mlp", hidden=[16], epochs=1, out=tmp_path_factory.mktemp("runs"), quiet=True
    )
    data = digits()
    spec = yisheng.Spec(
        "classification", (1, 8, 8), classes=(*data.spec.classes[:9], "<b>nine</b>"), drawing=data.spec.drawing
    )
    return run, run.evaluate(yisheng.Dataset("scanner <b>", spec, data.x[:200], data.y[:200]))


def test_the_page_has_every_section(evaluation):
    _, result = evaluation
    page = result.report.read_text(encoding="utf-8")
    for section in ("scores", "data", "distribution", "confusion", "classes", "mistakes", "calibration"):
        assert f'<section id="{section}"' in page
    assert "run's own test part it is" in page.replace("&#39;", "'")
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_names_are_escaped(evaluation):
    _, result = evaluation
    page = result.report.read_text(encoding="utf-8")
    assert "<b>nine</b>" not in page
    assert "&lt;b&gt;nine&lt;/b&gt;" in page
    assert result.path.name == "scanner-b"


def test_unmatched_classes_are_listed(evaluation):
    _, result = evaluation
    page = result.report.read_text(encoding="utf-8")
    assert "rows of classes that the run does not know are not scored" in page
    assert "Averages over classes count a class that no row has as 0" in page


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: {**content, "confusion": "x"}, "damaged at confusion"),
        (lambda content: {**content, "other_data": {"data": 3}}, "damaged at other_data"),
        (
            lambda content: {key: value for key, value in content.items() if key != "other_data"},
            "no evaluation on other",
        ),
    ],
)
def test_damaged_files_are_refused(evaluation, change, problem):
    run, result = evaluation
    path = result.path / "evaluation.json"
    content = path.read_text(encoding="utf-8")
    try:
        path.write_text(json.dumps(change(json.loads(content))), encoding="utf-8")
        with pytest.raises(DataError, match=problem):
            render_evaluation_page(result.path, run.path)
    finally:
        path.write_text(content, encoding="utf-8")

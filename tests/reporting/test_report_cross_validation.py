"""The section on the folds of a cross-validation: it shows ``cv.json``, and any content is safe."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reporting.pages import MakeRun, find_section, replace_random_value
from yisheng.reporting.cv_schema import CrossValidation
from yisheng.reporting.run_page import render_run_page
from yisheng.reporting.sections import folds


def make_cv(n: int = 4, repeats: int = 1, trained: int | None = None, **changes: Any) -> dict[str, Any]:
    """Return the content of a ``cv.json`` of ``n`` folds, of which the first ``trained`` are trained."""
    models = [
        {
            "folder": f"fold-{i + 1:02d}",
            "fold": f"{i % n + 1}/{n}",
            "repeat": i // n + 1,
            "rows": {"train": 1500, "validation": 500},
            "sha256": f"{i:064d}",
            "scores": {"accuracy": 0.9 + 0.01 * i, "log_loss": 0.5} if trained is None or i < trained else None,
            "seconds": 1.25 if trained is None or i < trained else None,
            "epoch": 7 if trained is None or i < trained else None,
            "chosen": True if trained is None or i < trained else None,
        }
        for i in range(n * repeats)
    ]
    cv = {"folds": n, "repeats": repeats, "score": "accuracy", "models": models}
    return {**cv, "mean": {"accuracy": 0.915, "log_loss": 0.5}, "sd": {"accuracy": 0.0129, "log_loss": 0.0}, **changes}


def render_page(folder: Path, content: dict[str, Any]) -> str:
    """Return the page of a run with a ``cv.json``."""
    (folder / "cv.json").write_text(json.dumps(content))
    return render_run_page(folder)


def render_section(folder: Path, content: dict[str, Any]) -> str:
    """Return the section on the folds of a run with a ``cv.json``."""
    return find_section(render_page(folder, content), "folds")


def test_folds_have_rows_with_links(make_run: MakeRun) -> None:
    text = render_section(make_run(), make_cv())
    assert [m[1] for m in re.finditer(r'<a href="([^"]+)">', text)] == [f"fold-0{n}/report.html" for n in range(1, 5)]
    assert "4 models of 4" in text
    assert "1,500" in text
    for value in ("0.900", "0.930", "0.915", "0.013"):
        assert f">{value}</data>" in text
    assert "mean 0.915, standard deviation 0.013, best 0.930, worst 0.900" in text


def test_folds_section_warns_of_epochs_chosen_on_the_same_fold(make_run: MakeRun) -> None:
    content = make_cv()
    assert "chosen on the same fold" in render_section(make_run(name="a"), content)
    for model in content["models"]:
        model["chosen"] = False
    assert "chosen on the same fold" not in render_section(make_run(name="b"), content)


def test_repeats_have_a_column_and_long_tables_are_cut(make_run: MakeRun) -> None:
    text = render_section(make_run(), make_cv(30, repeats=2))
    assert "Repeat" in text
    assert text.count("report.html") == 50
    assert "The first 50 of 60 folds" in text


def test_unfinished_cross_validation_shows_trained_folds(make_run: MakeRun) -> None:
    folder = make_run(without=("model.json", "scores.json", "evaluation.json", "events.jsonl"))
    text = render_section(folder, make_cv(trained=1, sd={"accuracy": None, "log_loss": None}))
    assert "1 model of 4" in text
    untrained = make_run(name="b", without=("model.json", "scores.json", "evaluation.json", "events.jsonl"))
    text = render_section(untrained, make_cv(trained=0, mean={}, sd={}))
    assert "0 models of 4" in text


def test_folds_replace_learning_curves(make_run: MakeRun) -> None:
    folder = make_run()
    page = render_run_page(folder)
    assert 'id="folds"' not in page
    assert 'id="curves"' in page
    assert 'id="curves"' not in render_page(folder, make_cv())


@pytest.mark.parametrize("name", ["javascript:alert(1)//", "../../etc", 'fold-01"><script>', "https://example.com"])
def test_links_lead_to_fold_folders_only(make_run: MakeRun, name: str) -> None:
    content = make_cv()
    content["models"][0]["folder"] = name
    text = render_page(make_run(), content)
    assert "javascript:" not in text
    assert "example.com" not in text
    assert "<script>" not in text
    assert "<code>cv.json</code>" in text  # listed among the files that could not be read


@pytest.mark.usefixtures("draw_figures")
def test_plot_folds_draws_a_dot_for_each_fold() -> None:
    for repeats in (1, 3, 20):
        cv = CrossValidation.model_validate(make_cv(4, repeats=repeats))
        drawing = str(folds.plot_folds(cv, "accuracy", "accuracy"))
        assert drawing.count("<use") >= 4 * repeats
        assert "validation accuracy" in drawing


def test_any_value_in_cv_json_is_accepted(make_run: MakeRun) -> None:
    folder = make_run()

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def render_with_random_value(data: st.DataObject) -> None:
        content: Any = make_cv()
        replace_random_value(content, data)
        assert "</html>" in render_page(folder, content)

    render_with_random_value()

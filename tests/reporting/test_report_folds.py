"""The folds of a study in the report: true to ``cv.json``, and safe whatever it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.reporting import svg
from yisheng.reporting.cv_schema import CrossValidation
from yisheng.reporting.run_page import render_run_page
from yisheng.reporting.sections import folds as section_folds

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take nearly all the time; they are drawn only for tests that ask for them."""
    if "drawn" not in request.fixturenames:
        from yisheng.reporting import figures

        empty = f'<svg xmlns="{svg.NAMESPACE}" viewBox="0 0 1 1" />'
        monkeypatch.setattr(section_folds, "draw", lambda name, paint: empty)
        monkeypatch.setattr(figures, "draw", lambda name, paint: empty)


@pytest.fixture
def drawn() -> None:
    """Draw the figures."""


def about(n: int = 4, repeats: int = 1, trained: int | None = None, **more: Any) -> dict[str, Any]:
    each = [
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
    found = {"folds": n, "repeats": repeats, "score": "accuracy", "models": each}
    return {**found, "mean": {"accuracy": 0.915, "log_loss": 0.5}, "sd": {"accuracy": 0.0129, "log_loss": 0.0}, **more}


def page(folder: Path, content: dict[str, Any]) -> str:
    (folder / "cv.json").write_text(json.dumps(content))
    return render_run_page(folder)


def section(text: str) -> str:
    found = re.search(r'<section id="folds".*?</section>', text, re.DOTALL)
    assert found
    return found[0]


def test_every_fold_has_its_line_and_a_link(make_run: Make) -> None:
    text = section(page(make_run(), about()))
    assert [m[1] for m in re.finditer(r'<a href="([^"]+)">', text)] == [f"fold-0{n}/report.html" for n in range(1, 5)]
    assert "4 models of 4" in text
    assert "1,500" in text
    for value in ("0.900", "0.930", "0.915", "0.013"):
        assert f">{value}</data>" in text
    assert "mean 0.915, standard deviation 0.013, best 0.930, worst 0.900" in text


def test_whether_a_fold_chose_its_own_epoch_is_said(make_run: Make) -> None:
    content = about()
    assert "which the fold itself chose" in section(page(make_run(name="a"), content))
    for one in content["models"]:
        one["chosen"] = False
    assert "which the fold itself chose" not in section(page(make_run(name="b"), content))


def test_repeats_have_a_column_and_many_folds_are_cut(make_run: Make) -> None:
    text = section(page(make_run(), about(30, repeats=2)))
    assert "Repeat" in text
    assert text.count("report.html") == 50
    assert "The first 50 of 60 folds" in text


def test_a_study_on_its_way_shows_what_there_is(make_run: Make) -> None:
    folder = make_run(without=("model.json", "scores.json", "evaluation.json", "events.jsonl"))
    text = section(page(folder, about(trained=1, sd={"accuracy": None, "log_loss": None})))
    assert "1 model of 4" in text
    nothing = make_run(name="b", without=("model.json", "scores.json", "evaluation.json", "events.jsonl"))
    text = section(page(nothing, about(trained=0, mean={}, sd={})))
    assert "0 models of 4" in text


def test_a_single_run_has_no_folds_and_a_study_no_curves(make_run: Make) -> None:
    folder = make_run()
    alone = render_run_page(folder)
    assert 'id="folds"' not in alone
    assert 'id="curves"' in alone
    assert 'id="curves"' not in page(folder, about())


@pytest.mark.parametrize("name", ["javascript:alert(1)//", "../../etc", 'fold-01"><script>', "https://example.com"])
def test_no_link_leads_out_of_the_study(make_run: Make, name: str) -> None:
    content = about()
    content["models"][0]["folder"] = name
    text = page(make_run(), content)
    assert "javascript:" not in text
    assert "example.com" not in text
    assert "<script>" not in text
    assert "<code>cv.json</code>" in text  # among the files that could not be read


def test_the_figure_holds_a_dot_for_each_fold(make_run: Make, drawn: None) -> None:
    for repeats in (1, 3, 20):
        of = CrossValidation.model_validate(about(4, repeats=repeats))
        drawing = section_folds.plot_folds(of, "accuracy", "accuracy")
        assert drawing.count("<use") >= 4 * repeats
        assert "validation accuracy" in drawing


plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
json_data = st.recursive(plain, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=4), s, max_size=3))


def test_any_value_anywhere_is_survived(make_run: Make) -> None:
    folder = make_run()

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def survives(data: st.DataObject) -> None:
        content: Any = about()
        where = content
        while True:
            key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            if not isinstance(where[key], dict | list) or not where[key] or data.draw(st.booleans()):
                where[key] = data.draw(json_data)
                break
            where = where[key]
        assert "</html>" in page(folder, content)

    survives()

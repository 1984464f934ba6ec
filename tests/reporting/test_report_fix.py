"""What fix=true did, in the report of the run that it gave."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yisheng.reporting import figures, run_facts, svg
from yisheng.reporting.fix_schema import Fix
from yisheng.reporting.run_page import render_run_page

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take nearly all the time, and none of them is looked at here."""
    monkeypatch.setattr(figures, "draw", lambda name, paint: f'<svg xmlns="{svg.NAMESPACE}" viewBox="0 0 1 1" />')


def one(**more: Any) -> dict[str, Any]:
    return {
        "before": {"run": "0006-fake", "score": {"value": 0.25, "low": 0.2, "high": 0.3}},
        "after": {"run": "0007-fake", "score": {"value": 0.875, "low": 0.85, "high": 0.9}},
        "check": "high-learning-rate",
        "cause": "the steps are too long",
        "change": {"lr": 0.5, "batch_norm": True},
        "was": {"lr": 50.0, "batch_norm": False},
        "difference": {"value": 0.625, "low": 0.5625, "high": 0.6875},
        "outcome": "better",
        **more,
    }


def page(folder: Path, *rounds: dict[str, Any], **more: Any) -> str:
    about = {"score": "accuracy", "rounds": rounds, "best": "0007-fake", "ended": "no further remedy", **more}
    (folder / "fix.json").write_text(json.dumps(about))
    found = re.search(r'<section id="fix".*?</section>', render_run_page(folder), re.DOTALL)
    assert found
    return found[0]


def test_a_remedy_is_shown_with_both_scores(make_run: Make) -> None:
    text = page(make_run(), one())
    assert "lr=50 batch_norm=false</code> &rarr; <code>lr=0.5 batch_norm=true" in text
    assert '0.250, <a href="../0006-fake/report.html">' in text
    assert "0.875, <code>0007-fake</code>" in text  # itself: no link
    assert "better: difference 0.625, 95% interval 0.562 to 0.688" in text
    assert "The steps are too long" in text
    assert "no further remedy" in text


def test_a_run_that_broke_off_has_no_score(make_run: Make) -> None:
    text = page(make_run(), one(before={"run": "0006-fake", "score": None}, difference=None))
    assert "broke off, <a" in text
    assert "difference" not in text.split("<tbody>")[1]


def test_nothing_was_changed(make_run: Make) -> None:
    text = page(make_run())
    assert "nothing was changed" in text
    assert "<table" not in text


def test_other_runs_have_no_such_section(make_run: Make) -> None:
    assert 'id="fix"' not in render_run_page(make_run())


def test_hostile_words_stay_words(make_run: Make, hostile: tuple[str, ...]) -> None:
    folder = make_run()
    for word in hostile:
        ends = {"before": {"run": word, "score": None}, "after": {"run": word, "score": None}, "difference": None}
        text = page(folder, one(**ends, cause=word, check=word, change={word: word}, was={word: word}), ended=word)
        assert "<script" not in text
        assert "<img" not in text


@pytest.mark.parametrize("run", ["../../etc", "..", "", "/etc", "a/b"])
def test_links_stay_beside_the_run(make_run: Make, run: str) -> None:
    assert "<a" not in page(make_run(), one(before={"run": run, "score": None}))


@pytest.mark.parametrize("content", ["[]", "{", '{"score": 1}', '{"score": "a", "best": "b", "rounds": [{}]}'])
def test_a_damaged_file_takes_nothing_with_it(make_run: Make, content: str) -> None:
    folder = make_run()
    (folder / "fix.json").write_text(content)
    assert "fix.json" in run_facts.read_run_facts(folder).problems
    assert 'id="fix"' not in render_run_page(folder)


def test_the_form_survives_the_file() -> None:
    about = Fix.model_validate({"score": "accuracy", "best": "0007-fake", "rounds": [one()]})
    assert Fix.model_validate(json.loads(json.dumps(about.to_json()))) == about

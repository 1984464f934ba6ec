"""The section on ``fix=true``: the applied remedies with the scores before and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.pages import MakeRun, find_section
from yisheng.reporting import run_facts
from yisheng.reporting.fix_schema import Fix
from yisheng.reporting.run_page import render_run_page


def make_round(**changes: Any) -> dict[str, Any]:
    return {
        "run_before": {"run": "0006-fake", "score": {"value": 0.25, "low": 0.2, "high": 0.3}},
        "run_after": {"run": "0007-fake", "score": {"value": 0.875, "low": 0.85, "high": 0.9}},
        "check": "high-learning-rate",
        "cause": "the steps are too long",
        "change": {"lr": 0.5, "batch_norm": True},
        "previous": {"lr": 50.0, "batch_norm": False},
        "difference": {"value": 0.625, "low": 0.5625, "high": 0.6875},
        "outcome": "better",
        **changes,
    }


def render_section(folder: Path, *rounds: dict[str, Any], **changes: Any) -> str:
    """Return the section on ``fix=true`` of a run with these rounds."""
    fix = {"score": "accuracy", "rounds": rounds, "best": "0007-fake", "end_reason": "no further remedy", **changes}
    (folder / "fix.json").write_text(json.dumps(fix))
    return find_section(render_run_page(folder), "fix")


def test_fix_section_shows_remedy_with_both_scores(make_run: MakeRun) -> None:
    text = render_section(make_run(), make_round())
    assert "lr=50 batch_norm=false</code> &rarr;\n<code>lr=0.5 batch_norm=true" in text
    assert '0.250, <a href="../0006-fake/report.html">' in text
    assert "0.875, <code>0007-fake</code>" in text  # no link to the page itself
    assert "better: difference 0.625, 95% interval 0.562 to 0.688" in text
    assert "The steps are too long" in text
    assert "no further remedy" in text


def test_fix_section_shows_stopped_run_without_score(make_run: MakeRun) -> None:
    text = render_section(make_run(), make_round(run_before={"run": "0006-fake", "score": None}, difference=None))
    assert "stopped by an error, <a" in text
    assert "difference" not in text.split("<tbody>")[1]


def test_fix_section_without_rounds_has_no_table(make_run: MakeRun) -> None:
    text = render_section(make_run())
    assert "nothing was changed" in text
    assert "<table" not in text


def test_fix_section_is_absent_without_the_file(make_run: MakeRun) -> None:
    assert 'id="fix"' not in render_run_page(make_run())


def test_hostile_texts_are_escaped(make_run: MakeRun, hostile: tuple[str, ...]) -> None:
    folder = make_run()
    for word in hostile:
        ends = {
            "run_before": {"run": word, "score": None},
            "run_after": {"run": word, "score": None},
            "difference": None,
        }
        text = render_section(
            folder,
            make_round(**ends, cause=word, check=word, change={word: word}, previous={word: word}),
            end_reason=word,
        )
        assert "<script" not in text
        assert "<img" not in text


@pytest.mark.parametrize("run", ["../../etc", "..", "", "/etc", "a/b"])
def test_links_lead_to_neighboring_folders_only(make_run: MakeRun, run: str) -> None:
    assert "<a" not in render_section(make_run(), make_round(run_before={"run": run, "score": None}))


@pytest.mark.parametrize("content", ["[]", "{", '{"score": 1}', '{"score": "a", "best": "b", "rounds": [{}]}'])
def test_damaged_file_is_reported(make_run: MakeRun, content: str) -> None:
    folder = make_run()
    (folder / "fix.json").write_text(content)
    assert "fix.json" in run_facts.read_run_facts(folder).file_problems
    assert 'id="fix"' not in render_run_page(folder)


def test_fix_round_trips_through_json() -> None:
    fix = Fix.model_validate({"score": "accuracy", "best": "0007-fake", "rounds": [make_round()]})
    assert Fix.model_validate(json.loads(json.dumps(fix.to_json()))) == fix

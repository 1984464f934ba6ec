"""A run by hand in the report: both losses, and the differences of ``scratch_comparison.json``, whatever it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.reporting import figures, svg
from yisheng.reporting.run_page import render_run_page

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take nearly all the time; they are drawn only for tests that ask for them."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(figures, "draw", lambda name, paint: f'<svg xmlns="{svg.NAMESPACE}" viewBox="0 0 1 1" />')


@pytest.fixture
def drawn() -> None:
    """Draw the figures."""


def about(**more: Any) -> dict[str, Any]:
    small = {"compared": 100, "absolute": 1.25e-7, "relative": 3.5e-7, "at": 17}
    same = {"compared": 5, "absolute": 0.0, "relative": 0.0, "at": None}
    weights = {"compared": 4810, "absolute": 2.5e-6, "relative": 4e-6, "at": "output.weight"}
    parts = {"steps": small, "training": {**small, "compared": 5, "at": 3}, "validation": same, "weights": weights}
    return {"epochs": [5, 5], **parts, **more}


def log(shift: float = 0.0, steps: int = 30) -> str:
    events: list[dict[str, Any]] = [
        {"event": "step", "step": n, "epoch": 0, "lr": 0.1, "loss": 2.0 / n + shift * (n == 7)}
        for n in range(1, steps + 1)
    ]
    events += [{"event": "epoch", "step": steps * n, "epoch": n, "loss": 1.0 / n, "scores": {}} for n in (1, 2)]
    return "".join(json.dumps(event) + "\n" for event in events)


def by_hand(folder: Path, content: dict[str, Any] | None, *, shift: float = 0.25, steps: int = 30) -> Path:
    config = folder / "config.toml"
    config.write_text("scratch = true\n" + config.read_text())
    (folder / "library").mkdir(exist_ok=True)
    (folder / "events.jsonl").write_text(log(steps=steps))
    (folder / "library" / "events.jsonl").write_text(log(shift, steps=steps))
    if content is not None:
        (folder / "scratch_comparison.json").write_text(json.dumps(content))
    return folder


def section(folder: Path) -> str:
    found = re.search(r'<section id="twin".*?</section>', render_run_page(folder), re.DOTALL)
    assert found
    return found[0]


def test_the_differences_are_those_of_the_file(make_run: Make) -> None:
    text = section(by_hand(make_run(), about()))
    for value in ("1.25e-07", "3.5e-07", "2.5e-06", "4e-06", "0.0"):
        assert f'<data value="{value}">' in text
    assert "step 17" in text
    assert "epoch 3" in text
    assert "output.weight" in text
    assert "4,810" in text
    assert "nowhere: equal to the last bit" in text
    assert 'href="library/report.html"' in text


def test_both_losses_are_drawn_one_on_the_other(make_run: Make, drawn: None) -> None:
    text = section(by_hand(make_run(), about()))
    assert text.count("<svg") == 2
    assert "by hand" in text
    assert "library" in text
    assert "at most 0.250 apart (step 7)" in text
    assert "29 of 30 are equal to the last bit" in text


def test_equal_losses_need_no_second_figure(make_run: Make) -> None:
    text = section(by_hand(make_run(), about(), shift=0.0))
    assert text.count("<svg") == 1
    assert "at most 0.000 apart" in text


def test_a_log_without_steps_is_drawn_by_epoch(make_run: Make, drawn: None) -> None:
    text = section(by_hand(make_run(), about(), steps=0))
    assert "Both training losses, by epoch" in text


def test_before_the_librarys_run_is_trained_that_is_said(make_run: Make) -> None:
    folder = by_hand(make_run(), None)
    (folder / "library" / "events.jsonl").unlink()
    text = section(folder)
    assert "has not come to its end" in text
    assert "<table" not in text
    assert "<svg" not in text


def test_a_validation_that_is_not_there_has_no_row(make_run: Make) -> None:
    assert "validation losses" not in section(by_hand(make_run(), about(validation=None)))


def test_other_numbers_of_epochs_are_told(make_run: Make) -> None:
    assert "5 epochs by hand, 4 by the library" in section(by_hand(make_run(), about(epochs=[5, 4])))


def test_a_run_by_the_library_alone_has_no_such_section(make_run: Make) -> None:
    assert 'id="twin"' not in render_run_page(make_run())


def test_names_are_escaped_and_damage_is_told(make_run: Make) -> None:
    content = about()
    content["weights"]["at"] = "<script>alert(1)</script>"
    folder = by_hand(make_run(), content)
    assert "<script>" not in section(folder)
    assert "&lt;script&gt;" in section(folder)
    (folder / "scratch_comparison.json").write_text('{"epochs": "many"}')
    (folder / "library" / "events.jsonl").write_text("no json\n")
    text = render_run_page(folder)
    assert "<code>scratch_comparison.json</code>" in text
    assert "<code>library/events.jsonl</code>" in text


def test_what_diverged_is_survived(make_run: Make, drawn: None) -> None:
    content = about()
    content["steps"].update(absolute="Infinity", relative="Infinity")
    assert "infinite" in section(by_hand(make_run(), content, shift=1e300))
    folder = by_hand(make_run(name="nan"), about())
    (folder / "library" / "events.jsonl").write_text(log().replace('"loss": 2.0', '"loss": "nan"'))
    assert "29 of 29 are equal" not in section(folder)


plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
json_data = st.recursive(plain, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=4), s, max_size=3))


def test_any_value_anywhere_is_survived(make_run: Make) -> None:
    folder = by_hand(make_run(), None)

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def survives(data: st.DataObject) -> None:
        content: Any = about()
        where = content
        while True:
            key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            if not isinstance(where[key], dict | list) or data.draw(st.booleans()):
                where[key] = data.draw(json_data)
                break
            where = where[key]
        (folder / "scratch_comparison.json").write_text(json.dumps(content))
        assert "</html>" in render_run_page(folder)

    survives()

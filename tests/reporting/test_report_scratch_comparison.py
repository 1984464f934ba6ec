"""The comparison of a from-scratch run with the library's run: both losses, and any ``scratch_comparison.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reporting.pages import MakeRun, find_section, replace_random_value
from yisheng.reporting.run_page import render_run_page


def make_comparison(**changes: Any) -> dict[str, Any]:
    steps = {"compared": 100, "absolute": 1.25e-7, "relative": 3.5e-7, "at": 17}
    validation = {"compared": 5, "absolute": 0.0, "relative": 0.0, "at": None}
    weights = {"compared": 4810, "absolute": 2.5e-6, "relative": 4e-6, "at": "output.weight"}
    training = {**steps, "compared": 5, "at": 3}
    differences = {"steps": steps, "training": training, "validation": validation, "weights": weights}
    return {"epochs": [5, 5], **differences, **changes}


def make_log(shift: float = 0.0, steps: int = 30) -> str:
    events: list[dict[str, Any]] = [
        {"event": "step", "step": n, "epoch": 0, "lr": 0.1, "loss": 2.0 / n + shift * (n == 7)}
        for n in range(1, steps + 1)
    ]
    events += [{"event": "epoch", "step": steps * n, "epoch": n, "loss": 1.0 / n, "scores": {}} for n in (1, 2)]
    return "".join(json.dumps(event) + "\n" for event in events)


def add_library_run(folder: Path, content: dict[str, Any] | None, *, shift: float = 0.25, steps: int = 30) -> Path:
    """Make a run a from-scratch run with a library's run whose loss differs by ``shift`` in step 7."""
    config = folder / "config.toml"
    config.write_text("scratch = true\n" + config.read_text())
    (folder / "library").mkdir(exist_ok=True)
    (folder / "events.jsonl").write_text(make_log(steps=steps))
    (folder / "library" / "events.jsonl").write_text(make_log(shift, steps=steps))
    if content is not None:
        (folder / "scratch_comparison.json").write_text(json.dumps(content))
    return folder


def render_section(folder: Path) -> str:
    """Return the section on the comparison."""
    return find_section(render_run_page(folder), "scratch")


def test_comparison_shows_the_differences_of_the_file(make_run: MakeRun) -> None:
    text = render_section(add_library_run(make_run(), make_comparison()))
    for value in ("1.25e-07", "3.5e-07", "2.5e-06", "4e-06", "0.0"):
        assert f'<data value="{value}">' in text
    assert "step 17" in text
    assert "epoch 3" in text
    assert "output.weight" in text
    assert "4,810" in text
    assert "none: bit-identical" in text
    assert 'href="library/report.html"' in text


@pytest.mark.usefixtures("draw_figures")
def test_comparison_draws_both_losses(make_run: MakeRun) -> None:
    text = render_section(add_library_run(make_run(), make_comparison()))
    assert text.count("<svg") == 2
    assert "from scratch" in text
    assert "library" in text
    assert "Largest difference: 0.250 (step 7)" in text
    assert "29 of 30 are bit-identical" in text


def test_equal_losses_have_one_figure(make_run: MakeRun) -> None:
    text = render_section(add_library_run(make_run(), make_comparison(), shift=0.0))
    assert text.count("<svg") == 1
    assert "Largest difference: 0.000" in text


@pytest.mark.usefixtures("draw_figures")
def test_log_without_steps_is_drawn_by_epoch(make_run: MakeRun) -> None:
    text = render_section(add_library_run(make_run(), make_comparison(), steps=0))
    assert "Both training losses, by epoch" in text


def test_comparison_before_the_library_run_is_trained(make_run: MakeRun) -> None:
    folder = add_library_run(make_run(), None)
    (folder / "library" / "events.jsonl").unlink()
    text = render_section(folder)
    assert "is not finished" in text
    assert "<table" not in text
    assert "<svg" not in text


def test_comparison_without_validation_has_no_such_row(make_run: MakeRun) -> None:
    assert "validation losses" not in render_section(add_library_run(make_run(), make_comparison(validation=None)))


def test_different_numbers_of_epochs_are_reported(make_run: MakeRun) -> None:
    assert "5 from scratch, 4 with the library" in render_section(
        add_library_run(make_run(), make_comparison(epochs=[5, 4]))
    )


def test_comparison_is_absent_for_library_runs(make_run: MakeRun) -> None:
    assert 'id="scratch"' not in render_run_page(make_run())


def test_names_are_escaped_and_damaged_files_are_reported(make_run: MakeRun) -> None:
    content = make_comparison()
    content["weights"]["at"] = "<script>alert(1)</script>"
    folder = add_library_run(make_run(), content)
    assert "<script>" not in render_section(folder)
    assert "&lt;script&gt;" in render_section(folder)
    (folder / "scratch_comparison.json").write_text('{"epochs": "many"}')
    (folder / "library" / "events.jsonl").write_text("no json\n")
    text = render_run_page(folder)
    assert "<code>scratch_comparison.json</code>" in text
    assert "<code>library/events.jsonl</code>" in text


@pytest.mark.usefixtures("draw_figures")
def test_diverged_runs_are_accepted(make_run: MakeRun) -> None:
    content = make_comparison()
    content["steps"].update(absolute="Infinity", relative="Infinity")
    assert "infinite" in render_section(add_library_run(make_run(), content, shift=1e300))
    folder = add_library_run(make_run(name="nan"), make_comparison())
    (folder / "library" / "events.jsonl").write_text(make_log().replace('"loss": 2.0', '"loss": "nan"'))
    assert "29 of 29 are bit-identical" not in render_section(folder)


def test_any_value_in_the_comparison_is_accepted(make_run: MakeRun) -> None:
    folder = add_library_run(make_run(), None)

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def render_with_random_value(data: st.DataObject) -> None:
        content: Any = make_comparison()
        replace_random_value(content, data)
        (folder / "scratch_comparison.json").write_text(json.dumps(content))
        assert "</html>" in render_run_page(folder)

    render_with_random_value()

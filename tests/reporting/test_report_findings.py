"""The doctor's page in the report: findings first, curves with their thresholds, safe whatever stands in the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yisheng.reporting.findings_schema import Findings, to_plain_evidence
from yisheng.reporting.run_page import render_run_page

Make = Callable[..., Path]
STEPS = [1, 2, 3, 5, 10, 100]
FINDING = {
    "check": "high-learning-rate",
    "severity": "error",
    "evidence": {"loss": 2.5, "layers": ["conv1", "conv2"], "tried": {"change": "lr x 0.1", "loss without": None}},
    "cause": "the steps are too long",
    "remedy": "divide lr by 10",
    "symptoms": [{"check": "dead-relu", "severity": "error", "cause": "units are dead", "remedy": "lower lr"}],
}


def lines(*names: str, low: float = 1e-6) -> list[dict[str, Any]]:
    return [{"name": name, "values": [low * 3**i for i in range(len(STEPS) - 1)] + [None]} for name in names]


def page(**more: Any) -> dict[str, Any]:
    curves = {
        "steps": STEPS,
        "gradients": lines("first.weight", "mid.weight", "last.weight"),
        "updates": lines("first.weight", "mid.weight", "last.weight"),
        "dead": lines("after first.weight", low=0.001),
        "saturated": [],
        "thresholds": {"gradients": 1e-4, "updates": 1e-5, "dead": 0.9, "saturated": 0.8},
    }
    return {"findings": [], "unchecked": {"probes": "with doctor=full only"}, "steps": 100, "curves": curves, **more}


def section(folder: Path, content: dict[str, Any]) -> str:
    (folder / "findings.json").write_text(json.dumps(content), encoding="utf-8")
    text = render_run_page(folder)
    found = re.search(r'<section id="findings".*?</section>', text, re.DOTALL)
    assert found
    assert re.findall(r'<section id="(\w+)"', text)[0] == "findings"
    return found[0]


def test_a_healthy_page_is_short_and_keeps_its_curves_folded(make_run: Make) -> None:
    html = section(make_run(), page())
    assert "Nothing was found wrong in 100 steps of training." in html
    assert "<details>" in html
    assert "<details open>" not in html
    assert html.count("<svg") == 3
    assert "with doctor=full only" in html


def test_findings_come_first_with_evidence_remedy_and_symptoms(make_run: Make) -> None:
    html = section(make_run(), page(findings=[FINDING]))
    assert html.index("Error: <bdi>the steps are too long</bdi>") < html.index("<svg")
    for said in (
        "divide lr by 10",
        "units are dead",
        "loss: 2.50",
        "layers: conv1, conv2",
        "change: lr x 0.1",
        "1 error",
    ):
        assert said in html
    assert "<details open>" in html


def test_the_thresholds_are_drawn_and_named(make_run: Make) -> None:
    html = section(make_run(), page())
    assert html.count("threshold") >= 3
    assert html.count("first layer") == 2  # the one relu is just "layer"
    assert "last layer" in html
    assert "between" in html


def test_experiments_are_a_table(make_run: Make) -> None:
    html = section(make_run(), page(probes={"as it is": 1.25, "lr x 10": None}))
    assert '<data value="1.25">' in html
    assert "not finite" in html


def test_hostile_texts_stay_texts(make_run: Make, hostile: tuple[str, ...]) -> None:
    for name in hostile[:5]:
        bad = {**FINDING, "cause": name, "remedy": name, "evidence": {name: name}}
        curves = {**page()["curves"], "gradients": lines(name, name)}
        folder = make_run(name=f"h{hostile.index(name)}")
        html = section(folder, page(findings=[bad], curves=curves))
        assert "<script" not in html
        assert "<img" not in html


@pytest.mark.parametrize("content", ['{"findings": 3}', "[]", "no json", '{"steps": -1}'])
def test_a_damaged_file_takes_no_other_with_it(make_run: Make, content: str) -> None:
    folder = make_run()
    (folder / "findings.json").write_text(content)
    text = render_run_page(folder)
    assert 'id="findings"' not in text
    assert 'id="scores"' in text
    assert "findings.json" in text


def test_without_the_file_there_is_no_page(make_run: Make) -> None:
    assert 'id="findings"' not in render_run_page(make_run())


def test_what_was_not_seen_is_a_gap(make_run: Make) -> None:
    nothing = [{"name": "w", "values": [None] * len(STEPS)}]
    curves = {**page()["curves"], "gradients": nothing, "updates": nothing}
    assert "<svg" in section(make_run(), page(curves=curves))
    found = Findings.model_validate(page(curves={"steps": [1], "updates": [{"name": "w", "values": [float("inf")]}]}))
    assert found.curves.updates[0].values == [None]


def test_evidence_is_plain() -> None:
    import torch

    kept = to_plain_evidence({"a": torch.tensor(2.0), "b": float("nan"), 3: (1, None, True), "c": {"d": Path("x")}})
    assert json.loads(json.dumps(kept, allow_nan=False)) == {
        "a": 2.0,
        "b": "nan",
        "3": [1, None, True],
        "c": {"d": "x"},
    }

"""The findings section: findings first, then curves with thresholds; any content of the file is safe."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.pages import MakeRun, find_section
from yisheng.reporting.findings_schema import Findings, to_plain_evidence
from yisheng.reporting.run_page import render_run_page

STEPS = [1, 2, 3, 5, 10, 100]
FINDING = {
    "check": "high-learning-rate",
    "severity": "error",
    "evidence": {"loss": 2.5, "layers": ["conv1", "conv2"], "tried": {"change": "lr x 0.1", "loss without": None}},
    "cause": "the steps are too long",
    "remedy": "divide lr by 10",
    "symptoms": [{"check": "dead-relu", "severity": "error", "cause": "units are dead", "remedy": "lower lr"}],
}


def make_curves(*names: str, low: float = 1e-6) -> list[dict[str, Any]]:
    return [{"name": name, "values": [low * 3**i for i in range(len(STEPS) - 1)] + [None]} for name in names]


def make_findings(**changes: Any) -> dict[str, Any]:
    curves = {
        "steps": STEPS,
        "gradients": make_curves("first.weight", "mid.weight", "last.weight"),
        "updates": make_curves("first.weight", "mid.weight", "last.weight"),
        "dead": make_curves("after first.weight", low=0.001),
        "saturated": [],
        "thresholds": {"gradients": 1e-4, "updates": 1e-5, "dead": 0.9, "saturated": 0.8},
    }
    return {"findings": [], "unchecked": {"probes": "with doctor=full only"}, "steps": 100, "curves": curves, **changes}


def render_section(folder: Path, content: dict[str, Any]) -> str:
    """Return the findings section of a run with a ``findings.json``; it is the first one."""
    (folder / "findings.json").write_text(json.dumps(content), encoding="utf-8")
    text = render_run_page(folder)
    assert re.findall(r'<section id="(\w+)"', text)[0] == "findings"
    return find_section(text, "findings")


def test_findings_without_problems_are_short_with_collapsed_curves(make_run: MakeRun) -> None:
    html = render_section(make_run(), make_findings())
    assert "No problems found in 100 steps of training." in html
    assert "<details>" in html
    assert "<details open>" not in html
    assert html.count("<svg") == 3
    assert "with doctor=full only" in html


def test_findings_precede_curves_with_evidence_remedy_and_symptoms(make_run: MakeRun) -> None:
    html = render_section(make_run(), make_findings(findings=[FINDING]))
    assert html.index("Error: <bdi>the steps are too long</bdi>") < html.index("<svg")
    for text in (
        "divide lr by 10",
        "units are dead",
        "loss: 2.50",
        "layers: conv1, conv2",
        "change: lr x 0.1",
        "1 error",
    ):
        assert text in html
    assert "<details open>" in html


def test_curves_have_thresholds_and_a_legend(make_run: MakeRun, draw_figures: None) -> None:
    html = render_section(make_run(), make_findings())
    assert html.count("threshold") >= 3
    assert html.count("first layer") == 2  # a single relu is called "layer"
    assert "last layer" in html
    assert "between" in html


def test_probes_are_a_table(make_run: MakeRun) -> None:
    html = render_section(make_run(), make_findings(probes={"unchanged": 1.25, "lr x 10": None}))
    assert '<data value="1.25">' in html
    assert "not finite" in html


def test_hostile_texts_are_escaped(make_run: MakeRun, hostile: tuple[str, ...]) -> None:
    for name in hostile[:5]:
        finding = {**FINDING, "cause": name, "remedy": name, "evidence": {name: name}}
        curves = {**make_findings()["curves"], "gradients": make_curves(name, name)}
        folder = make_run(name=f"h{hostile.index(name)}")
        html = render_section(folder, make_findings(findings=[finding], curves=curves))
        assert "<script" not in html
        assert "<img" not in html


@pytest.mark.parametrize("content", ['{"findings": 3}', "[]", "no json", '{"steps": -1}'])
def test_damaged_file_leaves_other_sections_intact(make_run: MakeRun, content: str) -> None:
    folder = make_run()
    (folder / "findings.json").write_text(content)
    text = render_run_page(folder)
    assert 'id="findings"' not in text
    assert 'id="scores"' in text
    assert "findings.json" in text


def test_findings_section_is_absent_without_the_file(make_run: MakeRun) -> None:
    assert 'id="findings"' not in render_run_page(make_run())


def test_missing_values_are_gaps(make_run: MakeRun) -> None:
    empty_curve = [{"name": "w", "values": [None] * len(STEPS)}]
    curves = {**make_findings()["curves"], "gradients": empty_curve, "updates": empty_curve}
    assert "<svg" in render_section(make_run(), make_findings(curves=curves))
    curves = {"steps": [1], "updates": [{"name": "w", "values": [float("inf")]}]}
    findings = Findings.model_validate(make_findings(curves=curves))
    assert findings.curves.updates[0].values == [None]


def test_to_plain_evidence_returns_json_values() -> None:
    import torch

    evidence = to_plain_evidence({"a": torch.tensor(2.0), "b": float("nan"), 3: (1, None, True), "c": {"d": Path("x")}})
    assert json.loads(json.dumps(evidence, allow_nan=False)) == {
        "a": 2.0,
        "b": "nan",
        "3": [1, None, True],
        "c": {"d": "x"},
    }


@pytest.mark.parametrize(
    ("severities", "state", "sign"),
    [
        ([], "better", "✓"),
        (["note"], "better", "✓"),
        (["note", "warning"], "unclear", "!"),
        (["warning", "error"], "worse", "✗"),
    ],
)
def test_the_worst_finding_is_at_the_top_of_the_page(
    make_run: MakeRun, severities: list[str], state: str, sign: str
) -> None:
    folder = make_run()
    findings = [{**FINDING, "severity": severity} for severity in severities]
    section = render_section(folder, make_findings(findings=findings))
    text = render_run_page(folder)
    assert f'<div class="verdict {state}">\n<span class="sign" aria-hidden="true">{sign}</span>' in text
    assert ("The doctor reports" in text) == bool({"warning", "error"} & set(severities))
    assert "Better than the baseline" in text
    worst = severities[-1] if severities else "none"
    assert f'<p class="summary {worst}">' in section


def test_names_that_the_cause_lists_are_not_repeated(make_run: MakeRun) -> None:
    names = [f"photos/daisy/{n}_eea9edfc54_n.jpg" for n in range(3)]
    finding = {
        **FINDING,
        "evidence": {"count": 3, "of": 1000, "first": names},
        "cause": f"3 images occur twice: {', '.join(names)}",
    }
    html = render_section(make_run(), make_findings(findings=[finding]))
    assert html.count("eea9edfc54") == 3
    assert "of: 1000" in html
    assert "photos/<wbr>daisy/<wbr>0_<wbr>eea9edfc54_<wbr>n.jpg" in html


def test_evidence_of_many_objects_is_a_table(make_run: MakeRun) -> None:
    columns = [{"column": f"<b>column {n}", "kind": "number", "missing": n} for n in range(150)]
    finding = {**FINDING, "evidence": {"columns": columns, "rows": 7}, "cause": "150 columns to learn from"}
    html = render_section(make_run(), make_findings(findings=[finding]))
    assert "<summary>Columns</summary>" in html
    assert "The first 100 of 150." in html
    assert html.count("&lt;b&gt;column") == 100
    assert "rows: 7" in html
    assert "entries" not in html

"""Small run folders of every task, with all files."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from PIL import Image

from tests.reporting.pages import MakeRun, skip_drawing
from yisheng.reporting import svg

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "中文 类别 & $x^2$",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eright to left مرحبا",
    "]]></style></script>\x00\x1b\ud800",
    "http://example.com/a.png",
    "a" * 300,
)


def make_png(size: int = 8, seed: int = 0) -> str:
    """Return a grayscale image as base64 PNG."""
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def make_score(value: float, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def make_events(epochs: int = 5, per_epoch: int = 20, scores: tuple[str, ...] = ("accuracy",)) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for step in range(1, epochs * per_epoch + 1):
        loss = 2 * math.exp(-step / 30) + 0.05
        events.append({"event": "step", "step": step, "epoch": (step - 1) // per_epoch, "lr": 0.1, "loss": loss})
        if step % per_epoch == 0:
            epoch = step // per_epoch
            values = {"loss": loss + 0.1 * abs(epoch - 3), **{name: 0.9 - 0.05 * abs(epoch - 3) for name in scores}}
            events.append(
                {"event": "epoch", "step": step, "epoch": epoch, "loss": loss, "scores": values, "seconds": 0.5 * epoch}
            )
    return events


def make_spec(task: str, classes: tuple[str, ...] = (), *, image: bool = False, **changes: Any) -> dict[str, Any]:
    shape = [1, 8, 8] if image else [3]
    columns = [] if image else [{"name": f"x{i}", "kind": "number", "categories": []} for i in range(3)]
    plain = {"task": task, "shape": shape, "classes": list(classes), "columns": columns, "target": "target"}
    return {**plain, "unit": "", "outputs": max(1, len(classes)), "drawing": None, **changes}


def make_evaluation(task: str, classes: tuple[str, ...], *, image: bool = False) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    evaluation: dict[str, Any] = {"part": "test", "rows": 200}
    if task == "regression":
        true = rng.uniform(10, 90, 200)
        predicted = true + rng.normal(0, 5, 200)
        evaluation["pairs"] = {"true": true.tolist(), "predicted": predicted.tolist()}
        evaluation["worst"] = [
            {"row": i, "name": None, "true": true[i], "predicted": predicted[i], "error": predicted[i] - true[i]}
            for i in range(5)
        ]
        return evaluation
    matrix = rng.integers(0, 4, (len(classes), len(classes))) + 30 * np.eye(len(classes), dtype=int)
    evaluation["per_class"] = [
        {"class": name, "support": int(matrix[i].sum()), "precision": 0.9, "recall": 0.8, "f1": 0.5 + 0.3 / (i + 1)}
        for i, name in enumerate(classes)
    ]
    evaluation["per_class"][0].update(precision=None, f1=None)
    pair: tuple[Any, Any] = ([classes[0]], []) if task == "multilabel" else (classes[0], classes[-1])
    evaluation["worst"] = [
        {
            "row": i,
            "name": f"file {classes[i % len(classes)]}.png" if i % 2 else None,
            "true": pair[0],
            "predicted": pair[1],
            "probability": 0.987,
            "true_probability": 0.002,
            "image": make_png(seed=i) if image else None,
        }
        for i in range(6)
    ]
    if task == "classification":
        evaluation["confusion"] = matrix.tolist()
        evaluation["calibration"] = {
            "error": 0.0312,
            "bins": [
                {"low": k / 10, "high": (k + 1) / 10, "confidence": (k + 0.5) / 10, "accuracy": k / 10, "count": 5 * k}
                for k in range(10)
            ],
        }
    return evaluation


SCORES = {
    "classification": {
        "test": {"accuracy": make_score(0.91124, 0.90512, 0.91731), "f1_macro": make_score(0.90871, 0.9021, 0.9153)},
        "validation": {"accuracy": make_score(0.92345, 0.9012, 0.9401)},
        "baseline": {"accuracy": make_score(0.1004), "f1_macro": make_score(0.0182)},
    },
    "multilabel": {
        "test": {"f1_macro": make_score(0.61, 0.55, 0.66)},
        "validation": {"f1_macro": make_score(0.6)},
        "baseline": {"f1_macro": make_score(0.58)},
    },
    "regression": {
        "test": {"rmse": make_score(5.0213, 4.61, 5.5), "r2": make_score(0.95, 0.93, 0.97)},
        "validation": {"rmse": make_score(4.9)},
        "baseline": {"rmse": make_score(23.44), "r2": make_score(-0.0001)},
    },
}


@pytest.fixture
def draw_figures() -> None:
    """Draw the figures in a test."""


@pytest.fixture(autouse=True)
def _skip_drawing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace figures by empty ones, except in tests that use `draw_figures`."""
    if "draw_figures" not in request.fixturenames:
        monkeypatch.setattr(svg, "draw_svg", skip_drawing)


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """Return names that try to escape from HTML, SVG or a template."""
    return HOSTILE


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that makes ``runs/0007-<name>``; the files in ``without`` are missing."""

    def make(
        task: str = "classification",
        classes: tuple[str, ...] = ("cat", "dog", "newt"),
        *,
        name: str = "fake",
        image: bool = False,
        without: tuple[str, ...] = (),
        spec_changes: dict[str, Any] | None = None,
    ) -> Path:
        folder = tmp_path / "runs" / f"0007-{name}"
        folder.mkdir(parents=True)
        main = next(iter(SCORES[task]["test"]))
        description = {
            "format": 2,
            "spec": make_spec(task, classes if task != "regression" else (), image=image, **(spec_changes or {})),
            "transforms": {"input": None, "target": None},
            "model": {"name": "mlp", "options": {}},
            "best": {"epoch": 3, "score": main, "value": 0.9},
            "parameters": 4810,
            "sha256": "ab" * 32,
        }
        config = {"epochs": 5, "seed": 0, "score": main.replace("_", "-"), "data": {"name": "digits", "fold": "a"}}
        environment = {
            "python": "3.11.2",
            "device": "cpu",
            "data": {"name": "digits", "rows": 1797, "sha256": "9f" * 32},
            "git": {"commit": "0a1b2c", "dirty": True},
            "seconds": {"training": 12.3, "evaluation": 0.4},
            "started": "2025-03-09T14:05:00+00:00",
        }
        content = {
            "config.toml": tomli_w.dumps({**config, "model": "mlp"}),
            "model.json": json.dumps(description),
            "events.jsonl": "".join(json.dumps(event) + "\n" for event in make_events(scores=(main,))),
            "scores.json": json.dumps(SCORES[task]),
            "evaluation.json": json.dumps(make_evaluation(task, classes, image=image)),
            "environment.json": json.dumps(environment),
        }
        for file, text in content.items():
            if file not in without:
                (folder / file).write_text(text, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def interrupted_run(make_run: MakeRun) -> Path:
    """Return a run that was killed while it wrote its log."""
    folder = make_run(without=("model.json", "scores.json", "evaluation.json"), name="cut")
    log = (folder / "events.jsonl").read_text().splitlines(keepends=True)[:50]
    (folder / "events.jsonl").write_text("".join(log) + '{"event": "step", "st')
    return folder

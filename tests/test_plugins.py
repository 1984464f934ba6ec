"""A plugin adds a model, a data set, a metric and a loss with one file each."""

import json
import os
import subprocess
import sys
import textwrap

FILES = {
    "models/narrow.py": """
        from torch import nn
        from yisheng.core.registry import register

        @register
        def narrow(spec, *, width: int = 4):
            '''One narrow hidden layer.

            Args:
                width: units of the layer.
            '''
            return nn.Sequential(nn.Linear(spec.shape[0], width), nn.Tanh(), nn.Linear(width, spec.outputs))
        """,
    "data/datasets/ring.py": """
        import numpy as np
        from yisheng.core.registry import register
        from yisheng.core.dataset import Dataset
        from yisheng.core.spec import Spec

        @register
        def ring(*, n: int = 400):
            '''Is a point inside the ring?

            Args:
                n: rows.
            '''
            x = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
            y = (np.hypot(*x.T) > 1.1).astype(np.int64)
            return Dataset("ring", Spec("classification", (2,), classes=("in", "out")), x, y)
        """,
    "metrics/sureness.py": """
        from yisheng.core.registry import register

        @register(fits=lambda spec: spec.task == "classification", requires="classes", reported=lambda spec: True)
        def sureness(y, prediction):
            '''Mean probability of the predicted class.'''
            return float(prediction.max(1).mean())
        """,
    "losses/soft_hinge.py": """
        import torch
        from yisheng.core.registry import register

        @register(fits=lambda spec: spec.task == "classification", requires="classes")
        def soft_hinge(spec, y, *, margin: float = 1.0):
            '''Multi-class hinge loss.

            Args:
                margin: required distance of the true class's output.
            '''
            return lambda output, y: torch.nn.functional.multi_margin_loss(output, y, margin=margin, reduction="none")
        """,
}


def test_a_package_adds_to_every_kind(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "visitor" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))
        for folder in path.relative_to(tmp_path).parents:
            (tmp_path / folder / "__init__.py").touch() if str(folder) != "." else None
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "YISHENG_PLUGINS": "visitor"}

    def yisheng(*words):
        command = [sys.executable, "-m", "yisheng", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    words = ["data=ring", "n=500", "model=narrow", "width=12", "loss=soft-hinge", "margin=0.5", "score=sureness"]
    process = yisheng("train", *words, "epochs=80", "lr=0.1", "--json")
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    assert result["best"]["score"] == "sureness"
    assert result["scores"]["test"]["sureness"]["value"] > 0.5
    assert result["scores"]["test"]["accuracy"]["value"] > 0.85
    printed = json.loads(yisheng("predict", result["run"], "rows=0,0;3,3", "--json").stdout)
    assert [p["prediction"] for p in printed["predictions"]] == ["in", "out"]
    assert "narrow" in yisheng("models").stdout
    assert "ring" in yisheng("data", "list").stdout

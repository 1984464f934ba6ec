"""Lessons of a textbook as configs: the doctor names each rightly, and the report lists it once."""

import json
import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import yisheng
from yisheng.core.errors import UsageError

ROWS = 400


def make_images():
    x, y = load_digits(return_X_y=True)
    return (x[:ROWS] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:ROWS]


def make_table(*, shuffled):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 20)).astype("float32")
    is_positive = generator.random(ROWS) < 0.5 if shuffled else x[:, 0] + x[:, 1] + generator.normal(size=ROWS) > 0
    return x, is_positive.astype(int)


def train(out, **settings):
    """Train by a config; return the findings and the folder."""
    folder = yisheng.train(**settings, quiet=True, out=out).path
    return json.loads((folder / "findings.json").read_text()), folder


def name_causes(content):
    return [finding["check"] for finding in content["findings"] if finding["severity"] != "note"]


def test_dropout_of_nearly_all_units(tmp_path):
    content, _ = train(tmp_path, data=make_images(), model="mlp", hidden=[64], dropout=0.97, epochs=12, lr=0.1)
    finding = content["findings"][0]
    assert (finding["check"], finding["severity"]) == ("strong-dropout", "warning")
    assert "97%" in finding["cause"]


def test_shuffled_labels_are_not_overfitting(tmp_path):
    data = make_table(shuffled=True)
    content, _ = train(tmp_path, data=data, model="mlp", hidden=[64, 64], epochs=40)
    assert name_causes(content) == ["memorization"]
    assert "shuffled labels" in content["findings"][0]["remedy"]


def test_a_linear_model_on_images_does_not_overfit(tmp_path):
    content, _ = train(tmp_path, data=make_images(), model="linear", epochs=40, lr=0.5)
    assert "overfitting" not in name_causes(content)


def test_layers_in_bfloat16_are_not_said_to_run_in_float32(tmp_path):
    data = make_images()
    content, _ = train(tmp_path, data=data, model="mlp", hidden=[16], epochs=3, precision="bf16")
    assert "bfloat16" in content["unchecked"]["half-precision"]
    content, _ = train(tmp_path, data=data, model="mlp", hidden=[16], epochs=3)
    assert "bfloat16" not in content["unchecked"]["half-precision"]


def test_rows_in_two_parts_are_listed_once(tmp_path):
    x, y = make_table(shuffled=False)
    content, folder = train(tmp_path, data=(np.vstack([x, x[:80]]), np.hstack([y, y[:80]])), model="mlp", epochs=6)
    assert name_causes(content).count("leaking-rows") == 1
    page = re.sub(r"<[^>]+>", " ", (folder / "report.html").read_text())
    assert page.count("are training rows, too") == 1
    assert "duplicate" not in page


@pytest.mark.parametrize(("batch", "is_found"), [(2, True), (16, False)])
@pytest.mark.slow
def test_batch_norm_of_two_images(tmp_path, batch, is_found):
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(16), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    content, _ = train(tmp_path, data=make_images(), model=net, batch=batch, epochs=4, optimizer="adam", lr=3e-3)
    assert ("small-batch-norm" in name_causes(content)) is is_found


def test_a_loss_that_torch_refuses_is_named_with_its_shapes(tmp_path):
    def refuse(output, target):
        return nn.functional.cross_entropy(output, target[:, None])

    with pytest.raises(UsageError, match=r"outputs \(\d+, 10\) \(float32\) and targets \(\d+,\) \(int64\)"):
        yisheng.train(data=make_images(), model="mlp", loss=refuse, epochs=1, quiet=True, out=tmp_path)


def test_the_same_lessons_in_a_loop():
    """A line on images that fits 100 rows, half of which are held out as well."""
    torch.manual_seed(0)
    x, y = map(torch.as_tensor, make_images())
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    parts = {"data": (x[:100], y[:100]), "validation": (x[50:200], y[50:200])}
    with yisheng.doctor(net, optimizer, **parts) as doctor:
        for _ in range(40):
            for rows in torch.randperm(100).split(25):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                doctor.validation(loss=float(nn.functional.cross_entropy(net(x[50:200]), y[50:200])))
    checks = [finding.check for finding in doctor.findings]
    assert checks.count("leaking-rows") == 1
    assert "overfitting" not in checks

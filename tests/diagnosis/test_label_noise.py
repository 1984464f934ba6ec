"""Wrong labels are found by the network's own held-out predictions, and ranked."""

import numpy as np
import pytest
import torch

import yisheng
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.diagnosis.data_checks.label_noise import estimate_random_labels
from yisheng.reporting import run_facts


def make_predictions(n, classes, *, accuracy, seed=0):
    """Return probabilities whose most probable class is right for a fraction of the rows, and the true classes.

    If it is wrong, the true class is the second one, as with rows that are difficult.
    """
    draw = np.random.default_rng(seed)
    true, order = draw.integers(0, classes, n), draw.permuted(np.tile(np.arange(classes), (n, 1)), axis=1)
    for row, label in zip(order, true, strict=True):
        row[:] = [label, *(k for k in row if k != label)]
    wrong = draw.random(n) > accuracy
    order[wrong, :2] = order[wrong, 1::-1]
    p = np.empty((n, classes))
    np.put_along_axis(p, order, 2.0 ** -np.arange(classes) * (1 + 0.1 * draw.random((n, 1))), axis=1)
    return p / p.sum(1, keepdims=True), true


@pytest.mark.parametrize("noise", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("accuracy", [0.95, 0.6])
def test_noise_is_estimated_although_the_network_is_often_wrong(noise, accuracy):
    p, true = make_predictions(4000, 10, accuracy=accuracy)
    draw = np.random.default_rng(1)
    y = np.where(draw.random(4000) < noise, (true + draw.integers(1, 10, 4000)) % 10, true)
    assert estimate_random_labels(p, y) == pytest.approx(noise, abs=0.05)


@pytest.mark.parametrize("accuracy", [1.0, 0.9, 0.6])
@pytest.mark.parametrize("classes", [4, 10])
def test_difficult_rows_are_not_wrong_labels(accuracy, classes):
    p, true = make_predictions(4000, classes, accuracy=accuracy)
    assert estimate_random_labels(p, true) is None


def make_noisy_digits(noise):
    """Return digits with wrong labels at random, and which rows they are."""
    digits = yisheng.data.load("digits")
    draw = np.random.default_rng(0)
    wrong = draw.random(len(digits)) < noise
    y = np.where(wrong, (digits.y + draw.integers(1, 10, len(digits))) % 10, digits.y)
    spec = Spec("classification", digits.spec.shape, classes=digits.spec.classes)
    return Dataset("noisy digits", spec, digits.x, y), wrong


@pytest.mark.slow
@pytest.mark.parametrize("doctor", ["passive", "full"])
def test_labels_of_which_40_percent_are_wrong_are_no_overfitting(tmp_path, doctor):
    """By validation rows in a usual run, and by each training row before the network knows it with doctor=full."""
    data, wrong = make_noisy_digits(0.4)
    run = yisheng.train(data=data, model="lenet", epochs=20, doctor=doctor, out=tmp_path, quiet=True)
    causes = {cause.check: cause for cause in run.diagnose().findings if cause.severity != "note"}
    assert list(causes) == ["label-noise"]
    assert causes["label-noise"].evidence["fraction"] == pytest.approx(0.4, abs=0.12)
    assert wrong[causes["label-noise"].rows].mean() >= 0.85
    assert "overfitting" not in causes
    stored = run_facts.read_run_facts(run.path).findings
    images = next(cause.images for cause in stored.findings if cause.check == "label-noise")
    assert len(images) == len(causes["label-noise"].rows)
    assert (run.path / "report.html").read_text().count("data:image/png;base64,") >= len(images)


@pytest.mark.slow
def test_correct_labels_have_no_finding(tmp_path):
    run = yisheng.train(data="digits", model="lenet", epochs=8, doctor="full", out=tmp_path, quiet=True)
    assert "label-noise" not in {cause.check for cause in run.diagnose().findings}


@pytest.mark.slow
def test_recording_margins_changes_no_bit(tmp_path):
    weights = []
    for doctor in ("passive", "full"):
        run = yisheng.train(data="digits", model="mlp", epochs=2, doctor=doctor, out=tmp_path, quiet=True)
        weights.append((run.path / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_network_of_a_loop_doubts_labels_only_after_its_training(monkeypatch):
    calls = []
    monkeypatch.setattr("yisheng.diagnosis.doctor.find_label_noise", lambda *_: calls.append(1) or iter(()))
    torch.manual_seed(0)
    x = torch.randn(120, 4)
    y = (x[:, 0] > 0).long()
    net = torch.nn.Linear(4, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    with yisheng.doctor(net, optimizer, data=(x, y), validation=(x[:40], y[:40])) as dr:
        for step in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            if step == 55:
                assert dr.diagnose()
                assert not calls
    assert dr.diagnose()
    assert calls == [1]

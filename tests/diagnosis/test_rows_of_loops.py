"""What a loop's rows show: labels that only a quick model doubts, no training rows, no batches, a trained head."""

from types import SimpleNamespace

import pytest
import torch
from benchmarks.doctor.further.shapes import outlines
from benchmarks.doctor.unseen.loop import digits
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.diagnosis.refuted_labels import find_refuted_labels
from yisheng.diagnosis.row_checks import examine_rows
from yisheng.diagnosis.trained_part import explain_trained_part

from .small_trainings import list_alarms


class Oracle(nn.Module):
    """A network that knows the right class of each held-out row."""

    def __init__(self, y):
        super().__init__()
        self.register_buffer("scores", F.one_hot(y).float())

    def forward(self, x):
        return self.scores[: len(x)]


@pytest.mark.parametrize("wrong", ["none", "training", "all"])
def test_a_network_refutes_wrong_labels_of_a_quick_model_if_held_out_labels_are_right(wrong):
    """Trees on pixels do not recognize outlines at any place; the digits of scanned images they do."""
    data = outlines(0) if wrong == "none" else digits(0)
    (x, y), (x_test, y_test) = (data.x, data.y), (data.x_test[:256], data.y_test[:256])
    generator = torch.Generator().manual_seed(0)

    def replace_labels(labels):
        is_wrong = torch.rand(len(labels), generator=generator) < 0.25
        return torch.where(is_wrong, torch.randint(0, 10, (len(labels),), generator=generator), labels)

    oracle = Oracle(y_test)
    if wrong != "none":
        y = replace_labels(y)
    if wrong == "all":
        y_test = replace_labels(y_test)
    rows = examine_rows(x, y, validation=(x_test, y_test))
    assert "label-noise" in [finding.check for finding in rows.findings]
    refuted = [finding.check for finding in find_refuted_labels(oracle, rows, (x_test, y_test))]
    assert refuted == (["label-noise"] if wrong == "none" else [])


def test_a_loop_that_draws_new_rows_has_rows_to_validate_on_only():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(net.parameters(), 0.01)

    def draw(rows):
        x = torch.randn(rows, 3)
        return x, (x[:, :1] * x[:, 1:2] + x[:, 2:]).detach()

    held_out = draw(200)
    with yisheng.doctor(net, optimizer, validation=held_out) as dr:
        for _ in range(5):
            for _ in range(30):
                x, y = draw(32)
                optimizer.zero_grad()
                F.mse_loss(net(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(held_out[0]), held_out[1])))
    diagnosis = dr.diagnose()
    assert list_alarms(dr) == []
    assert diagnosis.missing == ("data",)
    assert diagnosis.unchecked["unused-rows"] == "there are no training rows to compare with"


def test_rows_to_validate_on_alone_show_a_wrong_score():
    torch.manual_seed(0)
    x = torch.randn(400, 6)
    y = (x[:, 0] > 0).long()
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    with yisheng.doctor(net, optimizer, validation=(x[300:], y[300:])) as dr:
        for _ in range(8):
            for rows in torch.randperm(300).split(20):
                optimizer.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                correct = (net(x[300:]).argmax(1) == y[300:]).sum()
            dr.validation(score=float(correct / 300))  # there are 100 of them
    assert list_alarms(dr) == ["evaluated-scores"]


@pytest.mark.parametrize("batches", ["generator", "zip", "iterator", "list", "two at the end"])
def test_batches_that_are_used_up_are_named(batches):
    torch.manual_seed(0)
    x = torch.randn(320, 6)
    y = (x[:, 0] > 0).long()
    parts = list(zip(x[:256].split(16), y[:256].split(16), strict=True))
    once = {
        "generator": (pair for pair in parts),
        "zip": zip(x[:256].split(16), y[:256].split(16), strict=True),
        "iterator": iter(parts),
    }.get(batches, parts)
    net = nn.Linear(6, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(6):
            for inputs, labels in once:
                optimizer.zero_grad()
                F.cross_entropy(net(inputs), labels).backward()
                optimizer.step()
            for _ in range(2 if batches == "two at the end" else 1):
                with torch.no_grad():
                    dr.validation(loss=float(F.cross_entropy(net(x[256:]), y[256:])))
    assert ("missing-update" in list_alarms(dr)) == (batches in ("generator", "zip", "iterator"))


@pytest.mark.parametrize("is_head_only", [True, False])
def test_a_head_on_features_of_other_rows_that_trails_is_no_mistake_of_the_loop(is_head_only):
    body = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 3), nn.ReLU())
    net = nn.Sequential(body, nn.Linear(3, 2))
    case = SimpleNamespace(model=net, optimizer=torch.optim.SGD((net[1] if is_head_only else net).parameters(), 0.1))
    remedy = explain_trained_part(case)
    assert ("8 of 1,035 weights" in remedy) == is_head_only
    assert bool(remedy) == is_head_only

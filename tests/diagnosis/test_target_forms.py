"""Targets that a loss accepts in another form than it expects: each is found, the right form is not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import list_alarms, make_mlp

ROWS = 96


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def train(loss, targets, outputs):
    net, x = make_mlp(4, 8, outputs), torch.randn(ROWS, 4)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(4):
            for rows in torch.randperm(ROWS).split(24):
                optimizer.zero_grad()
                loss(net(x[rows]), targets[rows]).backward()
                optimizer.step()
    return dr


def list_classes(labels):
    """Return the class numbers of rows of zeros and ones, and -1 after them."""
    order = labels.argsort(dim=1, descending=True, stable=True)
    return torch.where(torch.arange(labels.shape[1]) < labels.sum(1, keepdim=True), order, -1)


LABELS = (torch.arange(ROWS)[:, None] * torch.tensor([3, 5, 7, 11]) % 8 < 3).long()
COUNTS = torch.arange(ROWS)[:, None] % 4 + 0.0
P = torch.linspace(0.1, 0.9, ROWS)[:, None] * torch.tensor([[1.0, -1.0]]) + torch.tensor([[0.0, 1.0]])
SIGNS = (torch.arange(ROWS) % 3 < 1).float() * 2 - 1


def divergence(has_log_target):
    def loss(scores, targets):
        return F.kl_div(scores.log_softmax(1), targets, reduction="batchmean", log_target=has_log_target)

    return loss


def hinge(scores, targets):
    return F.hinge_embedding_loss(scores.squeeze(1).abs(), targets)


def ranking(scores, targets):
    return F.margin_ranking_loss(scores[:, 0], scores[:, 1], targets)


SOFT_MARGIN = nn.SoftMarginLoss()
FORMS = {
    "labels as zeros and ones": (True, nn.MultiLabelMarginLoss(), LABELS, 4),
    "one label as zeros and a one": (True, nn.MultiLabelMarginLoss(), F.one_hot(torch.arange(ROWS) % 4), 4),
    "class numbers without an end": (True, nn.MultiLabelMarginLoss(), list_classes(LABELS).clamp(min=0), 4),
    "class numbers": (False, nn.MultiLabelMarginLoss(), list_classes(LABELS), 4),
    "all classes of a row": (False, nn.MultiLabelMarginLoss(), torch.arange(4).expand(ROWS, 4), 4),
    "labels of two classes": (False, nn.MultiLabelMarginLoss(), torch.tensor([[0, 1]]).expand(ROWS, 2), 2),
    "signs as labels": (True, nn.MultiLabelSoftMarginLoss(), 2.0 * LABELS - 1, 4),
    "labels": (False, nn.MultiLabelSoftMarginLoss(), LABELS.float(), 4),
    "classes 1 and 2": (True, hinge, 1.5 + SIGNS / 2, 1),
    "signs": (False, hinge, SIGNS, 1),
    "ranks 0 and 1": (True, ranking, (SIGNS + 1) / 2, 2),
    "ranks": (False, ranking, SIGNS, 2),
    "scores 1 and 2 of a margin": (True, lambda s, y: SOFT_MARGIN(s.squeeze(1), y), 1.5 + SIGNS / 2, 1),
    "signs and unknown ones": (False, lambda s, y: SOFT_MARGIN(s.squeeze(1), y), SIGNS * (torch.arange(ROWS) > 9), 1),
    "scaled counts": (True, nn.PoissonNLLLoss(), COUNTS - COUNTS.mean(), 1),
    "counts": (False, nn.PoissonNLLLoss(), COUNTS, 1),
    "probabilities as logarithms": (True, divergence(True), P, 2),
    "logarithms": (False, divergence(True), P.log(), 2),
    "probabilities": (False, divergence(False), P, 2),
}


@pytest.mark.parametrize("name", FORMS)
def test_targets_of_a_wrong_form(name):
    is_faulty, loss, targets, outputs = FORMS[name]
    alarms = list_alarms(train(loss, targets, outputs))
    assert alarms[:1] == ["target-range"] if is_faulty else "target-range" not in alarms

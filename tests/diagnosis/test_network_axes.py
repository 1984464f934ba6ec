"""Networks that do not return one output per row on the first axis: no check stops at them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

ROWS, HELD_OUT = 300, 290
"""More than a batch of 256 rows, and no multiple of it."""


class Members(nn.Module):
    """Three networks with stacked weights: ``(3, B, outputs)``."""

    def __init__(self, outputs):
        super().__init__()
        self.weight1 = nn.Parameter(torch.randn(3, 6, 8) * 0.4)
        self.weight2 = nn.Parameter(torch.randn(3, 8, outputs) * 0.3)

    def forward(self, x):
        return (x @ self.weight1).tanh() @ self.weight2


class OnAxis(nn.Module):
    """A network whose outputs a function brings into another form."""

    def __init__(self, form, outputs):
        super().__init__()
        self.net, self.form = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs)), form

    def forward(self, x):
        return self.form(self.net(x))


def members_of_classes(scores, y):
    return F.cross_entropy(scores.flatten(0, 1), y.repeat(len(scores)))


def members_of_numbers(outputs, y):
    return F.mse_loss(outputs.squeeze(2), y.float().expand(len(outputs), -1))


NETWORKS = {
    "members with classes": (lambda: Members(3), members_of_classes),
    "members with numbers": (lambda: Members(1), members_of_numbers),
    "classes first": (lambda: OnAxis(torch.t, 3), lambda scores, y: F.cross_entropy(scores.t(), y)),
    "numbers in a line": (lambda: OnAxis(torch.t, 1), lambda outputs, y: F.mse_loss(outputs[0], y.float())),
    "several outputs": (lambda: OnAxis(lambda z: (z, z.exp()), 3), lambda out, y: F.cross_entropy(out[0], y)),
    "a dictionary": (lambda: OnAxis(lambda z: {"scores": z}, 3), lambda out, y: F.cross_entropy(out["scores"], y)),
    "steps first": (
        lambda: OnAxis(lambda z: z.view(-1, 2, 3).transpose(0, 1), 6),
        lambda scores, y: F.cross_entropy(scores.mean(0), y),
    ),
    "similarities of all rows": (
        lambda: OnAxis(lambda z: z @ z.t(), 3),
        lambda scores, _: F.cross_entropy(scores, torch.arange(len(scores))),
    ),
    "one number for all rows": (lambda: OnAxis(lambda z: z.square().mean(), 3), lambda out, _: out),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classes", [True, False], ids=["classes", "numbers"])
def test_no_check_stops_at_outputs_of_another_form(name, classes):
    torch.manual_seed(0)
    x = torch.randn(ROWS + HELD_OUT, 6)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    build, loss = NETWORKS[name]
    net = build()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    targets = y if classes else y.float() + 0.1 * torch.randn(len(y))
    with yisheng.doctor(net, optimizer, data=(x[:ROWS], targets[:ROWS]), validation=(x[ROWS:], targets[ROWS:])) as dr:
        for _ in range(4):
            for index in torch.randperm(ROWS).split(128):  # the last batch is smaller
                optimizer.zero_grad()
                loss(net(x[index]), y[index]).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float(loss(net(x[ROWS:]), y[ROWS:])), score=0.5)
            net.train()
    assert not [reason for reason in dr.diagnose().unchecked.values() if "defect" in reason]

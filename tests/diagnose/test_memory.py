"""What was seen outlives a process whole."""

import dataclasses

import pytest
import torch
from torch import nn

from yisheng.diagnose import memory
from yisheng.diagnose.case import Case
from yisheng.diagnose.ranking import diagnose
from yisheng.diagnose.watch import Watch


def watched(steps=40, lr=0.1, softmax=False):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    sgd = torch.optim.SGD(net.parameters(), lr=lr)
    x = torch.randn(64, 4)
    y = (x[:, 0] > 0).long()
    with Watch(net, sgd) as watch:
        for _ in range(steps):
            sgd.zero_grad()
            output = net(x).softmax(1) if softmax else net(x)
            nn.functional.cross_entropy(output, y).backward()
            sgd.step()
    return watch


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return a == b


def test_it_comes_back_as_it_was():
    watch = watched()
    again = Watch(watch.model, watch.optimizer)
    assert memory.load(again, memory.dump(watch), watch.steps)
    assert equal(again.moments, watch.moments)
    assert again.losses == watch.losses
    assert again.steps == watch.steps


def test_the_same_is_said_of_it():
    watch = watched(softmax=True)
    again = Watch(watch.model, watch.optimizer)
    assert memory.load(again, memory.dump(watch), watch.steps)
    said = [diagnose(Case.of(one)) for one in (watch, again)]
    assert said[0].findings[0].check == "loss-pairing"
    assert str(said[0]) == str(said[1])


def test_what_was_seen_after_a_step_is_forgotten():
    watch = watched()
    again = Watch(watch.model, watch.optimizer)
    assert memory.load(again, memory.dump(watch), 20)
    assert again.moments[-1].step == 20
    assert again.losses == watch.losses[:20]
    assert again.steps == 20


@pytest.mark.parametrize("change", [lambda b: b[:-9], lambda b: b"", lambda b: b"x" * 100, lambda b: b[: len(b) // 2]])
def test_what_is_damaged_is_not_taken(change):
    watch = watched(5)
    again = Watch(watch.model, watch.optimizer)
    assert not memory.load(again, change(memory.dump(watch)), 5)
    assert (again.moments, again.losses, again.steps) == ([], [], 0)

"""The hooks of light steps: an error in one of them ends the recording only, and copies of the network have none."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.doctor import doctor
from yisheng.diagnosis.recorder.foreign_writes import ForeignWrites
from yisheng.diagnosis.recorder.guard import Guard
from yisheng.diagnosis.recorder.light_steps import LightForwardHook, LightSteps, LightUpdateHook

LIGHT_STEP, STEPS = 100, 110


def train(before_step=lambda dr, step, net: None, *, is_watched=True):
    """Train a network, and return the doctor and the weights."""
    torch.manual_seed(0)
    x = torch.randn(240, 8)
    y = (x[:, 0] > 0).long()
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    dr = doctor(net, sgd)
    if is_watched:
        dr.__enter__()
    for step in range(1, STEPS + 1):
        before_step(dr, step, net)
        rows = torch.randint(0, len(x), (16,))
        sgd.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        sgd.step()
    if is_watched:
        dr.__exit__(None, None, None)
    return dr, net.state_dict()


@pytest.fixture(scope="module")
def plain_weights():
    return train(is_watched=False)[1]


class Refusal:
    """An object that cannot be compared or subtracted from."""

    def __eq__(self, *_):
        raise ZeroDivisionError("refused")

    __gt__ = __lt__ = __add__ = __bool__ = __eq__
    __hash__ = object.__hash__


@pytest.mark.parametrize("counter", ["until", "backwards_before", "steps"])
def test_an_error_in_a_light_step_ends_the_recording_and_changes_no_weight(counter, plain_weights):
    def break_counter(dr, step, _):
        if step == LIGHT_STEP:
            setattr(dr._recorder._light, counter, Refusal())
        if step == LIGHT_STEP + 2:
            for name in ("until", "backwards_before", "steps"):
                setattr(dr._recorder._light, name, 0)

    dr, weights = train(break_counter)
    assert [finding.check for finding in dr.findings] == ["interrupted-recording"]
    assert "refused" in str(dr._recorder.guard.failure)
    assert len(dr._recorder.losses) <= LIGHT_STEP
    assert not dr._recorder._light.arguments
    assert all(torch.equal(weights[name], value) for name, value in plain_weights.items())


def test_an_error_of_the_hook_on_the_gradient_ends_the_recording(monkeypatch, plain_weights):
    def break_writes(dr, step, _):
        if step == LIGHT_STEP:
            dr._recorder.foreign_writes.version = -1
            monkeypatch.setattr(ForeignWrites, "look", lambda *_: 1 / 0)

    dr, weights = train(break_writes)
    assert [finding.check for finding in dr.findings] == ["interrupted-recording"]
    assert all(torch.equal(weights[name], value) for name, value in plain_weights.items())


def test_copies_and_files_of_a_network_in_a_light_step_have_no_working_hooks(plain_weights):
    losses = []

    def copy_network(dr, step, net):
        if step == LIGHT_STEP:
            light = dr._recorder._light
            file = io.BytesIO()
            torch.save(net, file)
            file.seek(0)
            for other in (copy.deepcopy(net), torch.load(file, weights_only=False)):
                other(torch.ones(4, 8)).sum().backward()
            losses.append((light.backwards, light.arguments))

    dr, weights = train(copy_network)
    assert losses == [(LIGHT_STEP - 1, ())]
    assert len(dr._recorder.losses) == STEPS
    assert not dr._recorder.guard.failure
    assert all(torch.equal(weights[name], value) for name, value in plain_weights.items())


def test_light_steps_only_count_and_everything_else_is_handed_on():
    net, calls, light, guard = nn.Linear(2, 2), [], LightSteps(until=100, backwards=1), Guard()
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    light.rate = sgd.param_groups[0]["lr"]
    net.register_forward_hook(LightForwardHook(guard, light, lambda *_: calls.append("pass")))
    after_update = lambda: calls.append("update")  # noqa: E731
    sgd.register_step_post_hook(LightUpdateHook(guard, light, net, ForeignWrites(net), after_update))
    x = torch.ones(3, 2)
    net(x).sum().backward()
    sgd.step()
    assert (calls, light.steps, light.arguments[0] is x) == ([], 1, True)
    with torch.no_grad():
        net(x)
    net.eval()(x)
    sgd.step()  # no backward pass was counted before it
    assert calls == ["pass", "pass", "update"]
    light.learns_in_evaluation = True
    net(x)
    assert calls == ["pass", "pass", "update"]

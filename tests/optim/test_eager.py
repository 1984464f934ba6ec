"""Optimizers without the guards for `torch.compile` do what torch's do, and do not import the compiler."""

import copy
import subprocess
import sys

import pytest
import torch

from yisheng.optim import _eager

OPTIONS = {
    "SGD": [{"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, {"lr": 0.1, "fused": True}],
    "Adam": [{"lr": 0.1, "weight_decay": 0.1}, {"lr": 0.1, "fused": True}],
    "AdamW": [{"lr": 0.1}, {"lr": 0.1, "fused": True}],
    "RMSprop": [{"lr": 0.1}],
    "LBFGS": [{"lr": 0.5, "line_search_fn": "strong_wolfe"}],
}
CASES = [(name, options) for name, cases in OPTIONS.items() for options in cases]


def train(kind, options, *, steps=4, state=None):
    """Return the weights after some updates, and the optimizer."""
    w = torch.linspace(-1, 1, 6, dtype=torch.float64).requires_grad_()
    optimizer = kind([{"params": [w]}], **options)
    if state is not None:
        optimizer.load_state_dict(copy.deepcopy(state))  # it keeps the tensors that it is given

    def closure():
        optimizer.zero_grad()
        loss = ((w - 2) ** 2).mul(torch.arange(1, 7)).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return w.detach(), optimizer


@pytest.mark.parametrize(("name", "options"), CASES)
def test_updates_are_those_of_torch_to_the_bit(name, options):
    expected, reference = train(getattr(torch.optim, name), options)
    weights, optimizer = train(getattr(_eager, name), options)
    torch.testing.assert_close(weights, expected, rtol=0, atol=0)
    assert isinstance(optimizer, getattr(torch.optim, name))
    assert str(optimizer) == str(reference)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_states_are_exchanged_with_torch(name, options):
    state = train(getattr(torch.optim, name), options)[1].state_dict()
    expected, _ = train(getattr(torch.optim, name), options, state=state)
    weights, _ = train(getattr(_eager, name), options, state=state)
    torch.testing.assert_close(weights, expected, rtol=0, atol=0)


def test_hooks_are_called():
    w, calls = torch.zeros(1, requires_grad=True), []
    optimizer = _eager.SGD([w], lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    w.grad = torch.ones(1)
    optimizer.step()
    assert calls == ["before", "after"]
    assert not optimizer.param_groups[0]["params"][0].grad.requires_grad


def test_the_compiler_is_not_imported():
    code = (
        "import sys, torch; from yisheng.core import registry; from yisheng.core.spec import Spec\n"
        "for entry in registry.entries('optim'):\n"
        "    w = torch.zeros(2, 2, requires_grad=True)\n"
        "    optimizer = entry.build([{'params': [w], 'initial_lr': 0.1}])\n"
        "    w.grad = torch.ones(2, 2)\n"
        "    optimizer.step(lambda: torch.zeros(()))\n"
        "    optimizer.load_state_dict(optimizer.state_dict())\n"
        "    optimizer.zero_grad()\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Optimisers without torch's compiler and profiler around them."""

import functools
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from yisheng.optim import light


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2))


MAKERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "fused sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "fused adamw": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
}


def trained(make, step, *, watched=()):
    net = network()
    optimizer = make(net.parameters())
    assert light._bare(type(optimizer).step) is not None
    for before in watched:
        before(optimizer)
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    for _ in range(5):
        optimizer.zero_grad()
        net(x).square().sum().backward()
        step(optimizer)
    return [p.detach() for p in net.parameters()]


@pytest.mark.parametrize("kind", MAKERS)
def test_the_update_is_torchs_to_the_bit(kind):
    ours, theirs = trained(MAKERS[kind], light.step), trained(MAKERS[kind], lambda o: o.step())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_hooks_see_what_they_see_with_torch():
    def seen(step):
        found = []

        def watch(optimizer):
            optimizer.register_step_pre_hook(lambda *given: found.append(("before", *map(type, given))))
            optimizer.register_step_post_hook(lambda *given: found.append(("after", *map(type, given), len(given[1]))))

        trained(MAKERS["sgd"], step, watched=[watch])
        return found

    assert seen(light.step) == seen(lambda o: o.step())
    assert len(seen(light.step)) == 10


def test_a_hook_may_change_what_the_step_is_given():
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        return torch.zeros(())

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    optimizer.register_step_pre_hook(lambda own, given, named: (given, {**named, "closure": closure}))
    light.step(optimizer)
    assert calls == [True]


WHERE = {
    "a hook of all optimisers": lambda o: register_optimizer_step_post_hook(lambda *_: None).remove,
    "a schedule": lambda o: torch.optim.lr_scheduler.StepLR(o, 1) and None,
    "a profiler": lambda o: profiled(),
}


def profiled():
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    profile.start()

    def stop():
        profile.stop()
        assert "Optimizer.step#SGD.step" in {event.name for event in profile.events()}

    return stop


@pytest.mark.parametrize("where", [None, *WHERE])
def test_where_something_else_is_at_work_it_is_torchs_own_step(where, monkeypatch):
    optimizer = torch.optim.SGD([w := torch.ones(1)], lr=0.5)
    bare, seen = light._bare(torch.optim.SGD.step), []
    monkeypatch.setattr(light, "_bare", lambda step: lambda *given: seen.append(given) or bare(*given))
    w.grad = torch.ones(1)
    undo = WHERE[where](optimizer) if where else None
    try:
        light.step(optimizer)
    finally:
        if undo is not None:
            undo()
    assert len(seen) == (where is None)
    assert w.item() == 0.5


def test_gradients_through_the_update_go_by_torchs_own_step():
    w, lr = torch.ones(1, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    moved = w.clone()
    optimizer = torch.optim.SGD([moved], lr=lr, differentiable=True)
    moved.grad = torch.ones(1)
    light.step(optimizer)
    moved.sum().backward()
    assert lr.grad.item() == -1


@pytest.mark.parametrize("wrap", [functools.wraps, lambda _: lambda function: function])
def test_a_step_that_somebody_has_patched_is_called(wrap, monkeypatch):
    optimizer = torch.optim.SGD([w := torch.ones(1)], lr=0.5)
    w.grad = torch.ones(1)
    light.step(optimizer)  # so that what was found before is not taken for ever
    theirs, seen = torch.optim.SGD.step, []

    @wrap(theirs)
    def patched(self):
        seen.append(self)
        return theirs(self)

    monkeypatch.setattr(torch.optim.SGD, "step", patched)
    light.step(optimizer)
    assert seen == [optimizer]
    assert w.item() == 0


def test_an_optimiser_with_its_own_way_to_clear_gradients_is_asked():
    seen = []

    class Own(torch.optim.SGD):
        def zero_grad(self, set_to_none=True):
            seen.append(1)
            super().zero_grad(set_to_none)

    w = torch.ones(1, requires_grad=True)
    for optimizer in (Own([w], lr=0.1), torch.optim.SGD([w], lr=0.1)):
        w.grad = torch.ones(1)
        light.clear(optimizer)
        assert w.grad is None
    assert seen == [1]


ALONE = """
    import sys
    import torch
    from yisheng.optim import light

    light.leave_compiler_out()
    optimizer = torch.optim.Adam([w := torch.ones(1, requires_grad=True)])
    w.sum().backward()
    light.step(optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.zero_grad()
    assert w.grad is None and w.item() < 1
    assert "torch._dynamo" not in sys.modules, "the compiler was imported"

    import torch._dynamo  # now somebody compiles

    light.leave_compiler_out()
    w.sum().backward()
    for _ in range(2):
        optimizer.zero_grad()
    assert w.grad is None
    kept = getattr(torch.optim.Optimizer.zero_grad.__wrapped__, light.KEPT)
    assert kept.__module__.startswith("torch."), kept
    assert "_torchdynamo_disable" in vars(kept), vars(kept)
    print("fine")
"""


def test_the_compiler_is_imported_by_who_compiles_alone():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(ALONE)], capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == ("fine\n", "")

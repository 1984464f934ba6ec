"""A watch only looks: what is trained is the same to the bit, and nothing of it stays behind."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.doctor import doctor
from yisheng.diagnosis.loss_graph import factor
from yisheng.diagnosis.recorder.recorder import Watch


def mlp():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)), torch.randn(240, 8)


def conv():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    return net, torch.randn(240, 1, 8, 8)


def sgd(net):
    return torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)


def adam(net):
    return torch.optim.Adam(net.parameters(), lr=1e-2)


def trained(build, make, watched, steps=40):
    torch.manual_seed(3)
    net, x = build()
    y = torch.randint(0, 3, (len(x),))
    optimizer = make(net)
    watch = doctor(net, optimizer) if watched else None
    if watch is not None:
        watch.__enter__()
    for step in range(steps):
        rows = torch.randint(0, len(x), (16,))
        optimizer.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
        if watch is not None and step % 10 == 0:
            watch.diagnosis()
    if watch is not None:
        watch.__exit__(None, None, None)
    return net.state_dict(), torch.get_rng_state(), watch


@pytest.mark.parametrize(("build", "make"), list(itertools.product((mlp, conv), (sgd, adam))))
def test_training_with_the_doctor_is_the_same_to_the_bit(build, make):
    plain, drawn, _ = trained(build, make, watched=False)
    watched, drawn_too, watch = trained(build, make, watched=True)
    assert plain.keys() == watched.keys()
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    assert torch.equal(drawn, drawn_too)
    assert watch._watch.steps == 40
    assert watch._watch.moments  # it did look


def hooks(net, optimizer):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    count = sum(len(getattr(module, kind)) for module in net.modules() for kind in kinds)
    count += sum(len(p._backward_hooks or ()) for p in net.parameters())
    return count + len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


@pytest.mark.parametrize("steps", [0, 1, 12, 25])
def test_no_hook_stays_behind(steps):
    net, x = mlp()
    optimizer = sgd(net)
    original = torch.autograd.backward
    with Watch(net, optimizer):
        assert hooks(net, optimizer) > 0
        assert torch.autograd.backward is not original
        for _ in range(steps):
            optimizer.zero_grad()
            net(x).sum().backward()
            optimizer.step()
    assert hooks(net, optimizer) == 0
    assert torch.autograd.backward is original


def test_everything_is_put_back_after_an_exception():
    net, x = conv()
    optimizer = adam(net)
    original = torch.autograd.backward
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), Watch(net, optimizer):
        net(x[:, :, :5])
    assert hooks(net, optimizer) == 0
    assert torch.autograd.backward is original


def test_two_networks_are_watched_at_once_each_with_its_own_losses():
    torch.manual_seed(0)
    first, x = mlp()
    second, _ = mlp()
    one, two = sgd(first), sgd(second)
    original = torch.autograd.backward
    with Watch(first, one) as outer:
        with Watch(second, two) as inner:
            for step in range(30):
                for net, optimizer, scale in ((first, one, 1.0), (second, two, -1.0)):
                    if net is second and step % 2:
                        continue
                    optimizer.zero_grad()
                    (scale * net(x).square().mean() + scale).backward()
                    optimizer.step()
        assert torch.autograd.backward is not original
    assert torch.autograd.backward is original
    assert (outer.steps, inner.steps) == (30, 15)
    assert (len(outer.losses), len(inner.losses)) == (30, 15)
    assert min(outer.losses) > 0 > max(inner.losses)


def test_a_loss_is_seen_without_the_factor_of_accumulation():
    net, x = mlp()
    optimizer = sgd(net)
    with Watch(net, optimizer) as watch:
        wanted = []
        for _ in range(14):
            loss = net(x).square().mean()
            wanted.append(float(loss.detach()))
            (loss / 4).backward()
    assert watch.losses == pytest.approx(wanted)
    assert factor(-net(x).square().mean()) is None


def test_evaluations_in_training_mode_are_counted_between_looks():
    net, x = mlp()
    optimizer = sgd(net)
    with Watch(net, optimizer) as watch:
        for _ in range(45):
            optimizer.zero_grad()
            net(x[:8]).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            net(x)
            net.eval()
            net(x)
    assert watch.evaluated_in_training_mode == 1


def test_the_first_loss_that_is_no_number_is_traced():
    net, x = mlp()
    optimizer = sgd(net)
    with Watch(net, optimizer) as watch:
        for step in range(14):
            bad = x[:8].clone()
            bad[0, 0] = float("nan") if step == 12 else 0.0
            optimizer.zero_grad()
            net(bad).square().mean().backward()
            optimizer.step()
    assert watch.broken is not None
    assert (watch.broken.step, watch.broken.inputs, watch.broken.weights) == (13, False, True)


@pytest.mark.parametrize(
    "propagate",
    [
        lambda a, b: torch.autograd.backward(a + b),
        lambda a, b: torch.autograd.backward([a + b]),
        lambda a, b: torch.autograd.backward(tensors=(a, b)),
        lambda a, b: torch.autograd.backward([a, b / 4]),
        lambda a, b: (a + b).backward(),
        lambda a, b: (a + b).as_subclass(Subclass).backward(),
        lambda a, b: torch.autograd.backward((a + b).as_subclass(Subclass)),
        lambda a, b: torch.autograd.backward([a.as_subclass(Subclass), b]),
    ],
    ids=[
        "one",
        "a list of one",
        "two",
        "two with a factor",
        "method",
        "method of a subclass",
        "a subclass",
        "in a list",
    ],
)
def test_a_loss_is_seen_once_however_it_is_propagated(propagate):
    net, x = mlp()
    optimizer = sgd(net.eval())
    with Watch(net, optimizer) as watch:
        wanted = []
        for _ in range(14):
            optimizer.zero_grad()
            output = net(x)
            a, b = F.cross_entropy(output, torch.zeros(len(x), dtype=torch.long)), output.square().mean()
            wanted.append(float((a + b).detach()))
            propagate(a, b)
            optimizer.step()
    assert watch.losses == pytest.approx(wanted)
    assert watch.backwards == 14
    assert watch.moments[0].pairing.loss == "nll"
    assert not watch.moments[0].pairing.whole
    assert len(watch.moments[0].reached) == 4


class Subclass(torch.Tensor):
    pass


def test_a_pass_within_a_pass_is_no_loss():
    net, x = mlp()
    optimizer = sgd(net)
    x.requires_grad_(True)
    with Watch(net, optimizer) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            loss = torch.utils.checkpoint.checkpoint(lambda x: net(x).square().mean(), x, use_reentrant=True)
            hidden = torch.utils.checkpoint.checkpoint(net[:2], x, use_reentrant=True)
            (loss + net[2:](hidden).square().mean()).backward()
            optimizer.step()
    assert len(watch.losses) == 12


def test_what_the_network_gives_is_propagated_with_gradients_of_its_own():
    net, x = mlp()
    with Watch(net, sgd(net)) as watch:
        torch.autograd.backward([net(x)], [torch.ones(240, 3)])
        torch.autograd.backward(net(x), torch.ones(240, 3))
        torch.autograd.backward(list(net(x).unbind()), list(torch.ones(240, 3).unbind()))
        net(x).backward(torch.ones(240, 3))
    assert watch.losses == []


def test_a_network_that_is_met_late_is_given_time_before_it_is_called_lost():
    net, x = mlp()
    other = nn.Linear(3, 3)
    optimizer, its = sgd(net), sgd(other)
    lost = []
    with Watch(net, optimizer) as watch:
        for step in range(200):
            optimizer.zero_grad()
            output = net(x[:8])
            (other(output) if step >= 100 else output).square().mean().backward()
            lost.append(len(watch.strays))
            optimizer.step()
            if step >= 100:
                its.step()
    assert len(watch.strangers) == 2
    assert max(lost) == 0

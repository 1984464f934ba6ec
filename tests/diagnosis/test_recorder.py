"""The recorder changes nothing: the trained weights are the same to the bit, and no hook or class remains."""

import copy
import itertools
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.doctor import doctor
from yisheng.diagnosis.loss_graph import inverse_factor
from yisheng.diagnosis.recorder.recorder import Recorder


def mlp():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)), torch.randn(240, 8)


def conv():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    return net, torch.randn(240, 1, 8, 8)


def sgd(net):
    return torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)


def adam(net):
    return torch.optim.Adam(net.parameters(), lr=1e-2)


def trained(build, make, with_doctor, steps=40):
    torch.manual_seed(3)
    net, x = build()
    y = torch.randint(0, 3, (len(x),))
    optimizer = make(net)
    recorder = doctor(net, optimizer) if with_doctor else None
    if recorder is not None:
        recorder.__enter__()
    for step in range(steps):
        rows = torch.randint(0, len(x), (16,))
        optimizer.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
        if recorder is not None and step % 10 == 0:
            recorder.diagnose()
    if recorder is not None:
        recorder.__exit__(None, None, None)
    return net.state_dict(), torch.get_rng_state(), recorder


@pytest.mark.parametrize(("build", "make"), list(itertools.product((mlp, conv), (sgd, adam))))
def test_training_with_the_doctor_is_the_same_to_the_bit(build, make):
    plain, drawn, _ = trained(build, make, with_doctor=False)
    with_doctor, drawn_too, recorder = trained(build, make, with_doctor=True)
    assert plain.keys() == with_doctor.keys()
    assert all(torch.equal(plain[name], with_doctor[name]) for name in plain)
    assert torch.equal(drawn, drawn_too)
    assert recorder._recorder.steps == 40
    assert recorder._recorder.records  # it did look


def hooks(net, optimizer):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    count = sum(len(getattr(module, kind)) for module in net.modules() for kind in kinds)
    count += sum(len(p._backward_hooks or ()) + len(p._post_accumulate_grad_hooks or ()) for p in net.parameters())
    return count + len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


@pytest.mark.parametrize("steps", [0, 1, 12, 25])
def test_no_hook_stays_behind(steps):
    net, x = mlp()
    optimizer = sgd(net)
    original = torch.autograd.backward
    with Recorder(net, optimizer):
        assert hooks(net, optimizer) > 0
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
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), Recorder(net, optimizer):
        net(x[:, :, :5])
    assert hooks(net, optimizer) == 0
    assert torch.autograd.backward is original


def test_two_networks_are_watched_at_once_each_with_its_own_losses():
    torch.manual_seed(0)
    first, x = mlp()
    second, _ = mlp()
    first_optimizer, two = sgd(first), sgd(second)
    original = torch.autograd.backward
    with Recorder(first, first_optimizer) as outer, Recorder(second, two) as inner:
        for step in range(30):
            for net, optimizer, scale in ((first, first_optimizer, 1.0), (second, two, -1.0)):
                if net is second and step % 2:
                    continue
                optimizer.zero_grad()
                (scale * net(x).square().mean() + scale).backward()
                optimizer.step()
    assert torch.autograd.backward is original
    assert (outer.steps, inner.steps) == (30, 15)
    assert (len(outer.losses), len(inner.losses)) == (30, 15)
    assert min(outer.losses) > 0 > max(inner.losses)


def test_a_loss_is_seen_without_the_factor_of_accumulation():
    net, x = mlp()
    optimizer = sgd(net)
    with Recorder(net, optimizer) as recorder:
        expected = []
        for _ in range(14):
            loss = net(x).square().mean()
            expected.append(float(loss.detach()))
            (loss / 4).backward()
    assert recorder.losses == pytest.approx(expected)
    assert inverse_factor(-net(x).square().mean()) is None


def test_evaluations_in_training_mode_are_counted_between_looks():
    net, x = mlp()
    optimizer = sgd(net)
    with Recorder(net, optimizer) as recorder:
        for _ in range(45):
            optimizer.zero_grad()
            net(x[:8]).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            net(x)
            net.eval()
            net(x)
    assert recorder.evaluated_in_training_mode == 1


def test_the_first_loss_that_is_no_number_is_traced():
    net, x = mlp()
    optimizer = sgd(net)
    with Recorder(net, optimizer) as recorder:
        for step in range(14):
            nan_input = x[:8].clone()
            nan_input[0, 0] = float("nan") if step == 12 else 0.0
            optimizer.zero_grad()
            net(nan_input).square().mean().backward()
            optimizer.step()
    assert recorder.loss_observer.nonfinite_loss is not None
    assert (
        recorder.loss_observer.nonfinite_loss.step,
        recorder.loss_observer.nonfinite_loss.inputs,
        recorder.loss_observer.nonfinite_loss.weights,
    ) == (
        13,
        False,
        True,
    )


@pytest.mark.parametrize(
    "propagate",
    [
        lambda a, b: torch.autograd.backward(a + b),
        lambda a, b: torch.autograd.backward([a + b]),
        lambda a, b: torch.autograd.backward(tensors=(a, b)),
        lambda a, b: torch.autograd.backward([a, b / 4]),
        lambda a, b: (a + b).backward(),
        lambda a, b: torch.autograd.backward([a.as_subclass(Subclass), b]),
    ],
    ids=[
        "one",
        "a list of one",
        "two",
        "two with a factor",
        "method",
        "in a list",
    ],
)
def test_a_loss_is_seen_once_however_it_is_propagated(propagate):
    net, x = mlp()
    optimizer = sgd(net.eval())
    with Recorder(net, optimizer) as recorder:
        expected = []
        for _ in range(14):
            optimizer.zero_grad()
            output = net(x)
            a, b = F.cross_entropy(output, torch.zeros(len(x), dtype=torch.long)), output.square().mean()
            expected.append(float((a + b).detach()))
            propagate(a, b)
            optimizer.step()
    assert recorder.losses == pytest.approx(expected)
    assert recorder.loss_observer.backwards == 14
    assert recorder.records[0].pairing.loss == "nll"
    assert not recorder.records[0].pairing.is_only_term
    assert len(recorder.records[0].reached) == 4


class Subclass(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "propagate",
    [
        lambda loss: loss.as_subclass(Subclass).backward(),
        lambda loss: torch.autograd.backward(loss.as_subclass(Subclass)),
    ],
)
def test_of_a_loss_of_another_class_the_value_is_recorded(propagate):
    net, x = mlp()
    optimizer = sgd(net.eval())
    with Recorder(net, optimizer) as recorder:
        values = []
        for _ in range(14):
            optimizer.zero_grad()
            loss = net(x).square().mean()
            values.append(float(loss.detach()))
            propagate(loss)
            optimizer.step()
    assert recorder.losses == pytest.approx(values)


def test_a_loss_of_parts_called_one_by_one_is_recorded_by_value():
    net, x = mlp()
    optimizer = sgd(net.eval())
    with Recorder(net, optimizer) as recorder:
        values = []
        for _ in range(12):
            optimizer.zero_grad()
            hidden = x
            for layer in net:
                hidden = layer(hidden)
            loss = hidden.square().mean()
            values.append(float(loss.detach()))
            loss.backward()
            optimizer.step()
    assert recorder.losses == pytest.approx(values)
    assert recorder.loss_observer.backwards == 12


@pytest.mark.parametrize("wrap", [lambda out: (out, out), lambda out: {"logits": out}, lambda out: [out]])
def test_outputs_in_containers_are_traced(wrap):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(8, 3)

        def forward(self, x):
            return wrap(self.inner(x))

    net, x = Wrapped(), torch.randn(240, 8)
    optimizer = sgd(net)
    with Recorder(net, optimizer) as recorder:
        output = net(x)
        output = output["logits"] if isinstance(output, dict) else output[0]
        F.cross_entropy(output, torch.zeros(len(x), dtype=torch.long)).backward()
        optimizer.step()
    assert recorder.records[0].pairing.loss == "nll"


def test_no_tensor_keeps_the_class_of_a_traced_one(tmp_path):
    net, x = mlp()
    optimizer = sgd(net)
    tensors = []
    with Recorder(net, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            output = net(x)
            loss = output.square().mean()
            tensors += [output, loss, loss.detach(), output.argmax(1), copy.deepcopy(loss.detach())]
            torch.save(loss.detach(), tmp_path / "loss.pt")
            loss.backward()
            optimizer.step()
            assert all(type(tensor) is torch.Tensor for tensor in tensors)
        tensors.append(net(x))
    assert all(type(tensor) is torch.Tensor for tensor in tensors)
    assert type(torch.load(tmp_path / "loss.pt", weights_only=True)) is torch.Tensor


def test_recorders_of_other_threads_are_not_seen():
    def run(seed, results):
        net, x = mlp()
        optimizer = sgd(net)
        with Recorder(net, optimizer) as recorder:
            for _ in range(60):
                optimizer.zero_grad()
                (net(x).square().mean() + seed).backward()
                optimizer.step()
        results[seed] = (recorder.loss_observer.backwards, len(recorder.losses), round(min(recorder.losses)))

    results = {}
    threads = [threading.Thread(target=run, args=(seed, results)) for seed in (10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {seed: (60, 60, seed) for seed in (10, 20, 30)}


def test_a_pass_within_a_pass_is_no_loss():
    net, x = mlp()
    optimizer = sgd(net)
    x.requires_grad_(True)
    with Recorder(net, optimizer) as recorder:
        for _ in range(12):
            optimizer.zero_grad()
            loss = torch.utils.checkpoint.checkpoint(lambda x: net(x).square().mean(), x, use_reentrant=True)
            hidden = torch.utils.checkpoint.checkpoint(net[:2], x, use_reentrant=True)
            (loss + net[2:](hidden).square().mean()).backward()
            optimizer.step()
    assert len(recorder.losses) == 12


def test_what_the_network_gives_is_propagated_with_gradients_of_its_own():
    net, x = mlp()
    with Recorder(net, sgd(net)) as recorder:
        torch.autograd.backward([net(x)], [torch.ones(240, 3)])
        torch.autograd.backward(net(x), torch.ones(240, 3))
        torch.autograd.backward(list(net(x).unbind()), list(torch.ones(240, 3).unbind()))
        net(x).backward(torch.ones(240, 3))
    assert recorder.losses == []


def test_a_network_that_is_met_late_is_given_time_before_it_is_called_lost():
    net, x = mlp()
    other = nn.Linear(3, 3)
    optimizer, its = sgd(net), sgd(other)
    lost = []
    with Recorder(net, optimizer) as recorder:
        for step in range(200):
            optimizer.zero_grad()
            output = net(x[:8])
            (other(output) if step >= 100 else output).square().mean().backward()
            lost.append(len(recorder.loss_observer.unknown.select_unchanged(recorder.steps)))
            optimizer.step()
            if step >= 100:
                its.step()
    assert len(recorder.loss_observer.unknown.first_seen) == 2
    assert max(lost) == 0

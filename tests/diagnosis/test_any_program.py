"""The doctor does not end, change or disturb a program that it watches, whatever that does."""

import contextlib
import copy
import io
import random
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from yisheng.diagnosis.doctor import doctor
from yisheng.diagnosis.recorder.step_observer import StepObserver


def make_rows(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(200, 5, generator=generator)
    return x, (x[:, 0] > 0).long()


def make_net(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
    return net, torch.optim.Adam(net.parameters(), lr=1e-2)


def train(net, adam, after_update=lambda loss: None, epochs=3):
    x, y = make_rows()
    for _ in range(epochs):
        for rows in torch.randperm(200).split(20):
            adam.zero_grad()
            loss = F.cross_entropy(net(x[rows]), y[rows])
            loss.backward()
            adam.step()
            after_update(loss)


def list_alarms(dr):
    return [finding.check for finding in dr.findings if finding.severity != "note"]


def test_a_network_is_saved_whole_and_copied_in_the_loop():
    net, adam = make_net()
    files = []

    def save(loss):
        buffer = io.BytesIO()
        torch.save({"net": net, "adam": adam.state_dict(), "loss": loss}, buffer)
        files.append((buffer, copy.deepcopy(net)))

    with warnings.catch_warnings(), doctor(net, adam) as dr:
        warnings.simplefilter("error")
        train(net, adam, save)
    assert dr.findings == ()
    file, clone = files[-1]
    loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=False)["net"]
    assert b"yisheng" not in file.getvalue()
    x, _ = make_rows()
    for other in (loaded, clone):
        assert torch.equal(other(x), net(x))


def test_passes_of_a_copy_are_not_those_of_the_network():
    def count(uses_copy):
        net, adam = make_net()
        with doctor(net, adam) as dr:
            train(net, adam, (lambda _: copy.deepcopy(net)(torch.zeros(3, 5))) if uses_copy else (lambda _: None))
        return [record.passes for record in dr._recorder.records]

    assert count(uses_copy=True) == count(uses_copy=False)


def test_sparse_inputs_are_watched():
    torch.manual_seed(0)
    nodes, classes = torch.eye(40), torch.arange(40) % 2
    edges = ((classes[:, None] == classes[None]) / 20.0).to_sparse()

    class GraphNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.output = nn.Linear(40, 16), nn.Linear(16, 2)

        def forward(self, edges, x):
            return self.output(torch.spmm(edges, self.hidden(x)).relu())

    net = GraphNet()
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    with doctor(net, adam) as dr:
        for _ in range(30):
            adam.zero_grad()
            F.cross_entropy(net(edges, nodes), classes).backward()
            adam.step()
            with torch.no_grad():
                F.cross_entropy(net(edges, nodes), classes)
    assert dr._recorder.guard.failure == ""
    assert dr.findings == ()
    assert len(dr._recorder.losses) == 30


@pytest.mark.parametrize("method", ["_record_layer", "_record_inputs", "add_loss", "after_update", "before_update"])
def test_an_error_of_the_doctor_does_not_end_the_training(method, monkeypatch):
    plain, adam = make_net()
    train(plain, adam)
    calls = []

    def fail(*_, **__):
        calls.append(method)
        raise NotImplementedError("not defined for this tensor")

    net, adam = make_net()
    monkeypatch.setattr(StepObserver, method, fail)
    with doctor(net, adam) as dr:
        train(net, adam)
    assert calls == [method]
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), plain.parameters(), strict=True))
    (finding,) = dr.findings
    assert (finding.check, finding.severity) == ("interrupted-recording", "note")
    assert "NotImplementedError: not defined for this tensor" in str(dr)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_an_error_of_the_program_passes_through():
    net, adam = make_net()
    with pytest.raises(ZeroDivisionError), doctor(net, adam) as dr:
        train(net, adam, lambda _: 1 / 0)
    assert dr.findings[0].check == "loop-error"


WORDS, LENGTH = 12, 8
MASKINGS = {
    "product": lambda loss, mask: (loss * mask.float()).sum() / mask.sum(),
    "product with booleans": lambda loss, mask: (loss * mask).sum() / mask.sum(),
    "index": lambda loss, mask: loss[mask].mean(),
    "selection": lambda loss, mask: loss.masked_select(mask).mean(),
    "filling": lambda loss, mask: loss.masked_fill(~mask, 0).sum() / mask.sum(),
    "where": lambda loss, mask: torch.where(mask, loss, 0.0).sum() / mask.sum(),
    "mean of each row": lambda loss, mask: (loss * mask).mean(1).sum(),
    "nothing": lambda loss, mask: loss.mean(),
}


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("is_flat", [False, True])
def test_masked_padding_does_not_count(masking, is_flat):
    torch.manual_seed(0)
    mask = torch.arange(LENGTH) < torch.randint(2, LENGTH + 1, (240, 1))
    x = torch.where(mask, torch.randint(3, WORDS, (240, LENGTH)), 0)
    y = torch.where(mask, (x * 3) % WORDS, 0)
    net = nn.Sequential(nn.Embedding(WORDS, 16), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, WORDS))
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    with doctor(net, adam) as dr:
        for rows in torch.randint(240, (64, 30)):
            adam.zero_grad()
            output = net(x[rows])
            if is_flat:
                loss = F.cross_entropy(output.reshape(-1, WORDS), y[rows].reshape(-1), reduction="none")
                loss = loss.view(-1, LENGTH)
            else:
                loss = F.cross_entropy(output.transpose(1, 2), y[rows], reduction="none")
            MASKINGS[masking](loss, mask[rows]).backward()
            adam.step()
    assert dr._recorder.guard.failure == ""
    assert list_alarms(dr) == (["padded-targets"] if masking == "nothing" else [])


@pytest.mark.parametrize("missing", [-9999.0, 0.0])
def test_masked_numbers_are_no_outliers(missing):
    torch.manual_seed(0)
    x = torch.randn(300, 4)
    mask = torch.rand(300, 2) < 0.97
    y = torch.where(mask, x[:, :2] * 2 + 0.1 * torch.randn(300, 2), missing)

    def run(masks):
        net = nn.Linear(4, 2)
        adam = torch.optim.Adam(net.parameters(), lr=0.05)
        with doctor(net, adam) as dr:
            for rows in torch.randint(300, (60, 30)):
                adam.zero_grad()
                loss = F.mse_loss(net(x[rows]), y[rows], reduction="none")
                (loss[mask[rows]] if masks else loss).mean().backward()
                adam.step()
        return list_alarms(dr)

    assert run(masks=True) == []
    assert ("target-outliers" in run(masks=False)) == (missing < 0)


@pytest.mark.parametrize("is_summed_by_torch", [False, True])
def test_a_sum_over_its_rows_is_their_mean(is_summed_by_torch):
    net, adam = make_net()
    x, y = make_rows()
    expected = F.cross_entropy(net(x), y).item()
    with doctor(net, adam) as dr:
        for _ in range(4):
            adam.zero_grad()
            if is_summed_by_torch:
                loss = F.cross_entropy(net(x), y, reduction="sum") / len(x)
            else:
                loss = -(-F.cross_entropy(net(x), y, reduction="none")).sum() / torch.tensor(len(x))
            loss.backward()
            adam.step()
    assert dr._recorder.losses[0] == pytest.approx(expected)


@pytest.mark.parametrize("pieces", [1, 2])
def test_points_that_derivatives_are_taken_for_are_no_weights(pieces):
    torch.manual_seed(0)
    points = [torch.rand(40, 1, requires_grad=True) for _ in range(pieces)]
    net = nn.Sequential(nn.Linear(pieces, 16), nn.Tanh(), nn.Linear(16, 1))
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    with doctor(net, adam) as dr:
        for _ in range(40):
            adam.zero_grad()
            u = net(torch.cat(points, 1) if pieces > 1 else points[0])
            slope = torch.autograd.grad(u.sum(), points[0], create_graph=True)[0]
            ((slope + u) ** 2).mean().add((net(torch.zeros(1, pieces)) - 1).square().mean()).backward()
            adam.step()
    assert "unregistered-parameters" not in list_alarms(dr)


def test_a_layer_before_the_network_has_weights():
    torch.manual_seed(0)
    outside = nn.Linear(5, 5)
    net, adam = make_net()
    x, y = make_rows()
    with doctor(net, adam) as dr:
        for _ in range(40):
            adam.zero_grad()
            F.cross_entropy(net(outside(x)), y).backward()
            adam.step()
    assert "unregistered-parameters" in list_alarms(dr)


def test_transformed_passes_are_left_alone():
    """The inner gradient of meta-learning calls the network within `vmap` and `grad`."""

    def run(watches):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Dropout(0.0), nn.Linear(16, 1))
        adam = torch.optim.Adam(net.parameters(), lr=1e-2)

        def measure(weights, x, y):
            return F.mse_loss(torch.func.functional_call(net, weights, (x,)), y)

        def adapt(weights, x, y):
            gradients = torch.func.grad(measure)(weights, x, y)
            return measure({name: w - 0.1 * gradients[name] for name, w in weights.items()}, x, y)

        def step():
            x = torch.rand(4, 10, 1)
            adam.zero_grad()
            weights = dict(net.named_parameters())
            losses = torch.func.vmap(adapt, in_dims=(None, 0, 0), randomness="same")(weights, x, x.sin())
            losses.mean().backward()
            adam.step()

        dr = doctor(net, adam)
        with dr if watches else contextlib.nullcontext():
            for _ in range(12):
                step()
        return net, dr

    net, dr = run(watches=True)
    plain, _ = run(watches=False)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), plain.parameters(), strict=True))
    assert dr._recorder.guard.failure == ""
    assert list_alarms(dr) == []
    assert len(dr._recorder.losses) == 12


def test_layers_have_no_hooks_in_an_evaluation():
    """Torch evaluates its transformer by other kernels where a module has hooks, to other last digits."""
    modes = []

    class Layer(nn.Linear):
        def forward(self, x):
            modes.append((torch.is_grad_enabled(), len(self._forward_hooks)))
            return super().forward(x)

    torch.manual_seed(0)
    net = nn.Sequential(Layer(5, 8), nn.ReLU(), nn.Linear(8, 2))
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    x, y = make_rows()
    with doctor(net, adam) as dr:
        for _ in range(5):
            with torch.no_grad():
                net(x)
            adam.zero_grad()
            F.cross_entropy(net(x), y).backward()
            adam.step()
    assert modes == [(False, 0), (True, 1)] * 5
    assert all(len(record.layers) == 3 for record in dr._recorder.records)


def test_a_diagnosis_leaves_the_random_generators_as_they_were():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.output = nn.Linear(5, 8), nn.Linear(8, 2)

        def forward(self, x):
            x = self.hidden(x).relu()
            return self.output(x + 1e-3 * (random.random() + np.random.rand()) * torch.rand(1))

    def draw(diagnoses):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        net = Net()
        adam = torch.optim.Adam(net.parameters(), lr=1e-2)
        with doctor(net, adam) as dr:
            train(net, adam)
        if diagnoses:
            dr.diagnose()
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw(diagnoses=True) == draw(diagnoses=False)


def test_layers_are_built_in_the_watched_loop():
    torch.manual_seed(0)
    net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(2))
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    with doctor(net, sgd) as dr:
        train(net, sgd)
    assert dr._recorder.guard.failure == ""
    assert list_alarms(dr) == []
    assert len(dr._recorder.losses) == 30


def test_complex_inputs_give_no_warnings():
    torch.manual_seed(0)
    x, y = make_rows()
    net = nn.Sequential(nn.Linear(5, 4, dtype=torch.cfloat), nn.Tanh())
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    with doctor(net, adam) as dr:
        for _ in range(20):
            adam.zero_grad()
            F.cross_entropy(net(x.to(torch.cfloat)).abs(), y).backward()
            adam.step()
            with torch.no_grad():
                F.cross_entropy(net(x.to(torch.cfloat)).abs(), y)
    assert dr._recorder.guard.failure == ""
    assert list_alarms(dr) == []


def test_a_diagnosis_that_fails_does_not_end_the_program(monkeypatch):
    net, adam = make_net()
    with doctor(net, adam) as dr:
        train(net, adam)
    monkeypatch.setattr(dr, "_examine", lambda: 1 / 0)
    assert [finding.check for finding in dr.findings] == ["interrupted-recording"]
    assert "ZeroDivisionError" in str(dr)

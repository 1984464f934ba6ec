"""The statistics of a recorded step are those that torch computes for each tensor alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.recorder.propagated_loss import PropagatedLoss
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.small_tensors import MAX_SMALL_VALUES
from yisheng.diagnosis.recorder.statistics import describe_inputs, measure_layer, read_layers
from yisheng.diagnosis.recorder.updates import copy_weights, measure_update, read_scalars


def root_mean_square(tensor):
    return float(tensor.detach().double().square().mean().sqrt()) if tensor.numel() else 0.0


PARAMETERS = {
    "small": torch.randn(3, 4),
    "one": torch.tensor(2.0),
    "transposed": torch.randn(5, 7).T,
    "large": torch.randn(MAX_SMALL_VALUES + 1),
    "double": torch.randn(6, dtype=torch.float64),
    "half": torch.randn(4, 5).bfloat16(),
    "empty": torch.zeros(0),
    "nan": torch.tensor([1.0, float("nan")]),
    "infinite": torch.tensor([1.0, float("inf")]),
    "tiny": torch.full((8,), 1e-30),
}


def test_an_update_is_described_as_torch_computes_it():
    torch.manual_seed(0)
    parameters = {name: nn.Parameter(value.clone()) for name, value in PARAMETERS.items()}
    parameters["frozen"] = nn.Parameter(torch.ones(2), requires_grad=False)
    for name, p in parameters.items():
        if name not in ("one", "frozen"):
            p.grad = torch.randn_like(p) * 1e-3
    before = {name: p.detach().clone() for name, p in parameters.items()}
    copies = copy_weights(parameters)
    with torch.no_grad():
        for p in parameters.values():
            if p.grad is not None:
                p.sub_(p.grad)
    after = {name: p.detach().clone() for name, p in parameters.items()}
    update = measure_update(copies, parameters)
    with torch.no_grad():
        for p in parameters.values():
            p.fill_(7)  # what comes later does not matter
    records = {record.name: record for record in update.describe()}
    assert list(records) == [name for name in parameters if name != "frozen"]
    for name, record in records.items():
        p = parameters[name]
        change = after[name] - before[name]
        expected = [root_mean_square(before[name]), root_mean_square(change)]
        assert [record.weight, record.update] == pytest.approx(expected, rel=1e-5, nan_ok=True)
        assert record.shape == tuple(p.shape)
        if p.grad is None:
            assert record.gradient is None
        else:
            assert record.gradient == pytest.approx(root_mean_square(p.grad), rel=1e-5, nan_ok=True)
    assert records["half"].unchanged_fraction is not None
    assert records["small"].unchanged_fraction is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_layer_is_described_as_torch_computes_it(dtype):
    output = torch.randn(16, 6, 5).to(dtype) * 3 + 1
    (record,) = read_layers([measure_layer("0", nn.Identity(), output)])
    expected = [float(output.double().mean()), float(output.double().std(correction=0)), float(output.abs().max())]
    assert [record.mean, record.std, record.max_abs] == pytest.approx(expected, rel=1e-4)
    inputs = describe_inputs(output)
    assert [inputs.mean, inputs.std, inputs.max_abs] == pytest.approx(expected, rel=1e-4)


def test_a_layer_with_values_that_are_not_finite_is_described_so():
    outputs = [torch.tensor([[1.0, float("nan")]]), torch.tensor([[float("-inf"), 1.0]]), torch.zeros(2, 2)]
    records = read_layers([measure_layer("0", nn.Identity(), output) for output in outputs])
    assert str(records[0].max_abs) == "nan"
    assert (records[1].max_abs, str(records[2].max_abs)) == (float("inf"), "0.0")


def test_a_layer_that_is_overwritten_is_recorded_as_it_was():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 2))
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.randn(32, 4)
    with torch.no_grad():
        mean = float(net[0](x).mean())
    with Recorder(net, sgd) as recorder:
        F.cross_entropy(net(x), torch.zeros(32, dtype=torch.long)).backward()
        assert [layer.name for layer in recorder.current.layers] == ["0", "1", "2"]  # before the update, too
        sgd.step()
    assert [layer.name for layer in recorder.records[0].layers] == ["0", "1", "2"]
    assert recorder.records[0].layers[0].mean == pytest.approx(mean)


def test_an_empty_batch_is_the_users_own_business():
    net = nn.Linear(4, 2)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    with Recorder(net, sgd) as recorder:
        net(torch.zeros(0, 4)).sum().backward()
        sgd.step()
    assert recorder.steps == 1


def test_scalars_of_several_types_are_read():
    scalars = [torch.tensor(1.5), torch.tensor(2.5, dtype=torch.float64), torch.tensor(3.5).bfloat16()]
    assert read_scalars(scalars) == [1.5, 2.5, 3.5]


def test_the_outermost_of_nested_passes_is_found_wherever_it_is_started():
    w, inner_w = (torch.ones(2, requires_grad=True) for _ in range(2))
    finder, losses = PropagatedLoss(), []

    class PassWithin(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            with torch.enable_grad():
                (inner_w * 5).sum().backward()
            return gradient

    def propagate(loss, depth):
        propagate(loss, depth - 1) if depth else loss.backward()

    for parameter in (w, inner_w):
        parameter.register_hook(lambda _: losses.append(finder.find()))
    for depth in (0, 0, 3, 0, 3, 3):
        loss = (PassWithin.apply(w) * 3).sum()
        propagate(loss, depth)
        assert [value is loss for value in losses] == [True, True]
        losses.clear()
        loss = (w * 2).sum()
        torch.autograd.backward([loss])
        assert losses.pop() is loss
    torch.autograd.backward([w.sum(), w.sum()])
    assert losses.pop() is None

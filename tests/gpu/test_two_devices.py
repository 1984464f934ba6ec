"""The example of a network on two devices: the same training as on one."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

SPEC = importlib.util.spec_from_file_location("two_devices", Path(__file__).parents[2] / "examples" / "two_devices.py")
two_devices = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(two_devices)


def train_on(devices):
    torch.manual_seed(0)
    x, y = torch.randn(200, 1, 8, 8), torch.randint(0, 10, (200,))
    network = two_devices.make_network()
    devices = tuple(map(torch.device, devices))
    model = two_devices.TwoDevices(network, 5, devices)
    losses = two_devices.train(model, x, y, epochs=3, device=devices[1])
    return losses, [parameter.detach().cpu() for parameter in model.parameters()]


def test_two_halves_train_as_one_sequence():
    losses, parameters = train_on(["cpu", "cpu"])
    torch.manual_seed(0)
    x, y = torch.randn(200, 1, 8, 8), torch.randint(0, 10, (200,))
    network = two_devices.make_network()
    expected = two_devices.train(network, x, y, epochs=3, device=torch.device("cpu"))
    assert losses == expected
    assert losses[2] < losses[0]
    assert all(torch.equal(a, b) for a, b in zip(parameters, network.parameters(), strict=True))


def test_each_half_is_on_its_device():
    meta = torch.device("meta")
    model = two_devices.TwoDevices(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), 2, (meta, meta))
    assert {parameter.device for parameter in model.parameters()} == {meta}
    model = two_devices.TwoDevices(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), 1, (torch.device("cpu"), meta))
    assert [parameter.device.type for parameter in model.parameters()] == ["cpu", "cpu", "meta", "meta"]
    assert model(torch.zeros(5, 3)).shape == (5, 2)


def test_the_command_trains_and_explains_its_arguments(capsys):
    assert two_devices.main(["cpu", "cpu"]) == 0
    accuracy = float(capsys.readouterr().out.split()[-1])
    assert accuracy > 0.9
    assert two_devices.main(["cuda:0"]) == 2
    assert "cpu cpu" in capsys.readouterr().err


@pytest.mark.gpu(2)
def test_two_gpus_train_as_the_cpu_up_to_rounding():
    losses, parameters = train_on(["cuda:0", "cuda:1"])
    expected_losses, expected = train_on(["cpu", "cpu"])
    assert losses == pytest.approx(expected_losses, rel=0.02)
    torch.testing.assert_close(parameters, expected, rtol=0.02, atol=0.02)

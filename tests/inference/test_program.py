"""Networks of many kinds are saved as programs, and predict the same without their code."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from tests.inference.program_networks import NETWORKS, build, call
from yisheng.core.errors import DataError
from yisheng.inference._ood_features import FeatureSource, capture_features, choose_feature_sources
from yisheng.inference.program import export_program
from yisheng.inference.program_data import Program
from yisheng.inference.program_json import flatten_structure
from yisheng.inference.program_reader import read_program


def record(network, inputs, **options):
    """Return the program of a network for its inputs, a tuple or a dict."""
    return export_program(network, inputs[0] if len(inputs) == 1 else inputs, **options)


def read(program, network):
    """Return the network of a program after JSON and safetensors."""
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    return read_program(json.loads(json.dumps(program.data)), weights, program.constants)


def flatten(result):
    leaves = []
    return flatten_structure(result, leaves), leaves


def assert_equal_outputs(actual, expected):
    """Require equal objects, and tensors that are equal within float rounding."""
    (structure, tensors), (expected_structure, expected_tensors) = flatten(actual), flatten(expected)
    assert structure == expected_structure
    for x, y in zip(tensors, expected_tensors, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.fixture(scope="module")
def recorded():
    """Return a function that returns network, inputs and program of a name; each is recorded once."""
    programs = {}

    def get(name):
        if name not in programs:
            network, draw = build(name)
            programs[name] = network, draw, record(network, draw())
        return programs[name]

    return get


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_and_its_program_return_the_same(recorded, name):
    network, draw, program = recorded(name)
    assert isinstance(program, Program), program
    assert program.data["batch"] is None
    module = read(program, network)
    assert set(module.state_dict()) == set(network.state_dict())
    torch.manual_seed(1)
    for rows in (1, 2, 7):
        inputs = draw(rows)
        with torch.no_grad():
            assert_equal_outputs(call(module, inputs), call(network, inputs))


def test_the_package_is_not_in_the_program(recorded):
    """All of a program is operator names, node names and numbers."""
    _, _, program = recorded("transformer")
    text = json.dumps(program.data)
    for word in ("yisheng", "tests", "/", "lambda", "FullTransformer"):
        assert word not in text.replace("/", "/" if word == "/" else "")


def test_all_programs_predict_in_a_process_without_the_code(recorded, tmp_path):
    for number, name in enumerate(NETWORKS):
        network, draw, program = recorded(name)
        torch.manual_seed(2)
        inputs = draw(5)
        with torch.no_grad():
            _, outputs = flatten(call(network, inputs))
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "program.json").write_text(json.dumps(program.data))
        state = {name: value.clone() for name, value in network.state_dict().items()}
        save_file(state, folder / "weights.safetensors")
        save_file(dict(program.constants), folder / "constants.safetensors")
        _, leaves = flatten(
            (tuple(inputs) if not isinstance(inputs, dict) else (), inputs if isinstance(inputs, dict) else {})
        )
        save_file({str(n): x.clone() for n, x in enumerate(leaves)}, folder / "inputs.safetensors")
        save_file({str(n): x.clone() for n, x in enumerate(outputs)}, folder / "outputs.safetensors")
    script = Path(__file__).with_name("predict_programs.py")
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["equal"] * len(NETWORKS)


def test_recording_changes_nothing(recorded):
    network, draw = build("batch norm")
    network.train()
    inputs = draw()
    state = copy.deepcopy(network.state_dict())
    generator = torch.get_rng_state()
    assert isinstance(record(network, inputs), Program)
    assert network.training
    assert torch.equal(torch.get_rng_state(), generator)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_program_has_one_mode(recorded):
    network, draw, program = recorded("batch norm")
    module = read(program, network)
    inputs = draw()
    with torch.no_grad():
        expected = call(network, inputs)
        state = copy.deepcopy(module.state_dict())
        assert module.train() is module
        assert not module.training
        assert_equal_outputs(call(module.train(), inputs), expected)
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name])


def test_inputs_are_not_changed(recorded):
    network, draw, program = recorded("in place")
    (x,) = draw()
    before = x.clone()
    read(program, network)(x)
    assert torch.equal(x, before)


def test_a_program_computes_on_the_device_of_its_inputs(recorded):
    network, draw, program = recorded("lstm")
    module = read(program, network).to("meta")
    assert module(draw()[0].to("meta")).device.type == "meta"


def test_a_program_predicts_in_the_type_that_it_was_recorded_in(recorded):
    network, draw, program = recorded("view")
    weights = {name: value.double() for name, value in network.state_dict().items()}
    module = read_program(program.data, weights, program.constants)
    assert module(*draw()).dtype == torch.float32


class RowByRow(nn.Module):
    """Works for any number of rows, but its graph is another one for each."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return torch.stack([self.fc(row * n / max(n, 1)) for n, row in zip(range(1, 100), x, strict=False)])


def test_a_network_for_a_fixed_number_of_rows_is_called_row_by_row():
    network, x = RowByRow().eval(), torch.randn(5, 4)
    program = record(network, (x,))
    assert isinstance(program, Program), program
    assert program.data["batch"] == 1
    with torch.no_grad():
        torch.testing.assert_close(read(program, network)(x), network(x))


class Branch(nn.Module):
    def forward(self, x):
        if x.mean() > 0:
            return x * 2
        return x


class Item(nn.Module):
    def forward(self, x):
        n = int(x[0, 0].abs().item()) + 1
        return x * (1 if n > 2 else 3)


class Random(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


class DropoutForever(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5)


class Shuffle(nn.Module):
    """Compares its rows with one another."""

    def forward(self, x):
        if len(x) == 1:
            return x
        return x - x.mean(0)


class Point:
    def __init__(self, x):
        self.x = x


class ReturnsObject(nn.Module):
    def forward(self, x):
        return Point(x)


class Broken(nn.Module):
    def forward(self, x):
        return x @ torch.zeros(7, 7)


class Locked(nn.Module):
    def __init__(self):
        super().__init__()
        self.file = open(__file__)  # noqa: PTH123, SIM115  # cannot be copied

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Branch(), "forward decides by the values of its inputs (test_program.py, line"),
        (Item(), "forward decides by the values of its inputs (test_program.py, line"),
        (Random(), "it draws random numbers when it predicts (aten.randn_like.default)"),
        (DropoutForever(), "it draws random numbers when it predicts"),
        (ReturnsObject(), "it returns a Point, not tensors in tuples, lists and dicts"),
        (
            Broken(),
            "it fails on these inputs: mat1 and mat2 shapes cannot be multiplied (3x4 and 7x7) (test_program.py",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_network_that_cannot_be_recorded_has_a_reason(network, reason, capfd):
    program = record(network.eval(), (torch.randn(3, 4),))
    assert isinstance(program, str)
    assert program.startswith(reason)
    assert "\n" not in program
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("network", [Shuffle(), Locked()], ids=lambda network: type(network).__name__)
def test_other_networks_have_a_reason_too(network, capfd):
    program = record(network.eval(), (torch.randn(3, 4),))
    assert isinstance(program, str)
    assert program
    assert "\n" not in program
    assert capfd.readouterr() == ("", "")


class CausalEncoder(nn.Module):
    """A language model's encoder with the mask in a buffer or made in forward."""

    def __init__(self, *, buffer):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        mask = torch.triu(torch.full((5, 5), float("-inf")), diagonal=1)
        self.register_buffer("mask", mask if buffer else None)

    def forward(self, x):
        mask = self.mask
        if mask is None:
            mask = torch.ones(5, 5).tril().log()
        return self.encoder(x, mask=mask).mean(1)


@pytest.mark.parametrize("buffer", [True, False])
def test_values_of_constants_may_decide(buffer):
    network, x = CausalEncoder(buffer=buffer).eval(), torch.randn(4, 5, 8)
    program = record(network, (x,))
    assert isinstance(program, Program), program
    module = read(program, network)
    with torch.no_grad():
        torch.testing.assert_close(module(x[:1]), network(x[:1]), rtol=1e-5, atol=1e-6)


class MaskOfInputs(nn.Module):
    """Writes inputs into a tensor of constants, and decides by its values."""

    def forward(self, x):
        mask = torch.zeros(4, 4)
        mask[0] = x[0]
        return x * 2 if mask.sum() > 0 else x


def test_a_constant_that_inputs_were_written_to_is_none():
    program = record(MaskOfInputs().eval(), (torch.randn(3, 4),))
    assert isinstance(program, str)
    assert program.startswith("forward decides by the values of its inputs")


def test_features_are_those_of_the_network(recorded):
    network, draw = build("transposed convolution")
    sources = choose_feature_sources(network)
    assert {source.kind for source in sources} == {"maps", "head"}
    inputs = draw()
    program = record(network, inputs, features=[*sources, FeatureSource("maps", "norm")])
    module = read(program, network)
    with torch.no_grad(), capture_features(network, sources) as expected:
        output = network(*inputs)
    with torch.no_grad(), capture_features(module, sources) as captured:
        assert_equal_outputs(module(*inputs), output)
    assert set(captured) == set(expected) == set(sources)
    for source, value in expected.items():
        torch.testing.assert_close(captured[source], value)


@pytest.mark.parametrize(
    "inputs",
    [(torch.zeros(2, 3),), (torch.zeros(2, 4), torch.zeros(2, 4)), ([torch.zeros(2, 4)],), (), (3,), (object(),)],
    ids=["shape", "two", "list", "none", "number", "object"],
)
def test_inputs_of_another_form_are_refused(recorded, inputs):
    network, _, program = recorded("batch norm")
    with pytest.raises(DataError, match=r"the network('s program)? (takes|got)"):
        read(program, network)(*inputs)


def test_values_that_an_operator_refuses_are_reported(recorded):
    network, _, program = recorded("tokens")
    with pytest.raises(DataError, match="the network's program stops at embedding: index out of range") as error:
        read(program, network)(torch.full((2, 7), 99))
    assert "\n" not in error.value.remedy


def test_fewer_than_two_rows_are_not_enough(recorded):
    network, draw = build("view")
    assert record(network, draw(1)) == "there are fewer than two rows to record it with"


def test_weights_are_loaded_by_name(recorded):
    network, _, program = recorded("tied weights")
    weights = load_weights(network)
    del weights["decoder.weight"]
    with pytest.raises(DataError, match=r"the weights do not belong to it: decoder\.weight"):
        read_program(program.data, weights, program.constants)


def load_weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_saved_weights_may_be_loaded_into_a_program(recorded, tmp_path):
    network, draw, program = recorded("timm")
    save_file(load_weights(network), tmp_path / "weights.safetensors")
    module = read(program, network)
    for parameter in module.parameters():
        parameter.data.zero_()
    module.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(module(*draw(2)).shape, torch.Size([2, 3]))
        inputs = draw(2)
        torch.testing.assert_close(module(*inputs), network(*inputs))

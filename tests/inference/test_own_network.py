"""A run of a user's own network is used from its program, or from its code if it is named, or says why not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import yisheng
from tests.inference.conftest import train
from yisheng.cli import main
from yisheng.core.errors import DataError, UsageError
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.inference import artifact, model_files
from yisheng.inference.predictor import Predictor
from yisheng.inference.program_module import ProgramModule

CODE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10, width=16):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc, self.out = nn.Linear(144, width), nn.Linear(width, num_classes)

    def forward(self, x):
        return self.out(torch.relu(self.fc(torch.relu(self.conv(x)).view(-1, 144))))


class Branch(Net):
    def forward(self, x):
        return super().forward(x) if x.sum() > -1e9 else super().forward(-x)


class Wider(Net):
    def __init__(self, num_classes=10):
        super().__init__(num_classes, 17)


class Deeper(Net):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.extra = nn.Linear(3, 3)
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    path = tmp_path_factory.mktemp("code") / "net.py"
    path.write_text(CODE)
    return path


@pytest.fixture(scope="module")
def run(code, tmp_path_factory):
    return train(data="digits", model=f"{code}:Net", epochs=1, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def run_without_program(code, tmp_path_factory):
    return train(data="digits", model=f"{code}:Branch", epochs=1, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def images():
    return yisheng.data.load("digits").x[:30]


def description(run):
    return json.loads((run / "model.json").read_text())


def test_a_program_predicts_as_the_code_does(run, code, images):
    without, with_code = Predictor(run), Predictor(run, f"{code}:Net")
    assert isinstance(without.artifacts[0].model, ProgramModule)
    assert type(with_code.artifacts[0].model).__name__ == "Net"
    (outputs, scores), (expected, expected_scores) = (
        predictor.compute_outputs_and_ood_scores(images) for predictor in (without, with_code)
    )
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-5)


def test_model_json_describes_the_network(run, code):
    network = description(run)["model"]
    assert network["name"] == f"{code}:Net"
    assert network["own"]["has_program"] is True
    assert network["own"]["no_program"] is None
    assert len(network["own"]["sha256"]) == 64
    assert description(run)["parameters"] == sum(p.numel() for p in artifact.load(run).model.parameters())


def test_nothing_but_the_files_of_the_model_is_needed(run, tmp_path, images):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in (*model_files.ARTIFACT_FILES, *model_files.PROGRAM_FILES):
        if (run / name).exists():
            shutil.copy(run / name, folder / name)
    np.testing.assert_array_equal(yisheng.load(folder).outputs(images), yisheng.load(run).outputs(images))


def test_the_shell_predicts_without_the_code(run, tmp_path, images):
    from PIL import Image

    Image.fromarray(images[0, 0] * 15).save(tmp_path / "digit.png")
    command = [sys.executable, "-m", "yisheng", "predict", str(run), str(tmp_path / "digit.png"), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    (prediction,) = json.loads(result.stdout)["predictions"]
    assert prediction["prediction"] == yisheng.load(run).predict([tmp_path / "digit.png"])[0].prediction


def test_code_is_never_imported_because_a_file_names_it(run, code, tmp_path, images):
    """The run names a file that would write another one if it was imported."""
    canary = tmp_path / "imported"
    bomb = tmp_path / "net.py"
    bomb.write_text(f"open({str(canary)!r}, 'w').close()\n" + CODE)
    changed = Path(shutil.copytree(run, tmp_path / "run"))
    plain = description(changed)
    plain["model"]["name"] = f"{bomb}:Net"
    (changed / "model.json").write_text(json.dumps(plain))
    model_files.write_checksums(changed)
    yisheng.load(changed).predict(images)
    assert not canary.exists()
    yisheng.load(changed, model=f"{bomb}:Net").predict(images)
    assert canary.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Wider", r"its weights fc\.weight have the shape \(17, 144\), those of the run \(16, 144\)"),
        ("Deeper", r"it has weights extra\.weight, the run has none of that name"),
    ],
)
def test_another_network_is_refused(run, code, name, reason):
    with pytest.raises(DataError, match=reason) as error:
        yisheng.load(run, model=f"{code}:{name}")
    assert f"{code}:{name} is not the network that was trained in {run}" in error.value.problem
    assert error.value.remedy == f"give the network of the training, {code}:Net as it was then"


def test_a_changed_file_that_still_fits_is_noted(run, code, tmp_path, caplog):
    changed = tmp_path / "net.py"
    changed.write_text("# changed\n" + CODE)
    yisheng.load(run, model=f"{changed}:Net")
    assert "the code of" in caplog.text
    caplog.clear()
    yisheng.load(run, model=f"{code}:Net")
    assert "the code of" not in caplog.text


def test_a_run_without_a_program_says_what_to_give(run_without_program, code, images, capsys):
    reason = description(run_without_program)["model"]["own"]["no_program"]
    assert reason.startswith("forward decides by the values of its inputs (net.py, line")
    with pytest.raises(DataError, match="could not be saved without its code: forward decides") as error:
        yisheng.load(run_without_program)
    assert error.value.remedy == f"give model={code}:Branch"
    assert not (run_without_program / "program.json").exists()
    for command in ("predict", "export", "serve", "evaluate", "look"):
        inputs = ["photo.png"] if command == "predict" else []
        assert main([command, str(run_without_program), *inputs]) == 3
        assert f"give model={code}:Branch" in capsys.readouterr().err


def test_a_run_without_a_program_is_used_with_its_code(run_without_program, code, images, tmp_path, capsys):
    model = f"model={code}:Branch"
    loaded = yisheng.load(run_without_program, model=f"{code}:Branch")
    outputs = loaded.outputs(images)
    assert outputs.shape == (30, 10)
    assert loaded.export(format="torchscript", out=tmp_path / "net.pt").agreement.rows > 0
    from PIL import Image

    Image.fromarray(images[0, 0] * 15).save(tmp_path / "digit.png")
    folder = str(run_without_program)
    assert main(["predict", folder, str(tmp_path / "digit.png"), model]) == 0
    assert main(["predict", folder, str(tmp_path / "digit.png"), model, f"out={tmp_path / 'p.csv'}"]) == 0
    assert (tmp_path / "p.csv").read_text().count("\n") == 2
    assert main(["evaluate", folder, model]) == 0
    assert main(["export", folder, model, "format=torchscript", f"out={tmp_path / 'net2.pt'}"]) == 0
    assert main(["look", folder, model, f"out={tmp_path / 'filters.png'}"]) == 0
    assert main(["export", folder, model, "format=safetensors", f"out={tmp_path / 'x'}"]) == 2
    assert "could not be saved without its code" in capsys.readouterr().err


def test_the_network_of_a_trained_run_is_at_hand(code, images, tmp_path):
    """What `train` returns predicts with the class that it was given."""

    class Local(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(64, 10)

        def forward(self, x):
            return self.fc(x.flatten(1)) if x.sum() > -1e9 else self.fc(-x.flatten(1))

    trained = yisheng.train(data="digits", model=Local, epochs=1, out=tmp_path, quiet=True)
    assert trained.outputs(images).shape == (30, 10)
    with pytest.raises(DataError) as error:
        yisheng.load(trained.path)
    assert error.value.remedy == "give the network in Python: yisheng.load(run, model=Local)"
    np.testing.assert_array_equal(yisheng.load(trained.path, model=Local()).outputs(images), trained.outputs(images))


def test_a_registered_network_needs_no_code(digits_run, code, capsys):
    with pytest.raises(UsageError, match="is lenet, which is built in"):
        yisheng.load(digits_run, model=f"{code}:Net")
    assert main(["predict", str(digits_run), "photo.png", f"model={code}:Net"]) == 2
    assert "leave model= out" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["net.py", "lenet", "nothing.py:Net", 3])
def test_what_is_no_network_is_refused(run, model):
    with pytest.raises(UsageError):
        yisheng.load(run, model=model)


@pytest.mark.parametrize("name", ["program.json", "model.json"])
@pytest.mark.parametrize("position", [0.1, 0.9])
def test_one_changed_bit_of_a_program_is_refused(run, tmp_path, name, position):
    changed = Path(shutil.copytree(run, tmp_path / "run"))
    content = bytearray((changed / name).read_bytes())
    content[int(position * len(content))] ^= 1
    (changed / name).write_bytes(content)
    with pytest.raises(DataError, match="SHA-256|not JSON"):
        yisheng.load(changed)


def test_a_missing_program_is_refused(run, tmp_path):
    changed = Path(shutil.copytree(run, tmp_path / "run"))
    (changed / "program.json").unlink()
    with pytest.raises(DataError, match=r"program\.json"):
        yisheng.load(changed)


@pytest.mark.parametrize(
    "entry", [None, 3, {}, {"sha256": 1}, {"sha256": None, "output": [], "has_program": True, "no_program": None}]
)
def test_a_damaged_entry_is_refused(run, tmp_path, entry):
    changed = Path(shutil.copytree(run, tmp_path / "run"))
    plain = description(changed)
    plain["model"]["own"] = entry
    (changed / "model.json").write_text(json.dumps(plain))
    model_files.write_checksums(changed)
    with pytest.raises(DataError, match="cannot be rebuilt"):
        yisheng.load(changed)


def test_a_cross_validation_of_an_own_network(code, images, tmp_path):
    folder = train(data="digits", model=f"{code}:Net", epochs=1, folds=2, out=tmp_path)
    without, with_code = Predictor(folder), Predictor(folder, f"{code}:Net")
    assert [type(member.model).__name__ for member in without.artifacts] == ["ProgramModule"] * 2
    np.testing.assert_allclose(without.compute_outputs(images), with_code.compute_outputs(images), rtol=1e-5, atol=1e-6)


class Tied(nn.Module):
    """The output layer shares the weights of the embedding."""

    def __init__(self, vocabulary=20, num_classes=3):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 8)
        self.decoder = nn.Linear(8, vocabulary, bias=False)
        self.decoder.weight = self.embed.weight
        self.out = nn.Linear(vocabulary, num_classes)

    def forward(self, ids):
        return self.out(self.decoder(self.embed(ids).mean(1)))


@pytest.fixture(scope="module")
def tied_run(tmp_path_factory):
    random = np.random.default_rng(0)
    data = (random.integers(0, 20, (90, 7)), random.integers(0, 3, 90))
    return data, train(data=data, model=Tied, epochs=2, batch=16, out=tmp_path_factory.mktemp("runs"))


def test_tied_weights_are_saved_under_both_names(tied_run):
    data, run = tied_run
    weights = load_file(run / "model.safetensors")
    assert torch.equal(weights["embed.weight"], weights["decoder.weight"])
    assert description(run)["parameters"] == 20 * 8 + 20 * 3 + 3
    network = Tied()
    network.load_state_dict(weights)
    assert network.decoder.weight is network.embed.weight
    outputs = yisheng.load(run).outputs(data[0][:9])
    np.testing.assert_allclose(outputs, yisheng.load(run, model=Tied).outputs(data[0][:9]), rtol=1e-6)


def test_tensors_that_share_memory_are_written_with_their_values(tmp_path):
    block = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "a": block,
        "b": block,
        "row": block[1],
        "view": block.t(),
        "one": torch.ones(1).expand(5),
        "empty": torch.empty(0),
    }
    (tmp_path / "x.safetensors").write_bytes(serialize_tensors(tensors))
    for name, value in load_file(tmp_path / "x.safetensors").items():
        assert torch.equal(value, tensors[name])
    separate = {name: value.clone() for name, value in tensors.items()}
    assert serialize_tensors(separate) == serialize_tensors(tensors)


class Pair(nn.Module):
    """Two inputs by name, and a dict of outputs."""

    def __init__(self, num_classes=3):
        super().__init__()
        self.values, self.ids = nn.Linear(4, 6), nn.Embedding(10, 6)
        self.fc = nn.Linear(6, num_classes)

    def forward(self, values, ids):
        h = torch.relu(self.values(values) + self.ids(ids).sum(1))
        return {"features": h, "logits": self.fc(h)}


@pytest.fixture(scope="module")
def pair_run(tmp_path_factory):
    random = np.random.default_rng(0)
    x = {"values": random.normal(size=(90, 4)).astype(np.float32), "ids": random.integers(0, 10, (90, 3))}
    return x, train(data=(x, random.integers(0, 3, 90)), model=Pair, epochs=1, out=tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("format", ["onnx", "safetensors", "torchscript"])
def test_several_inputs_are_exported(pair_run, tmp_path, format):
    exported = yisheng.export(pair_run[1], format=format, out=tmp_path / "net")
    assert exported.agreement.rows == 256
    assert max(exported.agreement.largest.values()) < 1e-5


def test_onnx_takes_the_inputs_by_name(pair_run, tmp_path):
    import onnxruntime

    x, run = pair_run
    yisheng.export(run, out=tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    assert {item.name: (item.type, item.shape) for item in session.get_inputs()} == {
        "values": ("tensor(float)", ["N", 4]),
        "ids": ("tensor(int64)", ["N", 3]),
    }
    (outputs,) = session.run(["output"], {name: value[:5] for name, value in x.items()})
    sample = {name: value[:5] for name, value in x.items()}
    np.testing.assert_allclose(outputs, yisheng.load(run).outputs(sample), rtol=1e-5, atol=1e-6)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        h0 = torch.zeros(1, x.size(0), 6)
        return self.fc(self.lstm(x, (h0, h0))[0][:, -1])


def test_torchscript_of_a_program_that_computes_with_sizes_is_refused(tmp_path):
    random = np.random.default_rng(0)
    data = (random.normal(size=(60, 4, 5)).astype(np.float32), random.integers(0, 3, 60))
    run = train(data=data, model=Recurrent, epochs=1, out=tmp_path)
    with pytest.raises(UsageError, match="computes with the number of rows"):
        yisheng.export(run, format="torchscript")
    assert yisheng.export(run, format="torchscript", model=Recurrent).size > 0
    assert yisheng.export(run, format="onnx").size > 0

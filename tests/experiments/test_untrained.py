"""``epochs=0``: a network that was trained elsewhere is scored, reported and used as a run."""

import numpy as np
import pytest
import torch
from torch import nn

import yisheng
from yisheng import UsageError
from yisheng.cli import main
from yisheng.data.datasets.digits import digits


@pytest.fixture(scope="module")
def network():
    """Return a network that was trained by a loop of one's own, on images from 0 to 1."""
    data = digits()
    x, y = torch.from_numpy(data.x).float() / 255, torch.from_numpy(data.y)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


@pytest.fixture(scope="module")
def run(network, tmp_path_factory):
    return yisheng.train(model=network, data="digits", epochs=0, out=tmp_path_factory.mktemp("runs"), quiet=True)


def test_the_weights_are_scored_as_they_are(run, network):
    data = digits()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        predicted = network.eval()(torch.from_numpy(data.x).float() / 255).argmax(1).numpy()
    assert run.scores["test"]["accuracy"].value == np.mean(predicted == data.y)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert np.array_equal(run.model.state_dict()[name].numpy(), value.numpy())
    assert network.training is False


def test_all_rows_are_scored_without_official_parts(run, network, tmp_path):
    assert len(run.evaluate().details["per_class"]) == 10
    assert run.evaluate().details["rows"] == len(digits())
    half = yisheng.train(model=network, data="digits", epochs=0, test=0.5, out=tmp_path, quiet=True)
    assert half.evaluate().details["rows"] == pytest.approx(len(digits()) / 2, abs=5)


def test_the_run_is_complete(run, tmp_path):
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Not trained here" in page
    assert "Learning curves" not in page
    assert run.run.best["epoch"] == 0
    assert len(run.history) == 0
    findings = run.diagnose()
    assert findings.steps == 0
    assert not [finding for finding in findings.findings if finding.severity != "note"]
    assert "leaking-rows" not in {finding.check for finding in findings.findings}
    assert run.predict(digits().x[:3])[0].prediction in digits().spec.classes
    assert run.evaluate(digits())["test"] == run.scores["test"]


def test_a_network_is_scored_by_evaluate(network, tmp_path):
    data = digits()
    evaluation = yisheng.evaluate(network, data, out=tmp_path, quiet=True)
    assert (evaluation.path / "model.safetensors").exists()
    assert evaluation["test"]["accuracy"].value > 0.9
    with pytest.raises(UsageError, match="scored on data"):
        yisheng.evaluate(network)


def test_a_network_with_the_wrong_link_is_found(network, tmp_path):
    probabilities = nn.Sequential(network, nn.Softmax(1))
    run = yisheng.train(model=probabilities, data="digits", epochs=0, out=tmp_path, quiet=True)
    assert "loss-pairing" in {finding.check for finding in run.diagnose().findings}


def test_a_regression_is_scored_in_the_unit_of_its_target(tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    y = (np.exp(x @ np.array([[1.0], [2.0]])) * 100).astype(np.float32)
    model = nn.Linear(2, 1)
    data = yisheng.Dataset("mine", yisheng.Spec("regression", (2,)), x, y)
    evaluation = yisheng.evaluate(model, data, out=tmp_path, quiet=True)
    with torch.no_grad():
        error = (model(torch.from_numpy(x)).numpy() - y) ** 2
    assert evaluation["test"]["rmse"].value == pytest.approx(np.sqrt(error.mean()), rel=1e-5)


def test_it_is_finished_and_cannot_be_continued(run, caplog):
    caplog.set_level("INFO", "yisheng")
    scores = (run.path / "scores.json").read_bytes()
    yisheng.resume(run.path, quiet=True)
    with pytest.raises(UsageError, match="no training to continue"):
        yisheng.resume(run.path, epochs=3, quiet=True)
    assert (run.path / "scores.json").read_bytes() == scores


def test_a_file_of_weights_is_scored_by_the_command(network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    layers = "nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10)"
    (tmp_path / "net.py").write_text(f"from torch import nn\n\n\ndef build():\n    return nn.Sequential({layers})\n")
    torch.save(network.state_dict(), tmp_path / "net.pth")
    assert main(["train", "model=net.py:build", "weights=net.pth", "data=digits", "epochs=0", "name=net"]) == 0
    assert "not trained here (epochs=0)" in capsys.readouterr().out
    assert main(["evaluate", "runs/0001-net"]) == 0
    assert main(["export", "runs/0001-net", "format=safetensors"]) == 0
    assert main(["resume", "runs/0001-net", "epochs=2"]) == 2
    remedy = capsys.readouterr().err.splitlines()[-1].strip().removeprefix("train from its weights: yisheng ")
    assert main(remedy.split()) == 0


def test_weights_without_a_last_layer_for_the_data_are_refused(tmp_path, capsys):
    data = digits()
    run = yisheng.train(data=data, model="lenet", epochs=1, out=tmp_path, quiet=True)
    spec = yisheng.Spec("classification", (1, 8, 8), classes=("even", "odd"))
    even = yisheng.Dataset("even", spec, data.x, data.y % 2)
    weights = str(run.path / "model.safetensors")
    with pytest.raises(UsageError, match="score a random one"):
        yisheng.train(data=even, model="lenet", weights=weights, epochs=0, out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="without the scaling") as error:
        yisheng.train(data=even, weights=str(run.path), epochs=0, out=tmp_path, quiet=True)
    assert "yisheng evaluate" in error.value.remedy


def test_random_weights_are_said(tmp_path, caplog):
    caplog.set_level("INFO", "yisheng")
    yisheng.train(data="iris", epochs=0, out=tmp_path)
    assert "the weights are random" in caplog.text


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["train", "data=iris", "epochs=0", "folds=3"], "folds=3 has no meaning"),
        (["train", "data=iris", "epochs=0", "scratch=true"], "scratch"),
        (["train", "data=iris", "epochs=0", "fix=true"], "trains nothing"),
        (["train", "data=iris", "epochs=-1"], "epochs"),
        (["tune", "data=iris", "epochs=0", "lr=0.1,0.2"], "a search trains"),
        (["tune", "data=iris", "epochs=0,5"], "a search trains"),
        (["train", "data=iris", "epochs=0", "budget=10s"], "budget=10.0 has no meaning"),
    ],
)
def test_what_needs_a_training_refuses_it(words, cause, tmp_path, capsys):
    assert main([*words, f"out={tmp_path}"]) == 2
    assert cause in capsys.readouterr().err

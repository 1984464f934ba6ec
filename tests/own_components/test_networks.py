"""Networks as people write them: trained, broken off, resumed to the same bits, used without their code, exported."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import yisheng
from tests.own_components.networks import NETWORKS, ROWS, targets
from yisheng import EpochEnd
from yisheng.core.events import Event
from yisheng.training.state import State

SETTINGS: dict[str, Any] = {"epochs": 2, "batch": 8, "quiet": True, "optimizer": "adam", "lr": 0.01, "seed": 1}


class PowerCutError(Exception):
    """What stops a training without any warning."""


def cut_power(events: Iterator[Event]) -> Iterator[Event]:
    """Break off in the middle of the second epoch."""
    for event in events:
        yield event
        if event.step == 6:
            raise PowerCutError


def hash_weights(run: yisheng.TrainedRun) -> str:
    return hashlib.sha256((run.path / "model.safetensors").read_bytes()).hexdigest()


QUICK = ("view", "two inputs", "gru that returns its state", "tied weights", "lazy layers", "dictionary")
"""Networks that stand for the others where those would take long."""


@pytest.fixture(params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS])
def network(request: pytest.FixtureRequest) -> str:
    """Return the name of a network."""
    name: str = request.param
    return name


@pytest.mark.sampled
def test_train_break_off_resume(network: str, tmp_path: Path) -> None:
    """A class resumes to the weights of an undisturbed training, to the bit."""
    model, inputs = NETWORKS[network]
    data = (inputs(), targets())
    expected = yisheng.train(model=model, data=data, out=tmp_path / "undisturbed", **SETTINGS)
    assert expected.scores["test"]["accuracy"].value >= 0
    with pytest.raises(PowerCutError):
        yisheng.train(
            model=model, data=data, out=tmp_path / "broken", callbacks=[cut_power], checkpoint_every=0, **SETTINGS
        )
    (folder,) = (tmp_path / "broken").iterdir()
    with pytest.raises(yisheng.UsageError, match="imported only when you name it"):
        yisheng.resume(folder, data=data, quiet=True)
    resumed = yisheng.resume(folder, data=data, model=model, quiet=True)
    assert hash_weights(resumed) == hash_weights(expected)


@pytest.mark.slow
@pytest.mark.sampled
def test_instance_resumes_from_its_own_weights(network: str, tmp_path: Path) -> None:
    model, inputs = NETWORKS[network]
    if network in ("dictionary", "timm"):
        pytest.skip("its class needs the sizes of the data")
    data = (inputs(), targets())
    torch.manual_seed(5)
    module = model()
    with pytest.raises(PowerCutError):
        yisheng.train(
            model=module, data=data, out=tmp_path / "broken", callbacks=[cut_power], checkpoint_every=0, **SETTINGS
        )
    torch.manual_seed(99)
    (folder,) = (tmp_path / "broken").iterdir()
    resumed = yisheng.resume(folder, data=data, model=model(), quiet=True)
    torch.manual_seed(5)
    expected = yisheng.train(model=model(), data=data, out=tmp_path / "undisturbed", **SETTINGS)
    assert hash_weights(resumed) == hash_weights(expected)


PREDICT = """
import json, sys
import numpy as np
import yisheng

assert not [name for name in sys.modules if "networks" in name]
content = np.load(sys.argv[2])
inputs = {key: content[key] for key in content.files}
if list(inputs) == ["x"]:
    inputs = inputs["x"]
elif all(key.isdigit() for key in inputs):
    inputs = tuple(inputs.values())
predictions = yisheng.load(sys.argv[1]).predict(inputs)
print(json.dumps([[p.prediction, p.probabilities] for p in predictions]))
"""


def save_inputs(x: Any, path: Path) -> Path:
    """Write inputs into a file of NumPy."""
    arrays = x if isinstance(x, dict) else dict(enumerate(x)) if isinstance(x, tuple) else {"x": x}
    np.savez(path, **{str(key): value[:5] for key, value in arrays.items()})
    return path


@pytest.mark.slow
@pytest.mark.sampled
def test_predict_in_a_process_without_the_code(network: str, tmp_path: Path) -> None:
    model, inputs = NETWORKS[network]
    run = yisheng.train(model=model, data=(inputs(), targets()), out=tmp_path, **SETTINGS)
    x = inputs()
    if isinstance(x, dict):
        rows: Any = {key: value[:5] for key, value in x.items()}
    else:
        rows = tuple(value[:5] for value in x) if isinstance(x, tuple) else x[:5]
    expected = yisheng.load(run.path, model=model).predict(rows)
    result = subprocess.run(
        [sys.executable, "-c", PREDICT, str(run.path), str(save_inputs(inputs(), tmp_path / "x.npz"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    for (prediction, probabilities), direct in zip(json.loads(result.stdout), expected, strict=True):
        assert prediction == direct.prediction
        assert probabilities == pytest.approx(direct.probabilities, abs=1e-6)


@pytest.mark.slow
@pytest.mark.sampled
def test_export_to_onnx_with_equal_outputs(network: str, tmp_path: Path) -> None:
    """The export compares the file's outputs with the run's, and refuses to write a file that differs.

    Torch's converter does not know attention without a head axis: the refusal says so.
    """
    pytest.importorskip("onnxruntime")
    model, inputs = NETWORKS[network]
    data = (inputs(), targets())
    run = yisheng.train(model=model, data=data, out=tmp_path, **SETTINGS)
    if network == "attention":
        with pytest.raises(yisheng.UsageError, match="only 4D query, key, and value are supported"):
            yisheng.export(run.path, out=tmp_path / "net.onnx")
        return
    exported = yisheng.export(run.path, out=tmp_path / "net.onnx")
    assert exported.path.stat().st_size > 0


def test_callback_of_state(tmp_path: Path) -> None:
    """A second parameter gets the state of the training."""
    states: list[State] = []

    def remember(events: Iterator[Event], state: State) -> Iterator[Event]:
        states.append(state)
        yield from events

    x = np.random.default_rng(0).normal(size=(ROWS, 6)).astype(np.float32)
    yisheng.train(model=nn.Linear(6, 3), data=(x, targets()), out=tmp_path, callbacks=[remember], **SETTINGS)
    assert states[0].epoch == 2
    assert EpochEnd

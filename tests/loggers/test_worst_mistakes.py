"""The worst mistakes of a training are those of the worst rows, and no bit of the training changes."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from yisheng import Dataset, Spec
from yisheng.core.events import EpochEnd
from yisheng.core.settings import merge_settings
from yisheng.data.datasets.digits import digits
from yisheng.evaluation.predictions import predict
from yisheng.evaluation.scorer import make_scorer
from yisheng.experiments.load_data import split_dataset
from yisheng.loggers import worst_mistakes
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.setup import assemble


def build_assembly(data, **settings):
    config = merge_settings([(key, value, "command line") for key, value in {"epochs": 2, **settings}.items()]).config
    return assemble(config, data, split_dataset(config, data), torch.device("cpu"))


def train(data, folder=None, **settings):
    """Return setup, events and generator state of a training, with or without the mistakes written."""
    assembly = build_assembly(data, **settings)
    events = fit_assembly(assembly, make_scorer)
    if folder is not None:
        events = worst_mistakes.write_worst_mistakes(events, folder, assembly)
    steps = [(type(e).__name__, e.step, float(e.loss), torch.is_grad_enabled()) for e in events]
    return assembly, steps, torch.random.get_rng_state()


def test_writing_mistakes_changes_no_bit_of_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(worst_mistakes, "MIN_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(worst_mistakes, "MAX_TIME_FRACTION", 1e9)
    data = digits()
    settings = {"model": "mlp", "hidden": [16], "dropout": 0.3, "batch_norm": True}
    plain, plain_steps, plain_generator = train(data, **settings)
    watched, steps, generator = train(data, tmp_path, **settings)
    assert steps == plain_steps
    assert torch.equal(generator, plain_generator)
    plain_weights, weights = (setup.state.model.state_dict().values() for setup in (plain, watched))
    assert all(map(torch.equal, weights, plain_weights))
    assert [m.training for m in plain.state.model.modules()] == [m.training for m in watched.state.model.modules()]
    assert json.loads((tmp_path / "mistakes.json").read_text())["epoch"] == 2


def test_the_rows_are_the_most_confident_mistakes(tmp_path):
    data = digits()
    assembly, _, _ = train(data, tmp_path, model="linear", epochs=1)
    mistakes = json.loads((tmp_path / "mistakes.json").read_text())
    predictions = predict(assembly.state.model, assembly.validation, assembly.spec)
    wrong = predictions.prediction.argmax(1) != predictions.y
    probabilities = np.sort(predictions.prediction.max(1)[wrong])[::-1][:12]
    assert mistakes["rows"] == len(predictions) <= worst_mistakes.MAX_ROWS
    assert np.allclose([mistake["probability"] for mistake in mistakes["worst"]], probabilities)
    first = mistakes["worst"][0]
    assert data.spec.classes[data.y[first["row"]]] == first["true"] != first["predicted"]
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(first["image"]))))
    assert np.array_equal(image, data.x[first["row"], 0])


def test_rows_are_subsampled_evenly(monkeypatch):
    monkeypatch.setattr(worst_mistakes, "MAX_ROWS", 10)
    assembly = build_assembly(digits(), model="linear")
    part = worst_mistakes._subsample(assembly.validation)
    rows = assembly.validation.rows
    assert len(part.rows) == 10
    assert part.rows[0] == rows[0]
    assert part.rows[-1] == rows[len(rows) * 9 // 10]


def test_mistakes_of_regression_and_labels_and_none_without_validation_part():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    line = Dataset("line", Spec("regression", (3,)), x, (x.sum(1, keepdims=True) * 100).astype(np.float32))
    mistakes = worst_mistakes.find_worst_mistakes(build_assembly(line, model="linear"))
    assert mistakes["task"] == "regression"
    errors = [abs(mistake["error"]) for mistake in mistakes["worst"]]
    assert errors == sorted(errors, reverse=True)
    spec = Spec("multilabel", (3,), classes=("a", "b"))
    tags = Dataset("tags", spec, x, (x[:, :2] > 0).astype(np.float32))
    mistakes = worst_mistakes.find_worst_mistakes(build_assembly(tags, model="linear"))
    assert {mistake["true"] for mistake in mistakes["worst"]} <= {"a", "b", "a, b", "none"}
    assert worst_mistakes.find_worst_mistakes(build_assembly(line, model="linear", validation=0)) is None


def test_nonfinite_predictions_and_write_errors_do_not_stop_the_training(tmp_path):
    assembly = build_assembly(digits(), model="linear")
    event = EpochEnd(1, 1, 1.0, {})
    assert list(worst_mistakes.write_worst_mistakes(iter([event]), tmp_path / "not there", assembly)) == [event]
    with torch.no_grad():
        next(assembly.state.model.parameters()).fill_(float("nan"))
    assert worst_mistakes.find_worst_mistakes(assembly) is None


@pytest.mark.parametrize("settings", [{}, {"precision": "fp64"}])
def test_the_modes_of_the_network_are_restored(settings):
    assembly = build_assembly(digits(), model="mlp", hidden=[8], batch_norm=True, **settings)
    model = assembly.state.model
    model.train()
    next(model.children()).eval()
    modes = [m.training for m in model.modules()]
    worst_mistakes.find_worst_mistakes(assembly)
    assert [m.training for m in model.modules()] == modes

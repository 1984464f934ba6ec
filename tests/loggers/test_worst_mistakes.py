"""The last mistakes of a training: the right rows, and not a bit of the training changed."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from yisheng import Dataset, Spec
from yisheng.core.settings import merge_settings
from yisheng.core.types import EpochEnd
from yisheng.data.datasets.digits import digits
from yisheng.evaluation.predictions import predict
from yisheng.evaluation.scorer import make_scorer
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.loggers import worst_mistakes
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.setup import assemble


def assembled(data, **settings):
    config = merge_settings([(key, value, "command line") for key, value in {"epochs": 2, **settings}.items()]).config
    return assemble(config, data, split_dataset(config, data), torch.device("cpu"))


def trained(data, folder=None, **settings):
    """Weights and events of a training, with or without the mistakes noted."""
    assembly = assembled(data, **settings)
    events = fit_assembly(assembly, make_scorer)
    if folder is not None:
        events = worst_mistakes.write_worst_mistakes(events, folder, assembly)
    seen = [(type(e).__name__, e.step, float(e.loss), torch.is_grad_enabled()) for e in events]
    return assembly, seen, torch.random.get_rng_state()


def test_training_is_the_same_to_the_bit_dropout_and_batch_norm_too(tmp_path, monkeypatch):
    monkeypatch.setattr(worst_mistakes, "EVERY", 0.0)
    monkeypatch.setattr(worst_mistakes, "SHARE", 1e9)
    data = digits()
    settings = {"model": "mlp", "hidden": [16], "dropout": 0.3, "batch_norm": True}
    plain, seen, generator = trained(data, **settings)
    noted, seen_noted, generator_noted = trained(data, tmp_path, **settings)
    assert seen == seen_noted
    assert torch.equal(generator, generator_noted)
    for one, other in zip(
        plain.state.model.state_dict().values(), noted.state.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert [m.training for m in plain.state.model.modules()] == [m.training for m in noted.state.model.modules()]
    assert json.loads((tmp_path / "mistakes.json").read_text())["epoch"] == 2


def test_the_rows_are_those_that_the_network_is_most_wrong_on(tmp_path):
    data = digits()
    assembly, _, _ = trained(data, tmp_path, model="linear", epochs=1)
    found = json.loads((tmp_path / "mistakes.json").read_text())
    seen = predict(assembly.state.model, assembly.validation, assembly.spec)
    wrong = seen.prediction.argmax(1) != seen.y
    sure = np.sort(seen.prediction.max(1)[wrong])[::-1][:12]
    assert found["rows"] == len(seen) <= worst_mistakes.ROWS
    assert np.allclose([one["probability"] for one in found["worst"]], sure)
    first = found["worst"][0]
    assert data.spec.classes[data.y[first["row"]]] == first["true"] != first["predicted"]
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(first["image"]))))
    assert np.array_equal(image, data.x[first["row"], 0])


def test_of_many_rows_some_are_looked_at_spread_over_all(monkeypatch):
    monkeypatch.setattr(worst_mistakes, "ROWS", 10)
    assembly = assembled(digits(), model="linear")
    part = worst_mistakes._some(assembly.validation)
    rows = assembly.validation.rows
    assert len(part.rows) == 10
    assert part.rows[0] == rows[0]
    assert part.rows[-1] == rows[len(rows) * 9 // 10]


def test_regression_and_labels_and_no_validation_part():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    line = Dataset("line", Spec("regression", (3,)), x, (x.sum(1, keepdims=True) * 100).astype(np.float32))
    found = worst_mistakes.find_worst_mistakes(assembled(line, model="linear"))
    assert found["task"] == "regression"
    errors = [abs(one["error"]) for one in found["worst"]]
    assert errors == sorted(errors, reverse=True)
    spec = Spec("multilabel", (3,), classes=("a", "b"))
    tags = Dataset("tags", spec, x, (x[:, :2] > 0).astype(np.float32))
    assert {one["true"] for one in worst_mistakes.find_worst_mistakes(assembled(tags, model="linear"))["worst"]} <= {
        "a",
        "b",
        "a, b",
        "none",
    }
    assert worst_mistakes.find_worst_mistakes(assembled(line, model="linear", validation=0)) is None


def test_numbers_that_are_not_finite_and_a_disk_that_is_full_cost_nothing(tmp_path):
    assembly = assembled(digits(), model="linear")
    event = EpochEnd(1, 1, 1.0, {})
    assert list(worst_mistakes.write_worst_mistakes(iter([event]), tmp_path / "not there", assembly)) == [event]
    with torch.no_grad():
        next(assembly.state.model.parameters()).fill_(float("nan"))
    assert worst_mistakes.find_worst_mistakes(assembly) is None


@pytest.mark.parametrize("settings", [{}, {"precision": "fp64"}])
def test_the_network_stays_in_its_modes(settings):
    assembly = assembled(digits(), model="mlp", hidden=[8], batch_norm=True, **settings)
    model = assembly.state.model
    model.train()
    next(model.children()).eval()
    before = [m.training for m in model.modules()]
    worst_mistakes.find_worst_mistakes(assembly)
    assert [m.training for m in model.modules()] == before

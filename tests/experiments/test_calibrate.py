"""``calibrate=true``: the temperature is in the folder, in every prediction, and where it cannot be it is refused."""

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss
from torch import nn

import yisheng
from yisheng.core.errors import UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.run_page import render_run_page

pytestmark = pytest.mark.usefixtures("without_reports")


def draw_noisy(n=900, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    y = np.where(rng.random(n) < 0.3, rng.integers(0, 3, n), (x[:, :3]).argmax(1))
    return x, y


class Overconfident(nn.Module):
    """A linear model whose logits are four times as large in prediction as in training."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x):
        return self.linear(x) if self.training else 4 * self.linear(x)


def train(tmp_path, **settings):
    settings = {"model": Overconfident, "epochs": 20, "lr": 0.05, "score": "accuracy", **settings}
    return yisheng.train(data=draw_noisy(), out=tmp_path, quiet=True, **settings)


def test_a_network_that_is_too_sure_gets_a_temperature_that_helps_on_new_rows(tmp_path):
    plain, calibrated = (train(tmp_path, calibrate=calibrate) for calibrate in (False, True))
    description = json.loads((calibrated.path / RunFolder.MODEL).read_text())
    recorded = description["calibration"]
    assert recorded["kept"]
    assert recorded["value"] == description["spec"]["temperature"] > 2
    x, y = draw_noisy(2000, seed=1)
    losses = [log_loss(y, run.outputs(x)) for run in (plain, calibrated)]
    assert losses[1] < losses[0]
    assert (plain.outputs(x).argmax(1) == calibrated.outputs(x).argmax(1)).all()
    np.testing.assert_allclose(yisheng.load(calibrated.path).outputs(x), calibrated.outputs(x))
    assert calibrated.scores["test"]["log_loss"].value < plain.scores["test"]["log_loss"].value
    page = render_run_page(calibrated.path)
    assert "Logits are divided by the temperature" in page
    assert "calibration" not in json.loads((plain.path / RunFolder.MODEL).read_text())
    before = calibrated.scores["test"]["log_loss"].value
    assert calibrated.evaluate()["test"]["log_loss"].value == pytest.approx(before)


@pytest.mark.slow
def test_the_exported_model_has_the_temperature(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    run = train(tmp_path, calibrate=True)
    path = run.export(format="onnx").path
    x, _ = draw_noisy(50, seed=2)
    session = onnxruntime.InferenceSession(path)
    (outputs,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(outputs, run.outputs(x), atol=1e-5)


@pytest.mark.slow
def test_a_model_that_is_right_keeps_none(tmp_path):
    run = yisheng.train(data=draw_noisy(), model="logistic", calibrate=True, out=tmp_path, quiet=True)
    description = json.loads((run.path / RunFolder.MODEL).read_text())
    assert not description["calibration"]["kept"]
    assert description["spec"]["temperature"] == 1.0
    assert "No temperature is kept" in render_run_page(run.path)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"data": "diabetes", "model": "ridge"}, "this is regression"),
        ({"data": "iris", "model": "linear", "epochs": 1}, "50 rows or more"),
        ({"data": "iris", "model": "linear", "epochs": 1, "folds": 3}, "a fold is scored on"),
        ({"data": "iris", "model": "linear", "epochs": 1, "fold": "1/3"}, "a fold is scored on"),
    ],
    ids=["regression", "few rows", "folds", "fold"],
)
def test_it_is_refused_before_the_training(tmp_path, settings, problem):
    with pytest.raises(UsageError, match=problem):
        yisheng.train(calibrate=True, out=tmp_path, quiet=True, **settings)
    assert not list(tmp_path.iterdir())

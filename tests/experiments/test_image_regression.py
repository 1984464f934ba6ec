"""Numbers from images end to end: training, scores, folds, search, resuming, prediction, service, export, report."""

import base64
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torch import nn

import yisheng
from tests.serving.service_client import ServiceClient, read_predictions
from yisheng.core.errors import UsageError
from yisheng.data import load

SIDE, COUNT = 12, 120
TRAIN = 90


def draw_spot(x, y):
    """Return a gray image of a spot of light around a place, with noise."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    spot = 230 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6)
    noise = np.random.default_rng(int(1000 * x + y)).normal(12, 3, (SIDE, SIDE))
    return np.clip(spot + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Write images of spots, and a list of their places in two units; return the list and the values."""
    folder = tmp_path_factory.mktemp("spots")
    places = np.random.default_rng(0).uniform(2, SIDE - 3, (COUNT, 2))
    values = np.stack([places[:, 0] * 1000, places[:, 1]], 1)
    with (folder / "spots.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "across", "down, mm", "split"])
        for number, (x, y) in enumerate(places.tolist()):
            Image.fromarray(draw_spot(x, y)).save(folder / f"{number}.png")
            writer.writerow(
                [f"{number}.png", repr(float(values[number, 0])), repr(y), "train" if number < TRAIN else "test"]
            )
    return folder / "spots.csv", values


@pytest.fixture(scope="module")
def run(spots, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data=str(spots[0]), model="mlp", epochs=60, lr=0.003, out=out, quiet=True)


def test_the_contract_names_every_target(run):
    spec = run.run.spec
    assert (spec.task, spec.outputs, spec.target_names) == ("regression", 2, ("across", "down, mm"))
    assert run.config["score"] == "r2"


def predict_test_images(run, spots):
    path, _ = spots
    return run.predict([path.parent / f"{number}.png" for number in range(TRAIN, COUNT)])


def test_scores_are_those_of_scikit_learn(run, spots):
    y = spots[1][TRAIN:]
    predicted = np.array([list(p.prediction.values()) for p in predict_test_images(run, spots)])
    scores = {name: score.value for name, score in run.scores["test"].items()}
    assert scores["r2"] == pytest.approx(r2_score(y, predicted), abs=1e-5)
    for number, name in enumerate(("across", "down, mm")):
        true, values = y[:, number], predicted[:, number]
        assert scores[f"rmse[{name}]"] == pytest.approx(root_mean_squared_error(true, values), rel=1e-5)
        assert scores[f"mae[{name}]"] == pytest.approx(mean_absolute_error(true, values), rel=1e-5)
        assert scores[f"r2[{name}]"] == pytest.approx(r2_score(true, values), abs=1e-5)
    assert not {"rmse", "mae", "mse", "log_rmse"} & set(scores)  # they would mix the units
    assert scores["r2"] > 0.8
    baseline = run.scores["baseline"]["rmse[down, mm]"].value
    mean = np.full(COUNT - TRAIN, spots[1][:TRAIN, 1].mean())
    assert baseline == pytest.approx(
        root_mean_squared_error(y[:, 1], mean), rel=0.05
    )  # the validation part is not in it


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, x):
        return self.layers(x)


def test_training_is_that_of_a_plain_loop(spots, tmp_path):
    path, values = spots
    settings = {"optimizer": "sgd", "lr": 0.05, "schedule": "constant", "batch": TRAIN, "epochs": 25, "validation": 0}
    settings |= {"scale": "unit", "loss": "mse", "precision": "fp64"}
    run = yisheng.train(data=str(path), model=Net(), out=tmp_path, quiet=True, **settings)
    images = np.stack([np.asarray(Image.open(path.parent / f"{number}.png")) for number in range(COUNT)])
    x = torch.from_numpy(images[:, None] / 255.0)
    y = torch.from_numpy(values)
    mean, std = y[:TRAIN].mean(0), y[:TRAIN].std(0, unbiased=False)
    net = Net().double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x[:TRAIN]), (y[:TRAIN] - mean) / std).backward()
        optimizer.step()
    expected = (net(x[TRAIN:]) * std + mean).detach().numpy()
    predicted = np.array([list(p.prediction.values()) for p in predict_test_images(run, spots)])
    np.testing.assert_allclose(predicted, expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lenet", "resnet18", "linear"])
def test_networks_for_images_learn_numbers(spots, tmp_path, model):
    epochs, size = (6, 32) if model == "resnet18" else (40, "auto")
    run = yisheng.train(data=str(spots[0]), model=model, epochs=epochs, size=size, lr=0.003, out=tmp_path, quiet=True)
    assert run.scores["test"]["r2"].value > 0.3
    assert {"rmse[across]", "rmse[down, mm]"} <= set(run.scores["test"])


@pytest.mark.slow
def test_pretrained_weights_get_a_head_of_numbers(spots, run, tmp_path):
    tuned = yisheng.train(
        data=str(spots[0]), model="mlp", weights=str(run.path), target="across", epochs=3, out=tmp_path, quiet=True
    )
    assert tuned.run.spec.target_names == ("across",)
    assert "rmse" in tuned.scores["test"]


def test_one_target_has_plain_scores(spots, tmp_path):
    run = yisheng.train(data=str(spots[0]), target="down, mm", model="mlp", epochs=3, out=tmp_path, quiet=True)
    assert run.config["score"] == "rmse"
    assert {"rmse", "mae", "r2"} <= set(run.scores["test"])
    assert isinstance(predict_test_images(run, spots)[0].prediction, float)


def test_folders_of_numbers(tmp_path):
    for value in range(6):
        (tmp_path / "levels" / f"{value * 40}").mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(value * 100 + number).normal(value * 40 + 20, 4, (8, 8))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(tmp_path / "levels" / f"{value * 40}" / f"{number}.png")
    data = load("folder", path=str(tmp_path / "levels"))
    assert data.spec.classes == ("0", "40", "80", "120", "160", "200")
    run = yisheng.train(
        data=str(tmp_path / "levels"), task="regression", model="linear", epochs=20, out=tmp_path / "runs", quiet=True
    )
    assert run.scores["test"]["r2"].value > 0.8
    (prediction,) = run.predict(np.full((8, 8), 100, np.uint8))
    assert 20 < prediction.prediction < 140


def test_images_and_labels_of_another_list_are_read_by_the_run(run, spots, tmp_path):
    path, values = spots
    lines = [f"{number}.png;{values[number, 1]};x;{values[number, 0]}" for number in range(TRAIN, COUNT)]
    other = path.parent / "other.csv"
    other.write_text("\n".join(["file;down, mm;note;across", *lines]), encoding="utf-8")
    evaluation = run.evaluate(str(other))
    for name in ("r2", "rmse[across]", "rmse[down, mm]"):
        assert evaluation["test"][name].value == pytest.approx(run.scores["test"][name].value, rel=1e-5)


def test_folds_and_their_table(spots, tmp_path):
    run = yisheng.train(data=str(spots[0]), model="linear", epochs=4, folds=3, out=tmp_path, quiet=True)
    assert {"r2", "rmse[across]", "rmse[down, mm]"} <= set(run.scores["validation"])
    header = (run.path / "out-of-fold.csv").read_text(encoding="utf-8").splitlines()[0]
    assert next(csv.reader([header]))[-4:] == ["true_across", "true_down, mm", "predicted_across", "predicted_down, mm"]
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "RMSE of across" in page


def test_a_search_over_images_with_numbers(spots, tmp_path):
    result = yisheng.tune(data=str(spots[0]), model="linear", lr=[0.001, 0.01], epochs=3, out=tmp_path, quiet=True)
    assert result.run.scores["test"]["rmse[across]"].value > 0


def run_shell(*words):
    command = [sys.executable, "-m", "yisheng", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_a_killed_training_continues_to_the_same_bits(spots, tmp_path):
    settings = [f"data={spots[0]}", "model=mlp", "epochs=120", "checkpoint_every=0.05"]
    complete = run_shell("train", *settings, f"out={tmp_path / 'whole'}", "--quiet")
    assert complete.returncode == 0, complete.stderr
    command = [sys.executable, "-m", "yisheng", "train", *settings, f"out={tmp_path / 'killed'}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("*/checkpoint/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (killed,) = (tmp_path / "killed").glob("0001*")
    resumed = run_shell("resume", killed)
    assert resumed.returncode == 0, resumed.stderr
    weights = Path(complete.stdout.strip().splitlines()[-1], "model.safetensors").read_bytes()
    assert (killed / "model.safetensors").read_bytes() == weights


@pytest.mark.slow
def test_the_shell_predicts_as_python_does(run, spots, tmp_path):
    path, _ = spots
    images = [path.parent / f"{number}.png" for number in range(TRAIN, TRAIN + 5)]
    expected = [p.prediction for p in run.predict(images)]
    listed = run_shell("predict", run.path, *images, "--json")
    assert listed.returncode == 0, listed.stderr
    answers = [item["prediction"] for item in json.loads(listed.stdout)["predictions"]]
    assert answers == [pytest.approx(values, rel=1e-6) for values in expected]
    assert "across" in run_shell("predict", run.path, images[0]).stdout
    for suffix in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"out.{suffix}"
        process = run_shell("predict", run.path, *images, f"out={out}")
        assert process.returncode == 0, process.stderr
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[1:3] == ["across", "down, mm"]
    assert [[float(row["across"]), float(row["down, mm"])] for row in rows] == [
        pytest.approx(list(values.values()), rel=1e-6) for values in expected
    ]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["prediction"] for line in lines] == [pytest.approx(values, rel=1e-6) for values in expected]
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(tmp_path / "out.parquet")
    np.testing.assert_allclose(frame["across"], [values["across"] for values in expected], rtol=1e-6)


def test_the_service_answers_and_keeps_corrections(run, spots):
    path, _ = spots
    client = ServiceClient(run.path)
    content = (path.parent / f"{TRAIN}.png").read_bytes()
    (answer,) = read_predictions(client.post("/predict", content, {"content-type": "image/png"}))
    (expected,) = run.predict(path.parent / f"{TRAIN}.png")
    assert answer["prediction"] == pytest.approx(expected.prediction, rel=1e-5)
    assert client.get("/model").json()["targets"] == ["across", "down, mm"]
    image = base64.b64encode(content).decode()
    for values in ({"across": 1, "down, mm": 2.5}, {"across": 1500, "down, mm": 2.5}):
        saved = client.post("/wrong", json={"image": image, "label": values})
        assert saved.status_code == 200, saved.text
        assert saved.json()["count"] == 1
        assert (run.path / saved.json()["path"]).read_bytes()[:4] == b"\x89PNG"
    second = base64.b64encode((path.parent / "1.png").read_bytes()).decode()
    assert client.post("/wrong", json={"image": second, "label": {"across": 3, "down, mm": 4}}).json()["count"] == 2
    restarted = ServiceClient(run.path)  # counts the samples that exist already
    assert restarted.post("/wrong", json={"image": second, "label": {"across": 3, "down, mm": 4}}).json()["count"] == 2
    data = load("labels", path=str(run.path / "corrections" / "images.csv"), task="regression")
    assert data.y.tolist() == [[1500, 2.5], [3, 4]]
    assert data.spec.target_names == ("across", "down, mm")
    for label in (1.5, {"across": 1}, {"across": 1, "down, mm": "x"}, {"across": 1, "down, mm": True}, None):
        assert client.post("/wrong", json={"image": image, "label": label}).status_code == 422


@pytest.mark.slow
def test_exported_networks_give_the_original_units(run, spots, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path, _ = spots
    out = run.export(out=tmp_path / "spots.onnx")
    session = onnxruntime.InferenceSession(str(out.path))
    pixels = np.stack([np.asarray(Image.open(path.parent / f"{number}.png"))[None] for number in range(TRAIN, COUNT)])
    (values,) = session.run(None, {session.get_inputs()[0].name: pixels})
    expected = [list(p.prediction.values()) for p in predict_test_images(run, spots)]
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["targets"]) == ["across", "down, mm"]


def test_the_report_shows_every_target_and_the_worst_images(run):
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "RMSE of across" in page
    assert "RMSE of down, mm" in page
    assert page.count('<figure class="plot"') >= 4
    assert "Predicted against true values of down, mm" in page
    assert "data:image/png;base64" in page
    assert "largest errors" in page
    evaluation = json.loads((run.path / "evaluation.json").read_text(encoding="utf-8"))
    assert len(evaluation["worst"][0]["error"]) == 2
    Image.open(io.BytesIO(base64.b64decode(evaluation["worst"][0]["image"]))).verify()


def test_every_figure_can_be_drawn(run, tmp_path):
    from yisheng.experiments.plot import list_kinds

    for name in list_kinds(run.path):
        assert run.plot(name) is not None


def test_augmentations_that_move_images_are_warned_about(spots, tmp_path, caplog):
    yisheng.train(data=str(spots[0]), model="linear", epochs=1, augment="flip", out=tmp_path)
    assert "augment=flip moves what the images show" in caplog.text
    yisheng.train(data=str(spots[0]), model="linear", epochs=1, augment="mixup", out=tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"loss": "cross-entropy"}, "cross-entropy"),
        ({"smoothing": 0.1}, "smoothing"),
        ({"class_weight": "balanced"}, "class_weight"),
        ({"score": "accuracy"}, "accuracy"),
    ],
)
def test_what_needs_classes_is_refused(spots, tmp_path, settings, problem):
    with pytest.raises(UsageError, match=problem):
        yisheng.train(data=str(spots[0]), model="linear", epochs=1, out=tmp_path, quiet=True, **settings)

"""A run on images of more than 8 bits answers the same through every door: Python, bulk, HTTP, ONNX, evaluation."""

import base64
import io
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import yisheng
from tests.data.images import written_images
from tests.experiments.conftest import skip_reports
from tests.serving.conftest import train
from tests.serving.service_client import ServiceClient, error_code, read_predictions
from yisheng.cli import main
from yisheng.core.run_folder import RunFolder

SETS = {
    "12 bits": (".png", lambda x: (x * 4095).astype(np.uint16), partial(written_images.write_png, bits=16)),
    "floats": (".tif", lambda x: x.astype(np.float32), written_images.write_tiff),
    "signed, big": (
        ".tif",
        lambda x: (x * 4000 - 1000).astype(np.int16),
        partial(written_images.write_tiff, order=">"),
    ),
    "color": (
        ".png",
        lambda x: np.stack([(x * 65535).astype(np.uint16)] * 3, 2),
        partial(written_images.write_png, bits=16),
    ),
    "8 bits in 16": (".tif", lambda x: (x * 255).astype(np.uint16) * np.uint16(257), written_images.write_tiff),
}
SIDE = 12


@pytest.fixture(scope="module", params=SETS)
def trained(request, tmp_path_factory):
    """Return a run on images that 8 bits would make nearly equal, its files in order, and their values."""
    suffix, convert, encode = SETS[request.param]
    root = tmp_path_factory.mktemp("depths")
    random = np.random.default_rng(0)
    values_of = {}
    for label, brightness in (("dark", 0.1), ("light", 0.14)):
        for number in range(12):
            image = np.clip(random.normal(brightness, 0.01, (SIDE, SIDE)), 0, 1)
            image.reshape(-1)[:2] = 0, 1
            path = root / "set" / label / f"{number:02}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            values_of[path] = convert(image)
            path.write_bytes(encode(values_of[path]))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("YISHENG_HOME", str(root / "home"))
        folder = train(data=str(root / "set"), model="linear", epochs=3, doctor="off", seed=1, out=root / "runs")
        yield yisheng.load(folder), values_of


def probabilities(predictions):
    return np.array([[p.probabilities[name] for name in ("dark", "light")] for p in predictions])


def test_every_door_gives_the_same_probabilities(trained, tmp_path):
    run, values_of = trained
    paths = list(values_of)
    expected = probabilities(run.predict(paths))
    assert np.ptp(expected) > 0
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    close(probabilities(run.predict([path.read_bytes() for path in paths])), expected)
    close(probabilities(run.predict([values_of[path] for path in paths])), expected)
    close(
        probabilities([run.predict(Image.open(io.BytesIO(path.read_bytes())))[0] for path in paths[:3]]), expected[:3]
    )

    assert main(["predict", str(run.path), str(paths[0].parents[1]), f"out={tmp_path / 'bulk.jsonl'}", "--quiet"]) == 0
    rows = list(map(json.loads, (tmp_path / "bulk.jsonl").read_text(encoding="utf-8").splitlines()))
    by_name = {row["input"]: row for row in rows}
    close([[by_name[str(p)]["probabilities"][name] for name in ("dark", "light")] for p in paths], expected)

    client = ServiceClient(run.path)
    for path, answer in list(zip(paths, expected, strict=True))[::6]:
        kind = "image/png" if path.suffix == ".png" else "image/tiff"
        (prediction,) = read_predictions(client.post("/predict", path.read_bytes(), {"content-type": kind}))
        close([prediction["probabilities"][name] for name in ("dark", "light")], answer)
        assert prediction["notes"] == []


def test_a_correction_keeps_the_values(trained):
    run, values_of = trained
    client = ServiceClient(run.path)
    path, values = next(iter(values_of.items()))
    correction = {"image": base64.b64encode(path.read_bytes()).decode(), "label": "light"}
    if values.ndim == 3:
        assert error_code(client.post("/wrong", json=correction)) == (422, "input")
        return
    saved = run.path / client.post("/wrong", json=correction).json()["path"]
    with Image.open(saved) as image:
        np.testing.assert_array_equal(np.asarray(image), values)
    np.testing.assert_array_equal(probabilities(run.predict(saved)), probabilities(run.predict(path)))
    shutil.rmtree(run.path / "corrections")


@pytest.mark.slow
def test_the_exported_graph_takes_the_pixels_of_the_metadata(trained, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    run, values_of = trained
    path = run.export(format="onnx", out=tmp_path / "a.onnx").path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    image_values = json.loads(metadata["spec"])["image_values"]
    trained_range, stored = image_values["ranges"][0], image_values["stored"]
    assert session.get_inputs()[0].type == {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[stored]
    low, high = trained_range["low"], trained_range["high"]
    for path, values in list(values_of.items())[::5]:
        pixels = (values.astype(np.float64) - low) / (high - low) * 255
        pixels = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]
        block = (np.rint(pixels) if stored == "uint8" else pixels).astype(stored)
        (answer,) = session.run(None, {session.get_inputs()[0].name: block[None]})
        np.testing.assert_allclose(answer, probabilities(run.predict(path)), rtol=1e-4, atol=1e-5)


def test_an_evaluation_reads_the_images_by_the_run(trained, tmp_path):
    run, values_of = trained
    darkest = list(values_of)[:6]
    for path in darkest:
        (tmp_path / "other" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "other" / path.parent.name)
    evaluation = run.evaluate(str(tmp_path / "other"))
    is_dark = probabilities(run.predict(darkest)).argmax(1) == 0
    assert evaluation["test"]["accuracy"].value == pytest.approx(is_dark.mean())


def test_a_network_from_elsewhere_gets_values_from_0_to_1(trained, tmp_path):
    _, values_of = trained
    ranges = []

    class Observer(torch.nn.Module):
        def __init__(self, out_features):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(out_features))

        def forward(self, x):
            ranges.append((float(x.min()), float(x.max())))
            return x.flatten(1).mean(1, keepdim=True) * self.weight

    folder = str(next(iter(values_of)).parents[1])
    with pytest.MonkeyPatch.context() as monkeypatch:
        skip_reports(monkeypatch)
        yisheng.evaluate(Observer(2), folder, quiet=True, out=tmp_path)
    assert min(low for low, _ in ranges) == 0
    assert max(high for _, high in ranges) == pytest.approx(1, abs=0.03)


def test_the_report_shows_the_images(trained):
    run, _ = trained
    evaluation = json.loads((Path(run.path) / RunFolder.EVALUATION).read_text(encoding="utf-8"))
    assert all(row["image"] for row in evaluation["worst"])

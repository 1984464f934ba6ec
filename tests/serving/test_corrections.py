"""``POST /wrong``: samples with their right label become training data."""

import base64
import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import yisheng
from tests.serving.service_client import IMAGE, JSON, ServiceClient, digit_pixels, encode_png, error_code
from yisheng.core.remote.working_copies import write_note
from yisheng.inference.predictor import Predictor
from yisheng.serving.corrections import make_class_folders
from yisheng.serving.limits import Limits


@pytest.fixture
def run(digits_run, tmp_path):
    return Path(shutil.copytree(digits_run, tmp_path / "run"))


def make_correction(index, label):
    return {"image": base64.b64encode(encode_png(digit_pixels(index))).decode(), "label": label}


def test_corrected_images_are_training_data(run):
    requests = [("POST", "/wrong", {"json": make_correction(n, str(n % 3))}) for n in range(12)]
    responses = ServiceClient(run).request_all(*requests)
    assert [response.status_code for response in responses] == [200] * 12
    assert sorted(response.json()["count"] for response in responses) == list(range(1, 13))
    for n, response in enumerate(responses):
        path = run / response.json()["path"]
        assert path.parent.name == str(n % 3)
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), digit_pixels(n))
    data = yisheng.data.load("folder", path=str(run / "corrections"))
    assert data.spec.classes == ("0", "1", "2")
    assert len(data) == 12
    Predictor(run)  # the run is still complete


def test_a_run_at_an_address_keeps_none(run):
    write_note(run, "s3://bucket/runs/0001-digits-lenet", 1)
    response = ServiceClient(run).post("/wrong", json=make_correction(3, "3"))
    assert response.status_code == 422
    assert "not kept for s3://bucket/runs/0001-digits-lenet" in response.text
    assert not (run / "corrections").exists()


def test_the_last_label_of_an_image_counts(run):
    client = ServiceClient(run)
    for label in ("3", "5", "5"):
        assert client.post("/wrong", json=make_correction(3, label)).json()["count"] == 1
    (path,) = (run / "corrections").glob("*/*.png")
    assert path.parent.name == "5"
    restarted = ServiceClient(run)  # counts the samples that exist already
    assert restarted.post("/wrong", json=make_correction(4, "4")).json()["count"] == 2


def test_corrected_images_lose_their_metadata_and_are_limited(run):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (3000, 20, 3), np.uint8)).save(file, "JPEG", exif=exif)
    correction = {"image": base64.b64encode(file.getvalue()).decode(), "label": "1"}
    client = ServiceClient(run, limits=Limits(corrections=1))
    path = run / client.post("/wrong", json=correction).json()["path"]
    assert b"where I live" not in path.read_bytes()
    with Image.open(path) as image:
        assert max(image.size) == 1024
    assert error_code(client.post("/wrong", json=make_correction(4, "4"))) == (422, "input")


@pytest.mark.parametrize(
    "correction",
    [
        {"image": "****", "label": "1"},
        {"image": base64.b64encode(b"no image").decode(), "label": "1"},
        {"image": base64.b64encode(encode_png(np.eye(9, dtype=np.uint8))).decode(), "label": "eleven"},
        {"image": base64.b64encode(encode_png(np.eye(9, dtype=np.uint8))).decode(), "label": 1},
        {"image": base64.b64encode(encode_png(np.eye(9, dtype=np.uint8))).decode(), "label": "../1"},
        {"image": base64.b64encode(encode_png(np.eye(9, dtype=np.uint8))).decode(), "label": "1\ud800"},
        {"row": [1], "label": "1"},
        {"label": "1"},
        {},
    ],
)
def test_invalid_corrections_are_refused(run, correction):
    client = ServiceClient(run)
    assert error_code(client.post("/wrong", json.dumps(correction), JSON)) == (422, "input")
    assert error_code(client.post("/wrong", encode_png(digit_pixels(0)), IMAGE)) == (415, "type")
    assert not (run / "corrections").exists()


def test_corrected_rows_are_a_table_to_train_on(people_run, tmp_path):
    run = Path(shutil.copytree(people_run, tmp_path / "run"))
    client = ServiceClient(run)
    for n in range(12):
        row = {"age": 20 + n, "smoker": n % 2 == 0, "town": "Cork, city", "joined": f"2020-01-{n + 10}"}
        response = client.post("/wrong", json={"row": row, "label": n / 4})
        assert response.json() == {"path": "corrections/rows.csv", "count": n + 1}
    for label in (True, "7", None, float("1e400")):
        text = json.dumps({"row": row, "label": label}).replace("Infinity", "1e400")
        assert error_code(client.post("/wrong", text, JSON)) == (422, "input")
    for cell in ("a\nb", "\0", "\ud800", "x" * 2000):
        text = json.dumps({"row": {**row, "town": cell}, "label": 1})
        assert error_code(client.post("/wrong", text, JSON)) == (422, "input")
    with (run / "corrections" / "rows.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 12
    assert table[1] == {"age": "21", "smoker": "no", "town": "Cork, city", "joined": "2020-01-11", "price": "0.25"}
    data = yisheng.data.load("table", path=str(run / "corrections" / "rows.csv"), target="price")
    assert len(data) == 12


def test_class_folders_are_distinct_and_inside_the_run():
    names = ["..", "../../x", "a/b", "a\\b", "CON", "", " . ", "C:\\", "a\0b", "x" * 500, "猫", "."]
    folders = make_class_folders(names)
    assert len({name.casefold() for name in folders.values()}) == len(names)
    for folder in folders.values():
        assert Path(folder).name == folder
        assert folder not in ("", ".", "..")
    assert folders["猫"] == "猫"


def test_equal_rows_are_kept_once_and_the_last_label_counts(people_run, tmp_path):
    run = Path(shutil.copytree(people_run, tmp_path / "run"))
    client = ServiceClient(run)
    rows = [{"age": age, "smoker": True, "town": 'Cork, "city"', "joined": "2020-01-10"} for age in (2, 20, 2)]
    for row, label, count in zip(rows, (1, 2, 3), (1, 2, 2), strict=True):
        assert client.post("/wrong", json={"row": row, "label": label}).json()["count"] == count
    path = run / "corrections" / "rows.csv"
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["age"], row["price"]) for row in table] == [("20", "2"), ("2", "3")] or [
        (row["age"], row["price"]) for row in table
    ] == [("2", "3"), ("20", "2")]
    path.write_text(path.read_text().rstrip("\n"))  # an editor may drop the last line's end
    restarted = ServiceClient(run)
    assert restarted.post("/wrong", json={"row": {**rows[0], "age": 5}, "label": 9}).json()["count"] == 3
    assert len(path.read_text().splitlines()) == 4


def test_corrections_are_limited_in_bytes(run, people_run, tmp_path):
    client = ServiceClient(run, limits=Limits(correction_bytes=1 << 20))
    rng = np.random.default_rng(0)
    codes = []
    for _ in range(3):
        noise = rng.integers(0, 255, (400, 400, 3), np.uint8)
        correction = {"image": base64.b64encode(encode_png(noise)).decode(), "label": "1"}
        codes.append(client.post("/wrong", json=correction).status_code)
    assert codes == [200, 200, 422]
    kept_bytes = sum(path.stat().st_size for path in (run / "corrections").rglob("*.png"))
    assert kept_bytes <= 1 << 20
    assert (
        ServiceClient(run, limits=Limits(correction_bytes=kept_bytes))
        .post("/wrong", json=make_correction(4, "4"))
        .status_code
        == 422
    )

    run = Path(shutil.copytree(people_run, tmp_path / "people"))
    client = ServiceClient(run, limits=Limits(correction_bytes=500))
    row = {"smoker": True, "town": "x" * 90, "joined": "2020-01-10"}
    codes = [client.post("/wrong", json={"row": {**row, "age": n}, "label": 1}).status_code for n in range(9)]
    assert (codes[0], codes[-1]) == (200, 422)
    assert (run / "corrections" / "rows.csv").stat().st_size <= 500

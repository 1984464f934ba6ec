"""``POST /predict``: the predictor's predictions in the order of the inputs, or a readable error."""

import base64
import io
import json
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_iris

from tests.serving.conftest import train
from tests.serving.service_client import (
    CSV,
    IMAGE,
    JSON,
    ServiceClient,
    assert_same_prediction,
    digit_pixels,
    encode_png,
    error_code,
    read_predictions,
)
from yisheng.core.errors import DataError
from yisheng.inference.occlusion import draw_occlusion_map
from yisheng.inference.predictor import Predictor
from yisheng.inference.rows import parse_rows
from yisheng.serving import json_rows
from yisheng.serving.body_formats import decode_base64
from yisheng.serving.errors import ApiError
from yisheng.serving.limits import Limits


def test_an_image_is_predicted_as_by_the_predictor(digits_run, tmp_path):
    client = ServiceClient(digits_run)
    for index in range(5):
        content = encode_png(digit_pixels(index))
        (tmp_path / "image").write_bytes(content)
        expected = Predictor(digits_run).predict([tmp_path / "image"])[0]
        (prediction,) = read_predictions(client.post("/predict", content, IMAGE))
        assert_same_prediction(prediction, expected)
        assert prediction["occlusion_map"] is None


def test_many_images_in_a_form_keep_their_order_and_names(digits_run):
    files = [("file", (f"{n}.png", encode_png(digit_pixels(n)), "image/png")) for n in range(10)]
    predictions = read_predictions(ServiceClient(digits_run).post("/predict", files=files))
    assert [prediction["input"] for prediction in predictions] == [f"{n}.png" for n in range(10)]
    expected = Predictor(digits_run).predict(np.stack([digit_pixels(n)[None] for n in range(10)]))
    assert [prediction["prediction"] for prediction in predictions] == [p.prediction for p in expected]


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_images_in_json_are_predicted(digits_run, prefix):
    texts = [prefix + base64.b64encode(encode_png(digit_pixels(n))).decode() for n in (3, 4)]
    predictions = read_predictions(ServiceClient(digits_run).post("/predict", json={"images": texts}))
    assert [prediction["input"] for prediction in predictions] == ["image 1", "image 2"]
    assert [prediction["prediction"] for prediction in predictions] == ["3", "4"]


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_other_formats_and_sizes_are_predicted(digits_run, format):
    file = io.BytesIO()
    Image.fromarray(255 - digit_pixels(0)).resize((90, 90)).convert("RGB").save(file, format)
    headers = {"content-type": f"image/{format.lower()}"}
    (prediction,) = read_predictions(ServiceClient(digits_run).post("/predict", file.getvalue(), headers))
    assert any("inverted" in note for note in prediction["notes"])
    assert prediction["prediction"] == "0"


def test_top_limits_the_classes_to_the_most_probable(digits_run):
    client = ServiceClient(digits_run)
    complete, top_three = (
        read_predictions(client.post(path, encode_png(digit_pixels(1)), IMAGE))[0]
        for path in ("/predict", "/predict?top=3")
    )
    assert list(top_three["probabilities"].items()) == list(complete["probabilities"].items())[:3]
    assert len(complete["probabilities"]) == 10


def test_explain_returns_the_occlusion_map(digits_run):
    response = ServiceClient(digits_run).post("/predict?explain=true", encode_png(digit_pixels(2)), IMAGE)
    (prediction,) = read_predictions(response)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction["occlusion_map"]))))
    expected = draw_occlusion_map(Predictor(digits_run).artifacts[0], digit_pixels(2)[None])
    np.testing.assert_array_equal(pixels, expected)


def test_noise_is_reported_as_out_of_distribution(digits_run):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    noise[0] = noise[-1] = 0
    client = ServiceClient(digits_run)
    (noise_prediction,) = read_predictions(client.post("/predict", encode_png(noise), IMAGE))
    (digit_prediction,) = read_predictions(client.post("/predict", encode_png(digit_pixels(0)), IMAGE))
    assert digit_prediction["ood_score"] < noise_prediction["ood_score"] <= 1
    assert any("out of distribution" in note for note in noise_prediction["notes"])


def test_simultaneous_requests_get_their_own_predictions(digits_run):
    expected = Predictor(digits_run).predict(np.stack([digit_pixels(n)[None] for n in range(24)]))
    requests = [("POST", "/predict", {"content": encode_png(digit_pixels(n)), "headers": IMAGE}) for n in range(24)]
    invalid = ("POST", "/predict", {"content": b"no image", "headers": IMAGE})
    responses = ServiceClient(digits_run, batch=16).request_all(*requests[:12], invalid, *requests[12:])
    assert error_code(responses.pop(12)) == (422, "input")
    for response, prediction in zip(responses, expected, strict=True):
        assert_same_prediction(read_predictions(response)[0], prediction)


# ---- rows


def test_rows_in_json_may_be_objects_or_lists(iris_run):
    names = [column.name for column in Predictor(iris_run).spec.columns]
    values = load_iris().data[::40].round(2)
    expected = Predictor(iris_run).predict(values.astype(np.float32))
    rows = [dict(reversed(list(zip(names, map(float, row), strict=True)))) for row in values[:2]]
    response = ServiceClient(iris_run).post("/predict", json={"rows": [*rows, *values[2:].tolist()]})
    predictions = read_predictions(response)
    for prediction, expected_prediction in zip(predictions, expected, strict=True):
        assert_same_prediction(prediction, expected_prediction)
    assert [prediction["input"] for prediction in predictions] == [f"row {n + 1}" for n in range(len(values))]


def test_extreme_numbers_give_valid_json(iris_run, people_run):
    def refuse(word):
        raise AssertionError(word)

    cases = ((iris_run, [[3e38, -3e38, 3e38, 1e-45]]), (people_run, [{**PEOPLE[0], "age": 3e38}]))
    for run, rows in cases:
        response = ServiceClient(run).post("/predict", json={"rows": rows * 3})
        assert len(read_predictions(response)) == 3
        json.loads(response.text, parse_constant=refuse)


PEOPLE = (
    {"age": 30, "smoker": True, "town": "Brest", "joined": "2015-03-04"},
    {"age": None, "smoker": "no", "town": "Atlantis", "joined": None},
    {"age": "41", "smoker": None, "town": 7, "joined": "2020-05-06", "further": "ignored"},
)


def test_rows_of_a_table_are_read_as_its_file_is(people_run, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "joined,town,age,smoker\n2015-03-04,Brest,30,yes\n,Atlantis,,no\n2020-05-06,7,41,\n", encoding="utf-8"
    )
    expected = [prediction.prediction for prediction in Predictor(people_run).predict([path])]
    client = ServiceClient(people_run)
    from_json = read_predictions(client.post("/predict", json={"rows": list(PEOPLE)}))
    from_csv = read_predictions(client.post("/predict", path.read_bytes(), CSV))
    from_form = read_predictions(client.post("/predict", files={"file": ("my.csv", path.read_bytes())}))
    for predictions in (from_json, from_csv, from_form):
        assert [prediction["prediction"] for prediction in predictions] == pytest.approx(expected, rel=1e-5)
        assert any("'Atlantis' was never seen in training" in note for note in predictions[0]["notes"])


@given(st.data())
@settings(max_examples=60)
def test_json_rows_and_csv_rows_become_the_same_inputs(people_run, data):
    """Values that both accept become the same inputs."""
    spec = Predictor(people_run).spec
    cells = {
        "age": st.one_of(st.none(), st.integers(-1000, 1000), st.floats(-1e6, 1e6).map(lambda x: round(x, 4))),
        "smoker": st.sampled_from([None, True, False, "yes", "no", "YES", "perhaps"]),
        "town": st.one_of(st.none(), st.sampled_from(["Aden", "Brest", "Cork", "brest"]), st.integers(0, 9)),
        "joined": st.one_of(st.none(), st.dates().map(str)),
    }
    rows = data.draw(st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=5))
    assert sorted(json_rows.column_names(spec)) == sorted(cells)
    try:
        expected = parse_rows([json_rows.format_row(row, spec) for row in rows], spec, "rows")
    except DataError:
        with pytest.raises(DataError):
            json_rows.parse_json_rows(rows, spec)
        return
    np.testing.assert_array_equal(json_rows.parse_json_rows(rows, spec)[0], expected)


def test_a_cross_validation_predicts_with_its_mean(tmp_path):
    cross_validation = train(data="iris", folds=2, model="mlp", hidden=[4], epochs=1, out=tmp_path)
    row = load_iris().data[:1]
    client = ServiceClient(cross_validation)
    (prediction,) = read_predictions(client.post("/predict", json={"rows": row.tolist()}))
    assert client.get("/model").json()["model"] == "mlp"
    assert_same_prediction(prediction, Predictor(cross_validation).predict(row.astype(np.float32))[0])


# ---- several images, some of them damaged


def as_form(contents):
    return {"files": [("file", (f"{n}.png", content)) for n, content in enumerate(contents)]}


def as_json(contents):
    return {"json": {"images": [base64.b64encode(content).decode() for content in contents]}}


@pytest.mark.parametrize("encode", [as_form, as_json])
@pytest.mark.parametrize("damaged", [(0,), (2,), (1, 3), (0, 1, 2)])
def test_damaged_images_have_their_errors_in_place(digits_run, encode, damaged):
    client = ServiceClient(digits_run)
    contents = [encode_png(digit_pixels(n)) for n in range(4)]
    expected = read_predictions(client.post("/predict", **encode(contents)))
    contents = [content[:-30] if n in damaged else content for n, content in enumerate(contents)]
    response = client.post("/predict", **encode(contents))
    assert response.status_code == 200
    predictions = response.json()["predictions"]
    assert [prediction["input"] for prediction in predictions] == [prediction["input"] for prediction in expected]
    for n, prediction in enumerate(predictions):
        if n in damaged:
            assert set(prediction) == {"input", "error"}
            assert set(prediction["error"]) == {"problem", "remedy", "code"}
            assert prediction["error"]["problem"].startswith(prediction["input"])
        else:
            assert prediction["prediction"] == expected[n]["prediction"]
            assert prediction["probabilities"] == pytest.approx(expected[n]["probabilities"], abs=1e-5)


def test_a_request_without_any_readable_image_is_refused(digits_run):
    client = ServiceClient(digits_run)
    response = client.post("/predict", **as_form([b"x", b"y"]))
    assert error_code(response) == (422, "input")
    assert response.json()["error"]["problem"].startswith("0.png")
    assert error_code(client.post("/predict", json={"images": ["***", 7]})) == (422, "input")


def test_a_text_that_is_not_base64_has_its_error_in_place(digits_run):
    image = base64.b64encode(encode_png(digit_pixels(0))).decode()
    response = ServiceClient(digits_run).post("/predict", json={"images": ["***", image, None]})
    assert ["error" in prediction for prediction in response.json()["predictions"]] == [True, False, True]


@given(st.binary(max_size=200), st.data())
def test_base64_is_read_in_all_its_forms(content, data):
    text = base64.b64encode(content).decode()
    if data.draw(st.booleans(), "URL-safe"):
        text = text.replace("+", "-").replace("/", "_")
    if data.draw(st.booleans(), "without padding"):
        text = text.rstrip("=")
    width, line_break = data.draw(st.integers(1, 80)), data.draw(st.sampled_from(["", "\n", "\r\n", " ", "\t"]))
    text = line_break.join(text[start : start + width] for start in range(0, len(text), width))
    if data.draw(st.booleans(), "data URL"):
        text = data.draw(st.sampled_from(["data:;base64,", "data:image/png;base64,", "DATA:image/png;BASE64,"])) + (
            quote(text) if data.draw(st.booleans(), "percent") else text
        )
    assert decode_base64(text, "x") == content


@pytest.mark.parametrize("text", ["a", "abcde", "a*b=", "ä", "=a", 7, None, [], "data:image/png;base64", "ab=c"])
def test_other_texts_are_not_base64(text):
    with pytest.raises(ApiError, match="not in base64"):
        decode_base64(text, "x")


# ---- invalid requests


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"", IMAGE, (422, "input")),
        (b"\x89PNG\r\n\x1a\n", IMAGE, (422, "input")),
        (encode_png(np.zeros((8, 8), np.uint8))[:-20], IMAGE, (422, "input")),
        (encode_png(np.zeros((30, 30), np.uint8)), IMAGE, (422, "input")),  # blank
        (b"1,2", CSV, (415, "type")),
        (b"x", {}, (415, "type")),
        (b"x", {"content-type": "multipart/form-data"}, (400, "form")),
        (b"x", {"content-type": "multipart/form-data; boundary=y"}, (400, "form")),
        (b"--y\r\n\r\nx", {"content-type": "multipart/form-data; boundary=y"}, (400, "form")),
        (b"--y--\r\n", {"content-type": "multipart/form-data; boundary=y"}, (422, "input")),
        (b"{", JSON, (400, "json")),
        (b"[" * 100_000, JSON, (400, "json")),
        (b'{"images": [NaN]}', JSON, (400, "json")),
        (b"[]", JSON, (422, "input")),
        (b"{}", JSON, (422, "input")),
        (b'{"images": []}', JSON, (422, "input")),
        (b'{"rows": [[1]]}', JSON, (422, "input")),
        (b'{"images": ["a"], "top": 3}', JSON, (422, "input")),
        (b'{"images": ["***"]}', JSON, (422, "input")),
        (b'{"images": [7]}', JSON, (422, "input")),
        ('{"images": ["ä"]}'.encode(), JSON, (422, "input")),
    ],
)
def test_invalid_images_are_refused(digits_run, content, headers, expected):
    assert error_code(ServiceClient(digits_run).post("/predict", content, headers)) == expected


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([[1, 2, 3]], "row 1 has 3 values, the model takes 4"),
        ([[1, 2, 3, "x"]], "'x' is not a number"),
        ([[1, 2, 3, None]], "'' is not a number"),
        ([[1, 2, 3, 1e300]], "is not a number"),
        ([[1, 2, 3, [4]]], "row 1, petal width (cm): the value must be a number, text or null"),
        ([{"sepal length (cm)": 1}], "row 1 lacks sepal width (cm), petal length (cm), petal width (cm)"),
        (["1,2,3,4"], "row 1 is neither an object nor a list"),
        ([[1, 2, 3, 10**400]], "is not a number"),
    ],
)
def test_invalid_rows_are_refused_with_row_and_column(iris_run, rows, problem):
    response = ServiceClient(iris_run).post("/predict", json.dumps({"rows": rows}), JSON)
    assert error_code(response) == (422, "input")
    assert problem in response.json()["error"]["problem"]


@pytest.mark.parametrize(
    ("content", "status", "problem"),
    [
        (b"", 422, "table"),
        (b"\0\0\0", 422, "zero bytes"),
        (b"age,smoker\n1,2\n", 422, "lacks the columns town, joined"),
        (b"age,smoker,town,joined\n1,yes,Aden\n", 422, "table"),
        (b"age,smoker,town,joined\nold,yes,Aden,2020-01-01\n", 422, "'old' is not a number"),
        (b"\x1f\x8b" + b"0" * 50, 415, "compressed"),
        (b"BZh9" + b"0" * 50, 415, "compressed"),
    ],
)
def test_invalid_tables_are_refused_by_their_own_name(people_run, content, status, problem):
    client = ServiceClient(people_run)
    response = client.post("/predict", content, CSV)
    form_response = client.post("/predict", files={"file": ("mine.csv", content)})
    assert response.status_code == form_response.status_code == status
    assert problem.replace("table", "") in response.json()["error"]["problem"]
    assert "/tmp" not in response.text
    assert "mine.csv" in form_response.json()["error"]["problem"]


@pytest.mark.parametrize(
    "query",
    ["top=0", "top=-1", "top=x", "top=1e3", "top=99999999999", "top=", "explain=perhaps", "explain=", "explain=1"],
)
def test_invalid_queries_are_refused_by_their_name(digits_run, query):
    response = ServiceClient(digits_run).post(f"/predict?{query}", encode_png(digit_pixels(0)), IMAGE)
    assert error_code(response) == (422, "query")
    assert response.json()["error"]["problem"].startswith(f"{query.partition('=')[0]}: ")


def test_limits_are_checked(digits_run, iris_run):
    large = encode_png(np.zeros((400, 300), np.uint8))
    client = ServiceClient(digits_run, limits=Limits(pixels=100_000, images=2, body=20_000, explained=1))
    assert error_code(client.post("/predict", large, IMAGE)) == (413, "too-large")
    two_large = [("file", ("a", encode_png(np.eye(250, dtype=np.uint8) * 255)))] * 2
    assert error_code(client.post("/predict", files=two_large)) == (413, "too-large")
    three = [("file", ("a", encode_png(digit_pixels(0))))] * 3
    assert error_code(client.post("/predict", files=three)) == (422, "too-many")
    assert error_code(client.post("/predict?explain=true", files=three[:2])) == (422, "too-many")
    assert error_code(client.post("/predict", b"x" * 20_001, IMAGE)) == (413, "too-large")
    correction = {"image": base64.b64encode(large).decode(), "label": "1"}
    assert error_code(client.post("/wrong", json=correction)) == (413, "too-large")
    client = ServiceClient(iris_run, limits=Limits(rows=3))
    assert len(read_predictions(client.post("/predict", json={"rows": [[1, 2, 3, 4]] * 3}))) == 3
    assert error_code(client.post("/predict", json={"rows": [[1, 2, 3, 4]] * 4})) == (422, "too-many")
    assert error_code(client.post("/predict", b"1,2,3,4\n" * 5, CSV)) == (422, "too-many")
    assert error_code(client.post("/predict", b"1,2,3,4\n" * 3 + b"1,2,3,4", CSV)) == (422, "too-many")


def test_a_decompression_bomb_is_refused_by_the_size_in_its_header(digits_run):
    bomb = encode_png(np.zeros((9000, 9000), np.uint8))
    assert len(bomb) < 1 << 20
    client = ServiceClient(digits_run)
    assert error_code(client.post("/predict", bomb, IMAGE)) == (413, "too-large")
    assert error_code(client.post("/predict", bomb, {"content-type": "image/jpeg"})) == (413, "too-large")


def test_a_request_that_takes_too_long_is_ended(digits_run):
    client = ServiceClient(digits_run, limits=Limits(seconds=0.0))
    assert error_code(client.post("/predict", encode_png(digit_pixels(0)), IMAGE))[0] in (408, 503)

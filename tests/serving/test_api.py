"""The service's endpoints: the same answers as the predictor's, in the order of the inputs, or a readable refusal."""

import asyncio
import base64
import contextlib
import csv
import io
import json
import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits, load_iris

import yisheng
from yisheng.core.errors import DataError
from yisheng.inference.predictor import Predictor
from yisheng.serving import forms, json_rows, static_files
from yisheng.serving.app import application
from yisheng.serving.corrections import class_folders
from yisheng.serving.errors import Refusal
from yisheng.serving.limits import Limits

IMAGE = {"content-type": "image/png"}
JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}


def png(values, mode=None):
    file = io.BytesIO()
    Image.fromarray(values, mode).save(file, "PNG")
    return file.getvalue()


def drawn(number):
    """A digit of scikit-learn's set as the data set holds it."""
    return np.round(load_digits().images[number] * 255 / 16).astype(np.uint8)


class Client:
    """Asks an application in this process.

    Args:
        app: the application.
    """

    def __init__(self, app):
        self.app = app

    def all(self, *requests):
        """Answers to requests (method, path, settings) that are sent at the same time."""

        async def go():
            stop, started = asyncio.Event(), asyncio.Event()

            async def receive():
                if not started.is_set():
                    return {"type": "lifespan.startup"}
                await stop.wait()
                return {"type": "lifespan.shutdown"}

            async def send(message):
                assert message["type"] in ("lifespan.startup.complete", "lifespan.shutdown.complete")
                started.set()

            life = asyncio.create_task(self.app({"type": "lifespan", "state": {}}, receive, send))
            await started.wait()
            transport = httpx.ASGITransport(app=self.app)
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                    asked = [client.request(method, path, **given) for method, path, given in requests]
                    return await asyncio.gather(*asked)
            finally:
                stop.set()
                await life

        return asyncio.run(go())

    def get(self, path, **given):
        return self.all(("GET", path, given))[0]

    def post(self, path, content=None, headers=None, **given):
        return self.all(("POST", path, {"content": content, "headers": headers, **given}))[0]


@contextlib.contextmanager
def client(folder, **settings):
    yield Client(application(folder, **settings))


def good(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["answers"]


def code(answer):
    error = answer.json()["error"]
    assert set(error) == {"problem", "remedy", "code"}
    assert all(error.values())
    return answer.status_code, error["code"]


def same(found, wanted):
    """Whether an answer over HTTP is the predictor's, up to the last digit of single precision."""
    assert found["prediction"] == wanted.prediction
    assert list(found["probabilities"]) == list(wanted.probabilities)
    np.testing.assert_allclose(list(found["probabilities"].values()), list(wanted.probabilities.values()), atol=1e-6)
    assert found["notes"] == list(wanted.notes)
    assert found["unlike"] == pytest.approx(wanted.unlike, abs=1e-3)


def test_an_image_is_answered_as_by_the_predictor(digits, tmp_path):
    with client(digits) as service:
        for number in range(5):
            content = png(drawn(number))
            (tmp_path / "image").write_bytes(content)
            wanted = Predictor(digits).predict([tmp_path / "image"])[0]
            (found,) = good(service.post("/predict", content, IMAGE))
            same(found, wanted)
            assert found["looked_at"] is None


def test_many_images_in_a_form_keep_their_order_and_names(digits):
    files = [("file", (f"{n}.png", png(drawn(n)), "image/png")) for n in range(10)]
    with client(digits) as service:
        found = good(service.post("/predict", files=files))
    assert [one["input"] for one in found] == [f"{n}.png" for n in range(10)]
    wanted = Predictor(digits).predict(np.stack([drawn(n)[None] for n in range(10)]))
    assert [one["prediction"] for one in found] == [one.prediction for one in wanted]


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_images_in_json(digits, prefix):
    texts = [prefix + base64.b64encode(png(drawn(n))).decode() for n in (3, 4)]
    with client(digits) as service:
        found = good(service.post("/predict", json={"images": texts}))
    assert [one["input"] for one in found] == ["image 1", "image 2"]
    assert [one["prediction"] for one in found] == ["3", "4"]


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_other_formats_and_sizes(digits, format):
    file = io.BytesIO()
    Image.fromarray(255 - drawn(0)).resize((90, 90)).convert("RGB").save(file, format)
    with client(digits) as service:
        (found,) = good(service.post("/predict", file.getvalue(), {"content-type": f"image/{format.lower()}"}))
    assert any("inverted" in note for note in found["notes"])
    assert found["prediction"] == "0"


def test_only_the_most_probable(digits):
    with client(digits) as service:
        whole, some = (good(service.post(path, png(drawn(1)), IMAGE))[0] for path in ("/predict", "/predict?top=3"))
    assert list(some["probabilities"].items()) == list(whole["probabilities"].items())[:3]
    assert len(whole["probabilities"]) == 10


def test_what_the_network_looked_at(digits):
    from yisheng.inference.occlusion import draw_occlusion_map

    with client(digits) as service:
        (found,) = good(service.post("/predict?explain=true", png(drawn(2)), IMAGE))
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["looked_at"]))))
    np.testing.assert_array_equal(seen, draw_occlusion_map(Predictor(digits).artifacts[0], drawn(2)[None]))


def test_noise_is_said_to_be_unlike_the_training_data(digits):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    noise[0] = noise[-1] = 0
    with client(digits) as service:
        (strange,) = good(service.post("/predict", png(noise), IMAGE))
        (usual,) = good(service.post("/predict", png(drawn(0)), IMAGE))
    assert usual["unlike"] < strange["unlike"] <= 1
    assert any("unlike the training data" in note for note in strange["notes"])


def test_requests_at_the_same_time_get_their_own_answers(digits):
    wanted = Predictor(digits).predict(np.stack([drawn(n)[None] for n in range(24)]))
    requests = [("POST", "/predict", {"content": png(drawn(n)), "headers": IMAGE}) for n in range(24)]
    bad = ("POST", "/predict", {"content": b"no image", "headers": IMAGE})
    with client(digits, batch=16) as service:
        found = service.all(*requests[:12], bad, *requests[12:])
    assert code(found.pop(12)) == (422, "input")
    for answer, one in zip(found, wanted, strict=True):
        same(good(answer)[0], one)


# ---- rows


def test_rows_in_json_as_objects_and_lists(iris):
    names = [column.name for column in Predictor(iris).spec.columns]
    values = load_iris().data[::40].round(2)
    wanted = Predictor(iris).predict(values.astype(np.float32))
    rows = [dict(reversed(list(zip(names, map(float, row), strict=True)))) for row in values[:2]]
    with client(iris) as service:
        found = good(service.post("/predict", json={"rows": [*rows, *values[2:].tolist()]}))
    for one, answer in zip(found, wanted, strict=True):
        same(one, answer)
    assert [one["input"] for one in found] == [f"row {n + 1}" for n in range(len(values))]


def test_wild_numbers_are_answered_in_valid_json(iris, people):
    def refuse(word):
        raise AssertionError(word)

    for run, wild in ((iris, [[3e38, -3e38, 3e38, 1e-45]]), (people, [{**PEOPLE[0], "age": 3e38}])):
        with client(run) as service:
            answer = service.post("/predict", json={"rows": wild * 3})
        assert len(good(answer)) == 3
        json.loads(answer.text, parse_constant=refuse)


PEOPLE = (
    {"age": 30, "smoker": True, "town": "Brest", "joined": "2015-03-04"},
    {"age": None, "smoker": "no", "town": "Atlantis", "joined": None},
    {"age": "41", "smoker": None, "town": 7, "joined": "2020-05-06", "further": "left out"},
)


def test_rows_of_a_table_are_read_as_its_file_is(people, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "joined,town,age,smoker\n2015-03-04,Brest,30,yes\n,Atlantis,,no\n2020-05-06,7,41,\n", encoding="utf-8"
    )
    wanted = Predictor(people).predict([path])
    with client(people) as service:
        in_json = good(service.post("/predict", json={"rows": list(PEOPLE)}))
        in_csv = good(service.post("/predict", path.read_bytes(), CSV))
        in_form = good(service.post("/predict", files={"file": ("my.csv", path.read_bytes())}))
    for found in (in_json, in_csv, in_form):
        assert [one["prediction"] for one in found] == pytest.approx([one.prediction for one in wanted], rel=1e-5)
        assert any("'Atlantis' was never seen in training" in note for note in found[0]["notes"])


@given(st.data())
@settings(max_examples=60)
def test_json_rows_and_csv_rows_are_the_same_to_the_network(people, data):
    """Whatever the values are: what both take they take alike."""
    spec = Predictor(people).spec
    cells = {
        "age": st.one_of(st.none(), st.integers(-1000, 1000), st.floats(-1e6, 1e6).map(lambda x: round(x, 4))),
        "smoker": st.sampled_from([None, True, False, "yes", "no", "YES", "perhaps"]),
        "town": st.one_of(st.none(), st.sampled_from(["Aden", "Brest", "Cork", "brest"]), st.integers(0, 9)),
        "joined": st.one_of(st.none(), st.dates().map(str)),
    }
    rows = data.draw(st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=5))
    from yisheng.inference.rows import parse_rows

    names = json_rows.names(spec)
    assert sorted(names) == sorted(cells)
    try:
        wanted = parse_rows([json_rows.texts(row, spec) for row in rows], spec, "rows")
    except DataError:
        with pytest.raises(DataError):
            json_rows.read(rows, spec)
        return
    np.testing.assert_array_equal(json_rows.read(rows, spec)[0], wanted)


def test_a_study_answers_with_its_mean(tmp_path):
    settings = {"model": "mlp", "hidden": [4], "epochs": 1, "quiet": True}
    study = yisheng.train(data="iris", folds=2, out=tmp_path, **settings).path
    row = load_iris().data[:1]
    with client(study) as service:
        (found,) = good(service.post("/predict", json={"rows": row.tolist()}))
        assert service.get("/model").json()["model"] == "mlp"
    same(found, Predictor(study).predict(row.astype(np.float32))[0])


# ---- what is refused


@pytest.mark.parametrize(
    ("content", "headers", "wanted"),
    [
        (b"", IMAGE, (422, "input")),
        (b"\x89PNG\r\n\x1a\n", IMAGE, (422, "input")),
        (png(np.zeros((8, 8), np.uint8))[:-20], IMAGE, (422, "input")),
        (png(np.zeros((30, 30), np.uint8)), IMAGE, (422, "input")),  # blank
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
def test_bad_images_are_refused_in_words(digits, content, headers, wanted):
    with client(digits) as service:
        assert code(service.post("/predict", content, headers)) == wanted


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1, 2, 3]], "row 1 has 3 values, the model wants 4"),
        ([[1, 2, 3, "x"]], "'x' is not a number"),
        ([[1, 2, 3, None]], "'' is not a number"),
        ([[1, 2, 3, 1e300]], "is not a number"),
        ([[1, 2, 3, [4]]], "a number, text or null is wanted"),
        ([{"sepal length (cm)": 1}], "row 1 lacks sepal width (cm), petal length (cm), petal width (cm)"),
        (["1,2,3,4"], "row 1 is neither an object nor a list"),
        ([[1, 2, 3, 10**400]], "is not a number"),
    ],
)
def test_bad_rows_are_refused_with_their_place(iris, rows, said):
    with client(iris) as service:
        answer = service.post("/predict", json.dumps({"rows": rows}), JSON)
    assert code(answer) == (422, "input")
    assert said in answer.json()["error"]["problem"]


@pytest.mark.parametrize(
    ("content", "status", "said"),
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
def test_bad_tables_are_refused_by_their_own_name(people, content, status, said):
    with client(people) as service:
        answer = service.post("/predict", content, CSV)
        in_form = service.post("/predict", files={"file": ("mine.csv", content)})
    assert answer.status_code == in_form.status_code == status
    assert said.replace("table", "") in answer.json()["error"]["problem"]
    assert "/tmp" not in answer.text
    assert "mine.csv" in in_form.json()["error"]["problem"]


@pytest.mark.parametrize(
    "query", ["top=0", "top=-1", "top=x", "top=1e3", "top=99999999999", "top=", "explain=perhaps", "explain="]
)
def test_bad_queries_are_refused(digits, query):
    with client(digits) as service:
        assert code(service.post(f"/predict?{query}", png(drawn(0)), IMAGE)) == (422, "query")


def test_limits(digits, iris):
    big = png(np.zeros((400, 300), np.uint8))
    with client(digits, limits=Limits(pixels=100_000, images=2, body=20_000, explained=1)) as service:
        assert code(service.post("/predict", big, IMAGE)) == (413, "too-large")
        two = [("file", ("a", png(np.eye(250, dtype=np.uint8) * 255)))] * 2
        assert code(service.post("/predict", files=two)) == (413, "too-large")
        three = [("file", ("a", png(drawn(0))))] * 3
        assert code(service.post("/predict", files=three)) == (422, "too-many")
        assert code(service.post("/predict?explain=true", files=three[:2])) == (422, "too-many")
        assert code(service.post("/predict", b"x" * 20_001, IMAGE)) == (413, "too-large")
        kept = {"image": base64.b64encode(big).decode(), "label": "1"}
        assert code(service.post("/wrong", json=kept)) == (413, "too-large")
    with client(iris, limits=Limits(rows=3)) as service:
        assert len(good(service.post("/predict", json={"rows": [[1, 2, 3, 4]] * 3}))) == 3
        assert code(service.post("/predict", json={"rows": [[1, 2, 3, 4]] * 4})) == (422, "too-many")
        assert code(service.post("/predict", b"1,2,3,4\n" * 5, CSV)) == (422, "too-many")
        assert code(service.post("/predict", b"1,2,3,4\n" * 3 + b"1,2,3,4", CSV)) == (422, "too-many")


def test_a_bomb_is_refused_by_what_it_says_it_unfolds_to(digits):
    bomb = png(np.zeros((9000, 9000), np.uint8))
    assert len(bomb) < 1 << 20
    with client(digits) as service:
        assert code(service.post("/predict", bomb, IMAGE)) == (413, "too-large")
        assert code(service.post("/predict", bomb, {"content-type": "image/jpeg"})) == (413, "too-large")


def test_a_request_that_takes_too_long_is_ended(digits):
    with client(digits, limits=Limits(seconds=0.0)) as service:
        answer = service.post("/predict", png(drawn(0)), IMAGE)
    assert code(answer)[0] in (408, 503)


# ---- what it tells of itself


def test_health_and_model(digits, people):
    with client(digits) as service:
        assert service.get("/health").json() == {"status": "ok", "run": digits.name}
        found = service.get("/model").json()
        assert found["classes"] == [str(n) for n in range(10)]
        assert (found["task"], found["shape"], found["model"]) == ("classification", [1, 8, 8], "lenet")
        assert found["scores"] == json.loads((digits / "scores.json").read_text())
        assert found["best"]["epoch"] in (1, 2, 3)
    with client(people) as service:
        found = service.get("/model").json()
    assert {column["name"]: column["kind"] for column in found["columns"]} == {
        "age": "number",
        "smoker": "yes/no",
        "town": "category",
        "joined": "date",
    }
    assert next(c for c in found["columns"] if c["name"] == "town")["categories"] == ["Aden", "Brest", "Cork"]


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/nothing", (404, "not-found")),
        ("GET", "/predict", (405, "method")),
        ("DELETE", "/model", (405, "method")),
    ],
)
def test_what_is_not_there(digits, method, path, wanted):
    with client(digits) as service:
        answer = service.all((method, path, {}))[0]
    assert code(answer) == wanted
    assert ("allow" in answer.headers) == (wanted[0] == 405)


def test_the_page_is_served_from_a_fixed_list(digits):
    with client(digits) as service:
        for path in static_files.endpoints():
            answer = service.get(path)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
        for path in (
            "/static/",
            "/static/../api.py",
            "/static/%2e%2e/web/api.py",
            "/static/x.js%00.css",
            "//etc/passwd",
        ):
            assert service.get(path).status_code == 404


def test_a_token_is_asked_for_everywhere(digits):
    with client(digits, token="a-token-of-some-length") as service:
        for path in ("/health", "/model", "/openapi.json", "/nothing", *static_files.endpoints()):
            assert code(service.get(path)) == (401, "token")
        headers = {"authorization": "Bearer a-token-of-some-length"}
        about = service.get("/openapi.json", headers=headers).json()
        assert about["security"] == [{"token": []}]
        assert service.get("/health", headers=headers).status_code == 200


def test_a_folder_without_a_whole_model_is_not_served(digits, tmp_path):
    with pytest.raises(DataError):
        application(tmp_path)
    damaged = Path(shutil.copytree(digits, tmp_path / "run"))
    content = bytearray((damaged / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="SHA-256"):
        application(damaged)


# ---- corrections


@pytest.fixture
def own(digits, tmp_path):
    return Path(shutil.copytree(digits, tmp_path / "run"))


def correction(number, label, **more):
    return {"image": base64.b64encode(png(drawn(number), **more)).decode(), "label": label}


def test_corrected_images_are_training_data(own):
    with client(own) as service:
        answers = service.all(*(("POST", "/wrong", {"json": correction(n, str(n % 3))}) for n in range(12)))
        assert [answer.status_code for answer in answers] == [200] * 12
        assert sorted(answer.json()["count"] for answer in answers) == list(range(1, 13))
    kept = [own / answer.json()["kept"] for answer in answers]
    for n, path in enumerate(kept):
        assert path.parent.name == str(n % 3)
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), drawn(n))
    data = yisheng.data.load("folder", path=str(own / "corrections"))
    assert data.spec.classes == ("0", "1", "2")
    assert len(data) == 12
    Predictor(own)  # the run is whole as before


def test_the_last_word_on_an_image_counts(own):
    with client(own) as service:
        for label in ("3", "5", "5"):
            found = service.post("/wrong", json=correction(3, label)).json()
            assert found["count"] == 1
    (path,) = (own / "corrections").glob("*/*.png")
    assert path.parent.name == "5"
    with client(own) as service:  # what is there is counted
        assert service.post("/wrong", json=correction(4, "4")).json()["count"] == 2


def test_corrections_are_written_anew_and_bounded(own):
    file = io.BytesIO()
    about = Image.Exif()
    about[0x010E] = "where I live"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (3000, 20, 3), np.uint8)).save(file, "JPEG", exif=about)
    sample = {"image": base64.b64encode(file.getvalue()).decode(), "label": "1"}
    with client(own, limits=Limits(corrections=1)) as service:
        path = own / service.post("/wrong", json=sample).json()["kept"]
        assert b"where I live" not in path.read_bytes()
        with Image.open(path) as kept:
            assert max(kept.size) == 1024
        assert code(service.post("/wrong", json=correction(4, "4"))) == (422, "input")


@pytest.mark.parametrize(
    "sample",
    [
        {"image": "****", "label": "1"},
        {"image": base64.b64encode(b"no image").decode(), "label": "1"},
        {"image": base64.b64encode(png(np.eye(9, dtype=np.uint8))).decode(), "label": "eleven"},
        {"image": base64.b64encode(png(np.eye(9, dtype=np.uint8))).decode(), "label": 1},
        {"image": base64.b64encode(png(np.eye(9, dtype=np.uint8))).decode(), "label": "../1"},
        {"image": base64.b64encode(png(np.eye(9, dtype=np.uint8))).decode(), "label": "1\ud800"},
        {"row": [1], "label": "1"},
        {"label": "1"},
        {},
    ],
)
def test_bad_corrections_are_refused(own, sample):
    with client(own) as service:
        assert code(service.post("/wrong", json.dumps(sample), JSON)) == (422, "input")
        assert code(service.post("/wrong", png(drawn(0)), IMAGE)) == (415, "type")
    assert not (own / "corrections").exists()


def test_corrected_rows_are_a_table_to_train_on(people, tmp_path):
    run = Path(shutil.copytree(people, tmp_path / "run"))
    with client(run) as service:
        for n in range(12):
            row = {"age": 20 + n, "smoker": n % 2 == 0, "town": "Cork, city", "joined": f"2020-01-{n + 10}"}
            answer = service.post("/wrong", json={"row": row, "label": n / 4})
            assert (answer.json()["kept"], answer.json()["count"]) == ("corrections/rows.csv", n + 1)
        for bad in (True, "7", None, float("1e400")):
            text = json.dumps({"row": row, "label": bad}).replace("Infinity", "1e400")
            assert code(service.post("/wrong", text, JSON)) == (422, "input")
        for cell in ("a\nb", "\0", "\ud800", "x" * 2000):
            text = json.dumps({"row": {**row, "town": cell}, "label": 1})
            assert code(service.post("/wrong", text, JSON)) == (422, "input")
    with (run / "corrections" / "rows.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 12
    assert table[1] == {"age": "21", "smoker": "no", "town": "Cork, city", "joined": "2020-01-11", "price": "0.25"}
    data = yisheng.data.load("table", path=str(run / "corrections" / "rows.csv"), target="price")
    assert len(data) == 12


def test_no_folder_can_be_made_outside():
    names = ["..", "../../x", "a/b", "a\\b", "CON", "", " . ", "C:\\", "a\0b", "x" * 500, "猫", "."]
    folders = class_folders(names)
    assert len({name.casefold() for name in folders.values()}) == len(names)
    for folder in folders.values():
        assert Path(folder).name == folder
        assert folder not in ("", ".", "..")
    assert folders["猫"] == "猫"


# ---- forms


@given(st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=60)), max_size=5))
@settings(max_examples=60)
def test_forms_come_back_as_they_were_sent(parts):
    names = [name.replace("\r", "").replace("\n", "").replace('"', "").replace("\\", "") for name, _ in parts]
    body = b"".join(
        b'--line\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
        % (name.encode("utf-8", "replace"), content)
        for name, (_, content) in zip(names, parts, strict=True)
        if b"--line" not in content
    )
    found = forms.parse(body + b"--line--\r\n", "multipart/form-data; boundary=line")
    assert [part.content for part in found] == [content for _, content in parts if b"--line" not in content]


@given(st.binary(max_size=300), st.text(st.characters(max_codepoint=255), max_size=40))
def test_no_form_does_harm(body, boundary):
    for kind in (f"multipart/form-data; boundary={boundary}", "multipart/form-data; boundary=x; charset=idna"):
        with contextlib.suppress(Refusal):
            forms.parse(body.replace(b"\n", b"\r\n--x"), kind)

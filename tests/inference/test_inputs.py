"""Everything that `predict` takes: files, images, arrays of any layout, tensors, tables and rows."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import yisheng
from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.image_values import Drawing
from yisheng.core.nested import pack
from yisheng.core.spec import Spec
from yisheng.inference.inputs.block import list_forms
from yisheng.inference.inputs.image_arrays import read_image_array
from yisheng.inference.inputs.read_inputs import read_inputs
from yisheng.inference.predictor import Predictor
from yisheng.transforms.none import none
from yisheng.transforms.standard import standard
from yisheng.transforms.unit import unit

GRAY = Spec("classification", (1, 8, 8), classes=("a", "b"))
COLOR = Spec("classification", (3, 16, 12), classes=("a", "b"))
BYTES = unit((0.0,), (255.0,))
COLOR_BYTES = unit((0.0,) * 3, (255.0,) * 3)
ROW = [5.1, 3.5, 1.4, 0.2]
rng = np.random.default_rng(3)


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def digits(digits_run):
    return Predictor(digits_run)


@pytest.fixture(scope="module")
def iris(iris_run):
    return Predictor(iris_run)


@pytest.fixture(scope="module")
def x():
    return np.array(yisheng.data.load("digits").x[:3])


def predict(predictor, inputs):
    return [prediction.prediction for prediction in predictor.predict(inputs)]


IMAGE_FORMS = {
    "as in training": lambda x: x,
    "tensor": torch.from_numpy,
    "float tensor": lambda x: torch.from_numpy(x) / 255,
    "tensor with a gradient": lambda x: (torch.from_numpy(x) / 255).requires_grad_(),
    "half precision": lambda x: torch.from_numpy(x).to(torch.bfloat16),
    "int64": lambda x: x.astype(np.int64),
    "floats to 255": lambda x: x.astype(np.float64),
    "floats to 1": lambda x: x / 255,
    "channels last": lambda x: x.transpose(0, 2, 3, 1),
    "gray stack": lambda x: x[:, 0],
    "color stack": lambda x: np.repeat(x, 3, axis=1).transpose(0, 2, 3, 1),
    "color, channels first": lambda x: np.repeat(x, 3, axis=1),
    "with transparency": lambda x: np.concatenate([x, x, x, np.full_like(x, 255)], 1).transpose(0, 2, 3, 1),
    "flattened": lambda x: x.reshape(len(x), -1),
    "DataFrame of pixels": lambda x: pd.DataFrame(x.reshape(len(x), -1)),
    "nested lists": lambda x: x[:, 0].tolist(),
    "list of arrays": list,
    "tuple of arrays": lambda x: tuple(x[:, 0]),
    "list of tensors": lambda x: list(torch.from_numpy(x)),
    "iterator": lambda x: iter(x[:, 0]),
    "PIL images": lambda x: [Image.fromarray(image[0]) for image in x],
    "PIL images in color": lambda x: [Image.fromarray(image[0]).convert("RGB") for image in x],
    "bytes": lambda x: [png(Image.fromarray(image[0])) for image in x],
    "open files": lambda x: [io.BytesIO(png(Image.fromarray(image[0]))) for image in x],
    "a mixture": lambda x: [x[0], Image.fromarray(x[1, 0]), png(Image.fromarray(x[2, 0]))],
}


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_images_of_any_form_are_predicted_alike(digits, x, form):
    expected = digits.predict(x)
    predictions = digits.predict(IMAGE_FORMS[form](x))
    assert [p.prediction for p in predictions] == [p.prediction for p in expected]
    for prediction, reference in zip(predictions, expected, strict=True):
        assert prediction.probabilities == pytest.approx(reference.probabilities, abs=0.02)
        assert prediction.input == reference.input


SINGLE_FORMS = {
    "(C, H, W)": lambda image: image,
    "(H, W)": lambda image: image[0],
    "(H, W, 1)": lambda image: image[0, :, :, None],
    "(H, W, 3)": lambda image: np.stack([image[0]] * 3, -1),
    "(D,)": lambda image: image.ravel(),
    "boolean": lambda image: image[0] > 0,
    "a list of rows": lambda image: image[0].tolist(),
    "a tensor": lambda image: torch.from_numpy(image[0]),
    "a PIL image": lambda image: Image.fromarray(image[0]),
    "bytes": lambda image: png(Image.fromarray(image[0])),
    "bytearray": lambda image: bytearray(png(Image.fromarray(image[0]))),
    "an open file": lambda image: io.BytesIO(png(Image.fromarray(image[0]))),
}


@pytest.mark.parametrize("form", SINGLE_FORMS)
def test_one_image_needs_no_list(digits, x, form):
    assert predict(digits, SINGLE_FORMS[form](x[0])) == predict(digits, x[:1])


def make_photo(size=(180, 150)):
    """Draw a dark bar on light paper."""
    paper = np.full(size, 228, np.uint8)
    paper[30:150, 60:80] = 35
    return paper


def test_a_photo_is_read_alike_from_file_image_bytes_and_array(digits, tmp_path):
    paper = make_photo()
    path = tmp_path / "photo.png"
    Image.fromarray(paper).save(path)
    reference = digits.predict(path)[0]
    assert any(note.startswith("inverted") for note in reference.notes)
    with path.open("rb") as file, Image.open(path) as image:
        for inputs in (str(path), [path], image, path.read_bytes(), file, paper, paper[..., None], paper / 255):
            prediction = digits.predict(inputs)[0]
            assert prediction.probabilities == pytest.approx(reference.probabilities)
            assert set(reference.notes) <= set(prediction.notes)


def test_predictions_are_named_after_files(digits, tmp_path, x):
    path = tmp_path / "a.png"
    Image.fromarray(x[0, 0]).save(path)
    with path.open("rb") as file, Image.open(path) as image:
        names = [p.input for p in digits.predict([path, x[0], image, file, png(Image.fromarray(x[0, 0]))])]
    assert names == [str(path), "1", str(path), str(path), "4"]


@pytest.mark.parametrize(
    ("spec", "shape", "count", "note"),
    [
        (GRAY, (3, 8, 8), 3, "3 gray images of 8x8"),
        (GRAY, (8, 8, 3), 1, ""),
        (GRAY, (5, 64), 5, "5 flattened images of 8x8"),
        (GRAY, (64, 64), 64, "64 flattened images"),
        (GRAY, (30, 40), 1, ""),
        (GRAY, (7, 30, 40), 7, ""),
        (GRAY, (1, 30, 40), 1, ""),
        (GRAY, (2, 3, 30, 40), 2, ""),
        (GRAY, (2, 30, 40, 4), 2, ""),
        (COLOR, (3, 16, 12), 1, ""),
        (COLOR, (3, 30, 40), 1, "1 color image of 40x30"),
        (COLOR, (30, 40, 3), 1, ""),
        (COLOR, (16, 12), 1, ""),
        (COLOR, (5, 16, 12), 5, ""),
        (COLOR, (2, 3, 16, 12), 2, ""),
        (COLOR, (2, 16, 12, 3), 2, ""),
    ],
)
def test_layouts_are_resolved_by_the_shape_of_training(spec, shape, count, note):
    block = read_image_array(rng.integers(0, 255, shape).astype(np.uint8), spec)
    assert block.x.shape == (count, *spec.shape)
    assert len(block.names) == len(block.notes) == count
    assert any(note in text for text in block.notes[0]) if note else not any("read as" in t for t in block.notes[0])


@pytest.mark.parametrize(
    "shape", [(), (7,), (3, 30, 40), (4, 30, 40), (2, 2, 2, 2, 2), (0, 8, 8), (2, 30, 3, 40), (2, 2)]
)
def test_unclear_shapes_are_refused_with_the_accepted_forms(shape):
    with pytest.raises(DataError) as error:
        read_image_array(np.zeros(shape, np.uint8), GRAY)
    assert str(shape) in error.value.problem
    assert "(H, W), (H, W, 3), (N, H, W)" in error.value.remedy


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5))
@settings(max_examples=150)
def test_any_shape_is_read_or_refused(shape):
    for spec in (GRAY, COLOR, replace(GRAY, drawing=Drawing(6))):
        try:
            block = read_image_array(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) % 251, spec)
        except DataError:
            continue
        assert block.x.shape[1:] == spec.shape


def test_values_become_those_of_training():
    image = np.linspace(0, 1, 64).reshape(8, 8)
    for inputs in (image, image * 255, (image * 255).astype(np.uint8), (image * 65535).astype(np.uint16)):
        x = read_inputs(inputs, GRAY, BYTES).x
        assert x.dtype == np.uint8
        assert np.abs(x[0, 0] - image * 255).max() <= 1
    fractions = unit((0.0,), (1.0,))
    for inputs in ((image * 255).astype(np.uint8), Image.fromarray((image * 255).astype(np.uint8))):
        block = read_inputs(inputs, GRAY, fractions)
        assert block.x.dtype == np.float32
        assert np.abs(block.x[0, 0] - image).max() <= 1 / 128
        assert "divided by 255" in " ".join(block.notes[0])
    for scale in (fractions, none(), standard((0.5,), (0.3,))):
        block = read_inputs(image, GRAY, scale)
        assert np.array_equal(block.x[0, 0], image.astype(np.float32))
        assert block.notes == [()]
    color = rng.normal(size=(16, 12, 3))
    assert np.array_equal(read_inputs(color, COLOR, none()).x[0], color.transpose(2, 0, 1).astype(np.float32))
    assert np.array_equal(read_inputs(color[..., 0], COLOR, none()).x[0, 2], color[..., 0].astype(np.float32))
    exact = image.astype(np.float32)[None, None]
    assert np.array_equal(read_inputs(exact, GRAY, fractions).x, exact)
    assert np.allclose(read_inputs(exact, GRAY, BYTES).x, exact * 255)
    assert np.array_equal(read_inputs(exact, GRAY, none()).x, exact)
    assert np.array_equal(read_inputs(exact - 3, GRAY, standard((0.0,), (1.0,))).x, exact - 3)


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (np.full((30, 40), -1.0), "from -1 to -1"),
        (np.full((30, 40), 300), "from 300 to 300"),
        (np.full((30, 40), np.nan), "NaN"),
        (np.full((1, 1, 8, 8), np.inf), "NaN, infinite"),
        (np.array([["a"]]), "of <U1"),
        (None, "got None"),
        (3, "got an int"),
        (object(), "got an object"),
        ({"a": 1}, "got a dict"),
        ([[1, 2], [3]], "different lengths"),
        (b"no image", "not an image in a known format"),
        ("missing.png", "does not exist"),
        ("table.csv", "is a table"),
        (io.StringIO("text"), "opened as text"),
        ([np.zeros((2, 8, 8)), "a.png"], "2 images"),
    ],
)
def test_what_is_not_an_image_is_refused(inputs, problem):
    with pytest.raises(DataError, match=problem):
        read_inputs(inputs, GRAY, BYTES)


def test_nothing_is_refused(digits, iris):
    for predictor in (digits, iris):
        for inputs in ([], (), {}):
            with pytest.raises(UsageError):
                predictor.predict(inputs)


def test_a_closed_file_and_a_closed_image_are_refused(digits, tmp_path, x):
    path = tmp_path / "a.png"
    Image.fromarray(x[0, 0]).save(path)
    with path.open("rb") as file:
        pass
    image = Image.open(path)
    image.close()
    for inputs in (file, image):
        with pytest.raises(DataError):
            digits.predict(inputs)


def row_forms():
    names = [column.name for column in yisheng.data.load("iris").spec.columns]
    record = dict(zip(names, ROW, strict=True))
    return {
        "list": ROW,
        "tuple": tuple(ROW),
        "array": np.array(ROW),
        "tensor": torch.tensor(ROW),
        "dict": record,
        "dict of lists": {name: [value] for name, value in record.items()},
        "reversed dict": dict(reversed(record.items())),
        "list of dicts": [record],
        "list of lists": [ROW],
        "list of arrays": [np.array(ROW)],
        "2-d array": np.array([ROW]),
        "Series": pd.Series(record),
        "Series without names": pd.Series(ROW),
        "DataFrame": pd.DataFrame([record]),
        "text file": io.StringIO("5.1,3.5,1.4,0.2\n"),
        "bytes": b"5.1,3.5,1.4,0.2\n",
    }


@pytest.mark.parametrize("form", row_forms())
def test_rows_of_any_form_are_predicted_alike(iris, form):
    reference = iris.predict(np.array([ROW], np.float32))[0]
    (prediction,) = iris.predict(row_forms()[form])
    assert prediction.probabilities == reference.probabilities


def test_several_rows_are_several_predictions(iris):
    assert len(iris.predict([ROW, ROW, ROW])) == 3
    assert len(iris.predict(np.array([ROW] * 5))) == 5


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ([1.0, 2.0], "row 0 has 2 values"),
        ([ROW, [1.0]], "row 1 has 1 values"),
        ([[1.0, 2.0, 3.0, None]], "None, not a number"),
        ([[1.0, 2.0, 3.0, "x"]], "'x', not a number"),
        ([[1.0, 2.0, 3.0, float("nan")]], "NaN"),
        ({"a": 1}, "the dict lacks"),
        ({"a": 1, "b": [2]}, "got a dict"),
        ([[object()] * 4], "as row 0"),
        (np.array([[object()] * 4]), "as row 0"),
        (np.zeros((2, 3)), r"\(N, 4\)"),
        (np.zeros((2, 4, 4)), r"\(N, 4\)"),
        (np.zeros((0, 4)), r"\(N, 4\)"),
        (None, "got None"),
        (7, "got an int"),
        ("missing.csv", "does not exist"),
        ([Image.new("L", (8, 8))], "got a list"),
        (Image.new("L", (8, 8)), "got a list"),
    ],
)
def test_what_is_not_a_row_is_refused(iris, inputs, problem):
    with pytest.raises(DataError, match=problem):
        iris.predict(inputs)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A model of a table with categories, dates and missing values."""
    folder = tmp_path_factory.mktemp("people")
    towns, values = ("Ulm", "Bonn", "Köln"), np.random.default_rng(0)
    rows = [
        f"{towns[n % 3]},{2000 + n % 20}-0{1 + n % 9}-11,{values.normal():.3f},{'yes' if n % 2 else 'no'},{n % 3 * 2.0}"
        for n in range(120)
    ]
    (folder / "people.csv").write_text("\n".join(["town,born,size,member,income", *rows]) + "\n", encoding="utf-8")
    settings = {
        "data": str(folder / "people.csv"),
        "target": "income",
        "task": "regression",
        "model": "mlp",
        "hidden": [4],
        "epochs": 1,
    }
    return Predictor(yisheng.train(**settings, quiet=True, out=folder / "runs").path)


def test_rows_of_a_table_are_raw_values(people):
    record = {"town": "Bonn", "born": "2003-04-11", "size": 0.5, "member": "yes"}
    reference = people.predict(pd.DataFrame([record]))[0].prediction
    forms = [record, [record], list(record.values()), [list(record.values())], pd.Series(record)]
    forms.append(np.array(list(record.values()), dtype=object))
    forms.append(io.StringIO("town,born,size,member\nBonn,2003-04-11,0.5,yes\n"))
    for inputs in forms:
        assert people.predict(inputs)[0].prediction == reference
    missing = people.predict([["Bonn", "2003-04-11", None, "yes"]])[0]
    assert np.isfinite(missing.prediction)
    (unknown,) = people.predict({**record, "town": "Paris"})
    assert any("Paris" in note for note in unknown.notes)


def test_unknown_columns_are_named(people):
    with pytest.raises(DataError, match="born"):
        people.predict({"town": "Bonn", "size": 1.0, "member": "no"})


@pytest.mark.parametrize(("shape", "dtype"), [((5, 2), "float32"), ((6,), "int64"), ((1, 2, 3, 4), "float32")])
def test_inputs_of_other_shapes(shape, dtype):
    spec = Spec("classification", shape, classes=("a", "b"), dtype=dtype)
    values = rng.integers(0, 9, (3, *shape))
    for inputs in (values, torch.from_numpy(values), values.tolist(), list(values), values.astype(np.float64)):
        block = read_inputs(inputs, spec, none())
        assert block.x.dtype == dtype
        assert np.array_equal(block.x, values)
    assert read_inputs(values[0], spec, none()).x.shape == (1, *shape)
    with pytest.raises(DataError) as error:
        read_inputs(np.zeros((3, 99)), spec, none())
    assert f"(N, {', '.join(map(str, shape))})" in error.value.remedy


def test_ids_must_be_whole_numbers():
    spec = Spec("classification", (3,), classes=("a", "b"), dtype="int64")
    with pytest.raises(DataError, match="whole numbers"):
        read_inputs([[0.5, 1, 2]], spec, none())


@pytest.mark.parametrize("names", [("ids", "size"), ("", "")])
def test_several_inputs(names):
    ids, size = rng.integers(0, 9, (4, 5)), rng.normal(size=(4, 2)).astype(np.float32)
    arrays = dict(zip(names, (ids, size), strict=True)) if names[0] else (ids, size)
    packed, inputs = pack(arrays)
    spec = Spec("regression", (packed.shape[1],), inputs=inputs)
    forms = [(ids, size), [torch.from_numpy(ids), size], (ids.tolist(), size.tolist())]
    if names[0]:
        forms += [{"size": size, "ids": ids}]
    for form in forms:
        assert np.array_equal(read_inputs(form, spec, none()).x, packed)
    assert np.array_equal(read_inputs((ids[0], size[0]), spec, none()).x, packed[:1])
    for form in ((ids,), {"ids": ids}, (ids, size[:3]), (size, size), ids, None, (ids, "a")):
        with pytest.raises(DataError):
            read_inputs(form, spec, none())


def test_forms_are_listed_for_every_kind_of_input():
    specs = [
        GRAY,
        Spec("regression", (2,)),
        Spec("regression", (2, 3)),
        Spec("regression", (1,), columns=(Column("a", source="a"),)),
    ]
    texts = [list_forms(spec) for spec in specs]
    assert len(set(texts)) == len(specs)
    assert all(text.startswith("give ") for text in texts)


def test_outputs_take_the_same_inputs(digits_run, x):
    run = yisheng.load(digits_run)
    assert np.allclose(run.outputs(Image.fromarray(x[0, 0])), run.outputs(x[:1]), atol=1e-6)
    assert torch.equal(run.prepare(x[0, 0]), run.prepare(x[:1]))

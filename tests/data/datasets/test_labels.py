"""Images that a CSV lists with one label or several."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import yisheng
from yisheng.core.errors import DataError
from yisheng.core.settings import merge_settings
from yisheng.data import load
from yisheng.data.images import label_files


@pytest.fixture
def photos(tmp_path):
    """Write six images, and return the folder of their folder."""
    (tmp_path / "img").mkdir()
    for n in range(6):
        noise = np.random.default_rng(n).integers(0, 256, (10, 12, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / "img" / f"{n}.png")
    return tmp_path


def load_list(root, text, name="labels.csv", **options):
    (root / name).write_text(text, encoding="utf-8")
    return load("labels", path=str(root / name), **options)


def make_lines(*labels, header=""):
    return header + "".join(f"img/{n}.png,{label}\n" for n, label in enumerate(labels))


@pytest.mark.parametrize("header", ["", "file,label\n", "image,breed\n"])
def test_one_label_column_is_a_classification(photos, header):
    data = load_list(photos, make_lines("b10", "b9", "b9", "a", "b10", "b10", header=header))
    assert data.spec.task == "classification"
    assert data.spec.classes == ("a", "b9", "b10")
    assert data.y.tolist() == [2, 1, 1, 0, 2, 2]
    assert data.y.dtype == np.int64
    assert data.rows == tuple(f"img/{n}.png" for n in range(6))
    assert data.x.shape == (6, 3, 10, 12)
    assert np.array_equal(data.x[4].transpose(1, 2, 0), np.asarray(Image.open(photos / "img" / "4.png")))
    assert data.name == "labels"


@pytest.mark.parametrize("header", ["", "file,label,label,label\n"])
def test_several_label_columns_are_multilabel(photos, header):
    data = load_list(photos, make_lines("sea", "sea,sun", "", "sun,dog,sea", "dog", "dog,dog", header=header))
    assert data.spec.task == "multilabel"
    assert data.spec.classes == ("dog", "sea", "sun")
    assert data.spec.outputs == 3
    assert data.y.tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert data.y.dtype == np.float32


@pytest.mark.parametrize("yes", ["1", "1.0", "True", "yes"])
def test_label_columns_of_zero_and_one(photos, yes):
    rows = [f"{yes},0,0", f"0,{yes},{yes}", "0,0,0", f"{yes},{yes},{yes}", "0,0,0", "0,,0"]
    data = load_list(photos, make_lines(*rows, header="file,sea,sun,dog\n"))
    assert data.spec.classes == ("sea", "sun", "dog")
    assert data.y.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_split_column_gives_official_parts(photos):
    data = load_list(
        photos, make_lines("a,train", "b,train", "a,valid", "b,test", "a,Test", "b,training", header="f,y,split\n")
    )
    assert data.part.tolist() == [0, 0, 1, 2, 2, 0]
    assert data.spec.classes == ("a", "b")
    assert data.spec.task == "classification"


def test_split_column_with_other_values_is_a_label(photos):
    data = load_list(photos, make_lines("a,x", "b,y", "a,x", "b,y", "a,x", "b,y", header="f,y,split\n"))
    assert data.spec.classes == ("a", "b", "x", "y")


def test_missing_files_and_labels_are_reported(photos):
    text = make_lines("a", "b", "", "b", "a", "b") + "img/7.png,a\nimg/8.png,b\n"
    data = load_list(photos, text)
    findings = {finding.check: finding for finding in data.findings}
    assert findings["missing-images"].evidence == {"count": 2, "first": ["img/7.png", "img/8.png"]}
    assert findings["images-without-class"].evidence == {"count": 1, "first": ["img/2.png"]}
    assert data.rows == tuple(f"img/{n}.png" for n in (0, 1, 3, 4, 5))
    assert data.y.tolist() == [0, 1, 1, 0, 1]
    with pytest.raises(DataError, match="2 of 8 images listed in .* do not exist: img/7.png, img/8.png"):
        load_list(photos, text, strict=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty|lists no images"),
        ("file,label\n", "lists no images"),
        ("file,label\nnothing,a\n", "must name image files, got 'nothing'"),
        ("x/1.png,a\nx/2.png,b\n", "2 of 2 images listed"),
        ("img/1.png,a\nimg/1.png,b\n", "lists img/1.png twice"),
        ("img/1.png\nimg/2.png\n", "without labels"),
        ("img/1.png,\nimg/2.png,\n", "without labels"),
        ("img/1.png,1,0\nimg/2.png,0,1\n", "not a different name for each"),
        ("f,a,a\nimg/1.png,1,0\nimg/2.png,0,1\n", "not a different name for each"),
        ("f,label,width\nimg/1.png,a,640\nimg/2.png,b,480\n", "numbers, not labels, in the column width"),
        ("img/1.png,a\nimg/2.png,a\n", "the target label is a in every row|the target value is a in every row"),
        ('img/1.png,"a\nimg/2.png,b\n', "cannot be read"),
    ],
)
def test_invalid_lists_are_refused(photos, text, problem):
    with pytest.raises(DataError, match=problem) as error:
        load_list(photos, text)
    assert len(error.value.remedy) > 5


def test_other_separators_encodings_and_slashes(photos):
    data = load_list(photos, make_lines("a", "b", "a").replace(",", ";"))
    assert len(data) == 3
    (photos / "w.csv").write_bytes("file,label\r\nimg\\0.png,Bär\r\nimg\\1.png,Kuh\r\n".encode("cp1252"))
    data = load("labels", path=str(photos / "w.csv"))
    assert data.spec.classes == ("Bär", "Kuh")
    assert data.rows == ("img/0.png", "img/1.png")


def test_file_names_are_relative_to_the_csv(photos):
    (photos / "lists").mkdir()
    data = load_list(photos / "lists", "../img/0.png,a\n../img/1.png,b\n")
    assert len(data) == 2
    absolute = "".join(f"{photos / 'img' / f'{n}.png'},{'ab'[n % 2]}\n" for n in range(4))
    assert len(load_list(photos / "lists", absolute)) == 4


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (make_lines("a", "b"), "labels"),
        ("file,label\nimg/0.png,a\nimg/1.png,b\n", "labels"),
        ("age,fare\n1,2\n3,4\n", "table"),
    ],
)
def test_path_of_a_csv_selects_the_labels_or_the_table_dataset(photos, text, name):
    (photos / "data.csv").write_text(text)
    assert merge_settings([("data", str(photos / "data.csv"), "command line")]).config.data.name == name


@given(
    st.lists(
        st.lists(st.sampled_from(["1.png", "2.jpg", "a", "b", "0", "1", "", '"', "train", "é", "\0", ";"]), max_size=4),
        max_size=5,
    ).map(lambda rows: "\n".join(map(",".join, rows)).encode())
    | st.binary(max_size=60)
)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        labels = label_files.read_labels(path)
    except DataError:
        return
    targets = labels.targets
    assert len(labels.files) == len(targets.y) == len(targets.is_labeled) > 0
    assert len(set(labels.files)) == len(labels.files)
    if targets.task == "classification":
        assert targets.y.max() < len(targets.classes)
    else:
        assert targets.y.shape[1] == len(targets.classes or targets.columns)


def test_multilabel_dataset_trains_and_predicts(tmp_path):
    random = np.random.default_rng(0)
    rows = ["file,red,bright"]
    for n in range(60):
        red, bright = n % 2, n // 2 % 2
        values = random.normal(60 + 110 * bright, 15, (16, 16, 3))
        values[..., 0] += 60 * red
        Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(tmp_path / f"{n}.png")
        rows.append(f"{n}.png,{red},{bright}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    run = yisheng.train(data=str(tmp_path / "list.csv"), model="mlp", epochs=20, out=tmp_path / "runs", quiet=True)
    assert run.run.spec.task == "multilabel"
    Image.new("RGB", (16, 16), (230, 170, 170)).save(tmp_path / "new.png")
    (prediction,) = run.predict(tmp_path / "new.png")
    assert sorted(prediction.prediction) == ["bright", "red"]

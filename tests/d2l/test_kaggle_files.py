"""Images of a competition, copied into class folders."""

import pytest
from PIL import Image

from yisheng import d2l
from yisheng.core.errors import DataError, UsageError

LABELS = {str(n): ("cat", "dog")[n % 3 == 0] for n in range(1, 13)}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with twelve images to train on, of which four are dogs, and two to test."""
    for part, count in (("train", 12), ("test", 2)):
        (tmp_path / part).mkdir()
        for number in range(1, count + 1):
            Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / part / f"{number}.png")
    return tmp_path


def list_names(folder):
    return {
        path.relative_to(folder).parent.as_posix(): len(list(path.parent.iterdir())) for path in folder.rglob("*.*")
    }


@pytest.mark.parametrize(("ratio", "count"), [(0.1, 1), (0.5, 2), (0.0, 1)])
def test_each_class_gives_the_same_number_for_validation(folder, ratio, count):
    assert d2l.reorg_train_valid(folder, LABELS, ratio) == count
    d2l.reorg_test(folder)
    assert list_names(folder / "train_valid_test") == {
        "train_valid/cat": 8,
        "train_valid/dog": 4,
        "valid/cat": count,
        "valid/dog": count,
        "train/cat": 8 - count,
        "train/dog": 4 - count,
        "test/unknown": 2,
    }
    copied = folder / "train_valid_test" / "train_valid" / "dog" / "3.png"
    assert copied.read_bytes() == (folder / "train" / "3.png").read_bytes()


def test_labels_are_read(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("\ufeffid,label\r\n1,猫\r\n2,dog\r\n", encoding="utf-8")
    assert d2l.read_csv_labels(path) == {"1": "猫", "2": "dog"}
    path.write_text("id,label\n1,cat,5\n", encoding="utf-8")
    with pytest.raises(DataError, match="3 columns in line 2, expected 2"):
        d2l.read_csv_labels(path)
    path.write_bytes("id,label\n1,小狗\n".encode("gbk"))
    with pytest.raises(DataError, match=r"cannot be read.*\n.*UTF-8"):
        d2l.read_csv_labels(path)


def test_errors_name_the_path_and_the_present_folder(tmp_path, folder):
    with pytest.raises(DataError, match=r"does not exist \(the present folder is .*\n.*download_extract"):
        d2l.read_csv_labels("nowhere/labels.csv")
    with pytest.raises(DataError, match="does not exist"):
        d2l.reorg_test(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is not a file"):
        d2l.copyfile(tmp_path / "nowhere.png", tmp_path)
    with pytest.raises(DataError, match=r"12\.png has no label"):
        d2l.reorg_train_valid(folder, {name: label for name, label in LABELS.items() if name != "12"}, 0.1)
    with pytest.raises(UsageError, match="got 0 labels"):
        d2l.reorg_train_valid(folder, {}, 0.1)
    with pytest.raises(UsageError, match=r"12 labels and 1\.5"):
        d2l.reorg_train_valid(folder, LABELS, 1.5)

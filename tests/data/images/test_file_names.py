"""Names of files and folders whose bytes are not UTF-8: told apart, named by the likely encoding, or refused."""

import json
import os
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.images.written_images import write_png
from yisheng.cli import main
from yisheng.core.errors import DataError, UsageError
from yisheng.core.paths import parse_path
from yisheng.data.datasets.folder import folder
from yisheng.data.datasets.labels import labels
from yisheng.data.images.file_listing import sanitize_name
from yisheng.data.images.file_names import NameDecoder, is_text
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.images import ImageFiles

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as text")

NAMES = {
    "gbk": ("猫", "狗", "图片"),
    "gb18030": ("红", "绿", "蓝"),
    "big5": ("貓咪", "小狗", "圖片"),
    "shift-jis": ("ねこ", "いぬ", "鳥類"),
    "euc-kr": ("고양이", "강아지", "사진"),
    "cp1252": ("Größe", "Äpfel", "Früchte"),
}


def write_classes(root, folders, count=2, name=b"%d.png"):
    """Write class folders of images; the names are bytes, or text in UTF-8."""
    random = np.random.default_rng(0)
    for class_folder in folders:
        path = Path(root, os.fsdecode(class_folder))
        path.mkdir(parents=True)
        for number in range(count):
            content = write_png(random.integers(0, 256, (8, 8), np.uint8))
            (path / os.fsdecode(name % number)).write_bytes(content)
    return str(root)


@pytest.mark.parametrize("encoding", NAMES)
def test_class_folders_are_named_by_the_likely_encoding(tmp_path, encoding):
    names = NAMES[encoding]
    dataset = folder(path=write_classes(tmp_path / "set", [name.encode(encoding) for name in names]))
    assert sorted(dataset.spec.classes) == sorted(names)
    assert np.bincount(dataset.y).tolist() == [2, 2, 2]
    assert all(dataset.rows[row].startswith(dataset.spec.classes[y]) for row, y in enumerate(dataset.y))
    json.dumps(dataset.spec.to_json(), ensure_ascii=False).encode()
    finding = next(finding for finding in dataset.findings if finding.check == "names-not-utf-8")
    assert names[0] in finding.cause


def test_two_classes_in_gbk_are_two_classes(tmp_path):
    dataset = folder(path=write_classes(tmp_path / "set", ["猫".encode("gbk"), "狗".encode("gbk")]))
    assert sorted(dataset.spec.classes) == sorted(["猫", "狗"])


def test_utf8_next_to_gbk_keeps_its_names(tmp_path):
    folders = ["猫科动物", "汽车", "小狗".encode("gbk"), "飞机".encode("gbk")]
    dataset = folder(path=write_classes(tmp_path / "set", folders))
    assert sorted(dataset.spec.classes) == sorted(["猫科动物", "汽车", "小狗", "飞机"])


def test_the_same_name_in_two_encodings_is_refused(tmp_path):
    folders = ["小狗".encode("gbk"), "小狗", "飞机".encode("gbk")]
    with pytest.raises(DataError, match="two folders that are called 小狗") as error:
        folder(path=write_classes(tmp_path / "set", folders))
    assert "gb18030" in error.value.problem
    assert "UTF-8" in error.value.problem


def test_the_same_name_in_two_encodings_and_parts_is_one_class(tmp_path):
    root = tmp_path / "set"
    write_classes(root / "train", ["小狗", "飞机"])
    write_classes(root / "test", ["小狗".encode("gbk"), "飞机".encode("gbk")])
    dataset = folder(path=str(root))
    assert sorted(dataset.spec.classes) == sorted(["小狗", "飞机"])
    assert (dataset.part == 2).sum() == 4


@pytest.mark.parametrize(("list_encoding", "disk_encoding"), [("utf-8", "gbk"), ("gbk", "gbk"), ("gbk", "utf-8")])
def test_a_list_finds_files_in_another_encoding(tmp_path, list_encoding, disk_encoding):
    lines = ["文件,标签"]
    for number, (name, label) in enumerate([("猫", "动物"), ("狗", "动物"), ("汽车", "机器"), ("飞机", "机器")]):
        lines.append(f"{name}{number}.png,{label}")
        values = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        (tmp_path / os.fsdecode(f"{name}{number}.png".encode(disk_encoding))).write_bytes(write_png(values))
    (tmp_path / "list.csv").write_bytes("\n".join(lines).encode(list_encoding))
    dataset = labels(path=str(tmp_path / "list.csv"))
    assert dataset.rows == ("猫0.png", "狗1.png", "汽车2.png", "飞机3.png")
    assert dataset.spec.classes == ("动物", "机器")


def test_a_list_finds_files_in_another_form_of_unicode(tmp_path):
    names = ["cafe\u0301.png", "the\u0301.png"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(write_png(np.eye(8, dtype=np.uint8) * np.uint8(99 + number)))
    text = "".join(f"{unicodedata.normalize('NFC', name)},{number}x\n" for number, name in enumerate(names))
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert len(labels(path=str(tmp_path / "list.csv"))) == 2


def test_names_in_no_encoding_stay_apart(tmp_path):
    dataset = folder(path=write_classes(tmp_path / "set", [b"\x81\x01", b"\x81\x02", b"a"]))
    assert len(dataset.spec.classes) == 3
    assert all(map(is_text, dataset.spec.classes))


def test_files_of_a_folder_are_told_apart_in_bulk(tmp_path):
    write_classes(tmp_path / "set", [b"a"], count=3, name=b"\xb9\xb7\xc3\xa8%d.png")
    dataset = folder(path=write_classes(tmp_path / "more", [b"a", b"b"], name=b"\xb9\xb7\xc3\xa8%d.png"))
    assert dataset.rows[0] == "a/狗猫0.png"
    (chunk,) = ImageFiles([tmp_path / "set"], dataset.spec).chunks(Tally())
    assert [Path(name).name for name in chunk.names] == [f"狗猫{number}.png" for number in range(3)]


@given(st.sets(st.binary(min_size=1, max_size=8).filter(lambda name: b"/" not in name), max_size=6))
def test_any_names_become_text(names):
    decoded = [os.fsdecode(name) for name in names]
    decoder = NameDecoder.from_names(decoded)
    for name in decoded:
        assert is_text(decoder.decode(name))
        assert is_text(sanitize_name(name))
    odd = [name for name in decoded if not is_text(name)]
    assert len({sanitize_name(name) for name in odd}) == len(odd)


@pytest.mark.parametrize("key", ["data", "out", "config", "path"])
def test_paths_that_are_not_utf8_are_refused(tmp_path, key):
    with pytest.raises(UsageError, match=r"\\xb9\\xb7") as error:
        parse_path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb9\xb7"), key)
    assert error.value.problem.encode()
    assert "rename" in error.value.remedy


def test_relative_paths_in_a_folder_that_is_not_utf8_are_refused(tmp_path, monkeypatch):
    path = tmp_path / os.fsdecode(b"\xb9\xb7")
    path.mkdir()
    monkeypatch.chdir(path)
    with pytest.raises(UsageError, match="UTF-8"):
        parse_path("runs", "out")


@pytest.mark.slow
def test_a_run_on_names_in_gbk_goes_through_every_command(tmp_path, capsys):
    folders = ["猫".encode("gbk"), "狗".encode("gbk")]
    data = write_classes(tmp_path / "set", folders, count=8, name=b"\xb9\xb7%d.png")
    settings = ["model=linear", "epochs=1", f"out={tmp_path / 'runs'}"]
    assert main(["train", f"data={data}", *settings, "--json"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert "猫" in (run / "report.html").read_text(encoding="utf-8")
    image = os.path.join(data, os.fsdecode(folders[0]), os.fsdecode(b"\xb9\xb71.png"))  # noqa: PTH118
    capsys.readouterr()
    assert main(["predict", str(run), image, "--json"]) == 0
    (prediction,) = json.loads(capsys.readouterr().out)["predictions"]
    assert set(prediction["probabilities"]) == {"猫", "狗"}
    assert prediction["input"].endswith("猫/狗1.png")
    assert main(["predict", str(run), data, f"out={tmp_path / 'p.csv'}"]) == 0
    assert "猫/狗1.png" in (tmp_path / "p.csv").read_text(encoding="utf-8")
    assert main(["evaluate", str(run), f"data={data}"]) == 0
    assert main(["train", f"data={os.path.join(data, os.fsdecode(folders[1]))}"]) == 3  # noqa: PTH118
    assert "UTF-8" in capsys.readouterr().err

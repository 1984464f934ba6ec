"""``yisheng data``: with a small mirror and with the real one."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from PIL import Image

from yisheng.cli import main

IMAGES, LABELS = bytes(range(256)) * 40, bytes(range(10)) * 30


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Return a ``file://`` mirror with two sets of a plugin, one of them in two forms."""
    catalog, folder = tmp_path / "plugins" / "dataplug" / "data" / "catalog", tmp_path / "mirror"
    catalog.mkdir(parents=True)
    (tmp_path / "plugins" / "dataplug" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("YISHENG_PLUGINS", "dataplug")
    monkeypatch.setenv("YISHENG_MIRROR", folder.as_uri())

    def file(name, content, form="", of="file"):
        return {"name": name, "form": form, "sums": [f"{of}:sha256:{hashlib.sha256(content).hexdigest()}"]}

    sets = {
        "tiny": [file("images.gz", IMAGES, of="content"), file("labels.bin", LABELS)],
        "both": [file("a.bin", LABELS[:-1], "plain"), file("b.zip", IMAGES, "packed")],
    }
    for name, files in sets.items():
        about = {"about": f"The {name} set", **({"forms": ["plain", "packed"]} if name == "both" else {})}
        (catalog / f"{name}.toml").write_text(tomli_w.dumps({**about, "files": files}))
        (folder / name).mkdir(parents=True)
    (folder / "tiny" / "images.gz").write_bytes(gzip.compress(IMAGES))
    (folder / "tiny" / "labels.bin").write_bytes(LABELS)
    (folder / "both" / "b.zip").write_bytes(IMAGES)
    return folder


def call(capsys, *words, code=0):
    """Return the object that a command prints."""
    assert main(["data", *map(str, words), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_list_names_sets_and_sets_of_files(mirror, capsys):
    printed = call(capsys, "list")
    assert printed["sets"]["digits"]["files"] == "built in"
    assert printed["sets"]["mnist"]["files"] == "fetched"
    assert printed["sets"]["folder"]["files"] == "yours"
    assert printed["files_only"]["both"] == {"about": "The both set", "forms": ["plain", "packed"]}
    assert set(printed["sets"]).isdisjoint(printed["files_only"])
    assert main(["data", "list"]) == 0
    sets, files_only = capsys.readouterr().out.split("Files only")
    assert "digits" in sets
    assert "breast-cancer" not in files_only
    assert "plain, packed" in files_only


def test_fetch_verify_damage_verify(mirror, capsys, tmp_path):
    cache = tmp_path / "home" / "data" / "tiny"
    printed = call(capsys, "fetch", "tiny")
    assert printed == {"set": "tiny", "files": {n: str(cache / n) for n in ("images.gz", "labels.bin")}}
    assert main(["data", "fetch", "Tiny"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(cache / "images.gz"), str(cache / "labels.bin")]
    assert {file["state"] for file in call(capsys, "verify")["checked"]} == {"ok"}
    (cache / "labels.bin").write_bytes(LABELS[:-1] + b"x")
    printed = call(capsys, "verify", "tiny", code=3)
    assert [file["state"] for file in printed["checked"]] == ["ok", "damaged"]
    assert printed["good"] is False
    assert main(["data", "verify"]) == 3
    assert "tiny/labels.bin: its sha256 is" in capsys.readouterr().out
    call(capsys, "fetch", "tiny")
    assert main(["data", "verify"]) == 0


def test_one_complete_form_is_enough(mirror, capsys):
    assert call(capsys, "verify", "both", code=3)["good"] is False
    printed = call(capsys, "fetch", "both")
    assert list(printed["files"]) == ["b.zip"]
    printed = call(capsys, "verify", "both")
    assert {file["file"]: file["state"] for file in printed["checked"]} == {"a.bin": "missing", "b.zip": "ok"}
    assert main(["data", "fetch", "both", "form=plain"]) == 3
    assert "or use another form of the set: packed" in capsys.readouterr().err


def test_a_set_travels_to_a_machine_without_a_network(mirror, capsys, tmp_path, monkeypatch):
    out = tmp_path / "usb" / "sets.zip"
    out.parent.mkdir()
    printed = call(capsys, "bundle", "tiny", "both:packed", f"out={out}")
    assert printed == {"bundle": str(out), "sets": ["tiny", "both:packed"], "bytes": out.stat().st_size}
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "offline-home"))
    monkeypatch.delenv("YISHENG_MIRROR")
    assert main(["data", "fetch", "tiny"]) == 3
    assert "yisheng data import FILE" in capsys.readouterr().err
    imported = call(capsys, "import", out)["taken"]
    assert {(file["set"], file["file"]) for file in imported} == {
        ("tiny", "images.gz"),
        ("tiny", "labels.bin"),
        ("both", "b.zip"),
    }
    assert main(["data", "fetch", "tiny"]) == 0
    assert main(["data", "fetch", "both"]) == 0


def test_a_file_with_any_name_is_identified_by_its_checksum(mirror, capsys, tmp_path):
    shutil.copy(mirror / "tiny" / "labels.bin", tmp_path / "download (3).tmp")
    assert main(["data", "import", str(tmp_path / "download (3).tmp")]) == 0
    assert capsys.readouterr().out == "tiny/labels.bin\n"
    assert (tmp_path / "home" / "data" / "tiny" / "labels.bin").read_bytes() == LABELS


def test_an_empty_cache_is_reported(capsys):
    assert main(["data", "verify"]) == 0
    assert capsys.readouterr().out == "There are no files in the cache.\n"


def photos(folder, n=6):
    """Write two class folders of small images."""
    draw = np.random.Generator(np.random.PCG64(3))
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(draw.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


def size_of(path):
    """Return the size of an image in pixels."""
    with Image.open(path) as image:
        return image.size


def test_info_and_show_take_a_path(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")
    printed = call(capsys, "info", "photos/")
    assert (printed["name"], printed["rows"], printed["shape"]) == ("photos", 12, [3, 12, 10])
    assert call(capsys, "info", "photos", "size=8")["shape"] == [3, 8, 8]
    assert main(["data", "show", "photos"]) == 0
    assert capsys.readouterr().out == "photos.png\n"
    assert size_of("photos.png")[0] > 300
    (tmp_path / "rows.csv").write_text("a,b,target\n" + "\n".join(f"{i},{i % 7},{i % 2}" for i in range(40)))
    assert call(capsys, "info", "rows.csv", "target=target")["rows"] == 40


def test_show_draws_images_before_and_after_augmentation(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")
    assert main(["data", "show", "photos/", "augment=flip,crop,jitter"]) == 0
    assert capsys.readouterr().out == "photos-augmented.png\n"
    width, _ = size_of("photos-augmented.png")
    words = ["data", "show", "photos", "augment=crop", "n=4", "seed=2"]
    for options in ([], ["pad=2"], ["augment.crop.pad=2"], ["pad=2", "mode=reflect"]):
        out = f"{len(list(tmp_path.glob('*.png')))}.png"
        assert main([*words, *options, f"out={out}"]) == 0
    default, plain, dotted, reflected = (Path(f"{n}.png").read_bytes() for n in range(1, 5))
    assert plain == dotted
    assert len({default, plain, reflected}) == 3
    assert size_of("1.png")[0] < width
    assert main(["data", "show", "photos", "augment=mixup", "alpha=1"]) == 0


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("iris augment=flip", "images"),
        ("iris augment=mixup", "inputs of shape"),
        ("digits augment=flop", "did you mean flip"),
        ("digits augment=flip,erase p=1", "augment.flip.p"),
        ("digits augment=flip pad=3", "no option 'pad'"),
        ("digits augment=crop pad=x", "pad must"),
        ("digits augment=crop pad=8", "smaller than the images"),
        ("digits augment.crop.pad=2", "not among the augmentations"),
        ("digits augment=flip lr=1", "no option 'lr'"),
        ("no/such/folder", "does not exist"),
    ],
)
def test_show_refuses_wrong_words(words, cause, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = main(["data", "show", *words.split()])
    error = capsys.readouterr().err
    assert code in (2, 3)
    assert cause in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.realdata
def test_real_sets_are_fetched_and_verified(capsys):
    assert list(call(capsys, "fetch", "titanic")["files"]) == ["train.csv", "test.csv"]
    assert call(capsys, "verify", "titanic")["good"]
    assert len(call(capsys, "fetch", "fashion-mnist")["files"]) == 4
    assert call(capsys, "verify")["good"]

"""Names of files, folders, classes and columns never command the terminal, whatever a command prints."""

import io
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from yisheng.cli import main

HOSTILE = "\x1b]0;x\x07\x1b[2Ja\u202eb\x9b31m"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such file names")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Return a function that runs a command and returns its output; nothing in it may be unsafe."""
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        capsys.readouterr()
        assert main([str(word) for word in words]) == code
        printed = capsys.readouterr()
        for text in printed:
            assert not UNSAFE.search(text.replace("\t", " ")), ascii(text)
        return printed.out

    return run


@pytest.fixture
def photos(tmp_path):
    """A folder of images whose classes and files have hostile names."""
    rng = np.random.default_rng(0)
    for number, name in enumerate((f"cat{HOSTILE}", "dog\nerror: forged")):
        folder = tmp_path / f"photos{HOSTILE}" / name
        folder.mkdir(parents=True)
        for n in range(20):
            pixels = rng.integers(0, 100, (8, 8, 3)) + 100 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{n}{HOSTILE}.png")
        (folder / f"copy{HOSTILE}.png").write_bytes((folder / f"0{HOSTILE}.png").read_bytes())
        (folder / f"damaged{HOSTILE}.png").write_bytes(b"no image")
    return tmp_path / f"photos{HOSTILE}"


def test_hostile_folders_and_files(run, photos, tmp_path):
    assert "forged" in run("data", "info", photos)
    json.loads(run("data", "info", photos, "--json"))
    out = run("train", f"data={photos}", "epochs=1", "model=linear", f"out={tmp_path / f'runs{HOSTILE}'}")
    assert out.splitlines()[-1].startswith(str(tmp_path))
    (folder,) = (tmp_path / f"runs{HOSTILE}").iterdir()
    run("diagnose", folder)
    run("evaluate", folder)
    images = sorted(photos.glob("*/*.png"))
    assert "error: forged" not in [line.strip() for line in run("predict", folder, images[0], images[-2]).splitlines()]
    json.loads(run("predict", folder, images[0], "--json"))
    run("predict", folder, tmp_path / f"nothing{HOSTILE}.png", code=3)


def test_hostile_columns_and_values(run, tmp_path):
    file = io.StringIO()
    file.write(f"a{HOSTILE},town,target\n")
    for n in range(60):
        file.write(f"{n % 7},{'x' if n % 2 else HOSTILE},{'yes' if n % 7 > 3 else HOSTILE}\n")
    path = tmp_path / f"table{HOSTILE}.csv"
    path.write_text(file.getvalue(), encoding="utf-8")
    run("data", "info", path, "target=target")
    run("train", f"data={path}", "target=target", "epochs=1", "model=linear")
    (folder,) = (tmp_path / "runs").iterdir()
    run("diagnose", folder, "data=true")
    run("predict", folder, path)
    run("predict", folder, path, "out=predictions.csv")
    run("train", f"data={path}", f"target={HOSTILE}", code=2)


def test_hostile_words_in_errors(run):
    for words in ([HOSTILE], ["train", f"{HOSTILE}=1"], ["train", f"data={HOSTILE}"], ["explain", HOSTILE]):
        assert main(words) in (2, 3)
        run(*words, code=main(words))

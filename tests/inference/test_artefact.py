"""A folder that only predicts: it needs four files, and they must be those that were saved."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError, StorageError
from yisheng.experiments.run import resume
from yisheng.inference import artifact

TABLE = "size,town,built,price\n" + "".join(
    f"{50 + 7 * n % 90},{'abc'[n % 3]},{1950 + n % 60},{100 + 3 * (7 * n % 90)}\n" for n in range(120)
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data="iris", model="mlp", hidden=[4], epochs=1, out=out, quiet=True).path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    (out / "houses.csv").write_text(TABLE)
    return yisheng.train(
        data=str(out / "houses.csv"), target="price", model="mlp", epochs=1, out=out / "runs", quiet=True
    ).path


@pytest.fixture
def bare(whole, tmp_path):
    """Nothing but what prediction reads."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in artifact.ARTIFACT_FILES:
        shutil.copy(whole / name, folder / name)
    return folder


def sums(folder):
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    return {name: value for value, _, name in (line.partition("  ") for line in lines)}


def is_true(folder):
    listed = sums(folder)
    assert {"model.json", "model.safetensors", "ood.safetensors"} == set(listed)
    for name, value in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == value
    return True


def test_four_files_are_enough(whole, bare):
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    found, want = yisheng.load(bare), yisheng.load(whole)
    assert found.path == bare
    assert found.predict(x) == want.predict(x)
    np.testing.assert_array_equal(found.outputs(x), want.outputs(x))
    assert found.predictor.spec == want.run.spec
    assert {path.name for path in bare.iterdir()} == set(artifact.ARTIFACT_FILES)


def test_what_is_not_there_is_named(bare, capsys):
    found = yisheng.load(bare)
    for ask in (lambda: found.scores, lambda: found.run, found.evaluate, found.report):
        with pytest.raises(DataError, match=r"config\.toml"):
            ask()
    for verb in ("evaluate", "report", "resume", "reproduce"):
        assert main([verb, str(bare)]) == 3
        assert "config.toml" in capsys.readouterr().err
    assert main(["predict", str(bare), "rows=5,3,1,0"]) == 0


@pytest.mark.parametrize("name", artifact.ARTIFACT_FILES)
@pytest.mark.parametrize("where", [0.02, 0.5, 0.98])
def test_one_bit_that_differs_is_refused(bare, name, where, capsys):
    content = bytearray((bare / name).read_bytes())
    content[int(where * len(content))] ^= 1
    (bare / name).write_bytes(content)
    with pytest.raises(DataError, match=r"SHA-256|SHA256SUMS|not JSON"):
        yisheng.load(bare)
    assert main(["predict", str(bare), "rows=5,3,1,0"]) == 3
    said = capsys.readouterr().err
    assert "SHA256SUMS" in said or name in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", artifact.ARTIFACT_FILES)
def test_a_missing_file_is_refused(bare, name):
    (bare / name).unlink()
    with pytest.raises(DataError, match=name):
        yisheng.load(bare)


def test_a_changed_description_is_refused_before_it_is_used(bare):
    about = json.loads((bare / "model.json").read_text())
    about["spec"]["classes"] = about["spec"]["classes"][::-1]  # whole, and a lie
    (bare / "model.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match=r"model\.json is not the file that SHA256SUMS lists"):
        yisheng.load(bare)


@pytest.mark.parametrize("text", ["", "x" * 100_000, "0" * 64 + "  ../../etc/passwd\n", "\xff\xfe", "a  b\n" * 100])
def test_a_lying_list_is_refused(bare, text):
    (bare / "SHA256SUMS").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="SHA256SUMS"):
        yisheng.load(bare)


def test_the_list_stays_true(whole, tmp_path):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    assert is_true(run)
    yisheng.evaluate(run)
    yisheng.report(run)
    assert is_true(run)
    before = sums(run)
    resume(run, epochs=2, force=True, stream=io.StringIO())  # whatever was changed since it began
    assert is_true(run)
    assert sums(run) != before
    yisheng.load(run).predict(np.ones((1, 4), np.float32))


def test_a_study_and_its_members_are_listed(tmp_path):
    study = yisheng.train(data="iris", model="linear", epochs=1, folds=2, out=tmp_path, quiet=True).path
    assert set(sums(study)) == {"model.json"}
    assert is_true(study / "fold-01")
    bare = tmp_path / "bare"
    for name in ("cv.json", "model.json", "SHA256SUMS"):
        bare.mkdir(exist_ok=True)
        shutil.copy(study / name, bare / name)
    for fold in ("fold-01", "fold-02"):
        (bare / fold).mkdir()
        for name in artifact.ARTIFACT_FILES:
            shutil.copy(study / fold / name, bare / fold / name)
    x = np.ones((2, 4), np.float32)
    assert yisheng.load(bare).predict(x) == yisheng.load(study).predict(x)
    (bare / "model.json").write_text((bare / "model.json").read_text() + " ")
    with pytest.raises(DataError, match="SHA256SUMS"):
        yisheng.load(bare)


def test_a_list_that_cannot_be_written(whole, tmp_path, monkeypatch):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    old = (run / "SHA256SUMS").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError):
        artifact.write_checksums(run)
    assert (run / "SHA256SUMS").read_bytes() == old


def test_data_frames_are_read_as_files_are(table, tmp_path):
    rows = pd.DataFrame(
        {"town": ["a", None, "zzz", "c"], "built": [1960, 1999, 2001, None], "more": 1, "size": [80, 99.5, 60, 70]}
    )
    rows.to_csv(tmp_path / "rows.csv", index=False)
    run = yisheng.load(table)
    ours, theirs = run.predict(rows), run.predict(tmp_path / "rows.csv")
    assert [answer.prediction for answer in ours] == [answer.prediction for answer in theirs]
    assert [answer.notes for answer in ours] == [answer.notes for answer in theirs]
    assert [answer.input for answer in ours] == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(run.outputs(rows)[:, 0], [answer.prediction for answer in ours])
    categories = rows.assign(town=rows["town"].astype("category"))
    assert run.predict(categories) == ours


def test_data_frames_of_plain_numbers(whole):
    run = yisheng.load(whole)
    names = [column.name for column in run.predictor.spec.columns]
    x = np.array([[5.1, 3.5, 1.4, 0.2], [6, 3, 5, 2]], np.float32)
    mixed = pd.DataFrame(x, columns=names)[names[::-1]].assign(town="a")
    assert run.predict(mixed) == run.predict(x)
    chances = run.outputs(mixed)
    assert chances.shape == (2, 3)
    for row, answer in zip(chances, run.predict(x), strict=True):
        assert [answer.probabilities[name] for name in run.predictor.spec.classes] == row.tolist()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda rows: rows.drop(columns="sepal width (cm)"), "lacks sepal width"),
        (lambda rows: rows.iloc[:0], "has no rows"),
        (lambda rows: rows.astype(object).replace(3.0, "three"), "no number"),
        (lambda rows: rows * np.nan, "missing, infinite or too large"),
        (lambda rows: rows * np.inf, "missing, infinite or too large"),
    ],
)
def test_data_frames_that_do_not_fit(whole, change, cause):
    run = yisheng.load(whole)
    rows = pd.DataFrame(np.full((2, 4), 3.0), columns=[column.name for column in run.predictor.spec.columns])
    with pytest.raises(DataError, match=cause):
        run.predict(change(rows))


@pytest.mark.slow
def test_a_network_of_a_plugin_needs_its_code(tmp_path, monkeypatch):
    package = tmp_path / "own" / "ownnets" / "models"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "own_net.py").write_text(
        "from torch import nn\n"
        "from yisheng.core.registry import register\n\n"
        "@register\n"
        "def own_net(spec):\n"
        '    """A net of one\'s own."""\n'
        "    return nn.Sequential(nn.Flatten(), nn.Linear(spec.shape[0], spec.outputs))\n"
    )
    ask = (
        "import sys, yisheng; print(yisheng.load(sys.argv[1]).predict(__import__('numpy').ones((1, 4), 'f'))[0].input)"
    )
    train = (
        "import sys, yisheng\n"
        "yisheng.train(data='iris', model='own-net', epochs=1, out=sys.argv[1], quiet=True)\n"
        + ask.replace("[1])", "[2])")
    )

    def python(code, *words, **more):
        path = os.pathsep.join([str(tmp_path / "own"), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            env={**os.environ, "PYTHONPATH": path, **more},
            capture_output=True,
            text=True,
        )

    run = tmp_path / "runs" / "0001-iris-own-net"
    done = python(train, tmp_path / "runs", run, YISHENG_PLUGINS="ownnets")
    assert done.stdout.split() == ["0"], done.stderr
    refused = python(ask, run)
    assert "unknown model 'own-net'" in refused.stderr
    assert "its code is needed here too: name the package in YISHENG_PLUGINS" in refused.stderr


def test_a_prediction_starts_with_nothing_heavy(tmp_path_factory):
    """What takes long to import and is not needed for one image or a few rows."""
    out = tmp_path_factory.mktemp("quick")
    run = yisheng.train(data="digits", model="linear", epochs=1, out=out, quiet=True).path
    Image.new("L", (8, 8)).save(out / "photo.png")
    Image.fromarray(yisheng.data.load("digits").x[0, 0]).save(out / "photo.png")
    code = (
        "import sys, yisheng\n"
        "print(yisheng.load(sys.argv[1]).predict(sys.argv[2])[0].unlike)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, run, out / "photo.png"], capture_output=True, text=True)
    level, names = done.stdout.splitlines()
    assert 0 <= float(level) <= 1
    heavy = {"pandas", "sklearn", "scipy", "matplotlib", "fastapi", "uvicorn", "onnx", "onnxruntime", "tensorboard"}
    assert not heavy & set(names.split())

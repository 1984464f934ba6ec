"""A folder that only predicts needs four files, which must be those that were saved."""

import hashlib
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
from tests.inference.conftest import train
from yisheng.cli import main
from yisheng.core.errors import DataError, StorageError
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.resume_run import resume
from yisheng.inference import model_files

TABLE = "size,town,built,price\n" + "".join(
    f"{50 + 7 * n % 90},{'abc'[n % 3]},{1950 + n % 60},{100 + 3 * (7 * n % 90)}\n" for n in range(120)
)


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    (out / "houses.csv").write_text(TABLE)
    return train(data=str(out / "houses.csv"), target="price", model="mlp", epochs=1, out=out / "runs")


@pytest.fixture
def artifact_folder(iris_run, tmp_path):
    """A folder with nothing but the files that prediction reads."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name in model_files.ARTIFACT_FILES:
        shutil.copy(iris_run / name, folder / name)
    return folder


def read_checksums(folder):
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    return {name: value for value, _, name in (line.partition("  ") for line in lines)}


def assert_checksums_are_right(folder):
    checksums = read_checksums(folder)
    assert set(checksums) == {"model.json", "model.safetensors", "ood.safetensors"}
    for name, value in checksums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == value


def test_four_files_are_enough_to_predict(iris_run, artifact_folder):
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    loaded, complete = yisheng.load(artifact_folder), yisheng.load(iris_run)
    assert loaded.path == artifact_folder
    assert loaded.predict(x) == complete.predict(x)
    np.testing.assert_array_equal(loaded.outputs(x), complete.outputs(x))
    assert loaded.predictor.spec == complete.run.spec
    assert {path.name for path in artifact_folder.iterdir()} == set(model_files.ARTIFACT_FILES)


def test_missing_files_of_a_run_are_named(artifact_folder, capsys):
    loaded = yisheng.load(artifact_folder)
    for access in (lambda: loaded.scores, lambda: loaded.run, loaded.evaluate, loaded.report):
        with pytest.raises(DataError, match=r"config\.toml"):
            access()
    for command in ("evaluate", "report", "resume", "reproduce"):
        assert main([command, str(artifact_folder)]) == 3
        assert "config.toml" in capsys.readouterr().err
    assert main(["predict", str(artifact_folder), "rows=5,3,1,0"]) == 0


@pytest.mark.parametrize("name", model_files.ARTIFACT_FILES)
@pytest.mark.parametrize("position", [0.02, 0.5, 0.98])
def test_one_changed_bit_is_refused(artifact_folder, name, position, capsys):
    content = bytearray((artifact_folder / name).read_bytes())
    content[int(position * len(content))] ^= 1
    (artifact_folder / name).write_bytes(content)
    with pytest.raises(DataError, match=r"SHA-256|SHA256SUMS|not JSON"):
        yisheng.load(artifact_folder)
    assert main(["predict", str(artifact_folder), "rows=5,3,1,0"]) == 3
    message = capsys.readouterr().err
    assert "SHA256SUMS" in message or name in message
    assert "Traceback" not in message


@pytest.mark.parametrize("name", model_files.ARTIFACT_FILES)
def test_a_missing_file_is_refused(artifact_folder, name):
    (artifact_folder / name).unlink()
    with pytest.raises(DataError, match=name):
        yisheng.load(artifact_folder)


def test_a_changed_description_is_refused_before_it_is_used(artifact_folder):
    description = json.loads((artifact_folder / "model.json").read_text())
    description["spec"]["classes"].reverse()  # valid, but wrong
    (artifact_folder / "model.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match=r"model\.json is not the file that SHA256SUMS lists"):
        yisheng.load(artifact_folder)


@pytest.mark.parametrize("text", ["", "x" * 100_000, "0" * 64 + "  ../../etc/passwd\n", "\xff\xfe", "a  b\n" * 100])
def test_invalid_checksums_are_refused(artifact_folder, text):
    (artifact_folder / "SHA256SUMS").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="SHA256SUMS"):
        yisheng.load(artifact_folder)


def test_a_folder_of_an_older_format_is_refused(artifact_folder):
    description = json.loads((artifact_folder / "model.json").read_text())
    (artifact_folder / "model.json").write_text(json.dumps({**description, "format": 1}))
    with pytest.raises(DataError, match="older version of yisheng"):
        yisheng.load(artifact_folder)


def test_checksums_stay_right_when_a_run_is_evaluated_and_resumed(iris_run, tmp_path):
    run = Path(shutil.copytree(iris_run, tmp_path / "run"))
    assert_checksums_are_right(run)
    yisheng.evaluate(run)
    yisheng.report(run)
    assert_checksums_are_right(run)
    checksums = read_checksums(run)
    resume(run, epochs=2, force=True)  # force: the sources may have changed since the run began
    assert_checksums_are_right(run)
    assert read_checksums(run) != checksums
    yisheng.load(run).predict(np.ones((1, 4), np.float32))


def test_a_cross_validation_and_its_fold_models_have_checksums(iris_cross_validation, tmp_path):
    assert set(read_checksums(iris_cross_validation)) == {"model.json"}
    folds = sorted(path.name for path in iris_cross_validation.glob("fold-*"))
    assert_checksums_are_right(iris_cross_validation / folds[0])
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in (RunFolder.CROSS_VALIDATION, RunFolder.MODEL, RunFolder.CHECKSUMS):
        shutil.copy(iris_cross_validation / name, copied / name)
    for fold in folds:
        (copied / fold).mkdir()
        for name in model_files.ARTIFACT_FILES:
            shutil.copy(iris_cross_validation / fold / name, copied / fold / name)
    x = np.ones((2, 4), np.float32)
    assert yisheng.load(copied).predict(x) == yisheng.load(iris_cross_validation).predict(x)
    (copied / "model.json").write_text((copied / "model.json").read_text() + " ")
    with pytest.raises(DataError, match="SHA256SUMS"):
        yisheng.load(copied)


def test_checksums_that_cannot_be_written_leave_the_old_ones(iris_run, tmp_path, monkeypatch):
    run = Path(shutil.copytree(iris_run, tmp_path / "run"))
    content = (run / "SHA256SUMS").read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError):
        model_files.write_checksums(run)
    assert (run / "SHA256SUMS").read_bytes() == content


def test_dataframes_are_read_as_files_are(table_run, tmp_path):
    frame = pd.DataFrame(
        {"town": ["a", None, "zzz", "c"], "built": [1960, 1999, 2001, None], "extra": 1, "size": [80, 99.5, 60, 70]}
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    run = yisheng.load(table_run)
    from_frame, from_file = run.predict(frame), run.predict(tmp_path / "rows.csv")
    assert [p.prediction for p in from_frame] == [p.prediction for p in from_file]
    assert [p.notes for p in from_frame] == [p.notes for p in from_file]
    assert [p.input for p in from_frame] == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(run.outputs(frame)[:, 0], [p.prediction for p in from_frame])
    with_categories = frame.assign(town=frame["town"].astype("category"))
    assert run.predict(with_categories) == from_frame


def test_dataframes_of_numbers_are_matched_by_column_name(iris_run):
    run = yisheng.load(iris_run)
    names = [column.name for column in run.predictor.spec.columns]
    x = np.array([[5.1, 3.5, 1.4, 0.2], [6, 3, 5, 2]], np.float32)
    reordered = pd.DataFrame(x, columns=names)[names[::-1]].assign(town="a")
    assert run.predict(reordered) == run.predict(x)
    probabilities = run.outputs(reordered)
    assert probabilities.shape == (2, 3)
    for row, prediction in zip(probabilities, run.predict(x), strict=True):
        assert [prediction.probabilities[name] for name in run.predictor.spec.classes] == row.tolist()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda frame: frame.drop(columns="sepal width (cm)"), "lacks sepal width"),
        (lambda frame: frame.iloc[:0], "has no rows"),
        (lambda frame: frame.astype(object).replace(3.0, "three"), "not numbers"),
        (lambda frame: frame * np.nan, "missing, infinite or too large"),
        (lambda frame: frame * np.inf, "missing, infinite or too large"),
    ],
)
def test_dataframes_that_do_not_fit_are_refused(iris_run, change, problem):
    run = yisheng.load(iris_run)
    frame = pd.DataFrame(np.full((2, 4), 3.0), columns=[column.name for column in run.predictor.spec.columns])
    with pytest.raises(DataError, match=problem):
        run.predict(change(frame))


@pytest.mark.slow
def test_a_network_of_a_plugin_needs_its_code(tmp_path):
    package = tmp_path / "plugins" / "ownnets" / "models"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "own_net.py").write_text(
        "from torch import nn\n"
        "from yisheng.core.registry import register\n\n"
        "@register\n"
        "def own_net(spec):\n"
        '    """A linear network."""\n'
        "    return nn.Sequential(nn.Flatten(), nn.Linear(spec.shape[0], spec.outputs))\n"
    )
    predict_code = (
        "import sys, yisheng; print(yisheng.load(sys.argv[1]).predict(__import__('numpy').ones((1, 4), 'f'))[0].input)"
    )
    train_code = (
        "import sys, yisheng\n"
        "yisheng.train(data='iris', model='own-net', epochs=1, out=sys.argv[1], quiet=True)\n"
        + predict_code.replace("[1])", "[2])")
    )

    def run_python(code, *words, **variables):
        path = os.pathsep.join([str(tmp_path / "plugins"), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            env={**os.environ, "PYTHONPATH": path, **variables},
            capture_output=True,
            text=True,
        )

    run = tmp_path / "runs" / "0001-iris-own-net"
    with_plugin = run_python(train_code, tmp_path / "runs", run, YISHENG_PLUGINS="ownnets")
    assert with_plugin.stdout.split() == ["0"], with_plugin.stderr
    without_plugin = run_python(predict_code, run)
    assert "unknown model 'own-net'" in without_plugin.stderr
    assert "name its package in YISHENG_PLUGINS" in without_plugin.stderr


def test_a_prediction_imports_no_heavy_packages(tmp_path):
    """Packages that take long to import are not needed for one image or a few rows."""
    run = train(data="digits", model="linear", epochs=1, out=tmp_path)
    Image.fromarray(yisheng.data.load("digits").x[0, 0]).save(tmp_path / "photo.png")
    code = (
        "import sys, yisheng\n"
        "print(yisheng.load(sys.argv[1]).predict(sys.argv[2])[0].ood_score)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    process = subprocess.run([sys.executable, "-c", code, run, tmp_path / "photo.png"], capture_output=True, text=True)
    ood_score, modules = process.stdout.splitlines()
    assert 0 <= float(ood_score) <= 1
    heavy = {"pandas", "sklearn", "scipy", "matplotlib", "fastapi", "uvicorn", "onnx", "onnxruntime", "tensorboard"}
    assert not heavy & set(modules.split())

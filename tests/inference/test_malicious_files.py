"""Malicious files are refused wherever a file is accepted, and nothing in them is ever run."""

import ast
import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import yisheng
from tests.inference.conftest import train
from yisheng.cli import main
from yisheng.core.errors import YishengError
from yisheng.core.run_folder import RunFolder
from yisheng.data import archives
from yisheng.inference import model_files


class PickleBomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (os.mkdir, (str(self.canary),))


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "created-by-pickle"
    yield path
    assert not path.exists()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return [train(data=name, model="linear", epochs=1, out=out) for name in ("iris", "digits")]


def make_bombs(canary):
    """Return the same bomb in every format that Python tools unpickle, by file name."""
    plain = pickle.dumps(PickleBomb(canary))
    bombs = {"a.pkl": plain, "a.csv": plain, "a.png": plain, "a.toml": plain, "model.safetensors": plain}
    buffer = io.BytesIO()
    torch.save({"linear.weight": PickleBomb(canary)}, buffer)
    bombs["a.pth"] = bombs["a.pt"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, x=np.array([PickleBomb(canary)], dtype=object))
    bombs["a.npz"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, np.array([PickleBomb(canary)], dtype=object))
    bombs["a.npy"] = buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a/data.pkl", plain)
    bombs["a.zip"] = buffer.getvalue()
    return bombs


def test_the_bombs_work(tmp_path):
    bombs = make_bombs(tmp_path / "created")
    pickle.loads(bombs["a.pkl"])
    assert (tmp_path / "created").exists()


BOMB_NAMES = ["a.pkl", "a.csv", "a.png", "a.toml", "model.safetensors", "a.pth", "a.pt", "a.npz", "a.npy", "a.zip"]


@pytest.mark.parametrize("name", BOMB_NAMES)
def test_pickles_are_never_loaded(name, canary, tmp_path, runs, capsys):
    path = tmp_path / name
    path.write_bytes(make_bombs(canary)[name])
    rows, images = map(str, runs)
    for words, code in (
        (["predict", rows, str(path)], 3),
        (["predict", images, str(path)], 3),
        (["predict", str(path), "rows=1"], 3),
        (["evaluate", str(path)], 3),
        (["resume", str(path)], 3),
        (["train", f"config={path}"], 2),
        (["train", f"data={path}"], 3),
        (["train", "data=mnist", f"folder={path}"], 3),
        (["data", "import", str(path)], 3),
    ):
        assert main(words) == code, words
        assert "Traceback" not in capsys.readouterr().err
    for call in (
        lambda: yisheng.load(path),
        lambda: yisheng.predict(rows, [path]),
        lambda: yisheng.train(config=path),
        lambda: yisheng.train(data=str(path)),
    ):
        with pytest.raises(YishengError):
            call()
    with pytest.raises(YishengError):
        yisheng.predict(rows, np.array([[PickleBomb(canary)] * 4], dtype=object))


def test_pickles_in_the_files_of_a_run_are_never_loaded(canary, tmp_path, runs, capsys):
    run_files = ("config.toml", "environment.json", "scores.json", "events.jsonl")
    for name in (*model_files.ARTIFACT_FILES, *run_files):
        run = tmp_path / f"run-{name}"
        shutil.copytree(runs[0], run)
        (run / name).write_bytes(make_bombs(canary)["a.pkl"])
        for command in ("evaluate", "report", "resume", "reproduce"):
            assert main([command, str(run), "--json"]) in (0, 1, 3)
            assert "should not happen" not in capsys.readouterr().err
        assert main(["predict", str(run), "rows=1,2,3,4"]) == (3 if name in model_files.ARTIFACT_FILES else 0)
    checkpoints = list((runs[0] / "checkpoint").glob("*.safetensors"))
    run = tmp_path / "stopped"
    shutil.copytree(runs[0], run)
    RunFolder(run).update_environment(finished=False)
    for path in checkpoints:
        (run / "checkpoint" / path.name).write_bytes(make_bombs(canary)["a.pth"])
    assert main(["resume", str(run), "--quiet"]) == 0  # from the beginning: no checkpoint is intact
    capsys.readouterr()


@pytest.mark.parametrize("name", ["a.pkl", "a.pth", "a.npz", "a.zip"])
@pytest.mark.parametrize("file", [name for name in model_files.ARTIFACT_FILES if name != RunFolder.CHECKSUMS])
def test_pickles_with_a_valid_checksum_are_not_loaded(name, file, canary, tmp_path, runs):
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    (run / file).write_bytes(make_bombs(canary)[name])
    if file == RunFolder.WEIGHTS:
        description = json.loads((run / RunFolder.MODEL).read_text())
        description["sha256"] = hashlib.sha256((run / file).read_bytes()).hexdigest()
        (run / RunFolder.MODEL).write_text(json.dumps(description))
    model_files.write_checksums(run)
    with pytest.raises(YishengError, match=r"cannot be rebuilt|not JSON"):
        yisheng.load(run)


def test_the_package_never_unpickles():
    """No source file calls anything that unpickles: the tests above do not know functions that are added later.

    The cells of a notebook are executed, as that is what its user asks for (`yisheng.d2l.cells.run_cells`); they come
    from source code, never from a pickle.
    """
    source = Path(yisheng.__file__).parent
    dangers = []
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        lines = [text.split("\n")[line - 1].strip() for line in find_dangers(text)]
        dangers += [(path.relative_to(source).as_posix(), line) for line in lines]
    assert dangers == [("d2l/cells.py", "exec(code, namespace)")]


def find_dangers(text):
    """Yield the lines that import or call something that can run the content of a file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            if {name.split(".")[0] for name in names} & {
                "pickle",
                "marshal",
                "shelve",
                "joblib",
                "dill",
                "cloudpickle",
            }:
                yield node.lineno
        elif isinstance(node, ast.Call):
            function, options = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if function in ("eval", "exec", "os.system", "pd.read_pickle", "pandas.read_pickle"):
                yield node.lineno
            if function == "torch.load" and options.get("weights_only") != "True":
                yield node.lineno
            if options.get("allow_pickle", "False") != "False" or options.get("shell", "False") != "False":
                yield node.lineno


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_dangers_are_found(text):
    assert list(find_dangers(text)) == [1]
    assert not list(find_dangers("torch.load(path, weights_only=True); np.load(path); model.eval()"))


def test_a_zip_after_other_content_is_not_an_archive(tmp_path):
    """Python's zipfile finds a zip after other bytes by its end; it is not an archive here."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("../evil", "x")
    path = tmp_path / "a.zip"
    for prefix in (b"GIF89a" + bytes(20), b"%PDF-1.4\n", b"#!/bin/sh\necho\n"):
        path.write_bytes(prefix + buffer.getvalue())
        with pytest.raises(YishengError):
            archives.extract(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "evil").exists()

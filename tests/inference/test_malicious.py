"""Files made to do harm: refused wherever a file is taken, and nothing in them is ever run."""

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
from yisheng.cli import main
from yisheng.core.errors import YishengError
from yisheng.data import archives
from yisheng.inference import artifact


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (os.mkdir, (str(self.canary),))


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "it-was-run"
    yield path
    assert not path.exists()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return [yisheng.train(data=d, model="linear", epochs=1, out=out, quiet=True).path for d in ("iris", "digits")]


def bombs(canary):
    """The same bomb in every wrapping that Python's tools unpack."""
    plain = pickle.dumps(Bomb(canary))
    found = {"a.pkl": plain, "a.csv": plain, "a.png": plain, "a.toml": plain, "model.safetensors": plain}
    held = io.BytesIO()
    torch.save({"linear.weight": Bomb(canary)}, held)
    found["a.pth"] = found["a.pt"] = held.getvalue()
    held = io.BytesIO()
    np.savez(held, x=np.array([Bomb(canary)], dtype=object))
    found["a.npz"] = held.getvalue()
    held = io.BytesIO()
    np.save(held, np.array([Bomb(canary)], dtype=object))
    found["a.npy"] = held.getvalue()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        packed.writestr("a/data.pkl", plain)
    found["a.zip"] = held.getvalue()
    return found


def test_the_bombs_are_live(tmp_path):
    found = bombs(tmp_path / "live")
    pickle.loads(found["a.pkl"])
    assert (tmp_path / "live").exists()


NAMES = ["a.pkl", "a.csv", "a.png", "a.toml", "model.safetensors", "a.pth", "a.pt", "a.npz", "a.npy", "a.zip"]


@pytest.mark.parametrize("name", NAMES)
def test_pickles_are_never_loaded(name, canary, tmp_path, runs, capsys):
    path = tmp_path / name
    path.write_bytes(bombs(canary)[name])
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
        yisheng.predict(rows, np.array([[Bomb(canary)] * 4], dtype=object))


def test_pickles_in_the_files_of_a_run_are_never_loaded(canary, tmp_path, runs, capsys):
    rest = ("config.toml", "environment.json", "scores.json", "events.jsonl")
    for name in (*artifact.ARTIFACT_FILES, *rest):
        run = tmp_path / f"run-{name}"
        shutil.copytree(runs[0], run)
        (run / name).write_bytes(bombs(canary)["a.pkl"])
        for verb in ("evaluate", "report", "resume", "reproduce"):
            assert main([verb, str(run), "--json"]) in (0, 1, 3)
            assert "should not happen" not in capsys.readouterr().err
        assert main(["predict", str(run), "rows=1,2,3,4"]) == (3 if name in artifact.ARTIFACT_FILES else 0)
    checkpoints = list((runs[0] / "checkpoint").glob("*.safetensors"))
    run = tmp_path / "stopped"
    shutil.copytree(runs[0], run)
    (run / "scores.json").unlink()
    for path in checkpoints:
        (run / "checkpoint" / path.name).write_bytes(bombs(canary)["a.pth"])
    assert main(["resume", str(run), "--quiet"]) == 0  # from the beginning: no checkpoint is whole
    capsys.readouterr()


@pytest.mark.parametrize("name", ["a.pkl", "a.pth", "a.npz", "a.zip"])
@pytest.mark.parametrize("file", [name for name in artifact.ARTIFACT_FILES if name != artifact.SUMS])
def test_pickles_whose_hash_is_listed_are_not_loaded_either(name, file, canary, tmp_path, runs):
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    (run / file).write_bytes(bombs(canary)[name])
    if file == artifact.WEIGHTS:
        about = json.loads((run / artifact.DESCRIPTION).read_text())
        about["sha256"] = hashlib.sha256((run / file).read_bytes()).hexdigest()
        (run / artifact.DESCRIPTION).write_text(json.dumps(about))
    artifact.write_checksums(run)
    with pytest.raises(YishengError, match=r"cannot be rebuilt|not JSON"):
        yisheng.load(run)


def test_the_package_never_unpickles():
    """No source file calls what would: the tests above cannot know a way in that is added later."""
    source = Path(yisheng.__file__).parent
    found = [f"{path}:{line}" for path in source.rglob("*.py") for line in dangers(path.read_text(encoding="utf-8"))]
    assert found == []


def dangers(text):
    """Lines that import or call what runs the content of a file."""
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
            called, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called in ("eval", "exec", "os.system", "pd.read_pickle", "pandas.read_pickle"):
                yield node.lineno
            if called == "torch.load" and given.get("weights_only") != "True":
                yield node.lineno
            if given.get("allow_pickle", "False") != "False" or given.get("shell", "False") != "False":
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
def test_dangers_are_seen(text):
    assert list(dangers(text)) == [1]
    assert not list(dangers("torch.load(path, weights_only=True); np.load(path); model.eval()"))


def test_a_polyglot_is_read_as_what_it_is_asked_for(tmp_path):
    """A zip behind other bytes is found by zipfile from its end; it is not taken for an archive here."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        packed.writestr("../evil", "x")
    path = tmp_path / "a.zip"
    for front in (b"GIF89a" + bytes(20), b"%PDF-1.4\n", b"#!/bin/sh\necho\n"):
        path.write_bytes(front + held.getvalue())
        with pytest.raises(YishengError):
            archives.extract(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "evil").exists()

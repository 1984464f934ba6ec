"""A disk that fills up at whatever point: a clear error, every old file whole, and nothing half-written left."""

import hashlib
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import yisheng
from yisheng.cli import main
from yisheng.core import run_folder
from yisheng.core.errors import StorageError
from yisheng.experiments.dispatch import resume

WORDS = ["data=iris", "model=mlp", "hidden=16", "epochs=2", "batch=32", "checkpoint_every=0", "log_every=1"]
MODEL = ("model.safetensors", "model.json", "environment.json", "report.html", "evaluation.json")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A disk of two megabytes."""
    place = tmp_path_factory.mktemp("disk")
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run that never met a full disk."""
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", *WORDS, f"out={out}", "--quiet"]) == 0
    return out / "0001-iris-mlp"


@pytest.fixture
def small(disk, monkeypatch):
    """The disk, empty, and a train that does not look at the free space first."""
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setattr(run_folder, "SPARE", 0)
    monkeypatch.setattr(run_folder, "COPIES", 0)
    return disk


def fill(disk, leave):
    """Take all space but some KiB."""
    free = shutil.disk_usage(disk).free - leave * 1024
    (disk / "filler").write_bytes(bytes(max(0, free)))


def files(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name not in ("filler", "lock")
    }


def told(capsys):
    """The error must name the cause in one line and the way out in another."""
    said = capsys.readouterr()
    problem, remedy = said.err.rstrip().splitlines()[-2:]
    assert problem.startswith("yisheng: ")
    assert "no space left on the disk" in problem or "free space" in problem or "MB left" in problem
    assert "free some space" in remedy
    assert "Traceback" not in said.err


def nothing_half_written(folder):
    assert [p.name for p in Path(folder).rglob("*") if p.name.endswith((".part", ".extracting"))] == []


@pytest.mark.parametrize("leave", [0, 4, 8, 12, 16, 24, 32, 48, 64, 80, 100, 120])
def test_train_and_then_resume(leave, small, trained, capsys):
    (small / "runs" / "0001-old").mkdir(parents=True)
    (small / "runs" / "0001-old" / "config.toml").write_text("data = 'iris'")
    old = files(small)
    fill(small, leave)
    assert main(["train", *WORDS, f"out={small / 'runs'}", "--quiet"]) == 1
    told(capsys)
    nothing_half_written(small)
    assert old.items() <= files(small).items()
    (small / "filler").unlink()
    begun = [path for path in (small / "runs").iterdir() if path.name != "0001-old"]
    assert len(begun) <= 1
    if begun and RunFolder(begun[0]).is_begun:
        resume(begun[0])
        assert (begun[0] / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
        steps = [json.loads(line)["step"] for line in (begun[0] / "events.jsonl").read_text().splitlines()]
        assert steps == [json.loads(line)["step"] for line in (trained / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("leave", [0, 4, 8, 16, 28, 40, 60])
def test_resume_longer(leave, small, trained, capsys):
    run = small / trained.name
    shutil.copytree(trained, run)
    old = files(run)
    fill(small, leave)
    assert main(["resume", str(run), "epochs=4", "--quiet"]) == 1
    told(capsys)
    nothing_half_written(small)
    assert main(["predict", str(run), "rows=5,3,1,0"]) == 0  # weights and description belong together
    left = files(run)
    if leave < 20:  # not one epoch more was reached
        kept = set(MODEL) - {"environment.json"}  # which now says that the run is not finished
        assert {name: left[name] for name in kept} == {name: old[name] for name in kept}
    (small / "filler").unlink()
    resume(run, epochs=4)
    whole = yisheng.load(run)
    assert whole.run.config["epochs"] == 4
    assert whole.predict(np.ones((1, 4), "float32"))


@pytest.mark.parametrize("words", [["report"], ["evaluate"]])
@pytest.mark.parametrize("leave", [0, 4, 16])
def test_report_and_evaluate(words, leave, small, trained, capsys):
    run = small / trained.name
    shutil.copytree(trained, run)
    old = files(run)
    fill(small, leave)
    assert main([*words, str(run)]) == 1
    told(capsys)
    nothing_half_written(small)
    now = files(run)
    assert set(now) == set(old)
    assert now["report.html"] == old["report.html"]
    assert main(["predict", str(run), "rows=5,3,1,0"]) == 0  # reading needs no space


@pytest.mark.parametrize("leave", [0, 4, 8])
def test_data_show(leave, small, capsys):
    (small / "a.png").write_bytes(b"old")
    fill(small, leave)
    assert main(["data", "show", "digits", f"out={small / 'a.png'}"]) == 1
    told(capsys)
    nothing_half_written(small)
    assert (small / "a.png").read_bytes() == b"old"


@pytest.mark.parametrize("leave", [0, 4, 8, 32])
def test_data_fetch_and_bundle(leave, small, capsys, tmp_path, monkeypatch):
    catalog, mirror = tmp_path / "plugins" / "fullplug" / "data" / "catalog", tmp_path / "mirror" / "tiny"
    for folder in (catalog, mirror):
        folder.mkdir(parents=True)
    (tmp_path / "plugins" / "fullplug" / "__init__.py").write_text("")
    content = os.urandom(40_000)
    (mirror / "a.bin").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (catalog / "tiny.toml").write_text(f'[[files]]\nname = "a.bin"\nsums = ["file:sha256:{digest}"]\n')
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("YISHENG_PLUGINS", "fullplug")
    monkeypatch.setenv("YISHENG_MIRROR", mirror.parent.as_uri())
    assert main(["data", "fetch", "tiny"]) == 0
    (small / "a.zip").write_bytes(b"old")
    (small / "data" / "tiny").mkdir(parents=True)
    (small / "data" / "tiny" / "a.bin").write_bytes(b"old and damaged")
    fill(small, leave)
    capsys.readouterr()
    assert main(["data", "bundle", "tiny", f"out={small / 'a.zip'}"]) == 1
    told(capsys)
    monkeypatch.setenv("YISHENG_HOME", str(small))
    assert main(["data", "fetch", "tiny"]) == 1
    told(capsys)
    nothing_half_written(small)
    assert (small / "a.zip").read_bytes() == b"old"
    assert (small / "data" / "tiny" / "a.bin").read_bytes() == b"old and damaged"


def test_too_little_space_is_seen_before_training(disk, capsys, monkeypatch):
    said = io.StringIO()
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setattr("sys.stderr", said)
    assert main(["train", *WORDS, f"out={disk / 'deep' / 'runs'}"]) == 1
    assert "has 2.0 MiB of free space, this run needs about 16.0 MiB" in said.getvalue()
    assert "epoch" not in said.getvalue()
    assert list(disk.iterdir()) == []


def test_the_space_that_is_asked_for_grows_with_the_model(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    RunFolder.require_space(tmp_path, 6 << 20)
    with pytest.raises(StorageError, match="has 100.0 MiB of free space, this run needs about 114.0 MiB"):
        RunFolder.require_space(tmp_path / "not" / "yet", 7 << 20)

"""A disk that fills up at any point: a clear error, every old file intact, and no partial file left."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import yisheng
from yisheng.cli import main
from yisheng.core import new_folder
from yisheng.core.errors import StorageError
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.dispatch import resume

WORDS = ["data=iris", "model=mlp", "hidden=16", "epochs=2", "batch=32", "checkpoint_every=0", "log_every=1"]
FILES_OF_MODEL = ("model.safetensors", "model.json", "environment.json", "report.html", "evaluation.json")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A disk of two megabytes."""
    folder = tmp_path_factory.mktemp("disk")
    try:
        completed = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if completed.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a disk with enough space."""
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", *WORDS, f"out={out}", "--quiet"]) == 0
    return out / "0001-iris-mlp"


@pytest.fixture
def small_disk(disk, monkeypatch):
    """The empty disk; training does not check the free space first."""
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setattr(new_folder, "SPARE_BYTES", 0)
    monkeypatch.setattr(new_folder, "CHECKPOINT_COPIES", 0)
    return disk


def fill(disk, free_kib):
    """Fill the disk up to some KiB."""
    free = shutil.disk_usage(disk).free - free_kib * 1024
    (disk / "filler").write_bytes(bytes(max(0, free)))


def hash_files(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name not in ("filler", "lock")
    }


def require_clear_error(capsys):
    """Check that the error names the problem in one line and the remedy in another."""
    error = capsys.readouterr().err
    problem, remedy = error.rstrip().splitlines()[-2:]
    assert problem.startswith("yisheng: ")
    assert "no space left on the disk" in problem or "free space" in problem or "MB left" in problem
    assert "free some space" in remedy
    assert "Traceback" not in error


def require_no_partial_file(folder):
    assert [p.name for p in Path(folder).rglob("*") if p.name.endswith((".part", ".extracting"))] == []


@pytest.mark.parametrize("free_kib", [0, 4, 8, 12, 16, 24, 32, 48, 64, 80, 100, 120])
def test_a_training_on_a_full_disk_can_be_resumed(free_kib, small_disk, trained, capsys):
    (small_disk / "runs" / "0001-old").mkdir(parents=True)
    (small_disk / "runs" / "0001-old" / "config.toml").write_text("data = 'iris'")
    old = hash_files(small_disk)
    fill(small_disk, free_kib)
    assert main(["train", *WORDS, f"out={small_disk / 'runs'}", "--quiet"]) == 1
    require_clear_error(capsys)
    require_no_partial_file(small_disk)
    assert old.items() <= hash_files(small_disk).items()
    (small_disk / "filler").unlink()
    new_runs = [path for path in (small_disk / "runs").iterdir() if path.name != "0001-old"]
    assert len(new_runs) <= 1
    if new_runs and RunFolder(new_runs[0]).is_begun:
        resume(new_runs[0])
        assert (new_runs[0] / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
        steps = [json.loads(line)["step"] for line in (new_runs[0] / "events.jsonl").read_text().splitlines()]
        assert steps == [json.loads(line)["step"] for line in (trained / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("free_kib", [0, 4, 8, 16, 28, 40, 60])
def test_a_longer_training_on_a_full_disk_keeps_the_model(free_kib, small_disk, trained, capsys):
    run = small_disk / trained.name
    shutil.copytree(trained, run)
    old = hash_files(run)
    fill(small_disk, free_kib)
    assert main(["resume", str(run), "epochs=4", "--quiet"]) == 1
    require_clear_error(capsys)
    require_no_partial_file(small_disk)
    assert main(["predict", str(run), "rows=5,3,1,0"]) == 0  # weights and description belong together
    new = hash_files(run)
    if free_kib < 20:  # not one epoch more was reached
        unchanged = set(FILES_OF_MODEL) - {"environment.json"}  # which now says that the run is not finished
        assert {name: new[name] for name in unchanged} == {name: old[name] for name in unchanged}
    (small_disk / "filler").unlink()
    resume(run, epochs=4)
    longer = yisheng.load(run)
    assert longer.run.config["epochs"] == 4
    assert longer.predict(np.ones((1, 4), "float32"))


@pytest.mark.parametrize("words", [["report"], ["evaluate"]])
@pytest.mark.parametrize("free_kib", [0, 4, 16])
def test_report_and_evaluate_on_a_full_disk_keep_the_old_files(words, free_kib, small_disk, trained, capsys):
    run = small_disk / trained.name
    shutil.copytree(trained, run)
    old = hash_files(run)
    fill(small_disk, free_kib)
    assert main([*words, str(run)]) == 1
    require_clear_error(capsys)
    require_no_partial_file(small_disk)
    new = hash_files(run)
    assert set(new) == set(old)
    assert new["report.html"] == old["report.html"]
    assert main(["predict", str(run), "rows=5,3,1,0"]) == 0  # reading needs no space


@pytest.mark.parametrize("free_kib", [0, 4, 8])
def test_a_preview_on_a_full_disk_keeps_the_old_image(free_kib, small_disk, capsys):
    (small_disk / "a.png").write_bytes(b"old")
    fill(small_disk, free_kib)
    assert main(["data", "show", "digits", f"out={small_disk / 'a.png'}"]) == 1
    require_clear_error(capsys)
    require_no_partial_file(small_disk)
    assert (small_disk / "a.png").read_bytes() == b"old"


@pytest.mark.parametrize("free_kib", [0, 4, 8, 32])
def test_fetch_and_bundle_on_a_full_disk_keep_the_old_files(free_kib, small_disk, capsys, tmp_path, monkeypatch):
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
    monkeypatch.delitem(sys.modules, "fullplug", raising=False)  # that of an earlier test, in another folder
    monkeypatch.setenv("YISHENG_MIRROR", mirror.parent.as_uri())
    assert main(["data", "fetch", "tiny"]) == 0
    (small_disk / "a.zip").write_bytes(b"old")
    (small_disk / "data" / "tiny").mkdir(parents=True)
    (small_disk / "data" / "tiny" / "a.bin").write_bytes(b"old and damaged")
    fill(small_disk, free_kib)
    capsys.readouterr()
    assert main(["data", "bundle", "tiny", f"out={small_disk / 'a.zip'}"]) == 1
    require_clear_error(capsys)
    monkeypatch.setenv("YISHENG_HOME", str(small_disk))
    assert main(["data", "fetch", "tiny"]) == 1
    require_clear_error(capsys)
    require_no_partial_file(small_disk)
    assert (small_disk / "a.zip").read_bytes() == b"old"
    assert (small_disk / "data" / "tiny" / "a.bin").read_bytes() == b"old and damaged"


def test_too_little_space_is_reported_before_training(disk, capsys):
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert main(["train", *WORDS, f"out={disk / 'deep' / 'runs'}"]) == 1
    error = capsys.readouterr().err
    assert "has 2.0 MiB of free space, this run needs about 16.0 MiB" in error
    assert "epoch" not in error
    assert list(disk.iterdir()) == []


def test_the_required_space_grows_with_the_model(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    new_folder.require_space(tmp_path, 6 << 20)
    with pytest.raises(StorageError, match="has 100.0 MiB of free space, this run needs about 114.0 MiB"):
        new_folder.require_space(tmp_path / "not" / "yet", 7 << 20)

"""Temporary files: what a killed process leaves is removed, what a living one writes is not."""

import os
import subprocess
import sys
import time

import pytest

from yisheng.core import files, temporary
from yisheng.core.run_folder import RunFolder


@pytest.fixture
def dead_process():
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def rename_to(path, process, machine=None):
    """Rename a temporary path as if another process had created it."""
    present = temporary.identify_machine()
    name = path.name.replace(f"{present}-{os.getpid()}.", f"{machine or present}-{process}.")
    assert name != path.name
    return path.rename(path.with_name(name))


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot be asked")
def test_what_a_dead_process_left_is_removed(tmp_path, dead_process):
    own_paths = [temporary.create_temporary_file(tmp_path / "model.json"), temporary.create_temporary_folder(tmp_path)]
    abandoned = [
        rename_to(temporary.create_temporary_file(tmp_path / "a b.json"), dead_process),
        rename_to(temporary.create_temporary_folder(tmp_path), dead_process),
    ]
    (abandoned[1] / "config.toml").write_text("")
    others = [tmp_path / name for name in (".part", "predictions.csv.part", f".x.{'0' * 8}-1.part", "a.part")]
    for path in others:
        path.write_text("")
    temporary.remove_abandoned(tmp_path)
    assert [path.exists() for path in abandoned] == [False, False]
    assert all(path.exists() for path in (*own_paths, *others))


def test_other_machines_get_a_week(tmp_path, dead_process):
    young = rename_to(temporary.create_temporary_file(tmp_path / "a"), dead_process, "00000000")
    old = rename_to(temporary.create_temporary_file(tmp_path / "b"), dead_process, "00000000")
    os.utime(old, (time.time() - temporary.MAX_AGE_SECONDS - 60,) * 2)
    temporary.remove_abandoned(tmp_path)
    assert (young.exists(), old.exists()) == (True, False)


def test_a_missing_folder_has_nothing_to_remove(tmp_path):
    temporary.remove_abandoned(tmp_path / "missing")


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot be asked")
def test_training_in_a_folder_removes_what_was_left_there(tmp_path, dead_process):
    (tmp_path / "checkpoint").mkdir()
    abandoned = [
        rename_to(temporary.create_temporary_file(folder / "x.safetensors"), dead_process)
        for folder in (tmp_path, tmp_path / "checkpoint")
    ]
    with RunFolder(tmp_path).lock():
        assert not any(path.exists() for path in abandoned)


def test_long_names_can_be_written(tmp_path):
    path = tmp_path / ("ä" * 120 + ".json")
    files.write_file(path, "x")
    assert path.read_text() == "x"
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    visible_names = []

    def write(run):
        visible_names.append([path.name for path in tmp_path.iterdir() if not path.name.startswith(".")])
        (run.path / "config.toml").write_text("epochs = 1\n")

    run = RunFolder.create(tmp_path, "iris", "mlp", write=write)
    assert visible_names == [[]]
    assert [path.name for path in run.path.iterdir()] == ["config.toml"]
    with pytest.raises(ZeroDivisionError):
        RunFolder.create(tmp_path, "iris", "mlp", write=lambda run: 1 / 0)
    assert [path.name for path in tmp_path.iterdir()] == [run.path.name]


def test_a_claim_of_a_killed_process_is_removed(tmp_path):
    claim = tmp_path / ".0001"
    claim.mkdir()
    os.utime(claim, (time.time() - 3600,) * 2)
    run = RunFolder.create(tmp_path, "iris", "mlp", write=lambda run: None)
    assert run.path.name == "0001-iris-mlp"
    assert not claim.exists()

"""Exit codes when a pipe closes, a disk is full, or the terminal is closed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from yisheng.core.run_folder import RunFolder

YISHENG = [sys.executable, "-m", "yisheng"]
TRAIN = ["train", "data=iris", "model=mlp", "hidden=4", "epochs=3"]
LONG = ["train", "data=iris", "model=mlp", "hidden=4", "epochs=1000000", "patience=0", "log_every=1"]
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
needs_terminals = pytest.mark.skipif(os.name == "nt", reason="Windows has other terminals")


def run_shell(command, cwd, **variables):
    """Run a shell command in which ``$YISHENG`` is the command; return its output with the codes of its first pipe."""
    environment = {**os.environ, "YISHENG": " ".join(YISHENG), **variables}
    words = ["bash", "-c", f"{command}; echo codes ${{PIPESTATUS[@]}}"]
    completed = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    return completed.stdout.splitlines()[-1], completed.stdout + completed.stderr


def finished_run(folder):
    (path,) = [path for path in (folder / "runs").iterdir() if path.is_dir()]
    assert RunFolder(path).is_finished
    assert json.loads((path / "environment.json").read_text())["finished"] is True
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        ("2>&1 | head -1", "0"),  # nobody reads the progress: the training goes on
        ("| head -c 0", "0"),
        ("| true", "0"),
        ("2>&-", "0"),
        (">&- 2>&-", "0"),
        pytest.param("2>/dev/full", "0", marks=needs_full),
        pytest.param(">/dev/full", "1", marks=needs_full),  # the results cannot be written
        pytest.param(">/dev/full 2>&1", "1", marks=needs_full),
    ],
)
def test_a_training_ends_with_its_own_code(tmp_path, redirection, code):
    codes, output = run_shell(f"$YISHENG {' '.join(TRAIN)} {redirection}", tmp_path)
    assert codes.split()[:2] == ["codes", code], output
    assert "Traceback" not in output
    finished_run(tmp_path)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("$YISHENG models | head -1", "0"),
        ("$YISHENG data list | true", "0"),
        ("$YISHENG nothing 2>&1 | true", "2"),
        ("$YISHENG nothing 2>/dev/full", "2"),
        ("$YISHENG data info nowhere 2>&-", "2"),
        pytest.param("$YISHENG models >/dev/full", "1", marks=needs_full),
        pytest.param("$YISHENG models >/dev/full 2>/dev/full", "1", marks=needs_full),
    ],
)
def test_listings_and_errors_keep_their_codes(tmp_path, command, code):
    codes, output = run_shell(command, tmp_path)
    assert codes.split()[:2] == ["codes", code], output
    assert "Traceback" not in output


@pytest.mark.slow
def test_fail_on_is_checked_although_nobody_reads(tmp_path):
    words = ["train", "data=iris", "model=mlp", "hidden=4", "epochs=3", "lr=1e-9", "fail_on=warning"]
    expected, _ = run_shell(f"$YISHENG {' '.join(words)} out=a", tmp_path)
    codes, _ = run_shell(f"$YISHENG {' '.join(words)} out=b 2>&1 | true", tmp_path)
    assert codes.split()[1] == expected.split()[1] == "6"


def wait_for_steps(folder, process):
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in folder.glob("runs/*/events.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def require_checkpoint(folder):
    (path,) = folder.glob("runs/*-iris-mlp")
    assert list((path / "checkpoint").glob("*.safetensors"))
    assert not list(path.rglob("*.part"))


@needs_terminals
def test_a_hangup_writes_a_checkpoint(tmp_path):
    process = subprocess.Popen([*YISHENG, *LONG], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_steps(tmp_path, process)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 129, err
    assert b"SIGHUP" in err
    require_checkpoint(tmp_path)


@needs_terminals
def test_a_closed_terminal_writes_a_checkpoint(tmp_path):
    import fcntl
    import pty
    import termios

    terminal, end = pty.openpty()

    def take_terminal():
        fcntl.ioctl(end, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [*YISHENG, *LONG],
        cwd=tmp_path,
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=take_terminal,  # this process has no threads that hold locks here
    )
    os.close(end)
    wait_for_steps(tmp_path, process)
    os.close(terminal)
    assert process.wait(timeout=120) == 129
    require_checkpoint(tmp_path)


@pytest.mark.slow
@needs_terminals
def test_nohup_keeps_training(tmp_path):
    words = ["nohup", *YISHENG, *LONG]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_steps(tmp_path, process)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143
    require_checkpoint(tmp_path)


@pytest.mark.slow
@needs_terminals
def test_a_run_killed_at_its_begin_can_be_resumed_or_is_not_there(tmp_path):
    """Kill trainings at many moments of their first second: what is in the folder of runs can be resumed."""
    earlier_names = set()
    for n in range(6):
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([*YISHENG, *TRAIN], cwd=tmp_path, **nowhere)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not new_names(tmp_path, earlier_names):
            time.sleep(0.002)
        time.sleep(0.01 * n)
        process.kill()
        process.wait()
        earlier_names |= new_names(tmp_path, earlier_names)
    for path in sorted((tmp_path / "runs").iterdir()):
        if not path.name.startswith("."):
            assert (path / "config.toml").is_file()
            assert (path / "environment.json").is_file()
    newest = sorted(path for path in (tmp_path / "runs").iterdir() if not path.name.startswith("."))[-1]
    completed = subprocess.run([*YISHENG, "resume", str(newest), "force=true"], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    subprocess.run([*YISHENG, *TRAIN], cwd=tmp_path, check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.name.startswith(".")] == []


def new_names(folder, earlier_names):
    runs = folder / "runs"
    return {path.name for path in runs.iterdir()} - earlier_names if runs.exists() else set()

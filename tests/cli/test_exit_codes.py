"""Every command under every condition that a shell, a disk or a signal can make: its exit code, and nothing lost.

The table in docs/reference.md says the same in words.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import list_tree
from yisheng.cli import main
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.model_card import MODEL_CARD

resource = pytest.importorskip("resource", reason="Windows has no such limits and shells")
YISHENG = f"{shlex.quote(sys.executable)} -m yisheng"
TRAIN_WITHOUT_LEARNING = "train data=iris model=linear optimizer=sgd lr=1e-12 epochs=2 boosting=false"
TRAIN = "train data=iris model=linear optimizer=sgd lr=0.1 epochs=2 boosting=false doctor=off"


@dataclass(frozen=True)
class Command:
    """A command, its code where nothing is in its way, and what it leaves.

    Args:
        words: after ``yisheng``.
        code: its exit code.
        prints: whether it prints results on standard output.
        leaves: a pattern of a path that is there afterwards; empty if none.
    """

    words: str
    code: int = 0
    prints: bool = True
    leaves: str = ""


COMMANDS = {
    "overview": Command("--help"),
    "listing": Command("models"),
    "runs": Command("runs ."),
    "one run": Command("models linear"),
    "json": Command("config data=iris --json"),
    "predict": Command("predict run rows=5,3,1,0"),
    "predict a file": Command("predict run rows.csv out=predictions.csv", leaves="predictions.csv"),
    "evaluate": Command("evaluate run"),
    "report": Command("report run"),
    "export": Command("export run format=safetensors out=model.safetensors", leaves="model.safetensors"),
    "draw": Command("data show digits n=2 out=a.png", leaves="a.png"),
    "train": Command(f"{TRAIN} out=new", leaves="new/0001-iris-linear/report.html"),
    "folds": Command(f"{TRAIN} folds=2 out=new", leaves="new/0001-*/cv.json"),
    "search": Command("tune data=iris model=linear lr=0.1,0.2 epochs=1 out=new", leaves="new/0001-*/best/model.json"),
    "usage error": Command("train epoch=3", code=2, prints=False),
    "data error": Command("predict nowhere rows=1", code=3, prints=False),
    "finding": Command(f"{TRAIN_WITHOUT_LEARNING} fail_on=warning out=new", code=6, leaves="new/0001-*/model.json"),
    "nobody to ask": Command("runs delete run", code=2, prints=False),
}
CONDITIONS = {
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "both closed": ">&- 2>&-",
    "stdin closed": "<&-",
    "all closed": "<&- >&- 2>&-",
    "no reader": "| true",
    "a reader of one line": "2>&1 | head -n 1",
    "no reader of errors": "2>&1 >/dev/null | true",
    "full stdout": ">/dev/full",
    "full stderr": "2>/dev/full",
    "full both": ">/dev/full 2>&1",
}
EVERY_CASE = os.environ.get("YISHENG_EVERY_CASE") == "1"
STREAM_CASES = [
    (name, condition)
    for row, name in enumerate(COMMANDS)
    for column, condition in enumerate(CONDITIONS)
    if EVERY_CASE or (row + column) % 6 == 0
]
"""A sixth of the pairs, in which every command and every condition occurs; all with YISHENG_EVERY_CASE=1."""
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def expected_code(command, condition):
    is_lost = "full" in condition and condition != "full stderr" and command.prints
    return 1 if is_lost and command.code == 0 else command.code


@pytest.fixture
def folder(run, workdir):
    """The folder in which a command runs: ``run`` is a finished run."""
    (workdir / "rows.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n" + "5,3,1,0\n6,3,5,2\n" * 100
    )
    return workdir


@pytest.mark.slow
@needs_full
@pytest.mark.parametrize(("name", "condition"), STREAM_CASES)
def test_streams_change_no_code_but_a_lost_result(folder, name, condition):
    command = COMMANDS[name]
    before = list_tree(folder / "run")
    code_file = folder.parent / "code"
    line = f"{YISHENG} {command.words} {CONDITIONS[condition]}; echo ${{PIPESTATUS[0]}} >{shlex.quote(str(code_file))}"
    shell = ["bash", "-c", line]
    completed = subprocess.run(shell, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    assert code_file.read_text().strip() == str(expected_code(command, condition)), completed.stderr
    assert "Traceback" not in completed.stdout + completed.stderr
    require_nothing_lost(folder, before)
    assert not command.leaves or list(folder.glob(command.leaves))


def require_nothing_lost(folder, before):
    """Check that the finished run is complete, and that there are no temporary files."""
    after = list_tree(folder / "run")
    assert before.keys() <= after.keys()
    written_again = {RunFolder.REPORT, MODEL_CARD, RunFolder.SCORES, RunFolder.EVALUATION, RunFolder.ENVIRONMENT}
    assert {name for name in before if before[name] != after[name]} <= written_again
    assert RunFolder(folder / "run").is_finished
    assert json.loads((folder / "run" / RunFolder.SCORES).read_text())
    assert [path for path in folder.rglob("*") if path.name.endswith(".part")] == []
    assert (folder / "precious.txt").read_text() == "do not touch"


WRITERS = {
    name: COMMANDS[name] for name in ("predict a file", "evaluate", "report", "export", "draw", "train", "folds")
}
WRITERS["search"] = COMMANDS["search"]
WRITERS["resume"] = Command("resume run epochs=3 force=true")  # the sources may have changed since
READERS = {name: COMMANDS[name] for name in ("listing", "runs", "json", "predict")}


@contextlib.contextmanager
def limit_file_size(size):
    """Refuse files above a size, in this process: a stand-in for quotas and small disks."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def require_two_lines(error):
    problem, remedy = error.rstrip().splitlines()[-2:]
    assert problem.startswith("yisheng: ")
    assert re.match(r"  \S.{5,}", remedy)
    assert "Traceback" not in error
    assert "defect" not in remedy
    return problem


@pytest.mark.parametrize("size", [0, 300, 2000])
@pytest.mark.parametrize("name", WRITERS)
def test_files_that_may_not_grow_end_with_1(folder, name, size, capsys):
    tree = list_tree(folder)
    with limit_file_size(size):
        code = main([*WRITERS[name].words.split(), "--quiet"])
    error = capsys.readouterr().err
    assert code == 1, error
    assert "larger than a file may be" in require_two_lines(error)
    require_old_files(folder, tree, name)
    assert main([*WRITERS[name].words.split(), "--quiet"]) == 0, capsys.readouterr().err
    assert not list(folder.rglob("*.part"))


def require_old_files(folder, tree, name):
    """Check that each old file is as it was, or complete and new, and that there are no temporary files."""
    after = list_tree(folder)
    assert tree.keys() <= after.keys()
    changed = {path for path in tree if tree[path] != after[path]}
    allowed = {"run/environment.json", "run/config.toml", "run/scores.json", "run/evaluation.json", "run/findings.json"}
    allowed |= {"run/events.jsonl", "run/history.csv"} if name == "resume" else set()
    assert changed <= allowed
    for path in changed:
        if path.endswith(".json"):
            json.loads((folder / path).read_text())
    assert [path for path in after if path.endswith(".part") and not path.endswith(".csv.part")] == []
    assert main(["predict", str(folder / "run"), "rows=5,3,1,0", "--quiet"]) == 0


@pytest.fixture
def read_only(folder, tmp_path):
    """The folder on a file system that cannot be written to."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root can mount a read-only disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a disk cannot be mounted here")
    try:
        shutil.copytree(folder, disk / "workdir")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk / "workdir"
    finally:
        os.chdir(tmp_path)
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", {**WRITERS, **READERS})
def test_a_read_only_disk_ends_with_1_where_something_is_written(read_only, name, monkeypatch, capfd):
    monkeypatch.chdir(read_only)
    tree = list_tree(read_only)
    code = main([*{**WRITERS, **READERS}[name].words.split(), "--quiet"])
    error = capfd.readouterr().err
    assert code == (1 if name in WRITERS else 0), error
    if name in WRITERS:
        assert "Read-only file system" in require_two_lines(error)
    assert list_tree(read_only) == tree


def run_with_permissions(words, folder):
    """Run a command for which the permissions of files count, as they do not for root."""
    command = [sys.executable, "-m", "yisheng", *words.split()]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("only setpriv takes root's right to ignore permissions")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def read_only_folder(folder):
    """The folder with permissions to read and not to write."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.slow
@pytest.mark.parametrize("name", {**WRITERS, **READERS})
def test_a_read_only_folder_ends_with_1_where_something_is_written(read_only_folder, name):
    completed = run_with_permissions(f"{({**WRITERS, **READERS})[name].words} --quiet", read_only_folder)
    assert completed.returncode == (1 if name in WRITERS else 0), completed.stderr
    if name in WRITERS:
        assert "Permission denied" in require_two_lines(completed.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("secret", "words", "code"),
    [
        ("run/model.safetensors", "predict run rows=5,3,1,0", 3),
        ("run/model.json", "predict run rows=5,3,1,0", 3),
        ("run/config.toml", "report run", 3),
        ("run", "predict run rows=5,3,1,0", 3),
        ("rows.csv", "predict run rows.csv", 3),
        ("rows.csv", "train data=rows.csv target=1", 3),
        ("rows.csv", "train config=rows.csv", 2),
    ],
)
def test_what_may_not_be_read_is_bad_data(read_only_folder, secret, words, code):
    (read_only_folder / secret).chmod(0o000)
    try:
        completed = run_with_permissions(words, read_only_folder)
    finally:
        (read_only_folder / secret).chmod(0o755)
    assert completed.returncode == code, completed.stderr
    require_two_lines(completed.stderr)


SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, "SIGKILL": -9}
LONG = {
    "train": "train data=digits model=mlp hidden=16 epochs=40 checkpoint_every=0.2 boosting=false out=new",
    "folds": "train data=digits model=mlp hidden=16 epochs=15 folds=2 checkpoint_every=0.2 boosting=false out=new",
    "search": "tune data=digits model=mlp hidden=8,16 epochs=15 executor=serial out=new",
}
RESULTS = ("model.safetensors", "scores.json", "fold-*/model.safetensors", "best/model.safetensors")


def read_results(folder):
    """Return the weights and scores of all that was trained."""
    (path,) = (folder / "new").glob("0*")
    results = sorted(result for pattern in RESULTS for result in path.glob(pattern))
    return {str(result.relative_to(path)): result.read_bytes() for result in results}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The results of each long command when nothing stops it, computed once when they are needed."""
    results = {}

    def get(name):
        if name not in results:
            folder = tmp_path_factory.mktemp("uninterrupted")
            words = [sys.executable, "-m", "yisheng", *LONG[name].split(), "--quiet"]
            subprocess.run(words, cwd=folder, check=True, capture_output=True)
            results[name] = read_results(folder)
        return results[name]

    return get


STOP_CASES = [(name, stop) for name in LONG for stop in SIGNALS if EVERY_CASE or name == "train" or stop == "SIGTERM"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stop"), STOP_CASES)
def test_a_stopped_training_is_resumed_to_the_same_bits(tmp_path, uninterrupted, name, stop):
    expected = uninterrupted(name)
    words = [sys.executable, "-m", "yisheng", *LONG[name].split()]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob("new/0*/**/*.jsonl")), process)
    process.send_signal(getattr(signal, stop))
    _, error = process.communicate(timeout=120)
    assert process.returncode == SIGNALS[stop], error
    assert "Traceback" not in error
    if stop != "SIGKILL":
        assert f"stopped by {stop}" in error
        assert re.search(r"yisheng resume \S+", error)
    (path,) = (tmp_path / "new").glob("0*")
    resumed = subprocess.run(
        [*words[:3], "resume", str(path), "force=true"], cwd=tmp_path, capture_output=True, text=True
    )
    assert resumed.returncode == 0, resumed.stderr
    assert read_results(tmp_path) == expected
    assert list(tmp_path.rglob("*.part")) == []


def wait_until(holds, process):
    deadline = time.monotonic() + 120
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("delay", [0.3, 1.0, 2.0, 3.0])
def test_other_commands_stop_without_leaving_anything(folder, stop, delay):
    before = list_tree(folder / "run")
    words = [sys.executable, "-m", "yisheng", "evaluate", "run"]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(delay)
    process.send_signal(getattr(signal, stop))
    _, error = process.communicate(timeout=60)
    number = getattr(signal, stop)
    assert process.returncode in (0, 128 + number, -number), error  # it may have ended, or not have begun
    require_nothing_lost(folder, before)
    assert subprocess.run(words, cwd=folder, capture_output=True).returncode == 0


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_removes_temporary_files(folder, stop, monkeypatch, capsys):
    from yisheng.inference.export import safetensors_file

    written = []

    def write(path, *_):
        path.write_bytes(b"half")
        written.append(path)
        signal.raise_signal(getattr(signal, stop))

    monkeypatch.setattr(safetensors_file, "write", write)
    handlers = [signal.getsignal(getattr(signal, name)) for name in SIGNALS]
    assert main(["export", "run", "format=safetensors", "out=a.safetensors"]) == SIGNALS[stop]
    assert f"yisheng: stopped by {stop}" in capsys.readouterr().err
    assert written
    assert not written[0].exists()
    assert not Path("a.safetensors").exists()
    assert [signal.getsignal(getattr(signal, name)) for name in SIGNALS] == handlers

"""Stopped, killed, continued: the run comes out as if nothing had happened."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError, UsageError
from yisheng.experiments.run import resume

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return yisheng.train(
        data="digits", model="mlp", epochs=3, checkpoint_every=0, out=tmp_path_factory.mktemp("r"), quiet=True
    ).path


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def test_killed_runs_end_with_the_same_bytes():
    """The quick version of ``benchmarks/kills.py``."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "kills.py"), "n=4"],
        capture_output=True,
        text=True,
        env={**os.environ},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) kills: every resumed run", done.stdout)[1]) >= 4


def test_a_finished_run_resumed_does_nothing_and_says_so(run):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    said = io.StringIO()
    assert resume(run, stream=said) == run
    assert "finished" in said.getvalue()
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_more_epochs_continue_and_say_what_the_schedule_does(run):
    said = io.StringIO()
    resume(run, epochs=5, stream=said)
    assert re.search(r"3 -> 5 epochs: the schedule one-cycle .* jumps from", said.getvalue())
    epochs = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in epochs if e["event"] == "epoch"] == [1, 2, 3, 4, 5]
    assert "epochs = 5" in (run / "config.toml").read_text()
    with pytest.raises(UsageError, match="5 or more"):
        resume(run, epochs=3, stream=said)


def test_evaluate_between_stop_and_resume_does_not_end_the_run(run):
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "finished": False}))
    yisheng.evaluate(run)
    said = io.StringIO()
    resume(run, stream=said)
    assert "continuing" in said.getvalue()
    assert json.loads((run / "environment.json").read_text())["finished"] is True


def test_a_run_that_stopped_early_cannot_be_made_longer_and_says_so(tmp_path):
    run = yisheng.train(data="digits", model="mlp", epochs=60, patience=1, lr=0.02, out=tmp_path, quiet=True).path
    config = (run / "config.toml").read_text()
    assert json.loads((run / "model.json").read_text())["best"]["epoch"] < 59
    with pytest.raises(UsageError, match="stopped early"):
        resume(run, epochs=80, stream=io.StringIO())
    assert (run / "config.toml").read_text() == config


def test_a_log_that_is_gone_is_told(run):
    stop(run)
    (run / "events.jsonl").unlink()
    with pytest.raises(DataError, match="a part of the log is gone"):
        resume(run, stream=io.StringIO())


@pytest.mark.parametrize(("said", "taken"), [(2, 2), (0, 1), (-3, 1), (10**6, 1), ("many", 1), (None, 1)])
def test_the_number_of_threads_is_that_of_the_beginning(run, said, taken):
    import torch

    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "threads": said}))
    stop(run)
    before, seen = torch.get_num_threads(), []

    class Said(io.StringIO):
        def write(self, text):
            seen.append(torch.get_num_threads())
            return super().write(text)

    resume(run, epochs=4, stream=Said())
    assert seen[-1] == taken
    assert torch.get_num_threads() == before


def stop(run):
    """Make a finished run look like one that was killed after its last checkpoint."""
    for name in ("scores.json", "evaluation.json", "report.html", "model.json", "model.safetensors"):
        (run / name).unlink()
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "finished": False}))


def test_a_run_killed_at_the_very_end_is_finished(run):
    before = (run / "model.safetensors").read_bytes()
    stop(run)
    resume(run, stream=io.StringIO())
    assert (run / "model.safetensors").read_bytes() == before
    assert (run / "report.html").exists()


def test_damaged_checkpoints_mean_from_the_beginning(run):
    before = (run / "model.safetensors").read_bytes()
    stop(run)
    for path in (run / "checkpoint").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    said = io.StringIO()
    resume(run, stream=said)
    assert "from the beginning: there is no whole checkpoint" in said.getvalue()
    assert (run / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("what", "error"), [("data", DataError), ("torch", UsageError), ("yisheng", UsageError), ("code", UsageError)]
)
def test_changed_data_or_code_is_refused_unless_told(run, what, error):
    stop(run)
    environment = json.loads((run / "environment.json").read_text())
    if what == "data":
        environment["data"]["sha256"] = "0" * 64
    else:
        environment[what] = "0.0.1"
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(error, match="force=true"):
        resume(run, stream=io.StringIO())
    resume(run, force=True, stream=io.StringIO())
    assert (run / "scores.json").exists()


def test_a_config_that_was_changed_by_hand_is_refused(run):
    stop(run)
    config = run / "config.toml"
    config.write_text(re.sub(r"hidden = \[\s*256,?\s*\]", "hidden = [9]", config.read_text()))
    with pytest.raises(DataError, match="of another model"):
        resume(run, stream=io.StringIO())


def test_two_processes_cannot_train_in_one_folder(run):
    from yisheng.core.run_folder import locked

    stop(run)
    with locked(run), pytest.raises(UsageError, match="another process"):
        resume(run, stream=io.StringIO())


def test_the_command(run, capsys, tmp_path):
    stop(run)
    assert main(["resume", str(run), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"run", "best", "scores"}
    assert main(["resume", str(tmp_path)]) == 3
    assert main(["resume"]) == 2
    assert main(["resume", str(run), "epochs=1"]) == 2
    assert main(["resume", str(run), "lr=1"]) == 2

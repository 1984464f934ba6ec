"""A run that was stopped or killed and then resumed ends as if it had never stopped."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.experiments import run_training
from yisheng.experiments.dispatch import resume
from yisheng.training.fit_assembly import fit_assembly

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
    completed = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "kills.py"), "n=4"],
        capture_output=True,
        text=True,
        env={**os.environ},
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert int(re.search(r"(\d+) kills: every resumed run", completed.stdout)[1]) >= 4


def test_a_finished_run_is_not_changed_and_a_message_says_so(run, caplog):
    contents = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert resume(run) == run
    assert "finished" in caplog.text
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == contents


def test_more_epochs_continue_and_a_message_describes_the_schedule(run, caplog):
    resume(run, epochs=5)
    assert re.search(r"3 -> 5 epochs: the schedule one-cycle .* jumps from", caplog.text)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2, 3, 4, 5]
    assert "epochs = 5" in (run / "config.toml").read_text()
    with pytest.raises(UsageError, match="5 or more"):
        resume(run, epochs=3)


def test_evaluate_between_stop_and_resume_does_not_finish_the_run(run, caplog):
    RunFolder(run).update_environment(finished=False)
    yisheng.evaluate(run)
    resume(run)
    assert "continuing" in caplog.text
    assert RunFolder(run).is_finished


def test_a_run_that_stopped_early_cannot_be_made_longer(tmp_path):
    run = yisheng.train(data="digits", model="mlp", epochs=60, patience=1, lr=0.02, out=tmp_path, quiet=True).path
    config = (run / "config.toml").read_text()
    assert json.loads((run / "model.json").read_text())["best"]["epoch"] < 59
    with pytest.raises(UsageError, match="stopped early"):
        resume(run, epochs=80)
    assert (run / "config.toml").read_text() == config


def test_a_missing_log_is_reported(run):
    make_unfinished(run)
    (run / "events.jsonl").unlink()
    with pytest.raises(DataError, match="log"):
        resume(run)


@pytest.mark.parametrize(("recorded", "used"), [(2, 2), (0, 1), (-3, 1), (10**6, 1), ("many", 1), (None, 1)])
def test_a_resumed_run_uses_the_recorded_number_of_threads(run, monkeypatch, recorded, used):
    RunFolder(run).update_environment(threads=recorded)
    make_unfinished(run)
    threads, used_threads = torch.get_num_threads(), []

    def fit(*arguments, **options):
        used_threads.append(torch.get_num_threads())
        return fit_assembly(*arguments, **options)

    monkeypatch.setattr(run_training, "fit_assembly", fit)
    resume(run, epochs=4)
    assert used_threads == [used]
    assert torch.get_num_threads() == threads


def make_unfinished(run):
    """Make a finished run look like one that was killed after its last checkpoint."""
    for name in ("scores.json", "evaluation.json", "report.html", "model.json", "model.safetensors"):
        (run / name).unlink()
    RunFolder(run).update_environment(finished=False)


def test_a_run_killed_after_its_last_update_is_finished(run):
    weights = (run / "model.safetensors").read_bytes()
    make_unfinished(run)
    resume(run)
    assert (run / "model.safetensors").read_bytes() == weights
    assert (run / "report.html").exists()


def test_a_run_with_damaged_checkpoints_begins_again(run, caplog):
    weights = (run / "model.safetensors").read_bytes()
    make_unfinished(run)
    for path in (run / "checkpoint").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    resume(run)
    assert "from the beginning: there is no intact checkpoint" in caplog.text
    assert (run / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("changed", "error"), [("data", DataError), ("torch", UsageError), ("yisheng", UsageError), ("code", UsageError)]
)
def test_changed_data_or_code_is_refused_without_force(run, changed, error):
    make_unfinished(run)
    environment = json.loads((run / "environment.json").read_text())
    if changed == "data":
        environment["data"]["sha256"] = "0" * 64
    else:
        environment[changed] = "0.0.1"
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(error, match="force=true"):
        resume(run)
    resume(run, force=True)
    assert (run / "scores.json").exists()


def test_a_config_with_another_network_is_refused(run):
    make_unfinished(run)
    config = run / "config.toml"
    config.write_text(re.sub(r"hidden = \[\s*256,?\s*\]", "hidden = [9]", config.read_text()))
    with pytest.raises(DataError, match="of another model"):
        resume(run)


def test_two_processes_cannot_train_in_one_folder(run):
    make_unfinished(run)
    with RunFolder(run).lock(), pytest.raises(UsageError, match="another process"):
        resume(run)


def test_the_command_resume_prints_the_scores_and_refuses_wrong_keys(run, capsys, tmp_path):
    make_unfinished(run)
    assert main(["resume", str(run), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"run", "best", "scores"}
    assert main(["resume", str(tmp_path)]) == 3
    assert main(["resume"]) == 2
    assert main(["resume", str(run), "epochs=1"]) == 2
    assert main(["resume", str(run), "lr=1"]) == 2

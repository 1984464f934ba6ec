"""``scratch=true``: a run from scratch, the library's run in its folder, and the comparison of both."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import yisheng
from yisheng.core.errors import DataError, StoppedError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import merge_settings
from yisheng.experiments import dispatch, run_training, scratch_comparison
from yisheng.experiments.dispatch import resume
from yisheng.reporting.scratch_comparison_schema import Difference
from yisheng.training.fit_assembly import fit_assembly

SETTINGS = {"data": "digits", "model": "mlp", "hidden": [24], "dropout": 0.2, "batch": 256, "log_every": 2}
RESULT_FILES = ("model.safetensors", "scores.json", "evaluation.json", "scratch_comparison.json", "config.toml")


def train(out, **settings):
    return yisheng.train(**{**SETTINGS, "epochs": 3, "scratch": True, **settings}, out=out, quiet=True).path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(tmp_path_factory.mktemp("r"), checkpoint_every=0)


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def compare(folder):
    return scratch_comparison.compare_runs(RunFolder(folder), RunFolder(folder / "library"))


def outcome(folder):
    paths = {f"{run}{name}": folder / run / name for run in ("", "library/") for name in RESULT_FILES}
    paths.pop("library/scratch_comparison.json")
    return {name: path.read_bytes() for name, path in paths.items()}


def test_both_forms_are_complete_runs_that_agree(finished):
    comparison = json.loads((finished / "scratch_comparison.json").read_text())
    assert comparison["epochs"] == [3, 3]
    logged_steps = sum('"event": "step"' in line for line in (finished / "events.jsonl").read_text().splitlines())
    assert comparison["steps"]["compared"] == logged_steps > 3
    assert comparison["training"]["compared"] == comparison["validation"]["compared"] == 3
    assert comparison["weights"]["compared"] == sum(
        v.numel() for v in load_file(finished / "model.safetensors").values()
    )
    for part in ("steps", "training", "validation", "weights"):
        assert 0 <= comparison[part]["relative"] < 1e-4, part
    assert json.loads((finished / "environment.json").read_text())["finished"] is True
    for run in (yisheng.load(finished), yisheng.load(finished / "library")):
        assert run.scores["test"]["accuracy"].value > 0.5
    assert "scratch = false" in (finished / "library" / "config.toml").read_text()
    assert 'id="scratch"' in (finished / "report.html").read_text()
    assert 'id="scratch"' not in (finished / "library" / "report.html").read_text()


def test_in_float64_both_forms_agree_to_rounding(tmp_path):
    run = train(tmp_path, precision="fp64", epochs=2)
    comparison = compare(run)
    assert max(comparison.steps.relative, comparison.training.relative, comparison.weights.relative) < 1e-11
    assert comparison.weights.absolute > 0  # they really are two forms


def test_the_librarys_run_is_the_same_as_without_scratch(finished, tmp_path):
    single = train(tmp_path, scratch=False, checkpoint_every=0)
    for name in ("model.safetensors", "scores.json"):
        assert (single / name).read_bytes() == (finished / "library" / name).read_bytes()


def test_the_last_message_describes_the_differences(tmp_path, caplog):
    settings = {**SETTINGS, "epochs": 1, "scratch": True}
    config = merge_settings((key, value, "command line") for key, value in settings.items()).config
    dispatch.train(config, out=tmp_path)
    message = caplog.messages[-1]
    assert message.startswith("from scratch and library: losses of ")
    assert " differ by at most " in message
    assert ", final weights by " in message


def test_the_model_predicts_without_the_code_from_scratch(finished):
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from yisheng.inference.predictor import Predictor\n"
        f"predictions = Predictor(Path({str(finished)!r})).predict(np.zeros((1, 1, 8, 8), np.uint8))\n"
        "used = [m for m in sys.modules if m.startswith(('yisheng.scratch', 'yisheng.train'))]\n"
        "print(len(predictions), used)"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (completed.returncode, completed.stdout) == (0, "1 []\n"), completed.stderr
    assert json.loads((finished / "model.json").read_text())["model"]["name"] == "mlp"


def make_unfinished(folder, *, library=None):
    """Make a finished run look like one that was killed; the library's run too, or not begun at all."""
    for name in ("scratch_comparison.json", "report.html"):
        (folder / name).unlink(missing_ok=True)
    RunFolder(folder).update_environment(finished=False)
    path = folder / "library"
    if library is None:
        shutil.rmtree(path)
        return
    RunFolder(path).update_environment(finished=False)
    for name in ("scores.json", "evaluation.json", "report.html", "model.json", "model.safetensors"):
        (path / name).unlink()
    if library == "broken":
        newest_checkpoint(path).unlink()
    elif library == "no checkpoint":
        for checkpoint in (path / "checkpoint").glob("*.safetensors"):
            checkpoint.unlink()


def newest_checkpoint(folder):
    return max((folder / "checkpoint").glob("*.safetensors"))


@pytest.mark.parametrize("library", [None, "broken", "no checkpoint", "complete"])
def test_a_run_killed_in_the_librarys_form_ends_with_the_same_files(copy, finished, library):
    make_unfinished(copy, library=library)
    resume(copy)
    assert outcome(copy) == outcome(finished)
    assert json.loads((copy / "environment.json").read_text())["finished"] is True


def test_a_run_killed_in_the_form_from_scratch_ends_with_the_same_files(copy, finished):
    make_unfinished(copy)
    newest_checkpoint(copy).unlink()
    for name in ("scores.json", "evaluation.json", "model.json", "model.safetensors"):
        (copy / name).unlink()
    resume(copy)
    assert outcome(copy) == outcome(finished)


def test_a_run_killed_in_the_comparison_is_not_trained_again(copy, finished):
    (copy / "scratch_comparison.json").unlink()
    RunFolder(copy).update_environment(finished=False)
    time_of_weights = (copy / "library" / "model.safetensors").stat().st_mtime_ns
    resume(copy)
    assert outcome(copy) == outcome(finished)
    assert (copy / "library" / "model.safetensors").stat().st_mtime_ns == time_of_weights


def test_a_finished_run_is_not_changed(copy):
    contents = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    resume(copy)
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == contents


def test_more_epochs_are_trained_in_both_forms(copy):
    resume(copy, epochs=4)
    assert json.loads((copy / "scratch_comparison.json").read_text())["epochs"] == [4, 4]
    assert "epochs = 4" in (copy / "library" / "config.toml").read_text()


def test_a_run_stopped_in_the_librarys_form_is_resumed(copy, finished, monkeypatch):
    make_unfinished(copy)

    def fit_and_interrupt(assembly, *arguments, **options):
        for event in fit_assembly(assembly, *arguments, **options):
            if event.epoch == 2 and not assembly.config.scratch:
                os.kill(os.getpid(), signal.SIGTERM)
            yield event

    monkeypatch.setattr(run_training, "fit_assembly", fit_and_interrupt)
    with pytest.raises(StoppedError, match="stopped by SIGTERM in the library's form") as caught:
        resume(copy)
    monkeypatch.undo()
    assert caught.value.remedy == f"continue with: yisheng resume {copy}"
    assert json.loads((copy / "environment.json").read_text())["finished"] is False
    assert "not compared" in (copy / "report.html").read_text()
    assert not (copy / "scratch_comparison.json").exists()
    resume(copy)
    assert outcome(copy) == outcome(finished)


@pytest.mark.slow
def test_a_killed_process_is_resumed_to_the_same_files(finished, tmp_path):
    words = [f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in SETTINGS.items()]
    command = [sys.executable, "-m", "yisheng", "train", *words, "epochs=3", "scratch=true", f"out={tmp_path}"]
    process = subprocess.Popen([*command, "checkpoint_every=0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list(tmp_path.glob("*/library/checkpoint/*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.002)
    process.kill()
    process.communicate()
    (folder,) = tmp_path.glob("0001-*")
    assert not (folder / "scratch_comparison.json").exists()
    resume(folder)
    assert outcome(folder) == outcome(finished)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 3}, "folds=3 trains many models"),
        ({"model": "tabm", "data": "iris"}, "model=tabm has no from-scratch form"),
        ({"precision": "bf16"}, "precision=bf16"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_before_a_folder_is_created(tmp_path, settings, message):
    settings = {"data": "digits", "epochs": 1, "scratch": True, **settings}
    with pytest.raises(UsageError, match=message):
        yisheng.train(**settings, out=tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


def test_pretrained_weights_are_refused(finished, tmp_path):
    with pytest.raises(UsageError, match="starts from random weights"):
        train(tmp_path, weights=str(finished))


def test_a_damaged_log_is_reported(copy):
    (copy / "library" / "events.jsonl").write_text("no json\n")
    with pytest.raises(DataError, match="damaged"):
        compare(copy)


def test_differences_of_known_logs(copy):
    for path, offset in ((copy, 0.0), (copy / "library", 0.25)):
        rows = [
            {"event": "step", "step": 2, "epoch": 0, "lr": 0.1, "loss": 1.0, "seconds": 0},
            {"event": "step", "step": 4, "epoch": 0, "lr": 0.1, "loss": 0.5 + offset, "seconds": 0},
            {"event": "epoch", "step": 5, "epoch": 1, "loss": 2.0, "scores": {"loss": "nan"}, "seconds": 0},
            {"event": "epoch", "step": 10, "epoch": 2, "loss": 2.0, "scores": {"loss": offset or "inf"}, "seconds": 0},
        ]
        (path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    comparison = compare(copy)
    assert comparison.steps == Difference(compared=2, absolute=0.25, relative=1 / 3, at=4)
    assert comparison.training == Difference(compared=2, absolute=0.0, relative=0.0, at=None)
    assert comparison.validation == Difference(compared=2, absolute=float("inf"), relative=float("inf"), at=2)
    assert not torch.isfinite(torch.tensor(comparison.validation.absolute))

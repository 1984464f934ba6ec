"""``scratch=true``: a run by hand, the library's beside it, and the comparison of both."""

import io
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
from yisheng.experiments import scratch_comparison
from yisheng.experiments.dispatch import resume
from yisheng.reporting.scratch_comparison_schema import Difference

SETTINGS = {"data": "digits", "model": "mlp", "hidden": [24], "dropout": 0.2, "batch": 256, "log_every": 2}
ENDS = ("model.safetensors", "scores.json", "evaluation.json", "scratch_comparison.json", "config.toml")


def train(out, **more):
    return yisheng.train(**{**SETTINGS, "epochs": 3, "scratch": True, **more}, out=out, quiet=True).path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("r"), checkpoint_every=0)


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / whole.name))


def outcome(folder):
    found = {f"{where}{name}": folder / where / name for where in ("", "library/") for name in ENDS}
    found.pop("library/scratch_comparison.json")
    return {name: path.read_bytes() for name, path in found.items()}


def test_both_forms_are_whole_runs_that_agree(whole):
    found = json.loads((whole / "scratch_comparison.json").read_text())
    assert found["epochs"] == [3, 3]
    logged = sum('"event": "step"' in line for line in (whole / "events.jsonl").read_text().splitlines())
    assert found["steps"]["compared"] == logged > 3
    assert found["training"]["compared"] == found["validation"]["compared"] == 3
    assert found["weights"]["compared"] == sum(v.numel() for v in load_file(whole / "model.safetensors").values())
    for part in ("steps", "training", "validation", "weights"):
        assert 0 <= found[part]["relative"] < 1e-4, part
    assert json.loads((whole / "environment.json").read_text())["finished"] is True
    for run in (yisheng.load(whole), yisheng.load(whole / "library")):
        assert run.scores["test"]["accuracy"].value > 0.5
    assert "scratch = false" in (whole / "library" / "config.toml").read_text()
    assert 'id="twin"' in (whole / "report.html").read_text()
    assert 'id="twin"' not in (whole / "library" / "report.html").read_text()


def test_in_float64_they_agree_far_beyond_single_precision(tmp_path):
    run = train(tmp_path, precision="fp64", epochs=2)
    found = scratch_comparison.compare(run, run / "library")
    assert max(found.steps.relative, found.training.relative, found.weights.relative) < 1e-11
    assert found.weights.absolute > 0  # two forms, not one twice


def test_the_librarys_run_is_the_one_without_scratch(whole, tmp_path):
    alone = train(tmp_path, scratch=False, checkpoint_every=0)
    for name in ("model.safetensors", "scores.json"):
        assert (alone / name).read_bytes() == (whole / "library" / name).read_bytes()


def test_the_last_line_tells_the_differences(tmp_path):
    said = io.StringIO()
    from yisheng.core.settings import merge_settings

    config = merge_settings([(k, v, "command line") for k, v in {**SETTINGS, "epochs": 1, "scratch": True}.items()]).config
    from yisheng.experiments.run import train as verb

    verb(config, out=tmp_path, stream=said)
    last = said.getvalue().splitlines()[-1]
    assert last.startswith("by hand against the library: losses of ")
    assert " differ by at most " in last
    assert ", final weights by " in last


def test_the_model_predicts_without_hand_written_code(whole):
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from yisheng.inference.predictor import Predictor\n"
        f"answers = Predictor(Path({str(whole)!r})).predict(np.zeros((1, 1, 8, 8), np.uint8))\n"
        "used = [m for m in sys.modules if m.startswith(('yisheng.scratch', 'yisheng.train'))]\n"
        "print(len(answers), used)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1 []\n"), done.stderr
    assert json.loads((whole / "model.json").read_text())["model"]["name"] == "mlp"


def stop(folder, *, library=None):
    """Make a finished run look like one that was killed; the library's run too, or not begun at all."""
    for name in ("scratch_comparison.json", "report.html"):
        (folder / name).unlink(missing_ok=True)
    unfinish(folder)
    path = folder / "library"
    if library is None:
        shutil.rmtree(path)
        return
    unfinish(path)
    for name in ("scores.json", "evaluation.json", "report.html", "model.json", "model.safetensors"):
        (path / name).unlink()
    if library == "broken":
        newest(path).unlink()
    elif library == "no checkpoint":
        for checkpoint in (path / "checkpoint").glob("*.safetensors"):
            checkpoint.unlink()


def unfinish(folder):
    environment = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps({**environment, "finished": False}))


def newest(folder):
    return max((folder / "checkpoint").glob("*.safetensors"))


@pytest.mark.parametrize("library", [None, "broken", "no checkpoint", "whole"])
def test_killed_in_the_librarys_form_it_ends_with_the_same_files(copy, whole, library):
    stop(copy, library=library)
    resume(copy)
    assert outcome(copy) == outcome(whole)
    assert json.loads((copy / "environment.json").read_text())["finished"] is True


def test_killed_by_hand_it_ends_with_the_same_files(copy, whole):
    stop(copy)
    newest(copy).unlink()
    for name in ("scores.json", "evaluation.json", "model.json", "model.safetensors"):
        (copy / name).unlink()
    resume(copy)
    assert outcome(copy) == outcome(whole)


def test_killed_while_comparing_nothing_is_trained_again(copy, whole):
    (copy / "scratch_comparison.json").unlink()
    unfinish(copy)
    before = (copy / "library" / "model.safetensors").stat().st_mtime_ns
    resume(copy)
    assert outcome(copy) == outcome(whole)
    assert (copy / "library" / "model.safetensors").stat().st_mtime_ns == before


def test_a_finished_run_resumed_does_nothing(copy):
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    resume(copy)
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


def test_more_epochs_are_more_for_both(copy):
    resume(copy, epochs=4)
    assert json.loads((copy / "scratch_comparison.json").read_text())["epochs"] == [4, 4]
    assert "epochs = 4" in (copy / "library" / "config.toml").read_text()


def test_a_signal_in_the_librarys_form_stops_the_run_and_it_goes_on(copy, whole):
    stop(copy)

    class Said(io.StringIO):
        def write(self, text):
            if text.startswith("epoch 3/3"):  # said by the library's form: the other's epochs are trained
                os.kill(os.getpid(), signal.SIGTERM)
            return super().write(text)

    with pytest.raises(StoppedError, match="stopped by SIGTERM in the library's form") as caught:
        resume(copy, stream=Said())
    assert caught.value.remedy == f"continue with: yisheng resume {copy}"
    assert json.loads((copy / "environment.json").read_text())["finished"] is False
    assert "has not come to its end, so the two are not compared" in (copy / "report.html").read_text()
    assert not (copy / "scratch_comparison.json").exists()
    resume(copy)
    assert outcome(copy) == outcome(whole)


@pytest.mark.slow
def test_killed_for_real_it_ends_with_the_same_files(whole, tmp_path):
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
    assert outcome(folder) == outcome(whole)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"folds": 3}, "folds=3 a study of many"),
        ({"model": "tabm", "data": "iris"}, "model=tabm has no from-scratch form"),
        ({"precision": "bf16"}, "precision=bf16"),
    ],
)
def test_refusals_come_before_any_folder(tmp_path, settings, said):
    given = {"data": "digits", "epochs": 1, "scratch": True, **settings}
    with pytest.raises(UsageError, match=said):
        yisheng.train(**given, out=tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


def test_weights_to_begin_with_are_refused(whole, tmp_path):
    with pytest.raises(UsageError, match="begins from the beginning"):
        train(tmp_path, weights=str(whole))


def test_a_damaged_log_is_told(copy):
    (copy / "library" / "events.jsonl").write_text("no json\n")
    with pytest.raises(DataError, match="damaged"):
        scratch_comparison.compare(copy, copy / "library")


def test_differences_are_those_of_the_numbers(copy):
    """Against numbers that were put there."""
    for path, offset in ((copy, 0.0), (copy / "library", 0.25)):
        rows = [
            {"event": "step", "step": 2, "epoch": 0, "lr": 0.1, "loss": 1.0, "seconds": 0},
            {"event": "step", "step": 4, "epoch": 0, "lr": 0.1, "loss": 0.5 + offset, "seconds": 0},
            {"event": "epoch", "step": 5, "epoch": 1, "loss": 2.0, "scores": {"loss": "nan"}, "seconds": 0},
            {"event": "epoch", "step": 10, "epoch": 2, "loss": 2.0, "scores": {"loss": offset or "inf"}, "seconds": 0},
        ]
        (path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = scratch_comparison.compare(copy, copy / "library")
    assert found.steps == Difference(compared=2, absolute=0.25, relative=1 / 3, at=4)
    assert found.training == Difference(compared=2, absolute=0.0, relative=0.0, at=None)
    assert found.validation == Difference(compared=2, absolute=float("inf"), relative=float("inf"), at=2)
    assert not torch.isfinite(torch.tensor(found.validation.absolute))

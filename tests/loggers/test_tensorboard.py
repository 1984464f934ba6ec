"""Runs in TensorBoard, read back by TensorBoard."""

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch import nn

import yisheng
from yisheng.core.errors import DataError, MissingPartError, NonFiniteError, StorageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.evaluation.scorer import make_scorer
from yisheng.experiments.dispatch import resume
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.loggers import image_grid
from yisheng.loggers.tensorboard import event_file, run_events
from yisheng.loggers.tensorboard.event_file import EventFile
from yisheng.loggers.tensorboard.graph import trace_graph
from yisheng.loggers.tensorboard.run_summary import convert_log, has_event_files
from yisheng.reporting.evaluation_schema import Mistake
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.setup import assemble

pytest.importorskip("tensorboard")
DIGITS = {"data": "digits", "model": "lenet", "epochs": 2, "log_every": 5, "quiet": True}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run with TensorBoard's files and without them."""
    out = tmp_path_factory.mktemp("runs")
    return [yisheng.train(**DIGITS, tensorboard=tensorboard, out=out).path for tensorboard in (True, False)]


@pytest.fixture(scope="module")
def board(runs):
    return read_board(runs[0] / "tensorboard")


def read_board(folder):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    board = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    board.Reload()
    return board


def curve(board, tag):
    exists = tag in board.Tags()["scalars"]
    return [(event.step, event.value) for event in board.Scalars(tag)] if exists else []


def read_log(folder, kind):
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == kind]


def to_single_precision(values):
    """Return values as TensorBoard stores them."""
    return [(step, pytest.approx(value, rel=1e-6)) for step, value in values]


def decode_image(board, tag):
    (event,) = board.Images(tag)
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))


def test_tensorboard_changes_no_bit_of_the_training(runs, tmp_path):
    dropout = {"data": "iris", "model": "mlp", "hidden": [16], "dropout": 0.5, "epochs": 3, "quiet": True}
    pairs = [
        runs,
        [yisheng.train(**dropout, tensorboard=tensorboard, out=tmp_path).path for tensorboard in (True, False)],
    ]
    for first, second in pairs:
        assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
        assert [e["loss"] for e in read_log(first, "step")] == [e["loss"] for e in read_log(second, "step")]
    assert not (runs[1] / "tensorboard").exists()


def test_scalars_equal_the_log(runs, board):
    steps, epochs = (read_log(runs[0], kind) for kind in ("step", "epoch"))
    assert len(steps) > 10
    assert curve(board, "loss/batch") == to_single_precision((e["step"], e["loss"]) for e in steps)
    assert curve(board, "lr") == to_single_precision((e["step"], e["lr"]) for e in steps)
    assert curve(board, "loss/training") == to_single_precision((e["step"], e["loss"]) for e in epochs)
    assert curve(board, "loss/validation") == to_single_precision((e["step"], e["scores"]["loss"]) for e in epochs)
    assert curve(board, "score/accuracy") == to_single_precision((e["step"], e["scores"]["accuracy"]) for e in epochs)
    assert curve(board, "epoch") == [(e["step"], e["epoch"]) for e in epochs]


def test_the_doctors_curves_equal_the_findings(runs, board):
    curves = json.loads((runs[0] / "findings.json").read_text())["curves"]
    for kind, tag in [("gradients", "gradient"), ("updates", "update"), ("dead", "dead")]:
        assert curves[kind]
        for line in curves[kind]:
            expected = [(s, v) for s, v in zip(curves["steps"], line["values"], strict=True) if v is not None]
            assert curve(board, f"doctor-{tag}/{line['name']}") == to_single_precision(expected)


def test_histograms_are_of_weights_and_of_the_last_gradients_of_an_epoch(tmp_path):
    """With one update in one epoch the gradient can be computed here."""
    settings = {"data": "iris", "model": "mlp", "hidden": [8], "epochs": 1, "batch": 1000}
    run = yisheng.train(**settings, tensorboard=True, out=tmp_path, quiet=True).path
    board, weights = read_board(run / "tensorboard"), load_file(run / "model.safetensors")
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    data = load_dataset(config)
    assembly = assemble(config, data, split_dataset(config, data), torch.device("cpu"))
    (batch,) = assembly.train.epoch(0)
    assembly.state.model.train()
    assembly.loss(assembly.state.model(batch.x), batch.y).mean().backward()
    gradients = {name: p.grad.numpy() for name, p in assembly.state.model.named_parameters()}
    assert set(board.Tags()["histograms"]) == {f"{k}/{n}" for k in ("weights", "gradients") for n in gradients}
    for kind, tensors in (("weights", weights), ("gradients", gradients)):
        for name in gradients:
            (event,) = board.Histograms(f"{kind}/{name}")
            histogram, values = event.histogram_value, tensors[name].astype(np.float64).ravel()
            assert (event.step, histogram.num) == (1, values.size)
            assert (histogram.min, histogram.max) == pytest.approx((values.min(), values.max()), rel=1e-4, abs=1e-7)
            assert histogram.sum == pytest.approx(values.sum(), rel=1e-4, abs=1e-6)
            assert histogram.sum_squares == pytest.approx((values**2).sum(), rel=1e-4)
            limits = np.array(histogram.bucket_limit)
            counts = np.histogram(values, limits)[0]
            assert sum(histogram.bucket) == values.size
            assert np.abs(np.cumsum(counts) - np.cumsum(histogram.bucket[1:])).max() <= 1  # a value equal to a limit


def test_a_long_run_has_about_fifty_histograms(tmp_path):
    run = yisheng.train(data="iris", model="linear", epochs=120, tensorboard=True, out=tmp_path, quiet=True).path
    board = read_board(run / "tensorboard")
    for tag in board.Tags()["histograms"]:
        assert 40 <= len(board.Histograms(tag)) <= 52
    steps = [event.step for event in board.Histograms("gradients/output.weight")]
    steps_per_epoch = read_log(run, "epoch")[0]["step"]
    assert steps[0] == steps_per_epoch
    assert steps[-1] == 120 * steps_per_epoch


def test_histograms_of_unusual_tensors(tmp_path):
    file = EventFile(tmp_path)
    values = {
        "constant": torch.full((5,), 3.0),
        "zero": torch.zeros(4),
        "gaps": torch.tensor([1.0, float("nan"), float("inf"), 2.0]),
        "large": torch.arange(2_500_000, dtype=torch.float64),
        "half": torch.linspace(-1, 1, 10, dtype=torch.bfloat16),
        "nothing": torch.zeros(0),
        "no number": torch.tensor([float("nan")]),
    }
    for name, tensor in values.items():
        file.histogram(name, tensor, 1)
    file.close()
    board = read_board(tmp_path)
    assert sorted(board.Tags()["histograms"]) == ["constant", "gaps", "half", "large", "zero"]
    counts = {tag: sum(board.Histograms(tag)[0].histogram_value.bucket) for tag in board.Tags()["histograms"]}
    assert counts == {"constant": 5, "gaps": 2, "half": 10, "large": 833_334, "zero": 4}


def test_images_are_a_training_batch_and_the_worst_mistakes(runs, board):
    assert set(board.Tags()["images"]) == {"images/training", "images/worst test mistakes"}
    data = yisheng.data.load("digits")
    grid = decode_image(board, "images/training")
    cells = [grid[2:66, 2 + 66 * i : 66 + 66 * i] for i in range(3)]
    for cell in cells:  # each is an image of the data, enlarged eight times
        pixels = cell[::8, ::8, 0]
        assert np.array_equal(pixels.repeat(8, 0).repeat(8, 1), cell[..., 0])
        assert np.abs(data.x[:, 0].astype(int) - pixels.astype(int)).max((1, 2)).min() <= 1
    worst = json.loads((runs[0] / "evaluation.json").read_text())["worst"]
    mistakes = decode_image(board, "images/worst test mistakes")
    first = np.asarray(Image.open(io.BytesIO(base64.b64decode(worst[0]["image"]))).convert("RGB"))
    factor = 64 // max(first.shape[:2])
    enlarged = first.repeat(factor, 0).repeat(factor, 1)
    assert np.array_equal(mistakes[2 : 2 + enlarged.shape[0], 2 : 2 + enlarged.shape[1]], enlarged)


def test_grids_of_unusual_images():
    floats = np.array([[[[np.nan, -1.0], [3.0, np.inf]]]])
    assert image_grid.draw_batch_grid(floats)[[2, 40, 60], [60, 2, 2], 0].tolist() == [0, 255, 255]
    assert image_grid.draw_batch_grid(np.zeros((3, 5, 200, 100), np.float32)).shape == (2 * 202 + 2, 2 * 102 + 2, 3)
    broken = Mistake(image="iVBORw0KGgo=")
    assert image_grid.draw_mistake_grid([broken, Mistake()], [("字", "b"), ("a", "b")]) is None


def test_the_graph_names_the_layers(runs, board):
    names = [node.name for node in board.Graph().node]
    layers = {name.rpartition(".")[0] for name in load_file(runs[0] / "model.safetensors")}
    assert layers
    for layer in layers:
        assert any(f"[{layer}]" in name for name in names), layer


def test_a_network_that_cannot_be_traced_is_trained_without_graph(tmp_path, caplog):
    class Untraceable(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            if torch.jit.is_tracing():
                raise RuntimeError("not me")
            return self.inner(x)

    config = merge_settings(
        [(k, v, "command line") for k, v in {"data": "iris", "model": "linear", "epochs": 2}.items()]
    ).config
    data = load_dataset(config)
    assembly = assemble(config, data, split_dataset(config, data), torch.device("cpu"))
    assembly.state.model = Untraceable(assembly.state.model)
    for _ in run_events.write_events(fit_assembly(assembly, make_scorer), tmp_path, assembly):
        pass
    assert "TensorBoard shows no graph of linear: RuntimeError: not me" in caplog.text
    assert read_board(tmp_path / "tensorboard").Tags()["graph"] is False
    assert len(read_board(tmp_path / "tensorboard").Scalars("loss/training")) == 2


def test_config_and_final_scores_are_a_session_of_hparams(runs):
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    session = read_board(runs[0] / "tensorboard" / "hparams")
    scores = json.loads((runs[0] / "scores.json").read_text())
    for part in ("test", "validation"):
        for name, score in scores[part].items():
            ((_, value),) = curve(session, f"{part}/{name}")
            assert value == pytest.approx(score["value"])
    content = session.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    setting = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert setting["epochs"].number_value == 2
    assert setting["model"].string_value == "lenet"
    assert setting["optimizer.lr"].number_value > 0
    assert not {"tensorboard", "doctor", "device"} & set(setting)
    assert metadata.SESSION_END_INFO_TAG in session.summary_metadata


def test_a_longer_run_continues_the_curves(runs, tmp_path):
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    resume(run, epochs=4, force=True)
    board = read_board(run / "tensorboard")
    for tag, kind in (("loss/batch", "step"), ("loss/training", "epoch")):
        assert curve(board, tag) == to_single_precision((e["step"], e["loss"]) for e in read_log(run, kind))
    for tag in board.Tags()["scalars"]:
        steps = [step for step, _ in curve(board, tag)]
        assert steps == sorted(set(steps)), tag
    assert len(board.Histograms("weights/output.weight")) == 4
    assert len(read_board(run / "tensorboard" / "hparams").Scalars("test/accuracy")) == 1
    assert len(board.Images("images/training")) == len(board.Images("images/worst test mistakes")) == 1


def test_curves_of_a_killed_run_are_completed_from_the_log(runs, tmp_path):
    """Events after the checkpoint are purged, events before it that were not written are taken from the log."""
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    (first,) = (path for path in (run / "tensorboard").glob("events*") if path.suffix != ".end")
    last_step = read_log(run, "epoch")[-1]["step"]
    lost_bytes = len(first.read_bytes()) // 2
    first.write_bytes(first.read_bytes()[:-lost_bytes])
    truncated = read_board(run / "tensorboard")
    assert len(curve(truncated, "loss/training")) < 2
    file = EventFile(run / "tensorboard")
    file.scalars({"loss/batch": 99.0, "loss/training": 99.0}, last_step + 5)
    file.close()
    resume(run, epochs=3, force=True)
    board = read_board(run / "tensorboard")
    for tag, kind in (("loss/batch", "step"), ("loss/training", "epoch")):
        assert curve(board, tag) == to_single_precision((e["step"], e["loss"]) for e in read_log(run, kind))


def test_an_epoch_end_that_is_not_in_the_checkpoint_is_written_again(tmp_path):
    """The run stopped between the last update of an epoch and its end, but the file has both."""
    settings = {"data": "iris", "model": "linear", "batch": 30, "log_every": 1, "epochs": 3}
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    data = load_dataset(config)
    assembly = assemble(config, data, split_dataset(config, data), torch.device("cpu"))
    last_step = len(assembly.train)
    file = EventFile(tmp_path / "tensorboard")
    for step in range(1, last_step + 1):
        file.scalars({"loss/batch": 9.0}, step)
    file.scalars({"loss/training": 9.0}, last_step)
    file.close()
    steps = [{"event": "step", "step": step, "epoch": 0, "lr": 1.0, "loss": 9.0} for step in range(1, last_step + 1)]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    for event in fit_assembly(assembly, make_scorer):
        if event.step == last_step:
            break
    for _ in run_events.write_events(fit_assembly(assembly, make_scorer), tmp_path, assembly):
        pass
    board = read_board(tmp_path / "tensorboard")
    assert [step for step, _ in curve(board, "loss/batch")] == list(range(1, 3 * last_step + 1))
    assert [step for step, _ in curve(board, "loss/training")] == [last_step, 2 * last_step, 3 * last_step]
    assert curve(board, "loss/training")[0][1] != 9.0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_the_curves_of_a_killed_process_are_complete_after_resume(tmp_path):
    words = ["train", "data=iris", "model=mlp", "hidden=8", "epochs=60", "checkpoint_every=0", "log_every=1"]
    command = [sys.executable, "-m", "yisheng", *words, "tensorboard=true", f"out={tmp_path}", "--quiet"]
    child = subprocess.Popen(command)
    log = tmp_path / "0001-iris-mlp" / "events.jsonl"
    while child.poll() is None and not (log.is_file() and log.read_text().count('"epoch", ') > 5):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    resume(log.parent, force=True)
    board = read_board(log.parent / "tensorboard")
    for tag, kind in (("loss/batch", "step"), ("loss/training", "epoch")):
        assert curve(board, tag) == to_single_precision((e["step"], e["loss"]) for e in read_log(log.parent, kind))
    assert len(curve(board, "loss/training")) == 60


def test_a_new_event_file_sorts_after_existing_ones(tmp_path):
    (tmp_path / "events.out.tfevents.1999999999.host.123.0").write_bytes(b"")  # written when the clock was wrong
    event_files = [EventFile(tmp_path) for _ in range(3)]
    for file in event_files:
        file.close()
    names = [file.path.name for file in event_files]
    assert names == sorted(names)
    assert sorted(tmp_path.iterdir())[0].name == "events.out.tfevents.1999999999.host.123.0"


def test_a_run_without_event_files_is_converted_from_its_log(runs, board, tmp_path):
    converted = read_board(convert_log(runs[1], tmp_path / "out"))
    for tag in (
        "loss/batch",
        "lr",
        "loss/training",
        "loss/validation",
        "score/accuracy",
        "doctor-dead/after norm1.weight",
    ):
        assert curve(converted, tag) == curve(board, tag)
    assert converted.Tags()["images"] == ["images/worst test mistakes"]
    convert_log(runs[1], tmp_path / "out")
    assert len(curve(read_board(tmp_path / "out"), "loss/training")) == 2
    assert not has_event_files(runs[1])
    assert has_event_files(runs[0])
    with pytest.raises(DataError):
        convert_log(tmp_path / "nowhere", tmp_path / "out2")


def test_a_run_that_breaks_off_has_event_files(tmp_path):
    with pytest.raises(NonFiniteError):
        yisheng.train(data="diabetes", model="linear", lr=1e30, epochs=3, tensorboard=True, out=tmp_path, quiet=True)
    (run,) = tmp_path.iterdir()
    assert read_board(run / "tensorboard").Tags()["graph"]
    assert (run / "history.csv").is_file()


def test_runs_on_tables_from_scratch_and_in_folds(tmp_path):
    """Rows have no images; the run from scratch, the library's run and each fold have their own files."""
    scratch = yisheng.train(
        data="iris", model="mlp", epochs=1, scratch=True, tensorboard=True, out=tmp_path, quiet=True
    )
    for folder in (scratch.path, scratch.path / "library"):
        tags = read_board(folder / "tensorboard").Tags()
        assert not tags["images"]
        assert "loss/training" in tags["scalars"]
    cross_validation = yisheng.train(
        data="iris", model="linear", epochs=1, folds=2, tensorboard=True, out=tmp_path, quiet=True
    )
    assert len(list(cross_validation.path.glob("fold-*/tensorboard/events*.end"))) == 2


def test_without_tensorboard_no_folder_is_created(tmp_path, monkeypatch):
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingPartError, match="needs TensorBoard"):
        yisheng.train(data="iris", tensorboard=True, out=tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        EventFile(tmp_path / "file" / "in")


def test_history_csv_holds_the_epochs_of_the_log(runs):
    table = pd.read_csv(runs[1] / "history.csv")
    epochs = read_log(runs[1], "epoch")
    assert list(table.columns) == [
        *("epoch", "step", "seconds", "lr", "training_loss", "validation_loss", "validation_accuracy"),
    ]
    assert table["training_loss"].tolist() == [e["loss"] for e in epochs]
    assert table["validation_accuracy"].tolist() == [e["scores"]["accuracy"] for e in epochs]
    assert table[["epoch", "step"]].to_numpy().tolist() == [[e["epoch"], e["step"]] for e in epochs]


def test_damaged_event_files_are_skipped(tmp_path):
    (tmp_path / "events.out.tfevents.1000000000.a").write_bytes(b"damaged")
    file = EventFile(tmp_path)
    file.scalars({"a": 1.0}, 1)
    file.close()
    assert [v.tag for event in event_file.read_events(tmp_path) for v in event.summary.value] == ["a"]


@pytest.mark.parametrize("model", ["lenet", "resnet18", "squeezenet1-1", "embedded-mlp", "tabm"])
def test_tracing_the_graph_does_not_change_the_network(model):
    shape = (4,) if model in ("embedded-mlp", "tabm") else (3, 64, 64)
    net = yisheng.models.build(model, Spec("classification", shape, ("a", "b")))
    calls = []
    net.register_forward_hook(lambda *_: calls.append(1))
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    assert len(trace_graph(net, torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)))) > 1000
    assert net.training
    assert not calls
    assert torch.equal(state, torch.get_rng_state())
    for name, value in net.state_dict().items():
        assert torch.equal(value, weights[name]), name

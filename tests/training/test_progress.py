"""The progress callback: bar, lines, and the live plot in a real notebook kernel."""

import io
from dataclasses import replace

import nbformat
import pytest
from nbclient import NotebookClient

from tests.training.small_training import epoch_end, fit_small, make_training, step_end
from yisheng.core.events import EpochEnd
from yisheng.training import callbacks, live_curves, progress


@pytest.mark.parametrize("display", ["log", "terminal"])
def test_progress_passes_every_event_and_shows_the_last_epoch(display):
    state, train, valid = make_training()
    stream = io.StringIO()
    events = callbacks.keep_best(fit_small(state, train, valid, 3), state, score="accuracy", higher_is_better=True)
    shown = progress.ShownTraining(state, epochs=3, steps_per_epoch=len(train), score="accuracy")
    events = progress.show_progress(events, shown, stream, display)
    assert sum(1 for _ in events) == 3 * len(train) + 3
    text = stream.getvalue()
    assert ("epoch 3/3" if display == "log" else "%") in text
    if display == "log":
        assert "accuracy" in text


def test_bar_fits_on_80_columns():
    event = EpochEnd(9999, 100, 0.12345, {"loss": 0.12345, "precision_macro": 0.98765})
    text = progress._describe_briefly(event, 1000, "precision_macro")
    assert text == "100/1000 loss 0.123 precision-ma 0.9877"
    assert len(text) + len(" || 100% 00:00<00:00") <= 65  # 15 columns are left for the bar


def test_run_that_ends_early_shows_its_last_epoch():
    state, _, _ = make_training()
    stream = io.StringIO()
    shown = progress.ShownTraining(state, epochs=9, steps_per_epoch=1, score="accuracy")
    list(progress.show_progress(iter([epoch_end(1, 0.5)]), shown, stream, "log"))
    assert "epoch 1/9" in stream.getvalue()


@pytest.mark.slow
def test_notebook_shows_curves_that_are_updated_in_place(tmp_path):
    code = f"import yisheng\nrun = yisheng.train(data='iris', epochs=4, out={str(tmp_path)!r})\nrun"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = notebook.cells[0].outputs
    images = [o for o in outputs if "image/svg+xml" in o.get("data", {})]
    assert len(images) == 1  # one display, redrawn
    assert "validation" in images[0]["data"]["image/svg+xml"]
    assert any("accuracy" in o.get("data", {}).get("text/html", "") for o in outputs)  # the run itself


def test_curves_show_steps_before_the_first_epoch_and_a_single_epoch():
    steps_only = live_curves._draw_curves({}, [(0.1, 2.0), (0.2, 1.0)], 0, 4)
    assert "loss of a step" in steps_only
    one_epoch = live_curves._draw_curves({"training loss": [1.0], "validation accuracy": [0.5]}, [], 1, 4)
    assert "validation accuracy" in one_epoch
    assert "loss of a step" not in one_epoch


def log_lines(monkeypatch, seconds_per_step, *, epochs=4, steps=50, total_epochs=None, **options):
    """Return the lines of the log of a training whose steps take a fixed time."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    state, _, _ = make_training()

    def events():
        for epoch in range(epochs):
            for step in range(steps):
                clock[0] += seconds_per_step
                yield replace(step_end(epoch * steps + step + 1), epoch=epoch)
            yield replace(epoch_end(epoch + 1, 0.5), step=(epoch + 1) * steps)

    stream = io.StringIO()
    shown = progress.ShownTraining(state, total_epochs or epochs, steps, score="accuracy", **options)
    list(progress.show_progress(events(), shown, stream, "log"))
    return stream.getvalue().splitlines()


def test_time_of_a_training_that_may_stop_is_the_longest(monkeypatch):
    lines = log_lines(monkeypatch, 0.5, may_stop=True)
    assert lines[0] == "epoch 1/4  loss 1  step 21/200  at most 90 s left"


def test_log_of_a_training_within_a_time_shows_what_is_left_of_it(monkeypatch):
    lines = log_lines(monkeypatch, 0.5, time_limit=60.0)
    assert lines[0] == "epoch 1/4  loss 1  step 21/200  at most 50 s left"


def test_bar_of_a_training_within_a_time_shows_the_time():
    state, _, _ = make_training()
    stream = io.StringIO()
    shown = progress.ShownTraining(state, epochs=9, steps_per_epoch=1, score="accuracy", time_limit=60.0)
    list(progress.show_progress(iter([replace(step_end(1), epoch=0)]), shown, stream, "terminal"))
    assert "00:00/01:00" in stream.getvalue()


def test_lines_of_a_log_have_steps_loss_score_and_the_remaining_time(monkeypatch):
    lines = log_lines(monkeypatch, 0.5)
    assert lines[0] == "epoch 1/4  loss 1  step 21/200  about 90 s left"
    epochs = [line for line in lines if "training loss" in line]
    assert len(epochs) == 4
    assert epochs[0].startswith("epoch 1/4  training loss 0.5")
    assert "accuracy" in epochs[0]
    assert epochs[0].endswith("step 50/200  about 75 s left")
    assert epochs[-1].endswith("step 200/200")


def test_a_long_training_has_few_lines_and_a_short_one_its_last(monkeypatch):
    assert len(log_lines(monkeypatch, 0.001, epochs=1000, steps=10)) <= 6
    assert len(log_lines(monkeypatch, 40.0, epochs=50, steps=100)) < 500  # more than two days
    assert len(log_lines(monkeypatch, 1e-6)) == 1
    stopped_early = log_lines(monkeypatch, 1e-6, total_epochs=100)
    assert len(stopped_early) == 1
    assert stopped_early[0].startswith("epoch 4/100")

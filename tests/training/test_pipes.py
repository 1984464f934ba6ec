import io
import json
import math

import pytest
import rig
import torch

from yisheng.core.errors import StorageError
from yisheng.core.types import Batch, EpochEnd, StepEnd
from yisheng.training import callbacks, event_log, progress

BATCH = Batch(torch.zeros(3, 1), torch.zeros(3), torch.tensor([4, 8, 15]))


def stepped(step, loss=1.0):
    return StepEnd(step, 0, 0.1, torch.tensor(loss), BATCH)


def epoched(epoch, value, name="accuracy"):
    return EpochEnd(epoch * 10, epoch, 0.5, {} if value is None else {name: value})


def some_state():
    return rig.make()[0]


@pytest.mark.parametrize(
    ("values", "higher", "best"),
    [
        ([0.1, 0.5, 0.4, 0.5], True, 2),
        ([0.1, 0.5, 0.4, 0.05], False, 4),
        ([math.nan, 0.5, math.nan, 0.4], True, 2),
        ([math.nan, math.nan], True, 2),
        ([None, None, None], True, 3),
        ([0.5, 0.5, 0.5], False, 1),
    ],
)
def test_the_best_epoch_is_kept_with_its_weights(values, higher, best):
    state = some_state()
    copies = {}
    for event in callbacks.keep_best(
        iter([epoched(n, v) for n, v in enumerate(values, 1)]), state, score="accuracy", higher=higher
    ):
        if state.best.epoch == event.epoch:
            copies[event.epoch] = float(state.best.weights["0.weight"].sum())
        with torch.no_grad():
            state.model[0].weight += 1
    assert state.best.epoch == best
    assert float(state.best.weights["0.weight"].sum()) == copies[best]


def test_early_stopping_stops_and_a_continued_run_stays_stopped():
    state = some_state()
    values = [0.1, 0.5, 0.4, 0.4, 0.4, 0.9]

    def run(start=0):
        events = iter([epoched(n, v) for n, v in enumerate(values, 1)][start:])
        events = callbacks.keep_best(events, state, score="accuracy", higher=True)
        for event in callbacks.stop_early(events, state, 2):
            state.epoch = event.epoch
            yield event.epoch

    assert list(run()) == [1, 2, 3, 4]
    assert list(run(4)) == []


def test_the_log_holds_every_nth_step_and_cuts_what_a_killed_run_left(tmp_path):
    path = tmp_path / "events.jsonl"
    log = event_log.EventLog(path)
    events = [stepped(n, float(n)) for n in range(1, 6)] + [epoched(1, math.nan)]
    assert list(event_log.log_events(iter(events), log, every=2, clock=lambda: 1.0)) == events
    length = log.flush()
    log.add({"event": "step"})
    log.close()
    assert path.stat().st_size > length
    log = event_log.EventLog(path, length)
    log.add({"event": "more"})
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("step") for line in lines] == [2, 4, 10, None]
    assert lines[0] == {"event": "step", "step": 2, "epoch": 0, "lr": 0.1, "seconds": 1.0, "loss": 2.0}
    assert lines[2]["scores"] == {"accuracy": "nan"}


def test_a_full_disk_under_the_log_is_told(tmp_path):
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    log = event_log.EventLog(tmp_path / "events.jsonl")
    log.add({"event": "x"})
    with pytest.raises(StorageError, match="no space left"):
        log.flush()
    log.close()


def test_checkpoints_come_by_the_clock():
    saves = []
    list(callbacks.save_checkpoints(iter([stepped(n) for n in range(5)]), lambda: saves.append(1), every=0))
    assert len(saves) == 5
    list(callbacks.save_checkpoints(iter([stepped(n) for n in range(5)]), lambda: saves.append(1), every=1000))
    assert len(saves) == 5


@pytest.mark.parametrize("where", ["log", "terminal"])
def test_progress_passes_every_event_and_tells_of_the_last_epoch(where):
    state, train, valid = rig.make()
    stream = io.StringIO()
    events = callbacks.keep_best(rig.events(state, train, valid, 3), state, score="accuracy", higher=True)
    shown = progress.show_progress(
        events, state, epochs=3, steps_per_epoch=len(train), score="accuracy", stream=stream, display=where
    )
    assert sum(1 for _ in shown) == 3 * len(train) + 3
    said = stream.getvalue()
    assert ("epoch 3/3" if where == "log" else "%") in said
    if where == "log":
        assert "accuracy" in said


def test_a_bar_fits_on_80_columns():
    event = EpochEnd(9999, 100, 0.12345, {"loss": 0.12345, "precision_macro": 0.98765})
    text = progress._describe_briefly(event, 1000, "precision_macro")
    assert text == "100/1000 loss 0.123 precision-ma 0.9877"
    assert len(text) + len(" || 100% 00:00<00:00") <= 65  # which leaves 15 columns for the bar


def test_a_run_that_ends_early_tells_of_its_last_epoch():
    state = some_state()
    stream = io.StringIO()
    list(
        progress.show_progress(
            iter([epoched(1, 0.5)]), state, epochs=9, steps_per_epoch=1, score="accuracy", stream=stream, display="log"
        )
    )
    assert "epoch 1/9" in stream.getvalue()


def test_of_epochs_with_the_same_score_the_one_with_the_smallest_loss_is_kept():
    from yisheng.training.state import State

    model = torch.nn.Linear(1, 1)
    state = State(model, torch.optim.SGD(model.parameters(), lr=0.1))
    seen = [(0.8, 0.7), (0.9, 0.5), (0.9, 0.6), (0.9, 0.4), (0.9, 0.4), (0.8, 0.1)]
    events = [EpochEnd(n, n, 0.0, {"accuracy": a, "loss": b}) for n, (a, b) in enumerate(seen, start=1)]
    for _ in callbacks.keep_best(iter(events), state, score="accuracy", higher=True):
        pass
    assert (state.best.epoch, state.best.value, state.best.loss) == (4, 0.9, 0.4)
    again = State(model, torch.optim.SGD(model.parameters(), lr=0.1))
    again.load(*state.dump())
    assert (again.best.epoch, again.best.loss) == (4, 0.4)

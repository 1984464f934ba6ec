"""Callbacks: the best weights, early stopping, and checkpoints."""

import math

import pytest
import torch

from tests.training.small_training import epoch_end, make_training, step_end
from yisheng.core.events import EpochEnd
from yisheng.training import callbacks
from yisheng.training.state import State


@pytest.mark.parametrize(
    ("values", "higher_is_better", "best"),
    [
        ([0.1, 0.5, 0.4, 0.5], True, 2),
        ([0.1, 0.5, 0.4, 0.05], False, 4),
        ([math.nan, 0.5, math.nan, 0.4], True, 2),
        ([math.nan, math.nan], True, 2),
        ([None, None, None], True, 3),
        ([0.5, 0.5, 0.5], False, 1),
    ],
)
def test_best_epoch_is_kept_with_its_weights(values, higher_is_better, best):
    state, _, _ = make_training()
    copies = {}
    events = iter([epoch_end(n, v) for n, v in enumerate(values, 1)])
    for event in callbacks.keep_best(events, state, score="accuracy", higher_is_better=higher_is_better):
        if state.best.epoch == event.epoch:
            copies[event.epoch] = float(state.best.weights["0.weight"].sum())
        with torch.no_grad():
            state.model[0].weight += 1
    assert state.best.epoch == best
    assert float(state.best.weights["0.weight"].sum()) == copies[best]


def test_of_equal_scores_the_epoch_with_the_smallest_loss_is_kept():
    model = torch.nn.Linear(1, 1)
    state = State(model, torch.optim.SGD(model.parameters(), lr=0.1))
    scores = [(0.8, 0.7), (0.9, 0.5), (0.9, 0.6), (0.9, 0.4), (0.9, 0.4), (0.8, 0.1)]
    events = [EpochEnd(n, n, 0.0, {"accuracy": a, "loss": b}) for n, (a, b) in enumerate(scores, start=1)]
    for _ in callbacks.keep_best(iter(events), state, score="accuracy", higher_is_better=True):
        pass
    assert (state.best.epoch, state.best.value, state.best.loss) == (4, 0.9, 0.4)
    restored = State(model, torch.optim.SGD(model.parameters(), lr=0.1))
    restored.load(*state.dump())
    assert (restored.best.epoch, restored.best.loss) == (4, 0.4)


def test_early_stopping_stops_and_a_resumed_run_stays_stopped():
    state, _, _ = make_training()
    values = [0.1, 0.5, 0.4, 0.4, 0.4, 0.9]

    def run(start=0):
        events = iter([epoch_end(n, v) for n, v in enumerate(values, 1)][start:])
        events = callbacks.keep_best(events, state, score="accuracy", higher_is_better=True)
        for event in callbacks.stop_early(events, state, 2):
            state.epoch = event.epoch
            yield event.epoch

    assert list(run()) == [1, 2, 3, 4]
    assert list(run(4)) == []


def test_checkpoints_are_saved_by_the_clock():
    saves = []
    list(callbacks.save_checkpoints(iter([step_end(n) for n in range(5)]), lambda: saves.append(1), interval=0))
    assert len(saves) == 5
    list(callbacks.save_checkpoints(iter([step_end(n) for n in range(5)]), lambda: saves.append(1), interval=1000))
    assert len(saves) == 5

import copy

import pytest
import rig
import torch

from yisheng.core.types import EpochEnd, StepEnd


def test_events_come_in_order_and_count_right():
    state, train, valid = rig.make()
    seen = list(rig.events(state, train, valid, epochs=3))
    assert [type(e) for e in seen] == ([StepEnd] * len(train) + [EpochEnd]) * 3
    steps = [e for e in seen if isinstance(e, StepEnd)]
    assert [e.step for e in steps] == list(range(1, 3 * len(train) + 1))
    assert [e.epoch for e in steps] == [e for e in range(3) for _ in range(len(train))]
    assert [e.epoch for e in seen if isinstance(e, EpochEnd)] == [1, 2, 3]


def test_training_equals_a_loop_written_by_hand():
    state, train, valid = rig.make("momentum")
    ours = list(rig.events(state, train, valid, epochs=2))
    other, train, valid = rig.make("momentum")
    per_epoch, steps, step = len(train), 2 * len(train), 0
    losses, means = [], []
    for epoch in range(2):
        other.model.train()
        total, seen = 0.0, 0
        for batch in train.epoch(epoch):
            for group in other.optimizer.param_groups:
                group["lr"] = 0.1 * (1 - step / (steps + per_epoch))
            value = rig.loss(other.model(batch.x), batch.y).mean()
            value.backward()
            other.optimizer.step()
            other.optimizer.zero_grad()
            losses.append(value.item())
            total, seen, step = total + value.item() * len(batch), seen + len(batch), step + 1
        means.append(total / seen)
        rig.score(other.model, valid)
    assert [float(e.loss) for e in ours if isinstance(e, StepEnd)] == pytest.approx(losses, rel=1e-6)
    assert [e.loss for e in ours if isinstance(e, EpochEnd)] == pytest.approx(means, rel=1e-6)
    for mine, theirs in zip(state.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_to_stop_it_stop_listening():
    state, train, valid = rig.make()
    for event in rig.events(state, train, valid):
        if isinstance(event, StepEnd) and event.step == 7:
            break
    assert (state.step, state.epoch, state.position) == (7, 1, 7 - len(train))


def test_listeners_may_take_gradients():
    state, train, valid = rig.make()
    for event in rig.events(state, train, valid, epochs=1):
        assert torch.is_grad_enabled()
        if isinstance(event, EpochEnd):
            assert state.model.training


def test_a_run_without_validation_part_has_no_scores():
    state, train, valid = rig.make()
    empty = copy.copy(valid)
    object.__setattr__(empty, "rows", valid.rows[:0])
    last = list(rig.events(state, train, empty, epochs=1))[-1]
    assert last.scores == {}

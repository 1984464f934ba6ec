"""The training loop: its events, and the same numbers as a plain PyTorch loop."""

import copy

import pytest
import torch

from tests.training import small_training
from tests.training.small_training import fit_small, make_training
from yisheng.core.events import EpochEnd, StepEnd


def test_events_are_in_order():
    state, train, valid = make_training()
    events = list(fit_small(state, train, valid, epochs=3))
    assert [type(e) for e in events] == ([StepEnd] * len(train) + [EpochEnd]) * 3
    steps = [e for e in events if isinstance(e, StepEnd)]
    assert [e.step for e in steps] == list(range(1, 3 * len(train) + 1))
    assert [e.epoch for e in steps] == [e for e in range(3) for _ in range(len(train))]
    assert [e.epoch for e in events if isinstance(e, EpochEnd)] == [1, 2, 3]


def test_training_equals_a_plain_pytorch_loop():
    state, train, valid = make_training("momentum")
    events = list(fit_small(state, train, valid, epochs=2))
    plain, train, valid = make_training("momentum")
    per_epoch, steps, step = len(train), 2 * len(train), 0
    losses, means = [], []
    for epoch in range(2):
        plain.model.train()
        total, samples = 0.0, 0
        for batch in train.epoch(epoch):
            for group in plain.optimizer.param_groups:
                group["lr"] = 0.1 * (1 - step / (steps + per_epoch))
            value = small_training.loss(plain.model(batch.x), batch.y).mean()
            value.backward()
            plain.optimizer.step()
            plain.optimizer.zero_grad()
            losses.append(value.item())
            total, samples, step = total + value.item() * len(batch), samples + len(batch), step + 1
        means.append(total / samples)
        small_training.score(plain.model, valid)
    assert [float(e.loss) for e in events if isinstance(e, StepEnd)] == pytest.approx(losses, rel=1e-6)
    assert [e.loss for e in events if isinstance(e, EpochEnd)] == pytest.approx(means, rel=1e-6)
    for parameter, plain_parameter in zip(state.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(parameter, plain_parameter)


def test_training_stops_when_iteration_stops():
    state, train, valid = make_training()
    for event in fit_small(state, train, valid):
        if isinstance(event, StepEnd) and event.step == 7:
            break
    assert (state.step, state.epoch, state.position) == (7, 1, 7 - len(train))


def test_gradients_are_enabled_at_every_event():
    state, train, valid = make_training()
    for event in fit_small(state, train, valid, epochs=1):
        assert torch.is_grad_enabled()
        if isinstance(event, EpochEnd):
            assert state.model.training


def test_training_without_validation_part_has_no_scores():
    state, train, valid = make_training()
    empty = copy.copy(valid)
    object.__setattr__(empty, "rows", valid.rows[:0])
    epoch_end = list(fit_small(state, train, empty, epochs=1))[-1]
    assert epoch_end.scores == {}

"""Batches in a fixed order are found although few are compared, and shuffled ones are not taken for them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from yisheng.diagnosis.recorder.batch_order import MAX_COMPARED, MAX_PERIOD, NEVER, BatchOrder


def compare(batches, passes_per_step=1, count=2 * MAX_COMPARED):
    """Return the order as it is recorded of a loop over batches of targets, and how many were compared."""
    order, compared, is_followed = BatchOrder(), 0, True
    for number, y in enumerate(itertools.islice(batches, count)):
        if number % passes_per_step == 0:
            is_followed = order.find_next(number) < number + passes_per_step
        if is_followed:
            loss = F.cross_entropy(torch.zeros(len(y), 4, requires_grad=True), y)
            order.add_loss(loss.grad_fn, number)
            compared += 1
    return order, compared


def draw_batches(generator, fraction=0.5):
    while True:
        yield (torch.rand(16, generator=generator) < fraction).long()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, MAX_PERIOD), st.integers(0, 1000), st.sampled_from([1, 2, 3, 5]))
def test_every_period_is_found(period, seed, passes_per_step):
    batches = list(itertools.islice(draw_batches(torch.Generator().manual_seed(seed)), period))
    order, compared = compare(itertools.cycle(batches), passes_per_step)
    assert order.period == period
    assert compared <= MAX_COMPARED


@pytest.mark.parametrize("period", [1, 5, 20, 40])
def test_a_period_is_found_soon_and_few_batches_are_compared(period):
    batches = list(itertools.islice(draw_batches(torch.Generator().manual_seed(0)), period))
    order, _ = compare(itertools.cycle(batches), count=2 * period + 8)
    assert order.period == period
    _, compared = compare(itertools.cycle(batches))
    assert compared < 50


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([0.5, 0.2, 0.05]))
def test_shuffled_batches_have_no_period(seed, fraction):
    order, compared = compare(draw_batches(torch.Generator().manual_seed(seed), fraction))
    assert order.period == 0
    assert compared <= (20 if fraction == 0.5 else MAX_COMPARED)


def test_a_period_that_ends_is_none():
    generator = torch.Generator().manual_seed(0)
    batches = list(itertools.islice(draw_batches(generator), 3))
    order, _ = compare(itertools.chain(batches * 6, draw_batches(generator)))
    assert order.period == 0


def test_targets_that_are_all_equal_do_not_tell_batches_apart():
    order, compared = compare(itertools.repeat(torch.zeros(16, dtype=torch.long)))
    assert (order.period, compared) == (0, 1)


def test_targets_that_cannot_be_read_are_not_looked_for_again():
    order = BatchOrder()
    for number in range(5):
        assert order.find_next(number) == number
        order.add_loss(torch.zeros(1, requires_grad=True).sum().grad_fn, number)
    assert order.find_next(5) == NEVER

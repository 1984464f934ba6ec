import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yisheng import transforms
from yisheng.core import machine
from yisheng.core.types import Dataset, Spec
from yisheng.data.batches import batches

CPU = torch.device("cpu")


def make(n=50, size=8, rows=None, seed=0, weight=None, dtype=np.uint8):
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (n, 1, 4, 4)).astype(dtype)
    y = random.integers(0, 3, n)
    data = Dataset("d", Spec("classification", (1, 4, 4), classes=tuple("abc")), x, y, weight=weight)
    rows = np.arange(n) if rows is None else rows
    scale = transforms.fit("standard", x[rows], {})
    return data, batches(data, rows, size=size, scale=scale, target_scale=None, device=CPU, seed=seed)


@given(n=st.integers(2, 90), size=st.integers(1, 20), epoch=st.integers(0, 3))
def test_an_epoch_holds_every_row_once(n, size, epoch):
    _, part = make(n, size)
    sizes = [len(batch) for batch in part.epoch(epoch)]
    rows = torch.cat([batch.index for batch in part.epoch(epoch)])
    assert sorted(rows.tolist()) == list(range(n))
    assert len(sizes) == len(part)
    assert size == 1 or min(sizes) > 1  # batch norm cannot normalise a single row
    assert max(sizes) <= size + 1


def test_only_the_part_is_touched_and_values_match_their_rows():
    rows = np.array([3, 7, 11, 40])
    data, part = make(rows=rows, size=3)
    for batch in part.epoch(2):
        index = batch.index.numpy()
        assert set(index) <= set(rows)
        assert torch.equal(batch.y, torch.from_numpy(data.y[index]))
        mean, std = data.x[rows].mean(), data.x[rows].std()
        np.testing.assert_allclose(batch.x.numpy(), (data.x[index] - mean) / std, rtol=1e-5, atol=1e-5)


def test_an_epoch_can_be_taken_up_at_any_batch():
    _, part = make()
    whole = [batch.index.tolist() for batch in part.epoch(5)]
    for start in range(len(part)):
        assert [batch.index.tolist() for batch in part.epoch(5, start)] == whole[start:]


def test_order_depends_on_seed_and_epoch_only():
    first, second = make(seed=1)[1], make(seed=1)[1]
    torch.rand(7)  # the global generator plays no part
    assert [b.index.tolist() for b in first.epoch(3)] == [b.index.tolist() for b in second.epoch(3)]
    assert next(first.epoch(3)).index.tolist() != next(first.epoch(4)).index.tolist()
    assert next(first.epoch(3)).index.tolist() != next(make(seed=2)[1].epoch(3)).index.tolist()


def test_evaluation_goes_in_order_and_an_empty_part_is_empty():
    _, part = make()
    assert torch.cat([b.index for b in part]).tolist() == list(range(50))
    assert list(dataclasses.replace(part, rows=part.rows[:0])) == []


@pytest.mark.filterwarnings("error")
def test_a_read_only_memory_map_is_read_without_a_copy(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.uint8)
    values.tofile(tmp_path / "x")
    x = np.memmap(tmp_path / "x", np.uint8, "r", shape=values.shape)
    data = Dataset("d", Spec("regression", (1, 4, 4)), x, np.zeros((20, 1), np.float32))
    scale = transforms.fit("unit", x, {})
    part = batches(data, np.arange(20), size=8, scale=scale, target_scale=None, device=CPU, seed=0)
    assert part.x.data_ptr() == x.ctypes.data
    np.testing.assert_allclose(next(iter(part)).x.numpy(), values[:8] / 255, rtol=1e-6)


def test_weights_and_scaled_targets_travel_with_their_rows():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 2)).astype(np.float32), random.normal(5, 3, (30, 1)).astype(np.float32)
    weight = random.random(30).astype(np.float32)
    data = Dataset("d", Spec("regression", (2,)), x, y, weight=weight)
    none, standard = transforms.fit("none", x, {}), transforms.fit("standard", y, {})
    part = batches(data, np.arange(30), size=7, scale=none, target_scale=standard, device=CPU, seed=0)
    for batch in part.epoch(0):
        assert torch.equal(batch.weight, torch.from_numpy(weight)[batch.index])
        np.testing.assert_allclose(standard.invert(batch.y).numpy(), y[batch.index], rtol=1e-5)


def shift(x, y, draw):
    """A change by chance that also moves the targets."""
    by = torch.randint(1, 1000, (len(x),), generator=draw)
    return x.float() + by.view(-1, *[1] * (x.ndim - 1)), y + by.view(-1, *[1] * (y.ndim - 1))


def test_augmented_batches_can_be_made_again_and_differ_by_epoch():
    _, part = make()
    part = dataclasses.replace(part, augment=(shift, shift))
    whole = [(b.x, b.y) for b in part.epoch(3)]
    for start in range(len(part)):
        for (x, y), again in zip(whole[start:], part.epoch(3, start), strict=True):
            assert torch.equal(x, again.x)
            assert torch.equal(y, again.y)
    plain = [b.x for b in dataclasses.replace(part, augment=()).epoch(3)]
    assert not any(torch.equal(x, other) for (x, _), other in zip(whole, plain, strict=True))
    by_row = [
        {int(i): float(y) for b in part.epoch(epoch) for i, y in zip(b.index, b.y.flatten(), strict=True)}
        for epoch in (3, 4)
    ]
    assert by_row[0] != by_row[1]


def test_only_shuffled_batches_are_augmented():
    _, part = make()
    augmented = dataclasses.replace(part, augment=(shift,))
    for plain, same in zip(part, augmented, strict=True):
        assert torch.equal(plain.x, same.x)
        assert torch.equal(plain.y, same.y)


def test_on_another_device_all_parts_share_one_block(monkeypatch):
    data, usual = make(40)
    there = torch.device("meta")

    def part(rows, of=data):
        return batches(of, rows, size=8, scale=usual.scale, target_scale=None, device=there, seed=0)

    train, validation = part(np.arange(30)), part(np.arange(30, 40))
    assert train.x.device == there
    assert train.x is validation.x
    again = dataclasses.replace(data, x=data.x.copy())
    assert part(np.arange(9), again).x is not train.x
    monkeypatch.setattr(machine, "memory", lambda: (1000, 2 * data.x.nbytes))  # no more than half of it
    assert part(np.arange(9)).x is train.x
    assert part(np.arange(9), dataclasses.replace(data, x=data.x.copy())).x.device.type == "cpu"

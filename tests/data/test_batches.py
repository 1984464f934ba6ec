"""Batches: every row once per epoch, reproducible from seed and epoch, on any device."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yisheng import transforms
from yisheng.core import machine, nested
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.data import batches
from yisheng.data.batches import make_batches
from yisheng.data.host_copies import HostCopies, copy_ahead

CPU = torch.device("cpu")


def make_data_and_batches(n=50, size=8, rows=None, seed=0, weight=None, dtype=np.uint8):
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (n, 1, 4, 4)).astype(dtype)
    y = random.integers(0, 3, n)
    data = Dataset("d", Spec("classification", (1, 4, 4), classes=tuple("abc")), x, y, weight=weight)
    rows = np.arange(n) if rows is None else rows
    scale = transforms.fit("standard", x[rows], {})
    return data, make_batches(data, rows, size=size, scale=scale, target_scale=None, device=CPU, seed=seed)


@given(n=st.integers(2, 90), size=st.integers(1, 20), epoch=st.integers(0, 3))
def test_epoch_holds_every_row_once(n, size, epoch):
    _, part = make_data_and_batches(n, size)
    sizes = [len(batch) for batch in part.epoch(epoch)]
    rows = torch.cat([batch.index for batch in part.epoch(epoch)])
    assert sorted(rows.tolist()) == list(range(n))
    assert len(sizes) == len(part)
    assert size == 1 or min(sizes) > 1  # batch norm cannot normalize a single row
    assert max(sizes) <= size + 1


def test_batches_hold_only_the_rows_of_their_part():
    rows = np.array([3, 7, 11, 40])
    data, part = make_data_and_batches(rows=rows, size=3)
    for batch in part.epoch(2):
        index = batch.index.numpy()
        assert set(index) <= set(rows)
        assert torch.equal(batch.y, torch.from_numpy(data.y[index]))
        mean, std = data.x[rows].mean(), data.x[rows].std()
        np.testing.assert_allclose(batch.x.numpy(), (data.x[index] - mean) / std, rtol=1e-5, atol=1e-5)


def test_epoch_can_be_resumed_at_any_batch():
    _, part = make_data_and_batches()
    indices = [batch.index.tolist() for batch in part.epoch(5)]
    for start in range(len(part)):
        assert [batch.index.tolist() for batch in part.epoch(5, start)] == indices[start:]


def test_order_depends_on_seed_and_epoch_only():
    first, second = make_data_and_batches(seed=1)[1], make_data_and_batches(seed=1)[1]
    torch.rand(7)  # the global generator must not matter
    assert [b.index.tolist() for b in first.epoch(3)] == [b.index.tolist() for b in second.epoch(3)]
    assert next(first.epoch(3)).index.tolist() != next(first.epoch(4)).index.tolist()
    assert next(first.epoch(3)).index.tolist() != next(make_data_and_batches(seed=2)[1].epoch(3)).index.tolist()


def test_iteration_is_in_order_and_empty_for_an_empty_part():
    _, part = make_data_and_batches()
    assert torch.cat([b.index for b in part]).tolist() == list(range(50))
    assert list(dataclasses.replace(part, rows=part.rows[:0])) == []


@pytest.mark.filterwarnings("error")
def test_read_only_memory_map_is_not_copied(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.uint8)
    values.tofile(tmp_path / "x")
    x = np.memmap(tmp_path / "x", np.uint8, "r", shape=values.shape)
    data = Dataset("d", Spec("regression", (1, 4, 4)), x, np.zeros((20, 1), np.float32))
    scale = transforms.fit("unit", x, {})
    part = make_batches(data, np.arange(20), size=8, scale=scale, target_scale=None, device=CPU, seed=0)
    assert part.x.data_ptr() == x.ctypes.data
    np.testing.assert_allclose(next(iter(part)).x.numpy(), values[:8] / 255, rtol=1e-6)


def test_weights_and_scaled_targets_match_their_rows():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 2)).astype(np.float32), random.normal(5, 3, (30, 1)).astype(np.float32)
    weight = random.random(30).astype(np.float32)
    data = Dataset("d", Spec("regression", (2,)), x, y, weight=weight)
    none, standard = transforms.fit("none", x, {}), transforms.fit("standard", y, {})
    part = make_batches(data, np.arange(30), size=7, scale=none, target_scale=standard, device=CPU, seed=0)
    for batch in part.epoch(0):
        assert torch.equal(batch.weight, torch.from_numpy(weight)[batch.index])
        np.testing.assert_allclose(standard.invert(batch.y).numpy(), y[batch.index], rtol=1e-5)


def shift(x, y, generator):
    """Shift inputs and targets by the same random amount."""
    amount = torch.randint(1, 1000, (len(x),), generator=generator)
    return x.float() + amount.view(-1, *[1] * (x.ndim - 1)), y + amount.view(-1, *[1] * (y.ndim - 1))


def test_augmented_batches_are_reproducible_and_differ_by_epoch():
    _, part = make_data_and_batches()
    part = dataclasses.replace(part, augment=(shift, shift))
    augmented = [(b.x, b.y) for b in part.epoch(3)]
    for start in range(len(part)):
        for (x, y), batch in zip(augmented[start:], part.epoch(3, start), strict=True):
            assert torch.equal(x, batch.x)
            assert torch.equal(y, batch.y)
    original = [b.x for b in dataclasses.replace(part, augment=()).epoch(3)]
    assert not any(torch.equal(x, x0) for (x, _), x0 in zip(augmented, original, strict=True))
    by_row = [
        {int(i): float(y) for b in part.epoch(epoch) for i, y in zip(b.index, b.y.flatten(), strict=True)}
        for epoch in (3, 4)
    ]
    assert by_row[0] != by_row[1]


def test_only_shuffled_batches_are_augmented():
    _, part = make_data_and_batches()
    augmented = dataclasses.replace(part, augment=(shift,))
    for expected, batch in zip(part, augmented, strict=True):
        assert torch.equal(expected.x, batch.x)
        assert torch.equal(expected.y, batch.y)


def test_parts_on_another_device_share_one_block(monkeypatch):
    data, on_host = make_data_and_batches(40)
    device = torch.device("meta")

    def make_part(rows, dataset=data):
        return make_batches(dataset, rows, size=8, scale=on_host.scale, target_scale=None, device=device, seed=0)

    train, validation = make_part(np.arange(30)), make_part(np.arange(30, 40))
    assert train.x.device == device
    assert train.x is validation.x
    copied = dataclasses.replace(data, x=data.x.copy())
    assert make_part(np.arange(9), copied).x is not train.x
    monkeypatch.setattr(machine, "memory_sizes", lambda: (1000, 2 * data.x.nbytes))  # the block may take half of it
    assert make_part(np.arange(9)).x is train.x
    assert make_part(np.arange(9), dataclasses.replace(data, x=data.x.copy())).x.device.type == "cpu"


class ChannelsLast:
    """A transform that returns images in the memory order of a camera."""

    def apply(self, x):
        return x.float().permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [1, 5])
def test_every_batch_is_contiguous_with_the_usual_strides(channels, size):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 4, channels), dtype=np.uint8).transpose(0, 3, 1, 2)
    data = Dataset("d", Spec("regression", (channels, 4, 4)), pixels, np.zeros((6, 1), np.float32))
    for scale in (transforms.fit("standard", pixels), transforms.fit("none", pixels), ChannelsLast()):
        part = make_batches(data, np.arange(6), size=size, scale=scale, target_scale=None, device=CPU, seed=0)
        for batch in part.epoch(0):
            assert batch.x.stride() == torch.empty(batch.x.shape).stride()
            assert torch.nn.Conv2d(channels, 2, 3)(batch.x).view(len(batch), -1).shape[1] == 8


@pytest.mark.parametrize("double", [False, True])
def test_several_inputs_reach_the_network_by_name(double):
    random = np.random.default_rng(0)
    ids, sizes = random.integers(0, 9, (20, 3)), random.normal(size=(20, 2)).astype(np.float32)
    block, inputs = nested.pack({"ids": ids, "size": sizes})
    data = Dataset("d", Spec("regression", block.shape[1:], inputs=inputs), block, np.zeros((20, 1), np.float32))
    scale = transforms.fit("none", block, inputs=inputs)
    options = {"scale": scale, "target_scale": None, "device": CPU, "seed": 0, "double": double}
    for batch in make_batches(data, np.arange(20), size=6, **options).epoch(0):
        assert torch.equal(batch.x["ids"], torch.from_numpy(ids)[batch.index])
        expected = torch.from_numpy(sizes)[batch.index]
        assert torch.equal(batch.x["size"], expected.double() if double else expected)


def test_batches_that_are_copied_ahead_are_those_of_a_block_on_the_device(monkeypatch):
    for n, size in ((50, 8), (41, 8), (3, 8)):  # the last batch is larger, or the only one
        weight = np.linspace(1, 2, n, dtype=np.float32)
        _, part = make_data_and_batches(n, size, weight=weight)
        expected = [list(part.epoch(1)), list(part.epoch(1, 2)), list(part)]
        with monkeypatch.context() as patch:
            patch.setattr(batches, "is_worth_copying_ahead", lambda x, device: True)
            copied = [list(part.epoch(1)), list(part.epoch(1, 2)), list(part)]
        for copied_part, expected_part in zip(copied, expected, strict=True):
            assert len(copied_part) == len(expected_part)
            for batch, plain in zip(copied_part, expected_part, strict=True):
                assert all(
                    torch.equal(getattr(batch, key), getattr(plain, key)) for key in ("x", "y", "index", "weight")
                )


def test_the_next_batch_is_gathered_before_the_present_one_is_used():
    selected = []

    def select(number):
        selected.append(number)
        return torch.tensor([number])

    copies = HostCopies(torch.arange(5), CPU)
    counts = [(number, len(selected)) for number, _, _ in copy_ahead(copies, range(4), select)]
    assert counts == [(0, 2), (1, 3), (2, 4), (3, 4)]

"""Random items are read again in each epoch: by seed, epoch and row, whatever reads them."""

from __future__ import annotations

import functools
import random
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Dataset

import yisheng
from tests.data.objects.examples import COUNT, Network, Noisy, OwnGenerator, Plain, ShuffledRows, X, Y
from yisheng.core.errors import DataError, UsageError
from yisheng.core.seeds import derive, generator, seed_everything
from yisheng.data.batches import make_batches
from yisheng.data.objects import _map_reader, to_dataset
from yisheng.transforms.none import none

HELD_OUT = (X[:20], Y[:20])
PLAIN = {"scale": "none", "quiet": True, "doctor": "off"}


def batches_of(data, *, size=8, seed=3, training=True):
    rows = np.flatnonzero(data.part == 0) if data.part is not None else np.arange(len(data))
    return make_batches(
        data,
        rows,
        size=size,
        scale=none(),
        target_scale=None,
        device=torch.device("cpu"),
        seed=seed,
        training=training,
    )


def values(batches):
    return torch.cat([torch.cat([batch.x.flatten(1), batch.y[:, None], batch.index[:, None]], 1) for batch in batches])


@settings(max_examples=15, deadline=None)
@given(size=st.integers(2, 25), seed=st.integers(0, 2**40), epoch=st.integers(0, 5), data=st.data())
@pytest.mark.parametrize("dataset", [Noisy(), ShuffledRows()])
def test_an_epoch_can_be_resumed_at_any_batch(dataset, size, seed, epoch, data):
    batches = batches_of(to_dataset(dataset, validation=HELD_OUT), size=size, seed=seed)
    batches_of_epoch = list(batches.epoch(epoch))
    assert len(batches_of_epoch) == len(batches)
    start = data.draw(st.integers(0, len(batches) - 1))
    torch.rand(3)
    assert torch.equal(values(batches.epoch(epoch, start)), values(batches_of_epoch[start:]))


@pytest.mark.parametrize("dataset", [Noisy(), ShuffledRows()])
def test_epochs_and_seeds_differ(dataset):
    data = to_dataset(dataset, validation=HELD_OUT)
    first = values(batches_of(data).epoch(0))
    assert not torch.equal(first, values(batches_of(data).epoch(1)))
    assert not torch.equal(first, values(batches_of(data, seed=4).epoch(0)))


@pytest.mark.parametrize("workers", [1, 3])
def test_the_numbers_do_not_depend_on_workers(workers):
    alone, several = to_dataset(Noisy()), to_dataset(Noisy(), workers=workers)
    for epoch, start in ((0, 0), (1, 3)):
        expected = values(batches_of(alone).epoch(epoch, start))
        assert torch.equal(values(batches_of(several).epoch(epoch, start)), expected)


def test_reading_draws_nothing_from_the_trainings_generators():
    batches = batches_of(to_dataset(Noisy(), workers=1))
    torch.manual_seed(0)
    expected = torch.rand(4)
    for data in (batches, batches_of(to_dataset(ShuffledRows(), validation=HELD_OUT))):
        torch.manual_seed(0)
        drawn = []
        for _, batch in zip(range(4), data.epoch(0), strict=False):
            assert len(batch)
            drawn.append(torch.rand(1))
        assert torch.equal(torch.cat(drawn), expected)


def test_rows_to_evaluate_on_come_from_the_block():
    data = to_dataset(Noisy())
    batches = batches_of(data, training=False)
    assert torch.equal(values(batches.epoch(0)), values(batches.epoch(0)))
    np.testing.assert_array_equal(torch.cat([batch.x for batch in batches_of(data)]).numpy(), data.x)


def test_an_iterable_keeps_its_order_and_length():
    data = to_dataset(ShuffledRows(), validation=HELD_OUT)
    batches = list(batches_of(data).epoch(0))
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(COUNT))
    rows = torch.cat([batch.x for batch in batches])
    assert sorted(rows.tolist()) == sorted(X.tolist())
    with pytest.raises(UsageError, match="in its own order"):
        make_batches(
            data,
            np.arange(30),
            size=8,
            scale=none(),
            target_scale=None,
            device=torch.device("cpu"),
            seed=0,
            training=True,
        )


class PassesOfSeveralLengths(ShuffledRows):
    """Passes of different lengths."""

    def __iter__(self):
        rows = list(super().__iter__())
        yield from rows[: random.randint(10, 20)]


def test_a_short_pass_is_followed_by_the_next_one():
    data = to_dataset(PassesOfSeveralLengths(), validation=HELD_OUT)
    count = int((data.part == 0).sum())
    for epoch in range(4):
        assert sum(len(batch) for batch in batches_of(data, size=5).epoch(epoch)) == count


class Breaks(Noisy):
    """Items that cannot be read later on."""

    broken = False

    def __getitem__(self, row):
        if self.broken and row == 7:
            raise ValueError("disk gone")
        return super().__getitem__(row)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_while_training_names_the_row(workers):
    dataset = Breaks()
    data = to_dataset(dataset, workers=workers)
    dataset.broken = True
    with pytest.raises(DataError, match="row 7 of Breaks cannot be read: ValueError: disk gone"):
        list(batches_of(data).epoch(0))


def test_a_data_set_that_cannot_be_sent_to_workers_is_said(monkeypatch):
    class Local(Noisy):
        pass

    data = to_dataset(Local())
    data = replace(data, stream=replace(data.stream, workers=1))
    spawn = functools.partial(DataLoader, multiprocessing_context="spawn")
    monkeypatch.setattr(_map_reader, "DataLoader", spawn)  # as on macOS and Windows
    with pytest.raises(UsageError, match="Local cannot be sent to other processes") as caught:
        list(batches_of(data).epoch(0))
    assert "workers=0" in caught.value.remedy


def test_workers_of_every_start_method_read_the_same(monkeypatch):
    data = to_dataset(Noisy())
    spawn = functools.partial(DataLoader, multiprocessing_context="spawn")
    monkeypatch.setattr(_map_reader, "DataLoader", spawn)
    spawned = replace(data, stream=replace(data.stream, workers=1))
    assert torch.equal(values(batches_of(spawned, size=30).epoch(1)), values(batches_of(data, size=30).epoch(1)))


class RandomTargets(Dataset):
    """Targets that are random, too."""

    def __len__(self):
        return COUNT

    def __getitem__(self, row):
        return torch.from_numpy(X[row]), torch.rand(2)


def test_targets_are_read_anew_and_scaled():
    data = to_dataset(RandomTargets())
    scale = types.SimpleNamespace(apply=lambda y: y * 10, invert=lambda y: y / 10)
    batches = make_batches(
        data,
        np.arange(COUNT),
        size=COUNT,
        scale=none(),
        target_scale=scale,
        device=torch.device("cpu"),
        seed=0,
        training=True,
    )
    (first,), (second,) = batches.epoch(0), batches.epoch(1)
    assert not torch.equal(first.y, second.y)
    assert first.y.max() > 1.5


def train(data, tmp_path, **options):
    return yisheng.train(data=data, model=Network, out=tmp_path, **{"epochs": 3, "batch": 8, **PLAIN, **options})


def weights(run):
    return dict(run.model.state_dict())


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_training_equals_a_loop_written_by_hand(tmp_path):
    seed, epochs, size = 5, 2, 8
    run = train(
        Noisy(),
        tmp_path,
        validation=0,
        test=0,
        seed=seed,
        epochs=epochs,
        optimizer="sgd",
        lr=0.1,
        weight_decay=0.0,
        schedule="constant",
        loss=nn.CrossEntropyLoss(),
    )
    seed_everything(derive(seed, "init"))
    network, dataset = Network(), Noisy()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    torch.manual_seed(derive(seed, "train"))
    for epoch in range(epochs):
        order = torch.randperm(COUNT, generator=generator(seed, "order", epoch)).tolist()
        for start in range(0, COUNT, size):
            rows, items = order[start : start + size], []
            states = random.getstate(), np.random.get_state(), torch.get_rng_state()
            for row in rows:
                item_seed = derive(seed, "item", epoch, row)
                random.seed(item_seed)
                np.random.seed(item_seed % 2**32)
                torch.manual_seed(item_seed)
                items.append(dataset[row])
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
            x, y = torch.stack([x for x, _ in items]), torch.tensor([y for _, y in items])
            optimizer.zero_grad()
            nn.functional.cross_entropy(network.train()(x), y).backward()
            optimizer.step()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(weights(run)[name], value, rtol=1e-5, atol=1e-6)


def test_workers_train_the_same_network(tmp_path):
    assert_equal(weights(train(Noisy(), tmp_path)), weights(train(Noisy(), tmp_path, workers=2)))


class StopError(Exception):
    """What kills a training."""


def kill_after(step):
    def callback(events):
        for event in events:
            yield event
            if getattr(event, "step", 0) == step:
                raise StopError

    return callback


CASES = {
    "items": (Noisy, {}),
    "workers": (Noisy, {"workers": 2}),
    "iterable": (ShuffledRows, {"validation": HELD_OUT}),
    "loader": (lambda: DataLoader(Noisy(), batch_size=8, collate_fn=collate), {}),
}


def collate(items):
    """Return a batch with noise of its own."""
    x = torch.stack([x for x, _ in items])
    return x + torch.randn_like(x), torch.tensor([y for _, y in items])


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_is_resumed_to_the_same_bits(case, tmp_path):
    make, options = CASES[case]
    expected = train(make(), tmp_path / "whole", **options)
    with pytest.raises(StopError):
        train(make(), tmp_path / "killed", **options, checkpoint_every=0, callbacks=[kill_after(9)])
    (folder,) = (tmp_path / "killed").iterdir()
    parts = {key: value for key, value in options.items() if key == "validation"}
    run = yisheng.resume(folder, data=make(), model=Network, quiet=True, **parts)
    assert_equal(weights(run), weights(expected))
    assert run.scores == expected.scores


def test_other_data_is_not_resumed(tmp_path):
    run = train(Noisy(), tmp_path, epochs=1)
    with pytest.raises(DataError, match="data"):
        yisheng.resume(run.path, epochs=2, data=Plain(), model=Network, quiet=True)


def test_a_generator_of_its_own_is_warned_of_in_the_run(tmp_path, caplog):
    train(OwnGenerator(), tmp_path, epochs=1)
    assert "generator of its own" in caplog.text


def test_folds_of_random_rows_are_possible(tmp_path):
    run = train(Noisy(), tmp_path, folds=2, epochs=1)
    assert run.scores
    with pytest.raises(UsageError, match="in its own order"):
        train(ShuffledRows(), tmp_path, validation=HELD_OUT, folds=2, epochs=1)


def test_a_run_on_objects_is_reproduced_and_exported(tmp_path):
    data = (X, Y)
    run = yisheng.train(data=data, epochs=1, out=tmp_path, quiet=True)
    assert yisheng.reproduce(run.path, data=data, quiet=True).identical
    assert yisheng.export(run.path, format="safetensors", data=data).path.exists()
    with pytest.raises(DataError, match="data"):
        yisheng.reproduce(run.path, data=(X[:50], Y[:50]), quiet=True)

"""Data sets and loaders of torch, and others of the same form."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from tests.data.objects.examples import (
    COUNT,
    IDS,
    Dicts,
    Noisy,
    OwnGenerator,
    Plain,
    RarelyNoisy,
    Rows,
    ShuffledRows,
    X,
    Y,
)
from yisheng.core import nested
from yisheng.core.errors import DataError, UsageError
from yisheng.data.fingerprint import fingerprint
from yisheng.data.objects import _blocks, iterable_dataset, read_objects, to_dataset

TENSORS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
EXPECTED = to_dataset((X, Y))


def causes(data):
    return " ".join(finding.cause for finding in data.findings)


@pytest.mark.parametrize(
    "data",
    [
        TENSORS,
        Subset(TENSORS, range(COUNT)),
        ConcatDataset([Subset(TENSORS, range(20)), Subset(TENSORS, range(20, COUNT))]),
        Rows(),
        DataLoader(TENSORS, batch_size=7),
        DataLoader(Rows(), batch_size=7),
        EXPECTED,
    ],
    ids=["tensors", "subset", "concatenated", "iterable", "loader", "loader of an iterable", "own"],
)
def test_every_source_of_the_same_rows_is_the_same_data(data):
    result = to_dataset(data)
    assert fingerprint(result) == fingerprint(EXPECTED)
    assert result.stream is None


def test_a_map_style_data_set_is_read_once_with_its_class_names():
    data = to_dataset(Plain())
    np.testing.assert_array_equal(data.x, X)
    assert data.spec.classes == ("down", "up")
    assert "the same items each time" in causes(data)
    assert to_dataset(Subset(Plain(), range(10, 30))).spec.classes == ("down", "up")


@pytest.mark.parametrize(
    ("data", "message"),
    [(Noisy(), "draws random numbers"), (RarelyNoisy(), "draws random numbers"), (OwnGenerator(), "of its own")],
)
def test_random_items_are_found_and_streamed(data, message):
    result = to_dataset(data)
    assert result.stream is not None
    assert message in causes(result)


def test_the_callers_generators_stay_as_they_were():
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    to_dataset(Noisy())
    to_dataset(ShuffledRows(), validation=TENSORS)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])


def test_the_first_reading_is_always_the_same():
    assert fingerprint(to_dataset(Noisy())) == fingerprint(to_dataset(Noisy(), workers=2))
    first, second = (to_dataset(ShuffledRows(), validation=TENSORS) for _ in range(2))
    assert fingerprint(first) == fingerprint(second)


def test_dicts_become_several_inputs():
    data = to_dataset(Dicts())
    assert [item.name for item in data.spec.inputs] == ["ids", "size"]
    parts = nested.unpack(torch.from_numpy(data.x), data.spec.inputs)
    np.testing.assert_array_equal(parts["ids"], IDS)
    assert "text is left out (name)" in causes(data)
    assert data.spec.target == "label"
    only = to_dataset(Dicts(), columns=("size",), target="label")
    np.testing.assert_array_equal(only.x, X)


def test_positions_of_an_item_may_be_named():
    tensors = TensorDataset(torch.from_numpy(X), torch.from_numpy(IDS), torch.from_numpy(Y), torch.arange(COUNT))
    data = to_dataset(tensors, items=("x", "x", "y", "sample_weight"))
    assert len(data.spec.inputs) == 2
    np.testing.assert_array_equal(data.weight, np.arange(COUNT))
    np.testing.assert_array_equal(to_dataset(tensors, items=("x", "-", "y", "-")).x, X)


class Images(Dataset):
    """Images of Pillow."""

    def __len__(self):
        return 6

    def __getitem__(self, row):
        return Image.new("RGB" if row else "P", (5, 4), row), row % 2


def test_images_become_blocks_of_bytes():
    data = to_dataset(Images())
    assert data.x.dtype == np.uint8
    assert data.spec.shape == (3, 4, 5)
    assert data.spec.is_image


class Items(Dataset):
    """The given items."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        if isinstance(self.items[row], Exception):
            raise self.items[row]
        return self.items[row]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (Items(), {}, "has no rows"),
        (Items(torch.zeros(3)), {}, "is a Tensor: it has no target"),
        (Items((1.0, 2.0, 0), (1.0, 2.0, 1)), {}, "a tuple of 3 .* where x,y is expected"),
        (Items((1.0, 0), (1.0, 1)), {"items": ("x", "z")}, "items=x,z must name one y"),
        (Items((1.0, 0), (1.0, 1)), {"target": "label"}, "name keys of dicts"),
        (Items({"a": 1.0}, {"a": 2.0}), {}, "which one is the target is not clear"),
        (Items({"a": 1.0, "y": 0}), {"target": "b"}, "no such key"),
        (Items({"a": "text", "y": 0}), {}, "no input other than text"),
        (Items(("text", 0), ("more", 1)), {}, "is text \\('text'\\)"),
        (Items((torch.zeros(3), 0), (torch.zeros(4), 1)), {}, "shape \\(4,\\) in row 1 and \\(3,\\) in row 0"),
        (Items((torch.zeros(3), 0), torch.zeros(3)), {}, "not an item as the first one|no target|input"),
        (Items((torch.zeros(3), 0), ((torch.zeros(3), torch.zeros(3)), 1)), {}, "row 1 of Items has other inputs"),
        (
            Items((torch.zeros(3), 0), ValueError("broken file")),
            {},
            "row 1 of Items cannot be read: ValueError",
        ),
        (Items((torch.zeros(3), 0), (torch.full((3,), float("nan")), 1)), {}, "NaN, infinite or too large"),
        (DataLoader(Items((1.0, 0)), batch_size=2, collate_fn=lambda items: 1 / 0), {}, "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_read_is_said_in_two_parts(data, options, message):
    with pytest.raises((DataError, UsageError), match=message) as caught:
        to_dataset(data, **options)
    assert caught.value.remedy


class WithoutLength(Dataset):
    def __getitem__(self, row):
        return X[row], int(Y[row])


def test_a_data_set_without_a_length_is_refused():
    with pytest.raises(DataError, match="has no length"):
        to_dataset(WithoutLength())


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.rand(2), int(torch.randint(2, ()))


def test_an_endless_data_set_is_bounded(monkeypatch):
    monkeypatch.setattr(iterable_dataset, "MAX_ITEMS", 500)
    with pytest.raises(DataError, match="more than 500 items") as caught:
        to_dataset(Endless(), validation=TENSORS)
    assert "max_rows=" in caught.value.remedy
    data = to_dataset(Endless(), max_rows=30, validation=(np.zeros((4, 2)), [0, 1, 0, 1]))
    assert (data.part == 0).sum() == 30


def test_an_iterable_in_another_order_each_time_needs_rows_to_validate_on():
    with pytest.raises(UsageError, match="no rows can be held out of it") as caught:
        to_dataset(ShuffledRows())
    assert "validation=" in caught.value.remedy
    result = read_objects(ShuffledRows(), validation=TENSORS)
    assert result.settings == {"test": 0}
    assert result.dataset.stream.keeps_order


class Empty(IterableDataset):
    def __iter__(self):
        return iter(())


def test_an_iterable_without_items_is_refused():
    with pytest.raises(DataError, match="yields no items"):
        to_dataset(Empty())


def pad(items):
    """Return a batch of sequences padded to the longest."""
    sequences = [x for x, _ in items]
    return torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True), torch.tensor([y for _, y in items])


def test_a_collate_function_makes_the_batches():
    items = Items(*((torch.arange(1, 4 + row % 2), row % 2) for row in range(10)))
    data = to_dataset(DataLoader(items, batch_size=4, collate_fn=pad))
    assert data.x.shape == (10, 4)
    assert data.x[0].tolist() == [1, 2, 3, 0]
    assert data.spec.dtype == "int64"
    uneven = Items(*((torch.ones(3 + row), row % 2) for row in range(10)))
    with pytest.raises(DataError, match="from row 4 on"):
        to_dataset(DataLoader(uneven, batch_size=4, collate_fn=pad))


def test_a_loader_gives_its_batch_size_and_its_rows():
    assert read_objects(DataLoader(TENSORS, batch_size=7)).settings == {"batch": 7}
    loader = DataLoader(TENSORS, batch_size=7, sampler=SubsetRandomSampler(range(5, 15)))
    np.testing.assert_array_equal(to_dataset(loader).x, X[5:15])
    weighted = DataLoader(TENSORS, batch_size=7, sampler=WeightedRandomSampler([1.0] * COUNT, COUNT))
    assert "WeightedRandomSampler is not used" in causes(to_dataset(weighted))


class Feature:
    names = ("down", "up")


class HuggingFace:
    """A data set of the form of Hugging Face's."""

    def __init__(self, **columns):
        self.columns = columns
        self.column_names = list(columns)
        self.features = {name: Feature() if name == "label" else None for name in columns}

    def __len__(self):
        return COUNT

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: values[key] for name, values in self.columns.items()}


def test_a_data_set_of_hugging_face_names_its_classes():
    data = to_dataset(HuggingFace(vector=X.tolist(), label=Y.tolist()))
    np.testing.assert_array_equal(data.x, X)
    assert data.spec.classes == ("down", "up")
    assert data.spec.target == "label"
    images = [Image.fromarray(np.full((4, 4), row, np.uint8)) for row in range(COUNT)]
    assert to_dataset(HuggingFace(image=images, label=Y.tolist())).spec.shape == (1, 4, 4)


def test_plain_columns_of_hugging_face_are_a_table():
    data = to_dataset(HuggingFace(size=X[:, 0].tolist(), town=["a", "b", "c"] * 20, label=Y.tolist()), target="label")
    assert [column.name for column in data.spec.columns] == ["size", "town"]
    assert data.spec.classes == ("down", "up")


@pytest.mark.parametrize("data", [Noisy(), Plain(), TENSORS, Rows()])
def test_a_large_block_is_mapped_from_a_file(data, monkeypatch, tmp_path):
    expected = to_dataset(data, test=TENSORS)
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path))
    monkeypatch.setattr(_blocks, "MAX_BYTES_IN_MEMORY", 100)
    mapped = to_dataset(data, test=TENSORS)
    assert fingerprint(mapped) == fingerprint(expected)
    assert isinstance(mapped.x, np.memmap)
    files = list((tmp_path / _blocks.FOLDER).iterdir())
    assert len(files) <= 1  # on Windows the map's file is deleted with the map


def test_a_full_disk_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(_blocks, "MAX_BYTES_IN_MEMORY", 100)
    with pytest.raises(Exception, match="file") as caught:
        to_dataset(Noisy())
    assert caught.value.remedy


@pytest.mark.parametrize("data", [EXPECTED, Plain(), HuggingFace(vector=X.tolist(), label=Y.tolist())])
def test_a_loader_reads_its_data_set_as_it_would_be_read_alone(data):
    assert fingerprint(to_dataset(DataLoader(data, batch_size=8))) == fingerprint(to_dataset(data))

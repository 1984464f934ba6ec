"""Frozen layers that are computed once: the same bits as when they are computed in every epoch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from yisheng import models
from yisheng.core import nested
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.data.batches import make_batches
from yisheng.evaluation.scorer import make_scorer
from yisheng.training import cached_features, checkpoint, feature_store
from yisheng.training.cached_features import cache_frozen_layers
from yisheng.training.feature_store import FeatureStore
from yisheng.training.finetune import plan_finetuning
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.frozen_split import SplitError, split_frozen
from yisheng.training.pretrained import Pretrained
from yisheng.training.setup import assemble
from yisheng.transforms.none import none

CPU = torch.device("cpu")
SPEC = Spec("classification", (3, 24, 24), classes=tuple("abcd"))


class Branches(nn.Module):
    """A network of one's own: an input twice, views, functional dropout, a buffer, a parameter outside of layers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.other = nn.Conv2d(3, 2, 1)
        self.scale = nn.Parameter(torch.full((1,), 0.5))
        self.register_buffer("shift", torch.tensor(0.25))
        self.fc = nn.Linear(4 * 64 + 2, 4)

    def forward(self, x):
        maps = self.conv(x)
        maps = maps.view(maps.size(0), -1)
        means = self.other(x).mean((2, 3)) * self.scale + self.shift
        features = torch.cat([maps, means], 1)
        return self.fc(F.dropout(features, 0.5, self.training))


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.gate, self.head = nn.Linear(3, 4), nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x, z, scale=2.0):
        return self.head(torch.relu(self.body(x)) * self.gate(z) * scale)


class Dynamic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        x = self.body(x)
        return self.head(x if x.sum() > 0 else -x)


class BatchStatistics(nn.Module):
    """Its features depend on the other rows of a batch, without any buffer."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(F.batch_norm(self.body(x), None, None, training=True))


def freeze(model, *, training=True):
    model.train()
    plan_finetuning(model, "head", 3).freeze(0)
    return model.train(training) if not training else model


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["squeezenet1-1", "lenet", "nin", "mlp", "airbench"])
def test_both_parts_compute_what_the_network_computes(name, training):
    spec = replace(SPEC, shape=(3, 32, 32))
    model = freeze(models.build(name, spec), training=training)
    x = torch.randn(5, *spec.shape)
    before = torch.get_rng_state()
    split = split_frozen(model, x[:3])
    assert torch.equal(before, torch.get_rng_state())
    with torch.no_grad():
        expected = model(x)
        torch.set_rng_state(before)
        assert torch.equal(split.tail(*split.body(x)), expected)
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for p in split.tail.parameters()} == trained
    assert not trained & {id(p) for p in split.body.parameters()}


def test_own_networks_are_split_too():
    model, x = freeze(Branches()), torch.randn(6, 3, 32, 32)
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    split = split_frozen(model, x[:3])
    torch.manual_seed(0)
    expected = model(x)
    torch.manual_seed(0)
    assert torch.equal(split.tail(*split.body(x)), expected)
    assert [tuple(feature.shape) for feature in split.features] == [(3, 258)]
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    pair = {"x": torch.randn(3, 3), "z": torch.randn(3, 2)}
    model = freeze(Pair())
    split = split_frozen(model, pair)
    assert torch.equal(split.tail(*nested.call(split.body, pair)), model(**pair))


def test_what_cannot_be_kept_by_row_is_not_in_the_body():
    with pytest.raises(SplitError, match="fixed graph"):
        split_frozen(freeze(Dynamic()), torch.randn(3, 3))
    model, x = freeze(BatchStatistics()), torch.randn(6, 3)
    split = split_frozen(model, x[:3])
    assert torch.equal(split.body(x)[0], model.body(x))
    assert torch.equal(split.tail(*split.body(x)), model(x))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(1, 4)), st.sampled_from([torch.float32, torch.bfloat16, torch.int64]), st.data())
def test_store_returns_values_in_their_memory_order(order, dtype, data):
    rows = torch.tensor(data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=9, unique=True)))
    values = torch.randint(0, 9, (len(rows), 2, 3, 4)).to(dtype).permute(0, *order)
    store = FeatureStore(rows, 2, [values])
    store.add(1, rows, [values + 1])
    store.add(0, rows, [values])
    places = torch.tensor(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=5)))
    for version in (0, 1):
        (copies,) = store.take(version, rows[places])
        assert torch.equal(copies, values[places] + version)
        assert copies.stride()[1:] == values.stride()[1:]


def test_large_features_are_in_a_file_that_is_gone_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path))
    monkeypatch.setattr(feature_store, "MAX_MEMORY_BYTES", 0)
    values = torch.randn(4, 5).bfloat16()
    store = FeatureStore(torch.arange(4), 1, [values])
    store.add(0, torch.arange(4), [values])
    assert torch.equal(store.take(0, torch.tensor([3, 1]))[0], values[[3, 1]])
    assert not list((tmp_path / "features").iterdir())
    monkeypatch.setattr(feature_store, "MAX_FILE_BYTES", 3)
    with pytest.raises(feature_store.StoreError):
        FeatureStore(torch.arange(4), 1, [values])


def make_data(rows=45):
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (rows, *SPEC.shape)).astype(np.uint8)
    return Dataset("d", SPEC, x, random.integers(0, 4, rows)), Split(*np.split(np.arange(rows), [rows - 12, rows - 4]))


def make_assembly(**changes):
    """Return a training of the head of a network with pretrained weights."""
    data, split = make_data()
    torch.manual_seed(5)
    tensors = models.build("squeezenet1-1", SPEC, style="published").state_dict()
    values = {"model": "squeezenet1-1", "style": "published", "epochs": "5", "batch": "8", "seed": "1"}
    values |= {"weights": "w", "finetune": "head"}
    config = merge_settings((key, value, "command line") for key, value in {**values, **changes}.items()).config
    return assemble(config, data, split, CPU, Pretrained(tensors))


def train(assembly, *, stop=None):
    events = []
    for event in fit_assembly(assembly, make_scorer):
        events.append(event)
        if event.step == stop:
            break
    return [(event.step, float(event.loss)) for event in events if hasattr(event, "batch")], {
        name: value.clone() for name, value in assembly.state.model.state_dict().items()
    }


def assert_equal(a, b):
    assert a[0] == b[0]
    assert all(torch.equal(value, b[1][name]) for name, value in a[1].items())


@pytest.mark.parametrize("changes", [{}, {"precision": "bf16", "memory_format": "channels-last"}, {"accumulate": "2"}])
def test_training_has_the_same_bits_and_computes_the_body_once(changes, monkeypatch):
    expected = train(make_assembly(feature_cache="off", **changes))
    computed = []
    compute = cached_features.compute_features

    def count(split, x, **options):
        computed.append(len(x))
        return compute(split, x, **options)

    monkeypatch.setattr(cached_features, "compute_features", count)
    assembly = make_assembly(**changes)
    assert_equal(train(assembly), expected)
    assert sum(computed) == 33 + 8  # each training and validation row once
    assert assembly.state.best.value is not None


@pytest.mark.parametrize("augment", ["flip,crop", "flip,mixup"])
def test_versions_of_augmented_images_are_used_in_turn(augment):
    def read(epoch, start):
        order = plain.train.shuffle_rows(epoch)
        for number in range(start, len(plain.train)):
            rows = order[plain.train.bounds(number)]
            yield plain.train.take(rows, epoch % 2)

    expected = train(make_assembly(feature_cache="2", augment=augment))
    plain = make_assembly(feature_cache="off", augment=augment)
    values = {name: getattr(plain.train, name) for name in plain.train.__dataclass_fields__}
    reference = replace(plain, train=cached_features._CachedBatches(**values, read=read))
    assert_equal(train(reference), expected)


@pytest.mark.parametrize("augment", ["auto", "flip"])
def test_a_stopped_run_continues_to_the_same_bits(augment, tmp_path):
    changes = {"augment": augment} if augment == "auto" else {"augment": augment, "feature_cache": "2"}
    expected = train(make_assembly(**changes))
    for stop in (2, 14):
        stopped = make_assembly(**changes)
        losses_before, _ = train(stopped, stop=stop)
        checkpoint.save(tmp_path / str(stop), stopped.state)
        resumed = make_assembly(**changes)
        assert checkpoint.load(tmp_path / str(stop), resumed.state)
        losses, weights = train(resumed)
        assert_equal((losses_before + losses, weights), expected)


def test_recorded_steps_run_all_layers_on_the_images_of_the_epoch():
    """The hooks of the doctor see every layer, and the weights stay as they are without it."""
    expected = train(make_assembly(feature_cache="2", augment="flip"))
    assembly = make_assembly(feature_cache="2", augment="flip")
    passes = []
    assembly.state.model.features[0].register_forward_hook(lambda *_: passes.append(assembly.state.step))
    assembly.state.is_recorded = lambda: assembly.state.step == 14
    assert_equal(train(assembly), expected)
    assert 14 in passes
    assert 15 not in passes  # epoch 4 begins with step 13, counted from 0: its features are kept


def test_batches_of_kept_features_still_give_their_images():
    assembly = make_assembly()
    batches, _, _ = cache_frozen_layers(assembly, make_scorer(SPEC, assembly.loss, []))
    for epoch in (0, 3):
        for batch, expected in zip(batches.epoch(epoch), assembly.train.epoch(epoch), strict=True):
            assert torch.equal(batch.x, expected.x)
            assert torch.equal(batch.index, expected.index)


def test_rows_of_an_epoch_can_be_taken_again():
    from yisheng.transforms.augment.flip import flip
    from yisheng.transforms.augment.mixup import mixup

    data, _ = make_data()
    augment = (flip(SPEC), mixup(SPEC))
    part = make_batches(
        data, np.arange(20), size=6, scale=none(), target_scale=None, device=CPU, seed=3, augment=augment
    )
    epoch = {int(row): (x, y) for b in part.epoch(1) for row, x, y in zip(b.index, b.x, b.y, strict=True)}
    batch = part.take(torch.tensor([13, 2, 19, 7]), 1)
    assert batch.index.tolist() == [13, 2, 19, 7]
    for row, x, y in zip(batch.index, batch.x, batch.y, strict=True):
        assert torch.equal(x, epoch[int(row)][0])
        assert torch.equal(y, epoch[int(row)][1])


def test_feature_cache_is_for_frozen_layers():
    with pytest.raises(UsageError, match="frozen layers"):
        merge_settings([("feature_cache", "3", "command line")])
    assert Config().feature_cache == "auto"

"""Updates over shards in one process: the same mean loss, and nothing that depends on who computes a shard."""

import copy
import math
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from yisheng.core.config import Config
from yisheng.core.errors import NonFiniteError, UsageError
from yisheng.core.events import Batch
from yisheng.core.resolved_config import resolve_config
from yisheng.core.spec import Spec
from yisheng.training.shardable import choose_exact, choose_shards
from yisheng.training.shards import Sharding, bound_shards
from yisheng.training.state import State
from yisheng.training.sync_bn import require_rows_for_sync_bn, require_sync_bn, synchronize_batch_norm
from yisheng.training.update import make_update


def loss(output, y):
    return nn.functional.cross_entropy(output, y, reduction="none")


def make_state(*layers, dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), *layers, nn.Tanh(), nn.Linear(8, 4)).to(dtype)
    return State(model, torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9))


def make_batch(rows=21, weighted=False, seed=0):
    torch.manual_seed(seed)
    weight = torch.rand(rows).double() if weighted else None
    return Batch(torch.randn(rows, 6).double(), torch.randint(0, 4, (rows,)), torch.arange(rows), weight)


def update(state, batch, shards, micro_batch=None, *, exact=True, **options):
    sharding = Sharding(shards, micro_batch, seed=0, exact=exact)
    return make_update(sharding=sharding, **options)(state, batch, loss)


def weights(state):
    return {name: value.clone() for name, value in state.model.state_dict().items()}


@given(st.integers(1, 300), st.integers(0, 6))
def test_shards_have_all_rows_once_and_no_single_one(rows, exponent):
    bounds = bound_shards(rows, 1 << exponent)
    assert len(bounds) == 1 << exponent
    assert [row for start, end in bounds for row in range(start, end)] == list(range(rows))
    sizes = [end - start for start, end in bounds]
    used = [size for size in sizes if size]
    assert sizes == used + [0] * (len(sizes) - len(used))
    assert max(used) - min(used) <= 1
    assert min(used) >= min(rows, 2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("micro_batch", [None, 3])
@pytest.mark.parametrize("shards", [2, 4, 16])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05, "clip_value": 0.01}])
@pytest.mark.parametrize("exact", [True, False])
def test_an_update_over_shards_is_that_of_the_batch_up_to_rounding(shards, micro_batch, weighted, options, exact):
    sharded, plain = make_state(), make_state()
    for seed, rows in enumerate((21, 21, 5)):
        batch = make_batch(rows, weighted, seed)
        value = update(sharded, batch, shards, micro_batch, exact=exact, **options)
        expected = make_update(**options)(plain, batch, loss)
        torch.testing.assert_close(value, expected)
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(sharded)[name], value, rtol=1e-12, atol=1e-12)


def test_running_statistics_change_by_the_mean_of_the_shards():
    """Each shard is normalized alone (a ghost batch), and the momentum is that of one update."""
    state = make_state(nn.BatchNorm1d(8))
    initial, batch = copy.deepcopy(state.model), make_batch(20)
    update(state, batch, 4)
    with torch.no_grad():
        shards = [initial[0](batch.x[start : start + 5]) for start in range(0, 20, 5)]
    mean = torch.stack([shard.mean(0) for shard in shards]).mean(0)
    var = torch.stack([shard.var(0) for shard in shards]).mean(0)
    torch.testing.assert_close(state.model[1].running_mean, 0.1 * mean)
    torch.testing.assert_close(state.model[1].running_var, 0.9 + 0.1 * var)
    assert state.model[1].num_batches_tracked == 1


def test_buffers_that_nothing_changes_keep_their_bits():
    state = make_state()
    state.model.register_buffer("mask", torch.tensor([-math.inf, 0.1, -0.0, math.nan]))
    before = state.model.mask.clone()
    update(state, make_batch(), 4)
    assert state.model.mask.numpy().tobytes() == before.numpy().tobytes()


def test_random_numbers_depend_on_seed_step_and_shard_only():
    states = [make_state(nn.Dropout(0.5)) for _ in range(2)]
    for number, state in enumerate(states):
        batch = make_batch()
        torch.manual_seed(number)
        update(state, batch, 4)
    assert all(torch.equal(value, weights(states[1])[name]) for name, value in weights(states[0]).items())
    later = make_state(nn.Dropout(0.5))
    later.step = 1
    update(later, make_batch(), 4)
    assert not torch.equal(weights(later)["0.weight"], weights(states[0])["0.weight"])


def test_random_generators_are_as_before_an_update():
    state, batch = make_state(nn.Dropout(0.5)), make_batch()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    update(state, batch, 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("row", [0, 7, 20])
@pytest.mark.parametrize("exact", [True, False])
def test_a_shard_that_is_not_finite_changes_nothing(row, exact):
    state, batch = make_state(nn.BatchNorm1d(8)), make_batch()
    batch.x[row, 2] = math.nan
    before = weights(state)
    with pytest.raises(NonFiniteError, match=f"the inputs of row {row} are not finite"):
        update(state, batch, 4, exact=exact)
    assert all(torch.equal(value, weights(state)[name]) for name, value in before.items())


def test_the_doctor_sees_the_loss_of_the_first_shard():
    state, batch, losses = make_state(), make_batch(20), []
    state.observe_loss = lambda value: losses.append(float(value.detach()))
    expected = float(loss(state.model(batch.x[:5]), batch.y[:5]).mean().detach())
    update(state, batch, 4)
    assert losses == pytest.approx([expected])


@pytest.mark.parametrize("exact", [True, False])
def test_sparse_gradients_are_refused(exact):
    model = nn.Sequential(nn.Embedding(5, 4, sparse=True), nn.Flatten())
    state = State(model, torch.optim.SGD(model.parameters(), lr=0.1))
    batch = Batch(torch.zeros(6, 1, dtype=torch.int64), torch.zeros(6, dtype=torch.int64), torch.arange(6))
    with pytest.raises(UsageError, match="sparse"):
        update(state, batch, 2, exact=exact)


@pytest.mark.parametrize(
    ("settings", "processes", "message", "remedy"),
    [
        ({"shards": 4}, 8, "processes=8 does not divide shards=4", "use processes=4 or fewer, or shards=8"),
        ({"shards": 1}, 2, "processes=2 does not divide shards=1", "use processes=1 or fewer, or shards=2"),
        ({}, 3, "not a power of two", "use processes=2"),
        ({"shards": 2, "scratch": True}, 1, "scratch=true", "leave shards= and processes= out, or use scratch=false"),
        ({"scratch": True}, 2, "scratch=true", "leave shards= and processes= out, or use scratch=false"),
        ({"folds": 5}, 2, "folds=5", "use fold=1/5 for one of the folds, or leave processes= out"),
        ({"doctor": "full"}, 2, "doctor=full", "use doctor=passive, or leave processes= out"),
        ({"epochs": 0}, 2, "epochs=0", "leave processes= out"),
    ],
)
def test_what_cannot_be_divided_is_refused(settings, processes, message, remedy):
    with pytest.raises(UsageError, match=message) as error:
        choose_shards(Config(**settings), processes)
    assert error.value.remedy == remedy


@pytest.mark.parametrize(
    ("settings", "device", "exact"),
    [
        ({"shards": 2}, "cuda:1", False),
        ({"shards": 1}, "cuda", True),
        ({}, "cuda", True),
        ({"shards": 2, "exact": True}, "cuda", True),
        ({"shards": 4}, "cpu", True),
        ({"shards": 4, "exact": False}, "cpu", False),
    ],
)
def test_sums_are_exact_by_default_but_on_gpus(settings, device, exact):
    assert choose_exact(Config(**settings), torch.device(device)).exact is exact


NORMALIZED = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8))


@pytest.mark.parametrize(
    ("settings", "model", "device", "processes", "message"),
    [
        ({}, NORMALIZED, "cpu", 2, "sync_bn=true is for CUDA GPUs, this is device=cpu"),
        ({"shards": 1}, NORMALIZED, "cuda", 1, "needs a process for each shard"),
        ({"shards": 4}, NORMALIZED, "cuda", 2, "needs a process for each shard"),
        ({"accumulate": 2}, NORMALIZED, "cuda", 2, "accumulate=2"),
        ({}, nn.Linear(6, 8), "cuda", 2, "has no batch norm"),
        ({}, NORMALIZED, "cuda", 2, None),
    ],
)
def test_batch_norm_over_processes_is_refused_where_they_would_wait(settings, model, device, processes, message):
    spec = Spec("classification", (6,), ("a", "b"))
    config = resolve_config(Config(**{"shards": 2, "sync_bn": True, **settings}), spec, 100)
    with nullcontext() if message is None else pytest.raises(UsageError, match=message):
        require_sync_bn(config, model, torch.device(device), processes)


def test_batch_norm_over_processes_needs_rows_for_each_of_them():
    spec = Spec("classification", (6,), ("a", "b"))
    config = resolve_config(Config(shards=4, sync_bn=True), spec, 100)
    require_rows_for_sync_bn(config, 8)
    with pytest.raises(UsageError, match="needs 8 rows or more in every batch, and the last one of an epoch has 7"):
        require_rows_for_sync_bn(config, 7)


def test_batch_norm_over_processes_keeps_the_weights():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    weights, parameters = model.state_dict(), list(model.parameters())
    synchronized = synchronize_batch_norm(model)
    assert isinstance(synchronized[1], nn.SyncBatchNorm)
    assert all(a is b for a, b in zip(synchronized.parameters(), parameters, strict=True))
    assert all(torch.equal(value, weights[name]) for name, value in synchronized.state_dict().items())


def test_one_process_has_one_shard_by_default():
    assert choose_shards(Config(), 1).shards == 1

"""Weights that processes divide: the updates of complete weights up to rounding, and a part of the memory."""

import json
import multiprocessing
import re

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn

from yisheng.core import registry
from yisheng.core.errors import NonFiniteError, ProcessError, UsageError
from yisheng.core.events import Batch, EpochEnd
from yisheng.core.modes import evaluation_mode
from yisheng.optim.parameter_groups import make_parameter_groups
from yisheng.training import checkpoint, weight_shards
from yisheng.training.callbacks import keep_best
from yisheng.training.distributed import Peers
from yisheng.training.divided_update import DividedUpdate
from yisheng.training.divisible import require_divisible, require_elementwise
from yisheng.training.shards import Sharding
from yisheng.training.state import State
from yisheng.training.update import make_l1_penalty, make_update
from yisheng.training.weight_shards import WeightShards, explain_lost_processes, list_blocks

UPDATES = [(21, False), (21, True), (5, False), (3, True), (1, False), (40, True)]
"""Rows, and whether they have weights: the small batches have no rows for some processes."""
SIZE = 2


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.linear(self.norm(x)).tanh()


class Net(nn.Module):
    """Blocks in a list, one of them used twice, tied weights, dropout, and buffers of three types."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 9, bias=False)
        self.blocks = nn.ModuleList([Block(9) for _ in range(3)])
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 3, bias=False))
        self.scale = nn.Parameter(torch.ones(1))
        self.back = nn.Linear(9, 6, bias=False)
        self.back.weight = nn.Parameter(torch.randn(6, 9))
        self.tied = nn.Linear(9, 6, bias=False)
        self.tied.weight = self.back.weight
        self.register_buffer("was_called", torch.zeros(3, dtype=torch.bool))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("offset", torch.full((3,), 0.5), persistent=False)

    def forward(self, x):
        self.was_called[1] = True
        self.calls += 1
        hidden = self.first(x) + 1e-3 * x[:, :1].square()
        for block in (*self.blocks, self.blocks[0]):
            hidden = block(hidden)
        hidden = self.first(self.back(hidden) + self.tied(hidden).sin())
        return self.head(hidden * self.scale) + self.offset.to(x.dtype)


class NormNet(nn.Sequential):
    """Batch norm with both kinds of momentum, and a layer that is frozen on the way."""

    def __init__(self):
        super().__init__(
            nn.Linear(6, 8),
            nn.BatchNorm1d(8),
            nn.Tanh(),
            nn.Linear(8, 7),
            nn.BatchNorm1d(7, momentum=None),
            nn.Linear(7, 3),
        )


def cross_entropy(output, y):
    return nn.functional.cross_entropy(output, y, reduction="none")


def make_batches(*, with_single_rows, dtype=torch.float64):
    for number, (rows, is_weighted) in enumerate(UPDATES):
        torch.manual_seed(number)
        weight = torch.rand(rows).to(dtype) if is_weighted else None
        if rows > 1 or with_single_rows:
            yield Batch(torch.randn(rows, 6).to(dtype), torch.randint(0, 3, (rows,)), torch.arange(rows), weight)


def train(peers, kind, optimizer, options, folder=None):
    """Make some updates, half of them before a checkpoint; return losses, weights, buffers and the optimizer's tensors.

    Without processes the weights are complete.
    """
    torch.manual_seed(0)
    model = kind().double()
    groups = make_parameter_groups(model, head=None, head_lr=1.0)
    state = State(model, registry.find("optim", optimizer).build(groups, lr=0.02))
    sharding = Sharding(4, 3, seed=0, peers=peers, exact=False)
    losses = []
    weights = divided = None
    for number, batch in enumerate(make_batches(with_single_rows=kind is Net)):
        if number in (0, 3) and peers is not None:  # begin, and continue from a checkpoint in new processes
            if weights is not None:
                tensors, plain = weights.dump()
                if peers.is_first:
                    checkpoint.write(folder, tensors, plain)
                peers.wait_for_all()
                model = kind().double()
                groups = make_parameter_groups(model, head=None, head_lr=1.0)
                state = State(model, registry.find("optim", optimizer).build(groups, lr=0.02))
                assert checkpoint.load(folder, state)
            weights = WeightShards(state, peers, torch.device("cpu"))
            divided = DividedUpdate(sharding, weights)
        if number in (0, 3):
            local = list(model.parameters()) if weights is None else list(weights.local.values())
            penalty = make_l1_penalty([p for p in local if p.ndim > 1], 1e-3)
            update = make_update(sharding=sharding, divided=divided, penalty=penalty, **options)
        losses.append(update(state, batch, cross_entropy))
        state.advance(losses[-1], len(batch))
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    tensors, plain = state.dump() if weights is None else weights.dump()
    tensors = {name: value.clone() for name, value in tensors.items() if not name.startswith("random")}
    return {"losses": torch.stack(losses), **tensors, **buffers}


TRAININGS = {
    "tied": (Net, "adamw", {"clip_norm": 0.5}),
    "sgd": (Net, "sgd", {"clip_norm": 1.0, "clip_value": 0.05}),
    "rmsprop": (Net, "rmsprop", {}),
    "norm": (NormNet, "nesterov", {}),
    "adam": (NormNet, "adam", {"clip_norm": 0.1}),
    "momentum": (NormNet, "momentum", {}),
}


def train_together(rank, folder):
    torch.set_num_threads(1)
    weight_shards.MIN_BLOCK_PARAMETERS = 8
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=SIZE)
    peers = Peers(None, rank, SIZE)
    for name, training in TRAININGS.items():
        result = train(peers, *training, folder / name)
        if rank == 0:
            save_file(result, folder / f"{name}.safetensors")
    results = {"errors": list_errors(peers), "values": count_values(peers), "finished": compare_finished(peers)}
    (folder / f"{rank}.json").write_text(json.dumps(results))
    peers.wait_for_all()
    dist.destroy_process_group()


def divide(model, peers, **options):
    """Return the state of a network, its weights, and its update."""
    state = State(model, torch.optim.AdamW(model.parameters(), lr=0.02))
    weights = WeightShards(state, peers, torch.device("cpu"))
    divided = DividedUpdate(Sharding(4, None, seed=0, peers=peers, exact=False), weights)
    return state, weights, make_update(divided=divided, **options)


def list_errors(peers):
    """Return the errors of updates that are not finite in one shard; the next update is finite."""
    errors = []
    state, weights, update = divide(Net(), peers)
    x = torch.randn(16, 6)
    batch = Batch(x, torch.arange(16) % 3, torch.arange(16))
    infinite = Batch(torch.where(torch.arange(16)[:, None] == 13, 1e38, x), batch.y, batch.index)
    initial = {name: value.clone() for name, value in weights.local.items()}
    for failing, loss in [
        (infinite, cross_entropy),
        (batch, lambda output, y: cross_entropy(output, y) + (output[:, 0] * 0).abs().sqrt()),
    ]:
        with pytest.raises(NonFiniteError) as caught:
            update(state, failing, loss)
        errors.append(str(caught.value))
        state.optimizer.zero_grad()
        assert all(torch.equal(value, initial[name]) for name, value in weights.local.items())
    assert state.model.calls == 1, "only the update whose loss is finite should change the buffers"
    assert update(state, batch, cross_entropy).isfinite()
    return errors


def count_values(peers):
    """Return the numbers of values of the complete weights, and of those of this process with its optimizer's."""
    model = Net()
    complete = sum(p.numel() for p in model.parameters())
    state, weights, update = divide(model, peers)
    update(state, next(make_batches(with_single_rows=False, dtype=torch.float32)), cross_entropy)
    gradients = sum(p.to_local().numel() for p in model.parameters())
    assert gradients == sum(p.numel() for p in weights.local.values())
    return complete, weights.count_values()


def compare_finished(peers):
    """Return whether the complete network of the first process computes what the divided one does."""
    state, weights, update = divide(Net(), peers)
    update(state, next(make_batches(with_single_rows=False, dtype=torch.float32)), cross_entropy)
    (event,) = keep_best(iter([EpochEnd(1, 1, 0.0, {})]), state, score="loss", higher_is_better=False)
    assert event.epoch == 1
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    with evaluation_mode(state.model), torch.no_grad():
        expected, calls = state.model(x), state.model.calls.clone()
    weights.finish()
    if not peers.is_first:
        return True
    assert state.model.calls == calls
    assert state.model.back.weight is state.model.tied.weight
    assert {type(p) for p in state.model.parameters()} == {nn.Parameter}
    assert set(state.best.weights) == set(state.model.state_dict())
    with evaluation_mode(state.model), torch.no_grad():
        return torch.equal(state.model(x), expected)


@pytest.mark.slow
def test_processes_with_a_part_of_the_weights_make_the_updates_of_complete_weights_up_to_rounding(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=train_together, args=(rank, tmp_path)) for rank in range(SIZE)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * SIZE
    for name, training in TRAININGS.items():
        expected = train(None, *training)
        result = load_file(tmp_path / f"{name}.safetensors")
        torch.testing.assert_close(result, expected, msg=lambda text, name=name: f"{name}: {text}")
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(SIZE))
    assert first["errors"] == second["errors"]
    assert "13" in first["errors"][0]
    assert "layer blocks.0.norm is the first" in first["errors"][0]
    assert "the gradient of back.weight is the first that is not finite" in first["errors"][1]
    complete = first["values"][0]
    counts = [result["values"][1] for result in (first, second)]
    assert sum(counts) == 3 * complete, "weights and two tensors of AdamW"
    assert max(counts) < 0.6 * sum(counts)
    assert first["finished"]


def test_blocks_are_the_parts_that_the_network_calls():
    model = Net()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_shards, "MIN_BLOCK_PARAMETERS", 20)
        names = {id(module): name for name, module in model.named_modules()}
        assert [names[id(block)] for block in list_blocks(model)] == [
            "first",
            *(f"blocks.{n}" for n in range(3)),
            "head",
        ]


def test_a_module_that_shares_parameters_with_another_has_no_group_of_its_own(monkeypatch):
    monkeypatch.setattr(weight_shards, "MIN_BLOCK_PARAMETERS", 1)
    model = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4), "c": nn.Linear(4, 4)})
    model["b"].weight = model["a"].weight
    assert list_blocks(model) == [model["c"]]
    assert list_blocks(nn.Sequential(nn.Linear(2, 2), nn.Sequential(model["a"], model["b"])))[1:] == []


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.LSTM(3, 4), "LSTM) keeps a reference to its weights in _flat_weights"),
        (nn.Sequential(nn.GRU(3, 4)), "0 (GRU)"),
        (nn.ParameterDict({"w": nn.Parameter(torch.ones(2, 3).T)}), "the parameter w is not contiguous"),
        (nn.ParameterDict({"scale": nn.Parameter(torch.ones(()))}), "the parameter scale is a single number"),
    ],
)
def test_weights_that_cannot_be_divided_are_refused(module, words):
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        require_divisible(module)
    assert "shard_weights=false" in caught.value.remedy


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Rprop", "ASGD", "Adagrad", "Adadelta"]
)
def test_optimizers_that_update_each_value_by_itself_are_allowed(name):
    model = nn.Linear(3, 2)
    require_elementwise("own", model, getattr(torch.optim, name)(model.parameters()))


class ScaledSGD(torch.optim.SGD):
    """A user's own optimizer, which may do anything."""


@pytest.mark.parametrize("optimizer", [torch.optim.Muon, torch.optim.LBFGS, torch.optim.Adafactor, ScaledSGD])
def test_other_optimizers_are_refused(optimizer):
    model = nn.Linear(3, 2, bias=False)
    with pytest.raises(UsageError, match="optimizer=own may need complete weights") as caught:
        require_elementwise("own", model, optimizer(model.parameters()))
    assert "optimizer=adamw" in caught.value.remedy


class NoPeers:
    size = 2


def test_errors_of_lost_processes_and_of_the_network_are_told_apart():
    def fail(error):
        with explain_lost_processes(NoPeers()):
            raise error

    with pytest.raises(ProcessError, match="another of the 2 processes"):
        fail(RuntimeError("[/gloo/transport/tcp/pair.cc:537] Connection closed by peer"))
    with pytest.raises(UsageError, match="outside of its forward pass") as caught:
        fail(RuntimeError("aten.mm.default got mixed torch.Tensor and DTensor"))
    assert "self.part(x)" in caught.value.remedy
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fail(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))

"""Gradients that are added up over processes while the backward pass goes on: the exact updates up to rounding."""

import multiprocessing

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn

from yisheng.core.events import Batch
from yisheng.training import overlapped_shards
from yisheng.training.distributed import Peers
from yisheng.training.overlapped_shards import BucketSums
from yisheng.training.shards import Sharding
from yisheng.training.state import State
from yisheng.training.update import make_update

UPDATES = [(21, False), (21, True), (5, False), (3, True), (40, True)]
"""Rows, and whether they have weights: the small batches have no rows for some processes."""


class Net(nn.Module):
    """Batch norm, dropout, a layer without gradients, and buffers of three types."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3))
        self.last, self.unused = nn.Linear(8, 4), nn.Linear(3, 3)
        self.register_buffer("was_called", torch.zeros(3, dtype=torch.bool))

    def forward(self, x):
        self.was_called[1] = True
        return self.last(torch.tanh(self.first(x)))


def cross_entropy(output, y):
    return nn.functional.cross_entropy(output, y, reduction="none")


def train(peers, *, exact):
    """Make some updates, a layer frozen on the way; return losses, weights and buffers."""
    torch.manual_seed(0)
    model = Net().double()
    state = State(model, torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=0.1))
    update = make_update(sharding=Sharding(4, 3, seed=0, peers=peers, exact=exact), clip_norm=1.0)
    losses = []
    for number, (rows, is_weighted) in enumerate(UPDATES):
        torch.manual_seed(number)
        weight = torch.rand(rows).double() if is_weighted else None
        batch = Batch(torch.randn(rows, 6).double(), torch.randint(0, 4, (rows,)), torch.arange(rows), weight)
        model.first[0].requires_grad_(number < 3)
        losses.append(update(state, batch, cross_entropy))
    return {"losses": torch.stack(losses), **{name: value.clone() for name, value in model.state_dict().items()}}


def train_together(rank, size, folder):
    torch.set_num_threads(1)
    overlapped_shards.BUCKET_BYTES = 300  # several buckets
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    peers = Peers(None, rank, size)
    save_file(train(peers, exact=False), f"{folder}/{rank}.safetensors")
    peers.wait_for_all()
    assert peers.gather_json(rank) == list(range(size))
    peers = Peers(None, rank, size)
    peers.batches_transfers = True
    save_file(train(peers, exact=True), f"{folder}/batched-{rank}.safetensors")
    peers.wait_for_all()
    dist.destroy_process_group()


@pytest.mark.slow
def test_four_processes_make_the_exact_updates_up_to_rounding(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=train_together, args=(rank, 4, str(tmp_path))) for rank in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    results = [load_file(tmp_path / f"{rank}.safetensors") for rank in range(4)]
    torch.testing.assert_close(results[0], train(None, exact=True))
    assert results[0]["was_called"].tolist() == [False, True, False]
    for result in results[1:]:
        assert all(torch.equal(value, results[0][name]) for name, value in result.items())
    exact = train(None, exact=True)
    for rank in range(4):  # sent as between GPUs
        batched = load_file(tmp_path / f"batched-{rank}.safetensors")
        assert all(torch.equal(value, exact[name]) for name, value in batched.items())


def test_one_process_makes_the_exact_updates_up_to_rounding():
    torch.testing.assert_close(train(None, exact=False), train(None, exact=True))


class SumsOfOneProcess:
    """Records which sums are begun, as `Peers` would."""

    def __init__(self):
        self.begun = []

    def begin_sum(self, tensor):
        self.begun.append(tensor.clone())

    def end_sum(self, work, *, on_gpu):
        pass


@pytest.mark.parametrize("bucket_bytes", [1, 100, 1 << 20])
def test_full_buckets_are_begun_in_the_backward_pass(monkeypatch, bucket_bytes):
    monkeypatch.setattr(overlapped_shards, "BUCKET_BYTES", bucket_bytes)
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3), nn.Linear(3, 2))
    parameters, peers, begun_when_first_layer_began = list(model.parameters()), SumsOfOneProcess(), []
    sums = BucketSums(parameters, peers)
    with sums.overlap():
        hidden = model[0](torch.randn(7, 5))
        hook = hidden.register_hook(lambda _: begun_when_first_layer_began.append(len(peers.begun)))
        model[1:](hidden).sum().backward()
    hook.remove()
    expected = [p.grad.clone() for p in parameters]
    begun_count = len(peers.begun)
    assert sums.finish() == [True] * 6
    assert len(peers.begun) == begun_count, "the pass should have begun all sums"
    assert torch.equal(torch.cat(peers.begun), torch.cat([g.flatten() for g in reversed(expected)]))
    assert all(torch.equal(p.grad, gradient) for p, gradient in zip(parameters, expected, strict=True))
    assert begun_when_first_layer_began == [{1: 4, 100: 1, 1 << 20: 0}[bucket_bytes]]
    model(torch.randn(7, 5)).sum().backward()
    assert len(peers.begun) == begun_count, "the hooks should be gone"

"""Trainings on CUDA GPUs; `scripts/gpu_check.sh` runs them.

With ``YISHENG_TEST_DEVICE=cpu`` they run on a CPU, as far as they can: that tests the tests, not the GPU.
"""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import yisheng
from yisheng.core.dataset import Dataset
from yisheng.core.errors import NonFiniteError
from yisheng.core.events import Batch
from yisheng.core.generator_states import preserve_generators
from yisheng.core.spec import Spec
from yisheng.data.batches import make_batches
from yisheng.training.shards import Sharding
from yisheng.training.state import State
from yisheng.training.update import make_update
from yisheng.transforms.none import none

pytestmark = pytest.mark.gpu
DEVICE = torch.device(os.environ.get("YISHENG_TEST_DEVICE", "cuda"))
ON_GPU = DEVICE.type == "cuda"
PLAIN = {"precision": "fp32", "memory_format": "contiguous", "doctor": "off", "ood": False, "quiet": True}
PLAIN |= {"data": "digits", "optimizer": "sgd", "lr": 0.1, "schedule": "constant", "batch": 100, "epochs": 2}
PLAIN |= {"device": DEVICE.type}
MLP = {"model": "mlp", "hidden": [64]}
"""Matrix products of equal shapes have equal bits on equal GPUs; convolutions may not."""


def load_weights(run):
    return load_file(run.path / "model.safetensors")


def require_equal(run, expected):
    weights, expected_weights = load_weights(run), load_weights(expected)
    assert all(torch.equal(value, expected_weights[name]) for name, value in weights.items())


def require_close(run, expected, tolerance):
    torch.testing.assert_close(load_weights(run), load_weights(expected), rtol=tolerance, atol=tolerance)
    accuracies = [r.scores["test"]["accuracy"].value for r in (run, expected)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.03)


@pytest.mark.parametrize(("model", "tolerance"), [(MLP, 1e-3), ({"model": "lenet"}, 2e-2)])
def test_a_gpu_trains_the_weights_of_the_cpu_up_to_rounding(tmp_path, model, tolerance):
    settings = {**PLAIN, **model, "epochs": 1}
    run = yisheng.train(**settings, out=tmp_path / "gpu")
    require_close(run, yisheng.train(**{**settings, "device": "cpu"}, out=tmp_path / "cpu"), tolerance)


def test_bf16_trains_a_network(tmp_path):
    run = yisheng.train(**{**PLAIN, "model": "lenet", "precision": "bf16", "epochs": 6}, out=tmp_path)
    assert run.scores["test"]["accuracy"].value > 0.8


def test_a_resumed_run_has_the_random_numbers_of_one_that_was_not_stopped(tmp_path):
    settings = {**PLAIN, **MLP, "dropout": 0.5, "patience": 0}
    expected = yisheng.train(**settings, out=tmp_path / "whole")
    run = yisheng.train(**{**settings, "epochs": 1}, out=tmp_path / "resumed")
    run = yisheng.resume(run.path, epochs=2, quiet=True)
    require_close(run, expected, 1e-5)


def test_batches_from_the_host_are_those_of_a_block_on_the_gpu(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (1003, 3, 16, 16), dtype=np.uint8), rng.integers(0, 3, 1003)
    data = Dataset("d", Spec("classification", (3, 16, 16), classes=tuple("abc")), x, y)
    options = {"size": 64, "scale": none(), "target_scale": None, "device": DEVICE, "seed": 0}
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
        host = make_batches(data, np.arange(1003), **options)
    block = make_batches(data, np.arange(1003), **options)
    assert (host.x.device.type, block.x.device.type) == ("cpu", DEVICE.type)
    weight = torch.randn(3 * 16 * 16, 512, device=DEVICE)
    for epoch in range(2):
        for batch, expected in zip(host.epoch(epoch), block.epoch(epoch), strict=True):
            for _ in range(20):  # work on the present stream, which the copies must not overtake
                expected.x.flatten(1) @ weight
            assert batch.x.device.type == DEVICE.type
            assert all(torch.equal(getattr(batch, key), getattr(expected, key)) for key in ("x", "y", "index"))


def make_update_over_shards(count, dropout=0.5):
    torch.manual_seed(0)
    layers = nn.Linear(6, 32), nn.BatchNorm1d(32), nn.Dropout(dropout), nn.Linear(32, 4)
    model = nn.Sequential(*layers).to(DEVICE)
    state = State(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_sum=torch.zeros((), device=DEVICE))
    generator = torch.Generator().manual_seed(1)
    batch = Batch(
        torch.randn(40, 6, generator=generator).to(DEVICE),
        torch.randint(0, 4, (40,), generator=generator).to(DEVICE),
        torch.arange(40, device=DEVICE),
    )
    update = make_update(sharding=Sharding(count, None, seed=0), check_finite="one step late")
    value = update(state, batch, nn.CrossEntropyLoss(reduction="none"))
    return value, model.state_dict()


def read_generator():
    return torch.cuda.get_rng_state(DEVICE) if ON_GPU else torch.get_rng_state()


def test_an_update_over_shards_leaves_the_generator_as_it_was():
    make_update_over_shards(4)
    with preserve_generators(DEVICE):
        before = read_generator()
        torch.rand(3, device=DEVICE)
        assert not torch.equal(read_generator(), before)
    assert torch.equal(read_generator(), before)
    first, second = make_update_over_shards(4), make_update_over_shards(4)
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(value, second[1][name]) for name, value in first[1].items())
    assert first[1]["1.num_batches_tracked"] == 1


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    with pytest.raises(NonFiniteError):
        yisheng.train(**{**PLAIN, **MLP, "lr": 1e30}, out=tmp_path)


@pytest.mark.gpu(2)
def test_two_gpus_train_the_bits_of_one(tmp_path):
    settings = {**PLAIN, **MLP, "dropout": 0.2, "shards": 2, "exact": True}
    run = yisheng.train(**settings, processes=2, out=tmp_path / "2")
    require_equal(run, yisheng.train(**settings, out=tmp_path / "1"))
    assert "exact = true" in (run.path / "config.toml").read_text()


@pytest.mark.gpu(2)
def test_sums_on_two_gpus_are_not_exact_by_default(tmp_path):
    settings = {**PLAIN, "model": "lenet", "shards": 2}
    run = yisheng.train(**settings, processes="auto" if ON_GPU else 2, out=tmp_path / "2")
    assert (run.path / "rank-1.log").exists()
    assert f"exact = {'false' if ON_GPU else 'true'}" in (run.path / "config.toml").read_text()
    require_close(run, yisheng.train(**settings, out=tmp_path / "1"), 2e-2)


@pytest.mark.gpu(2)
@pytest.mark.parametrize("exact", [True, False])
def test_a_run_of_two_gpus_is_resumed_on_one(tmp_path, exact):
    settings = {**PLAIN, **MLP, "dropout": 0.2, "shards": 2, "exact": exact, "patience": 0}
    run = yisheng.train(**{**settings, "epochs": 1}, processes=2, out=tmp_path / "2")
    run = yisheng.resume(run.path, epochs=2, quiet=True)
    require_close(run, yisheng.train(**settings, out=tmp_path / "1"), 0 if exact else 1e-3)


@pytest.mark.gpu(2)
@pytest.mark.skipif(not ON_GPU, reason="batch norm over processes needs GPUs")
@pytest.mark.parametrize("exact", [True, False])
def test_batch_norm_over_two_gpus_is_that_of_the_complete_batch(tmp_path, exact):
    settings = {**PLAIN, **MLP, "batch_norm": True}
    run = yisheng.train(**settings, shards=2, sync_bn=True, exact=exact, processes=2, out=tmp_path / "2")
    require_close(run, yisheng.train(**settings, out=tmp_path / "1"), 1e-2)


@pytest.mark.gpu(2)
@pytest.mark.parametrize("exact", [True, False])
def test_a_loss_that_is_not_finite_ends_both_processes(tmp_path, exact):
    with pytest.raises(NonFiniteError):
        yisheng.train(**{**PLAIN, **MLP, "lr": 1e30, "shards": 2, "exact": exact}, processes=2, out=tmp_path)


def test_the_log_names_the_device(tmp_path):
    run = yisheng.train(**{**PLAIN, **MLP, "epochs": 1}, out=tmp_path)
    environment = json.loads((run.path / "environment.json").read_text())
    assert DEVICE.type in json.dumps(environment)

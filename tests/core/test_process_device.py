"""Which device each of several processes takes: decided from plain numbers, so that no GPU is needed here."""

import pytest
import torch

from yisheng.core import process_device
from yisheng.core.errors import UsageError
from yisheng.core.process_device import (
    choose_backend,
    choose_gpu,
    choose_process_count,
    choose_process_device,
    count_gpus,
    require_distinct_gpus,
)


@pytest.fixture
def gpus(monkeypatch):
    """Return a function that makes torch see a number of GPUs."""

    def see(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return see


@pytest.mark.parametrize(
    ("count", "shards", "processes"),
    [(0, "auto", 1), (1, "auto", 1), (2, "auto", 2), (3, "auto", 2), (8, "auto", 8), (8, 4, 4), (2, 8, 2), (4, 1, 1)],
)
def test_all_gpus_are_taken_in_pairs(count, shards, processes):
    assert choose_process_count(count, shards) == processes


def test_each_process_has_the_gpu_of_its_number(gpus):
    gpus(4)
    devices = [choose_process_device("cuda", rank, is_launched=False) for rank in range(4)]
    assert devices == [torch.device("cuda", rank) for rank in range(4)]
    assert choose_process_device("auto", 1, is_launched=True) == torch.device("cuda", 1)
    assert choose_process_device("cpu", 1, is_launched=True) == torch.device("cpu")
    assert {choose_backend(device) for device in devices} == {"cpu:gloo,cuda:nccl"}


def test_without_gpus_processes_compute_on_the_cpu(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert count_gpus("auto") == 0
    assert choose_process_device("auto", 3, is_launched=False) == torch.device("cpu")
    with pytest.raises(UsageError, match="device=cuda cannot be used here"):
        choose_process_device("cuda", 0, is_launched=False)


def test_a_gpu_that_slurm_shows_alone_is_taken_by_any_rank():
    assert choose_gpu(3, 1, is_launched=True) == 0
    with pytest.raises(UsageError, match="process 1 of this machine has no GPU: it has 1") as error:
        choose_gpu(1, 1, is_launched=False)
    assert "processes=1" in error.value.remedy
    with pytest.raises(UsageError, match="process 6 of this machine") as error:
        choose_gpu(6, 6, is_launched=True)
    assert "processes=4" in error.value.remedy


@pytest.mark.parametrize(("name", "message"), [("cuda:1", "is one GPU"), ("mps", "CPUs or on CUDA GPUs")])
def test_a_device_for_one_process_is_refused(gpus, monkeypatch, name, message):
    gpus(2)
    monkeypatch.setattr(process_device.machine, "select_device", torch.device)
    with pytest.raises(UsageError, match=message):
        choose_process_device(name, 0, is_launched=False)


def test_two_processes_on_one_gpu_are_refused():
    require_distinct_gpus(["a", "b", "c"])
    with pytest.raises(UsageError, match=r"processes 1 and 3 have the same GPU \(b\)"):
        require_distinct_gpus(["a", "b", "c", "b"])

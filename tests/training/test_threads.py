"""The number of threads of a training."""

from types import SimpleNamespace

import torch

from yisheng.core import machine
from yisheng.training import threads


def test_cores_of_other_programs_are_left_alone(monkeypatch):
    assembly = SimpleNamespace(train=SimpleNamespace(device=torch.device("cpu")), config=SimpleNamespace(shards=1))
    monkeypatch.setattr(threads, "count_useful_threads", lambda _: 8)
    monkeypatch.setattr(machine, "count_cores", lambda: 8)
    monkeypatch.setattr(machine, "busy_cores", lambda: 2.6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads.count_free_threads(assembly) == (5, "other programs keep 2.6 of 8 cores busy: 5 left to train on")
    monkeypatch.setattr(machine, "busy_cores", lambda: 0.4)
    assert threads.count_free_threads(assembly) == (8, "")
    monkeypatch.setattr(machine, "busy_cores", lambda: 9.0)
    assert threads.count_free_threads(assembly)[0] == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert threads.count_free_threads(assembly) == (8, "")  # the user's setting wins
    monkeypatch.delenv("OMP_NUM_THREADS")
    assembly.config.shards = 4
    assert threads.count_free_threads(assembly) == (8, "")  # another number of threads would round differently

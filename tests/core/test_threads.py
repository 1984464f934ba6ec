"""How many threads a training gets."""

import torch

from yisheng.core.machine import threads_worth


def test_a_second_thread_is_for_large_batches_or_large_networks(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    digits, mnist = 32 * 64, 128 * 784
    assert threads_worth(digits, 32 * 5_000) == 1
    assert threads_worth(mnist, 128 * 60_000) == 8
    assert threads_worth(digits, 32 * 11_000_000) == 8  # ResNet-18 on 8x8 pictures


def test_the_user_is_obeyed(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert threads_worth(1, 1) == 8

"""A training leaves the caller's process as it was, and trainings in threads give the weights that each gives alone."""

import hashlib
import logging
import os
import random
import threading

import numpy as np
import pytest
import torch

import yisheng
from yisheng.core.seeds import isolated_generators

SETTINGS = {"data": "digits", "model": "mlp", "dropout": 0.2, "epochs": 2, "quiet": True}


def draw() -> tuple[float, ...]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def seed_all() -> None:
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)


def weights_hash(run: yisheng.TrainedRun) -> str:
    return hashlib.sha256((run.path / "model.safetensors").read_bytes()).hexdigest()


def test_training_leaves_the_generators_as_they_were(tmp_path):
    seed_all()
    expected = draw()
    seed_all()
    run = yisheng.train(out=tmp_path, **SETTINGS)
    assert draw() == expected
    seed_all()
    yisheng.load(run.path)
    yisheng.predict(run.path, np.zeros((2, 1, 8, 8), np.uint8))
    yisheng.evaluate(run.path)
    assert draw() == expected


def test_tuning_and_estimators_leave_the_generators_as_they_were(tmp_path):
    from yisheng.sklearn import Classifier

    seed_all()
    expected = draw()
    seed_all()
    yisheng.tune(data="iris", model="linear", lr=[0.01, 0.1], epochs=1, out=tmp_path, quiet=True)
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    Classifier(epochs=1, random_state=0).fit(x, x[:, 0] > 0).predict(x)
    assert draw() == expected


def test_a_failed_training_leaves_the_generators_as_they_were(tmp_path):
    seed_all()
    expected = draw()
    seed_all()
    with pytest.raises(yisheng.NonFiniteError):
        yisheng.train(out=tmp_path, **{**SETTINGS, "optimizer": "sgd", "lr": 1e30})
    assert draw() == expected


def test_training_leaves_torch_and_the_environment_as_they_were(tmp_path):
    before = (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.autograd.backward,
        torch.Tensor.backward,
        torch.optim.Optimizer.step,
        dict(os.environ),
        logging.getLogger().level,
        list(logging.getLogger().handlers),
    )
    yisheng.train(out=tmp_path, **SETTINGS)
    after = (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.autograd.backward,
        torch.Tensor.backward,
        torch.optim.Optimizer.step,
        dict(os.environ),
        logging.getLogger().level,
        list(logging.getLogger().handlers),
    )
    assert after == before


@pytest.mark.slow
def test_trainings_in_threads_give_the_weights_of_a_single_training(tmp_path):
    expected = weights_hash(yisheng.train(out=tmp_path / "alone", **SETTINGS))
    hashes = {}

    def train(number: int) -> None:
        hashes[number] = weights_hash(yisheng.train(out=tmp_path / str(number), **SETTINGS))

    threads = [threading.Thread(target=train, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hashes == dict.fromkeys(range(3), expected)


def test_a_second_training_waits_with_a_note(caplog):
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with isolated_generators():
            entered.set()
            leave.wait(10)

    def wait() -> None:
        with isolated_generators():
            torch.rand(1)

    holder, waiter = threading.Thread(target=hold), threading.Thread(target=wait)
    with caplog.at_level(logging.INFO, "yisheng"):
        holder.start()
        entered.wait(10)
        waiter.start()
        while not caplog.records:
            waiter.join(0.01)
        assert waiter.is_alive()
        leave.set()
        holder.join()
        waiter.join()
    assert "another training is running" in caplog.text


def test_a_thread_may_enter_again():
    with isolated_generators(), isolated_generators():
        torch.rand(1)

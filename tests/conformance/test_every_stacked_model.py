"""Stacked training of every registered network equals serial training, or an error explains why it is impossible.

Each network is small, on the first of a few data sets that it accepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from yisheng.core import registry
from yisheng.core.choice import IN_MEMORY
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.search.executors.serial import Trainer, train_serial
from yisheng.search.executors.stacked import chunks
from yisheng.search.executors.stacked.train import train_stacked
from yisheng.search.jobs import Job

SHAPES = ((5,), (1, 8, 8), (1, 32, 32), (1, 68, 68))
SMALL_OPTIONS = {"ratio": 16, "width": 8, "hidden": "6", "k": 2}
"""Options that make networks small."""
MAX_WEIGHTS = 300_000
"""Tests of networks with more weights are slow ones."""


def make_data(shape: tuple[int, ...], n: int = 9) -> Dataset:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, *shape)).astype(np.float32)
    if len(shape) == 3:
        x = generator.integers(0, 256, (n, *shape), dtype=np.uint8)
    return Dataset("random", Spec("classification", shape, ("a", "b", "c")), x, np.arange(n) % 3)


def make_config(name: str, **options: Any) -> Config:
    model_options = registry.find("models", name).options
    small_options = {f"model.{key}": value for key, value in SMALL_OPTIONS.items() if key in model_options}
    chosen = {
        "data": IN_MEMORY,
        "model": name,
        **small_options,
        "epochs": 1,
        "batch": 3,
        "fold": "1/2",
        "precision": "fp64",
    }
    return merge_settings([(key, value, "command line") for key, value in {**chosen, **options}.items()]).config


def assemble(name: str, options: dict[str, Any]) -> tuple[list[Job], Dataset]:
    """Return two jobs on the first data that the network accepts."""
    split = Split(np.arange(6), np.arange(6, 9), np.arange(0))
    for shape in SHAPES:
        data = make_data(shape)
        jobs = [Job(f"{lr}", make_config(name, lr=lr, optimizer="momentum", **options), split) for lr in (0.001, 0.01)]
        try:
            Trainer(data).assemble(jobs[0])
        except UsageError:
            continue
        return jobs, data
    raise AssertionError(f"{name} accepts none of {SHAPES}")


def make_cases() -> Iterator[Any]:
    for entry in registry.entries("models"):
        if entry.meta.get("fitted"):  # it has no gradient steps that could be stacked
            continue
        marks = [pytest.mark.slow] if is_large(entry) else []
        yield pytest.param(entry.name, {}, id=entry.name, marks=marks)
        for option in entry.options.values():
            value: Any = not option.default
            if option.name == "dropout":
                value = 0.0 if option.default else 0.5
            elif option.type is not bool:
                continue
            yield pytest.param(entry.name, {option.name: value}, id=f"{entry.name}-{option.name}={value}", marks=marks)


def fits(entry: Entry, shape: tuple[int, ...]) -> bool:
    return entry.meta.get("fits", lambda _: True)(Spec("classification", shape, ("a", "b", "c")))


def is_large(entry: Entry) -> bool:
    """Return whether a network has many weights; networks for rows have few."""
    for shape in () if fits(entry, SHAPES[0]) else SHAPES[1:]:
        spec = Spec("classification", shape, ("a", "b", "c"))
        try:
            with torch.device("meta"):
                model = entry.build(spec, **({"ratio": SMALL_OPTIONS["ratio"]} if "ratio" in entry.options else {}))
        except UsageError:
            continue
        return sum(p.numel() for p in model.parameters()) > MAX_WEIGHTS
    return False


@pytest.mark.parametrize(("name", "options"), list(make_cases()))
def test_stacked_training_equals_serial_training_or_is_an_error(name: str, options: dict[str, Any]) -> None:
    jobs, data = assemble(name, options)
    if reason := chunks.explain_refused_network(Trainer(data).assemble(jobs[0])):
        assert name in reason or "dropout" in reason
        with pytest.raises(UsageError, match="cannot be stacked"):
            list(train_stacked(jobs, data))
        return
    stacked = {outcome.key: outcome for outcome in train_stacked(jobs, data)}
    for serial in train_serial(jobs, data):
        assert stacked[serial.key].scores == pytest.approx(dict(serial.scores), rel=1e-9)
        for key, weight in serial.weights.items():
            torch.testing.assert_close(stacked[serial.key].weights[key], weight, rtol=1e-9, atol=1e-9)

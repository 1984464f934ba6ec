"""Every registered network can be trained with others in one pass, to the same numbers, or says why not.

Each in a small form, on the first of a few data sets that it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from yisheng.core import registry
from yisheng.core.config import IN_MEMORY, Config
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.types import Dataset, Spec, Split
from yisheng.search.executors.serial import Trainer, train_serial
from yisheng.search.executors.stacked import chunks
from yisheng.search.executors.stacked.train import train_stacked
from yisheng.search.jobs import Job

SHAPES = ((5,), (1, 8, 8), (1, 32, 32), (1, 68, 68))
SMALL = {"ratio": 16, "width": 8, "hidden": "6", "k": 2}
"""Options by which networks become small."""
LARGE = 300_000
"""Networks of more weights are tested in the slow round."""


def data_of(shape: tuple[int, ...], n: int = 9) -> Dataset:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, *shape)).astype(np.float32)
    if len(shape) == 3:
        x = draw.integers(0, 256, (n, *shape), dtype=np.uint8)
    return Dataset("made", Spec("classification", shape, ("a", "b", "c")), x, np.arange(n) % 3)


def config(name: str, **options: Any) -> Config:
    known = registry.find("models", name).options
    small = {f"model.{key}": value for key, value in SMALL.items() if key in known}
    chosen = {"data": IN_MEMORY, "model": name, **small, "epochs": 1, "batch": 3, "fold": "1/2", "precision": "fp64"}
    return merge_settings([(key, value, "command line") for key, value in {**chosen, **options}.items()]).config


def assembled(name: str, options: dict[str, Any]) -> tuple[list[Job], Dataset]:
    """Two jobs on the first data that the network takes."""
    split = Split(np.arange(6), np.arange(6, 9), np.arange(0))
    for shape in SHAPES:
        data = data_of(shape)
        jobs = [Job(f"{lr}", config(name, lr=lr, optimizer="momentum", **options), split) for lr in (0.001, 0.01)]
        try:
            Trainer(data).assemble(jobs[0])
        except UsageError:
            continue
        return jobs, data
    raise AssertionError(f"{name} takes none of {SHAPES}")


def cases() -> Iterator[Any]:
    for entry in registry.entries("models"):
        marks = [pytest.mark.slow] if is_large(entry) else []
        yield pytest.param(entry.name, {}, id=entry.name, marks=marks)
        for option in entry.options.values():
            other: Any = not option.default
            if option.name == "dropout":
                other = 0.0 if option.default else 0.5
            elif option.type is not bool:
                continue
            yield pytest.param(entry.name, {option.name: other}, id=f"{entry.name}-{option.name}={other}", marks=marks)


def fits(entry: registry.Entry, shape: tuple[int, ...]) -> bool:
    return entry.meta.get("fits", lambda _: True)(Spec("classification", shape, ("a", "b", "c")))


def is_large(entry: registry.Entry) -> bool:
    """Networks for rows are small ones."""
    for shape in () if fits(entry, SHAPES[0]) else SHAPES[1:]:
        spec = Spec("classification", shape, ("a", "b", "c"))
        try:
            with torch.device("meta"):
                model = entry.build(spec, **({"ratio": SMALL["ratio"]} if "ratio" in entry.options else {}))
        except UsageError:
            continue
        return sum(p.numel() for p in model.parameters()) > LARGE
    return False


@pytest.mark.parametrize(("name", "options"), list(cases()))
def test_stackable_or_declared_not(name: str, options: dict[str, Any]) -> None:
    jobs, data = assembled(name, options)
    if reason := chunks.explain_refused_network(Trainer(data).assemble(jobs[0])):
        assert name in reason or "dropout" in reason
        with pytest.raises(UsageError, match="cannot be stacked"):
            list(train_stacked(jobs, data))
        return
    together = {outcome.key: outcome for outcome in train_stacked(jobs, data)}
    for alone in train_serial(jobs, data):
        assert together[alone.key].scores == pytest.approx(dict(alone.scores), rel=1e-9)
        for key, weight in alone.weights.items():
            torch.testing.assert_close(together[alone.key].weights[key], weight, rtol=1e-9, atol=1e-9)

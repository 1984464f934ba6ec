"""Training in memory: no run folder and no file, for the many small fits of a search."""

from __future__ import annotations

import contextlib
import functools
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TextIO

import numpy as np
import torch
from torch import nn

from yisheng import transforms
from yisheng.core import machine, registry
from yisheng.core.config import AUTO, Config
from yisheng.core.errors import UsageError
from yisheng.core.types import Dataset, Epoched, Spec, Split
from yisheng.data.split import hold_out
from yisheng.evaluation.predictions import link
from yisheng.experiments.pretrained import pretrained
from yisheng.training import monitoring
from yisheng.training.setup import Assembly, assemble

FEW = 100
"""Below so many different rows ``validation=auto`` holds none out: 15 rows cannot tell one epoch from another."""
PIECE = 8192
"""Rows per forward pass of a prediction."""
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network as plain data: it can be pickled, also by those who forbid pickled code.

    Args:
        model: the network's registered name.
        options: its options.
        spec: the contract of the raw data.
        fitted: the fitted transforms by role (``input``, ``target``) as plain data, None where there is none.
        weights: the state dict, as arrays.
    """

    model: str
    options: Mapping[str, Any]
    spec: Spec
    fitted: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]

    @functools.cached_property
    def network(self) -> nn.Module:
        """The network in evaluation mode, on the CPU, in float64.

        In float64 what is said of a row does not depend on the rows beside it: in float32 it would, in the last
        digit, because larger blocks are multiplied in another order.
        """
        with own_chance():  # building draws initial weights, which are thrown away
            inner = transforms.after(self.scale, self.spec)
            network: nn.Module = registry.find("models", self.model).build(inner, **self.options)
        network.load_state_dict({name: torch.tensor(value) for name, value in self.weights.items()})
        return network.double().eval().requires_grad_(False)

    @functools.cached_property
    def scale(self) -> Any:
        """The fitted input transform."""
        return transforms.from_json(self.fitted["input"])

    @functools.cached_property
    def target_scale(self) -> Any:
        """The fitted target transform, or None."""
        plain = self.fitted["target"]
        return None if plain is None else transforms.from_json(plain)

    def outputs(self, x: np.ndarray) -> torch.Tensor:
        """What the network gives for rows ``(N, D)``, float64 ``(N, O)``: logits, or scaled targets."""
        with torch.inference_mode(), machine.threads(machine.threads_worth(x.size)):
            pieces = (torch.from_numpy(x[at : at + PIECE].astype(np.float64)) for at in range(0, len(x), PIECE))
            return torch.cat([self.network(self.scale.apply(piece)) for piece in pieces])

    def predictions(self, x: np.ndarray) -> np.ndarray:
        """Probabilities ``(N, C)``, or numbers in the original unit ``(N, T)``, float64."""
        invert = None if self.target_scale is None else self.target_scale.invert
        return link(self.outputs(x), self.spec, invert).numpy()

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # nothing that can be made again


@dataclass(frozen=True)
class Result:
    """What `fit` gives.

    Args:
        fitted: the network with the weights of the best epoch.
        config: settled.
        history: for each epoch its number, training loss, and validation scores if there is a validation part.
        best: number of the best epoch, from 1; the last one where nothing is held out.
    """

    fitted: Fitted
    config: Config
    history: tuple[dict[str, float], ...]
    best: int


def fit(config: Config, dataset: Dataset, *, stream: TextIO | None = None) -> Result:
    """Train by a config on some rows; the global random generators are left as they were.

    Args:
        config: any config; ``auto`` is settled here, its ``data`` and ``test`` do not count.
        dataset: all rows to learn from.
        stream: where progress goes, if anywhere.

    Raises:
        UsageError: a choice does not fit the data.
        DataError: a value is missing or infinite where that is not allowed.
        NonFiniteError: the loss or a gradient became NaN or infinite.
    """
    machine.keep_memory()
    if config.scratch:
        raise UsageError(
            "scratch=true compares two runs in their folders, and nothing is written here", "say yisheng.train(...)"
        )
    device = machine.device(config.device)
    config, begin = pretrained(config)
    config, dataset, split = arranged(config, dataset)
    with own_chance(device):
        assembly = assemble(config, dataset, split, device, begin)
        with machine.threads(monitoring.threads_worth(assembly)):
            history = _live(assembly, stream)
    best = assembly.state.best
    fitted = Fitted(
        assembly.config.model.name,
        dict(assembly.config.model.options),
        assembly.spec,
        {role: None if t is None else transforms.to_json(t) for role, t in assembly.transforms.items()},
        {name: value.cpu().numpy() for name, value in best.weights.items()},
    )
    return Result(fitted, assembly.config, tuple(history), best.epoch)


def arranged(config: Config, dataset: Dataset) -> tuple[Config, Dataset, Split]:
    """The parts of the rows; and where every update sees all of them, equal rows as one with a larger weight.

    In the latter case the result depends on nothing but which rows there are, how often or with what weight: a row
    of weight 3 and one that stands there three times are the same, to the bit, in whatever order. Where batches are
    drawn, or some rows are held out, the rows stay as they are.

    Args:
        config: its ``validation`` and ``batch`` may be auto; see `FEW`.
        dataset: all rows to learn from.
    """
    auto = config.validation == AUTO
    once = None if config.validation and not (auto and _may_be_few(dataset)) else merged(dataset)
    if auto and once is not None and len(once) < FEW:
        config = config.model_copy(update={"validation": 0})
    if not config.validation and once is not None:
        batch = config.settle(dataset.spec, len(once)).batch
        assert isinstance(batch, int)  # settled
        dataset = once if batch >= len(once) else dataset
    split = hold_out(dataset, validation=config.validation, test=0, seed=config.seed, how=config.split)
    return config, dataset, split


def merged(dataset: Dataset) -> Dataset:
    """The different rows (inputs and target) in ascending order, each weighing as much as all those equal to it.

    >>> x, y = np.array([[2.0], [1.0], [2.0]], np.float32), np.array([0, 1, 0])
    >>> once = merged(Dataset("rows", Spec("classification", (1,), ("a", "b")), x, y))
    >>> once.x.tolist(), once.y.tolist(), once.weight.tolist()
    ([[1.0], [2.0]], [1, 0], [0.5, 1.0])
    """
    x = dataset.x + np.float32(0)  # -0.0 becomes 0.0
    keys = [*dataset.y.reshape(len(x), -1).T, *x.T[::-1]]
    order = np.lexsort(keys)
    new = np.zeros(len(x), bool)
    new[:1] = True
    for key in keys:
        here, before = key[order][1:], key[order][:-1]
        new[1:] |= (here != before) & ~(np.isnan(here) & np.isnan(before))
    weight = np.ones(len(x)) if dataset.weight is None else dataset.weight.astype(np.float64)
    total = np.bincount(np.cumsum(new) - 1, weights=weight[order])
    rows = order[new]
    even = (total == total[0]).all()
    return replace(
        dataset, x=x[rows], y=dataset.y[rows], weight=None if even else (total / total.max()).astype(np.float32)
    )


def _may_be_few(dataset: Dataset) -> bool:
    """Whether fewer than `FEW` different rows are possible: no column has so many different values."""
    columns = (*dataset.y.reshape(len(dataset), -1).T, *dataset.x.T)
    return all(len(np.unique(column)) < FEW for column in columns)


def _live(assembly: Assembly, stream: TextIO | None) -> list[dict[str, float]]:
    """Run the loop to its end; gives what each epoch came to."""
    events = monitoring.listened(assembly)
    if stream is not None:
        for remark in assembly.remarks:
            print(remark, file=stream)
        events = monitoring.shown(events, assembly, stream)
    return [{"epoch": e.epoch, "training_loss": e.loss, **e.scores} for e in events if isinstance(e, Epoched)]


@contextlib.contextmanager
def own_chance(device: torch.device | None = None) -> Iterator[None]:
    """Leave the global random generators of Python, NumPy and torch as they were, whatever is seeded inside.

    One thread at a time: two that draw from the same generators would spoil each other's numbers.

    Args:
        device: the GPU whose generator is used too, if one is.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with _one_at_a_time, torch.random.fork_rng(devices):
        python, numpy = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)

"""Which trainings can be one, and how many at once: grids cut into pieces that fit the processor's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from yisheng.core import registry
from yisheng.core.config import Choice, Config
from yisheng.core.types import Split
from yisheng.search.executors.stacked import layers, update
from yisheng.search.jobs import Job
from yisheng.training.setup import Assembly

CHUNK_BYTES = 6 << 20
"""Bytes of weights, gradients and the optimiser's memory that one chunk may have."""
MAX_TINY_WEIGHTS = 6000
"""Networks of fewer weights are all in one chunk: what counts then is the number of operations, not their size."""
VALUES_PER_WEIGHT = 4
"""What an optimiser keeps beside a weight, and its gradient, at most."""

BATCH_NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d, torch.nn.SyncBatchNorm)


@dataclass(frozen=True)
class Group:
    """Jobs that differ in nothing that shapes, or steers, a training; those of one stream see the same batches.

    Args:
        streams: jobs of the same rows and the same seed, in their order.
    """

    streams: tuple[tuple[Job, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.streams))

    @property
    def first(self) -> Job:
        """One of them, to try things with."""
        return self.streams[0][0]

    def chunks(self, models: int) -> Iterator[Group]:
        """The group in pieces of about so many models: all streams of some settings, or some streams of each.

        >>> jobs = tuple(tuple(Job(f"{f}{s}", Config(), None) for s in range(4)) for f in range(2))
        >>> [[[job.key for job in stream] for stream in part.streams] for part in Group(jobs).chunks(4)]
        [[['00', '01'], ['10', '11']], [['02', '03'], ['12', '13']]]
        """
        wide = max(1, models // len(self.streams))
        for at in range(0, len(self.streams), models):
            some = self.streams[at : at + models]
            for begin in range(0, max(map(len, some)), wide):
                cut = tuple(stream[begin : begin + wide] for stream in some)
                yield Group(tuple(stream for stream in cut if stream))


def group_jobs(jobs: Sequence[Job]) -> list[Group]:
    """The jobs in groups, each with its streams."""
    found: dict[str, dict[tuple[int, int], list[Job]]] = {}
    rows: dict[int, int] = {}
    numbers: dict[bytes, int] = {}
    for job in jobs:
        if id(job.split) not in rows:
            rows[id(job.split)] = numbers.setdefault(rows_key(job.split), len(numbers))
        stream = (rows[id(job.split)], job.config.seed)
        found.setdefault(_common(job.config), {}).setdefault(stream, []).append(job)
    return [Group(tuple(map(tuple, streams.values()))) for streams in found.values()]


def rows_key(split: Split) -> bytes:
    """Names the rows that a model is trained and validated on."""
    return split.train.tobytes() + b"|" + split.validation.tobytes()


def _common(config: Config) -> str:
    """All that jobs of a group have in common; weights may begin, rows be drawn and updates be tuned differently."""
    free = {"seed": 0, "fold": config.fold and "1/1", "repeat": 1, "init_linear": None, "init_conv": None}
    init, optimizer = Choice(name="default"), Choice(name=config.optimizer.name)
    return config.model_copy(update={**free, "init": init, "optimizer": optimizer}).model_dump_json()


def explain_refused_config(config: Config) -> str:
    """Why jobs of such a config cannot be trained as one, as far as the config tells; else empty."""
    reasons = {
        "they begin with trained weights": config.weights is not None,
        "scratch=true trains each in two ways": config.scratch,
        f"accumulate={config.accumulate} adds up gradients of smaller batches": config.accumulate > 1,
        "precision=bf16 rounds differently in every order": config.precision == "bf16",
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def explain_refused_network(assembly: Assembly) -> str:
    """Why jobs like this one cannot be trained as one; else empty."""
    name, model = assembly.config.model.name, assembly.state.model
    if not registry.find("models", name).meta.get("stackable", True):
        return f"model={name} is declared not stackable"
    if not update.is_stackable(assembly.state.optimizer):
        return f"optimizer={assembly.config.optimizer.name} is not one of torch's"
    if (reason := layers.explain_unstackable(model)) or assembly.train.device.type == "cpu":
        return reason and f"model={name}: {reason}"
    return "dropout is drawn otherwise on this device" if _drops(model) else ""


def _drops(model: torch.nn.Module) -> bool:
    return any(isinstance(module, torch.nn.Dropout) and module.p for module in model.modules())


def stacking_key(assembly: Assembly) -> str:
    """What must be the same in jobs of a chunk and only shows in the assembled network: shapes, batches, groups."""
    config, model = assembly.config, assembly.state.model
    wide = layers.stack_network(model).wide
    parts = [(name, tuple(p.shape[:1] if name == wide else p.shape)) for name, p in model.named_parameters()]
    exact = any(isinstance(m, BATCH_NORMS) for m in model.modules())
    rows = len(assembly.train.rows) if exact else len(assembly.train)  # a batch filled up would change its mean
    sizes = [len(group["params"]) for group in assembly.state.optimizer.param_groups]
    return repr((config.batch, config.epochs, config.optimizer.name, config.score, rows, parts, sizes))


def count_models_per_chunk(assembly: Assembly, jobs: int, workers: int) -> int:
    """How many models fit the cache, or as many as give every worker some."""
    parameters = list(assembly.state.model.parameters())
    fitting = CHUNK_BYTES // (VALUES_PER_WEIGHT * sum(p.numel() * p.element_size() for p in parameters))
    tiny = sum(p.numel() for p in parameters) <= MAX_TINY_WEIGHTS
    return max(1, fitting if tiny else min(fitting, math.ceil(jobs / workers)))

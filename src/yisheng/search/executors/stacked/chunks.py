"""Groups and chunks of jobs: which jobs can be stacked, and how many of them fit the processor's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from yisheng.core.choice import AUTO, Choice
from yisheng.core.components import find_component
from yisheng.core.config import Config
from yisheng.core.dataset import Split
from yisheng.core.messages import Message
from yisheng.search.executors.stacked import layers, update
from yisheng.search.executors.stacked.layers import BATCH_NORMS
from yisheng.search.jobs import Job
from yisheng.training.setup import Assembly

CHUNK_BYTES = 6 << 20
"""Bytes of weights, gradients and optimizer state that a chunk may have."""
MAX_TINY_WEIGHTS = 6000
"""Weights of a network up to which all models are in one chunk: their time depends on the number of operations, not on
their size."""
VALUES_PER_WEIGHT = 4
"""Values that an update holds per weight at most: the weight, its gradient, and two of the optimizer's state."""


@dataclass(frozen=True)
class Group:
    """Jobs whose configs can be stacked with one another.

    Args:
        streams: the jobs by batch stream: jobs with the same rows and the same seed see the same batches.
    """

    streams: tuple[tuple[Job, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.streams))

    @property
    def first(self) -> Job:
        """Return the first job."""
        return self.streams[0][0]

    def chunks(self, models: int) -> Iterator[Group]:
        """Yield the group in chunks of about ``models`` models: all streams of some settings, or some streams of each.

        >>> jobs = tuple(tuple(Job(f"{f}{s}", Config(), None) for s in range(4)) for f in range(2))
        >>> [[[job.key for job in stream] for stream in part.streams] for part in Group(jobs).chunks(4)]
        [[['00', '01'], ['10', '11']], [['02', '03'], ['12', '13']]]
        """
        jobs_per_stream = max(1, models // len(self.streams))
        for first_stream in range(0, len(self.streams), models):
            streams = self.streams[first_stream : first_stream + models]
            for start in range(0, max(map(len, streams)), jobs_per_stream):
                parts = tuple(stream[start : start + jobs_per_stream] for stream in streams)
                yield Group(tuple(part for part in parts if part))


def group_jobs(jobs: Sequence[Job]) -> list[Group]:
    """Return the jobs in groups, by the configs that they share."""
    groups: dict[str, dict[tuple[int, int], list[Job]]] = {}
    rows_by_split: dict[int, int] = {}
    rows_by_key: dict[bytes, int] = {}
    for job in jobs:
        if id(job.split) not in rows_by_split:
            rows_by_split[id(job.split)] = rows_by_key.setdefault(rows_key(job.split), len(rows_by_key))
        stream = (rows_by_split[id(job.split)], job.config.seed)
        groups.setdefault(_shared_config(job.config), {}).setdefault(stream, []).append(job)
    return [Group(tuple(map(tuple, streams.values()))) for streams in groups.values()]


def rows_key(split: Split) -> bytes:
    """Return a key of the rows that a model is trained and validated on."""
    return split.train.tobytes() + b"|" + split.validation.tobytes()


def _shared_config(config: Config) -> str:
    """Return what jobs of a group must share; they may differ in initial weights, rows, and optimizer options."""
    free = {"seed": 0, "fold": config.fold and "1/1", "repeat": 1, "l1": 0.0, "init_linear": None, "init_conv": None}
    init, optimizer = Choice(name="default"), Choice(name=config.optimizer.name)
    return config.model_copy(update={**free, "init": init, "optimizer": optimizer}).model_dump_json()


def explain_refused_config(config: Config) -> str:
    """Return why jobs of a config cannot be stacked, or "" if the config allows it."""
    reasons = {
        Message("they start from pretrained weights"): config.weights is not None,
        Message("scratch=true trains each of them twice"): config.scratch,
        Message("accumulate={count} adds up gradients of smaller batches", count=config.accumulate): config.accumulate
        > 1,
        Message("shards={count} adds up gradients of parts of a batch", count=config.shards): config.shards
        not in (AUTO, 1),
        Message("precision=bf16 rounds differently in every order"): config.precision == "bf16",
        Message("compile=true compiles a network by itself"): config.compile is True,
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def explain_refused_network(assembly: Assembly) -> str:
    """Return why jobs like this one cannot be stacked, or "" if they can."""
    name, model = assembly.config.model.name, assembly.state.model
    if assembly.config.shuffle == "blocks":
        return Message("shuffle=blocks orders the rows of each training by themselves")
    if not find_component("models", assembly.config.model).meta.get("stackable", True):
        return Message("model={name} is declared not stackable", name=name)
    if not update.is_stackable(assembly.state.optimizer):
        return Message("optimizer={name} is not an optimizer of torch.optim", name=assembly.config.optimizer.name)
    if reason := layers.explain_unstackable(model):
        return Message("model={name}: {reason}", name=name, reason=reason)
    if assembly.train.device.type != "cpu" and _has_dropout(model):
        return Message("dropout masks are drawn in another order on this device")
    return ""


def _has_dropout(model: torch.nn.Module) -> bool:
    return any(isinstance(module, torch.nn.Dropout) and module.p for module in model.modules())


def stacking_key(assembly: Assembly) -> str:
    """Return what assembled jobs of a chunk must share: shapes of parameters, numbers of batches, parameter groups."""
    config, model = assembly.config, assembly.state.model
    padded = layers.stack_network(model).padded
    shapes = [(name, tuple(p.shape[:1] if name == padded else p.shape)) for name, p in model.named_parameters()]
    has_batch_norm = any(isinstance(m, BATCH_NORMS) for m in model.modules())
    # Batches of different sizes are padded, which would change the means of a batch norm.
    size = len(assembly.train.rows) if has_batch_norm else len(assembly.train)
    group_sizes = [len(group["params"]) for group in assembly.state.optimizer.param_groups]
    return repr((config.batch, config.epochs, config.optimizer.name, config.score, size, shapes, group_sizes))


def count_models_per_chunk(assembly: Assembly, jobs: int, workers: int) -> int:
    """Return the number of models that fit the cache, or that every worker gets if it is smaller."""
    parameters = list(assembly.state.model.parameters())
    fitting = CHUNK_BYTES // (VALUES_PER_WEIGHT * sum(p.numel() * p.element_size() for p in parameters))
    is_tiny = sum(p.numel() for p in parameters) <= MAX_TINY_WEIGHTS
    return max(1, fitting if is_tiny else min(fitting, math.ceil(jobs / workers)))

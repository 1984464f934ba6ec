"""The state of a stacked training: a table ``(F, S)`` of models, F batch streams with S models each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.events import Batch, EpochEnd
from yisheng.core.messages import Message
from yisheng.search.executors.stacked.batches import StackedBatch, StackedBatches
from yisheng.search.executors.stacked.layers import stack_network
from yisheng.search.executors.stacked.parameters import StackedParameters
from yisheng.search.executors.stacked.penalty import L1Penalty
from yisheng.search.executors.stacked.scoring import depends_on_rows, join_batches, make_job_scorer, pad_rows
from yisheng.search.executors.stacked.update import make_stacked_update
from yisheng.search.jobs import Job, Outcome
from yisheng.training import callbacks
from yisheng.training.setup import Assembly

VALIDATION_ROWS = 1024
"""Rows of the validation part per forward pass."""


@dataclass
class StackedJob:
    """A job of a stacked training.

    Args:
        job: the job.
        assembly: its serial training; its state receives the best weights.
        stream: number of its batch stream.
        history: training loss of each epoch.
        scores: at the best epoch so far.
        failure: why it was stopped, or empty.
    """

    job: Job
    assembly: Assembly
    stream: int
    history: list[float] = field(default_factory=list)
    scores: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""

    def outcome(self, seconds: float) -> Outcome:
        """Return the outcome of the job."""
        if self.failure:
            return Outcome(self.job.key, {}, 0, seconds, tuple(self.history), self.failure, "stacked")
        best = self.assembly.state.best
        return Outcome(
            self.job.key, self.scores, best.epoch, seconds, tuple(self.history), "", "stacked", dict(best.weights)
        )


class StackedState:
    """The models of jobs of one shape, in training.

    Model number k = f S + s is entry s of stream f of the table. Streams with fewer than S jobs have copies of their
    first model in the other entries, which are trained and ignored.

    Args:
        stacked_jobs: the jobs; they are updated in place, and leave the table when they end.
    """

    def __init__(self, stacked_jobs: Sequence[StackedJob]) -> None:
        streams: dict[int, list[StackedJob]] = {}
        for stacked_job in stacked_jobs:
            streams.setdefault(stacked_job.stream, []).append(stacked_job)
        size = max(map(len, streams.values()))
        self._table: list[list[StackedJob | None]] = [
            [*jobs, *[None] * (size - len(jobs))] for jobs in streams.values()
        ]
        assemblies = [cast(StackedJob, entry or row[0]).assembly for row in self._table for entry in row]
        stream_assemblies = [cast(StackedJob, row[0]).assembly for row in self._table]
        self._first = first = assemblies[0]
        self._network = stack_network(first.state.model)
        self._parameters = _stack_parameters(assemblies, self._network.padded)
        self._buffers = {
            name: torch.stack([dict(assembly.state.model.named_buffers())[name] for assembly in assemblies])
            for name in dict(first.state.model.named_buffers())
        }
        self._update = make_stacked_update(
            first.config.optimizer.name,
            self._parameters.blocks,
            self._parameters.groups,
            [assembly.state.optimizer for assembly in assemblies],
            [assembly.config.optimizer.options for assembly in assemblies],
        )
        width = self._parameters.slices[self._network.padded].shape[1] if self._network.padded else 0
        self._batches = StackedBatches([assembly.train for assembly in stream_assemblies], width)
        self._losses = [a.loss for a in stream_assemblies] if depends_on_rows(first) else [first.loss]
        self._validation = [join_batches(assembly.validation, width) for assembly in stream_assemblies]
        self._scorers = {id(stacked_job): make_job_scorer(stacked_job.assembly) for stacked_job in stacked_jobs}
        self._shapes = {id(stacked_job): _weight_shapes(stacked_job.assembly) for stacked_job in stacked_jobs}
        self._penalty = L1Penalty(assemblies)
        self._step = self._epoch = 0

    @property
    def is_training(self) -> bool:
        """Return whether any job is still in training."""
        return bool(self._table)

    def epoch(self, stop: threading.Event | None = None) -> None:
        """Train all models for one epoch, score them, and drop the jobs that have ended."""
        sums = max_norms = torch.zeros((), device=self._first.train.device)
        for losses, norms in self.steps(self._epoch):
            sums, max_norms = sums + losses, torch.maximum(max_norms, norms)
            if stop and stop.is_set():
                return
        self._epoch += 1
        loss_sums, is_finite = sums.tolist(), (torch.isfinite(max_norms) & torch.isfinite(sums)).tolist()
        config, size = self._first.config, len(self._table[0])
        is_last_epoch = self._epoch == config.epochs
        is_scored = is_last_epoch or config.fold is None  # of a fold only the last epoch is scored
        outputs = self._compute_outputs() if is_scored else None
        for f, row in enumerate(self._table):
            for s, stacked_job in enumerate(row):
                k = f * size + s
                if stacked_job is None:
                    continue
                if not is_finite[k]:
                    stacked_job.failure = Message("the numbers became non-finite in epoch {epoch}", epoch=self._epoch)
                    row[s] = None
                    continue
                stacked_job.history.append(loss_sums[k] / len(stacked_job.assembly.train.rows))
                predictions = None if outputs is None else _as_batch(outputs[k], self._validation[f])
                if is_scored and self._evaluate(stacked_job, k, predictions):
                    row[s] = None
        if is_last_epoch:
            self._table = []
        else:
            self._drop_ended()

    def steps(self, epoch: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Make the updates of an epoch; yield the loss sums and the gradient norms of each update, ``(K,)``."""
        config, parameters = self._first.config, list(self._parameters.by_name.values())
        size, steps_per_epoch = len(self._table[0]), len(self._batches)
        for batch in self._batches.epoch(epoch):
            factor = self._first.schedule(self._step, config.epochs * steps_per_epoch, steps_per_epoch)
            mask = self._batches.mask(batch.counts, size)
            output = self._network(self._parameters.by_name, self._buffers, batch.x, training=True, mask=mask)
            means = self._mean_losses(output, batch, size)
            gradients = self._penalty.add_gradients(torch.autograd.grad(means.sum(), parameters), parameters)
            gradients = self._parameters.gather(gradients)
            norms = _gradient_norms(gradients)
            self._update.step(_clip(gradients, config.clip_value, config.clip_norm), factor)
            self._step += 1
            has_equal_counts = len(set(batch.counts)) == 1
            samples = batch.counts[0] if has_equal_counts else _counts_per_model(means, batch.counts, size)
            yield means.detach() * samples, norms

    def _mean_losses(self, output: torch.Tensor, batch: StackedBatch, size: int) -> torch.Tensor:
        """Return the mean loss of each model ``(K,)``; see `yisheng.training.update.mean_loss`."""
        outputs, has_stream_losses = output.unflatten(0, (len(batch.y), size)), len(self._losses) > 1
        losses = [
            loss(stream_output.flatten(0, 2), y.repeat_interleave(size, 0).flatten(0, 1))
            for loss, stream_output, y in zip(
                self._losses,
                outputs.split(1) if has_stream_losses else [outputs],
                batch.y.split(1) if has_stream_losses else [batch.y],
                strict=True,
            )
        ]
        sample_losses = torch.cat(losses).view(output.shape[:2])
        if batch.weight is None:
            return sample_losses.mean(1)
        weight = batch.weight.repeat_interleave(size, 0)
        return (sample_losses * weight).sum(1) / weight.sum(1).clamp_min(torch.finfo(weight.dtype).tiny)

    def _compute_outputs(self) -> torch.Tensor | None:
        """Return the outputs on the validation rows ``(K, N, O)``, with padding for streams that have fewer rows."""
        rows = max((len(valid) for valid in self._validation if valid is not None), default=0)
        if not rows:
            return None
        x = torch.stack([pad_rows(nested.only(cast(Batch, valid).x), rows) for valid in self._validation])
        mask = self._batches.mask((0,) * len(x), 1)
        with torch.no_grad():
            outputs = [
                self._network(self._parameters.by_name, self._buffers, x_rows, training=False, mask=mask)
                for x_rows in x.split(VALIDATION_ROWS, 1)
            ]
        return torch.cat(outputs, 1)

    def _evaluate(self, stacked_job: StackedJob, k: int, predictions: Batch | None) -> bool:
        """Evaluate a job and keep its weights if they are the best; return whether its patience has ended."""
        config, state = stacked_job.assembly.config, stacked_job.assembly.state
        scores = {} if predictions is None else self._scorers[id(stacked_job)](nn.Identity(), [predictions])
        state.model = cast(Any, _ModelWeights(self, stacked_job, k))
        score = stacked_job.assembly.score_key if config.fold is None else ""
        event = EpochEnd(self._step, self._epoch, stacked_job.history[-1], scores)
        higher_is_better = stacked_job.assembly.higher_is_better
        for _ in callbacks.keep_best(iter([event]), state, score=score, higher_is_better=higher_is_better):
            pass
        if state.best.epoch == self._epoch:
            stacked_job.scores = scores
        return bool(config.patience) and self._epoch - state.best.epoch >= config.patience

    def _drop_ended(self) -> None:
        """Remove streams and columns of the table without jobs in training."""
        size = len(self._table[0])
        remaining_streams = [f for f, row in enumerate(self._table) if any(row)]
        max_jobs = max(sum(entry is not None for entry in row) for row in self._table)
        if len(remaining_streams) == len(self._table) and max_jobs == size:
            return
        # Entries with a job first.
        order = {f: sorted(range(size), key=lambda s: self._table[f][s] is None)[:max_jobs] for f in remaining_streams}
        self._table = [[self._table[f][s] for s in order[f]] for f in remaining_streams]
        if not remaining_streams:
            return
        models = [f * size + s for f in remaining_streams for s in order[f]]
        indices = torch.tensor(models, device=self._first.train.device)
        self._parameters.select(indices)
        self._buffers = {name: value.index_select(0, indices) for name, value in self._buffers.items()}
        self._update.select(indices, self._parameters.blocks)
        self._penalty.select(indices)
        self._batches.select(remaining_streams)
        self._validation = [self._validation[f] for f in remaining_streams]
        if len(self._losses) > 1:
            self._losses = [self._losses[f] for f in remaining_streams]

    def weights(self, stacked_job: StackedJob, k: int) -> dict[str, torch.Tensor]:
        """Return the weights of model k with the names and shapes of a serial training."""
        tensors = {**self._parameters.by_name, **self._buffers}
        shapes = self._shapes[id(stacked_job)]
        return {name: tensors[name][k][tuple(map(slice, shape))] for name, shape in shapes.items()}


class _ModelWeights:
    """The part of a model that `yisheng.training.callbacks.keep_best` reads, for one of the stacked models."""

    def __init__(self, stacked_state: StackedState, stacked_job: StackedJob, k: int) -> None:
        self._stacked_state, self._stacked_job, self._k = stacked_state, stacked_job, k

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the weights."""
        return self._stacked_state.weights(self._stacked_job, self._k)


def _stack_parameters(assemblies: Sequence[Assembly], padded: str) -> StackedParameters:
    """Return the parameters of all models, with their optimizer's parameter groups."""
    state = assemblies[0].state
    group_by_id = {id(p): g for g, group in enumerate(state.optimizer.param_groups) for p in group["params"]}
    groups = {name: group_by_id[id(p)] for name, p in state.model.named_parameters()}
    return StackedParameters([dict(assembly.state.model.named_parameters()) for assembly in assemblies], groups, padded)


def _weight_shapes(assembly: Assembly) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in assembly.state.model.state_dict().items()}


def _as_batch(output: torch.Tensor, valid: Batch | None) -> Batch | None:
    """Return a model's outputs as the inputs of a batch, for a scorer with the identity as its model."""
    return None if valid is None else Batch(output[: len(valid)], valid.y, valid.index, valid.weight)


def _counts_per_model(template: torch.Tensor, counts: Sequence[int], size: int) -> torch.Tensor:
    return torch.tensor(counts, dtype=template.dtype, device=template.device).repeat_interleave(size)


def _gradient_norms(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the norm of all gradients of each model ``(K,)``."""
    norms = [torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients]
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), dim=0)


def _clip(gradients: list[torch.Tensor], value: float | None, norm: float | None) -> list[torch.Tensor]:
    """Return gradients clipped as in `yisheng.training.update.make_update`, with a norm for each model."""
    if value is not None:
        gradients = [gradient.clamp(-value, value) for gradient in gradients]
    if norm is not None:
        scale = (norm / (_gradient_norms(gradients) + 1e-6)).clamp(max=1.0)[:, None]
        gradients = [gradient * scale for gradient in gradients]
    return gradients

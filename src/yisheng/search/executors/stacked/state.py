"""The state of many trainings in one pass: slots ``(F, S)``, F streams of batches with S models each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from yisheng.core.types import Batch, Epoched
from yisheng.search.executors.stacked.batches import Side, Streams
from yisheng.search.executors.stacked.layers import network
from yisheng.search.executors.stacked.parameters import Bundles
from yisheng.search.executors.stacked.scoring import counts_rows, higher, more, scorer, whole
from yisheng.search.executors.stacked.update import update
from yisheng.search.jobs import Job, Outcome
from yisheng.training import callbacks
from yisheng.training.monitored import score_of
from yisheng.training.setup import Assembly

ROWS = 1024
"""Rows of the validation part that are scored at once."""


@dataclass
class Member:
    """A job in a pass.

    Args:
        job: what is trained.
        assembly: as it would be trained alone; its state keeps the best weights.
        stream: number of its batches.
        history: training loss of each epoch.
        scores: at the epoch that counts so far.
        failure: why it was given up.
    """

    job: Job
    assembly: Assembly
    stream: int
    history: list[float] = field(default_factory=list)
    scores: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""

    def outcome(self, seconds: float) -> Outcome:
        """What came of it."""
        if self.failure:
            return Outcome(self.job.key, {}, 0, seconds, tuple(self.history), self.failure, "stacked")
        best = self.assembly.state.best
        return Outcome(
            self.job.key, self.scores, best.epoch, seconds, tuple(self.history), "", "stacked", dict(best.weights)
        )


class Slots:
    """Trains members of one shape.

    Args:
        members: their ``Member``s are kept up to date; who ends early leaves.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        streams: dict[int, list[Member]] = {}
        for member in members:
            streams.setdefault(member.stream, []).append(member)
        size = max(map(len, streams.values()))
        self._table: list[list[Member | None]] = [[*each, *[None] * (size - len(each))] for each in streams.values()]
        built = [cast(Member, member or row[0]).assembly for row in self._table for member in row]
        self._first = first = built[0]
        self._network = network(first.state.model)
        group = {id(p): g for g, each in enumerate(first.state.optimizer.param_groups) for p in each["params"]}
        names = {name: group[id(p)] for name, p in first.state.model.named_parameters()}
        self._bundles = Bundles(
            [dict(assembly.state.model.named_parameters()) for assembly in built], names, self._network.wide
        )
        self._buffers = {
            name: torch.stack([dict(assembly.state.model.named_buffers())[name] for assembly in built])
            for name in dict(first.state.model.named_buffers())
        }
        self._update = update(
            first.config.optimizer.name,
            self._bundles.blocks,
            self._bundles.groups,
            [assembly.state.optimizer for assembly in built],
            [assembly.config.optimizer.options for assembly in built],
        )
        self._width = self._bundles.places[self._network.wide].shape[1] if self._network.wide else 0
        leaders = [cast(Member, row[0]).assembly for row in self._table]
        self._streams = Streams([leader.train for leader in leaders], self._width)
        self._losses = [leader.loss for leader in leaders] if counts_rows(first) else [first.loss]
        self._valid = [whole(leader.validation, self._width) for leader in leaders]
        self._scorers = {id(member): scorer(member.assembly) for member in members}
        self._shapes = {id(member): _shapes(member.assembly.state.model) for member in members}
        self._step = self._epoch = 0

    @property
    def alive(self) -> bool:
        """Whether anyone is still learning."""
        return bool(self._table)

    def epoch(self, stop: threading.Event | None = None) -> None:
        """One epoch of all, and what follows from it."""
        sums = worst = torch.zeros((), device=self._first.train.device)
        for losses, norms in self.steps(self._epoch):
            sums, worst = sums + losses, torch.maximum(worst, norms)
            if stop and stop.is_set():
                return
        self._epoch += 1
        means, finite = sums.tolist(), (torch.isfinite(worst) & torch.isfinite(sums)).tolist()
        config, size = self._first.config, len(self._table[0])
        last = self._epoch == config.epochs
        counts = last or config.fold is None  # of a fold only the last epoch does
        outputs = self._outputs() if counts else None
        for f, row in enumerate(self._table):
            for s, member in enumerate(row):
                k = f * size + s
                if member is None:
                    continue
                if not finite[k]:
                    member.failure = f"the numbers became non-finite in epoch {self._epoch}"
                    row[s] = None
                    continue
                member.history.append(means[k] / len(member.assembly.train.rows))
                seen = None if outputs is None else _seen(outputs[k], self._valid[f])
                if counts and self._ends(member, k, seen):
                    row[s] = None
        if last:
            self._table = []
        else:
            self._pack()

    def steps(self, epoch: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The updates of an epoch: after each sums of the samples' losses and norms of the gradients, ``(K,)``."""
        config, parameters = self._first.config, list(self._bundles.parameters.values())
        size, per_epoch = len(self._table[0]), len(self._streams)
        assert isinstance(config.epochs, int)  # settled
        for side in self._streams.epoch(epoch):
            factor = self._first.schedule(self._step, config.epochs * per_epoch, per_epoch)
            mask = self._streams.mask(side.counts, size)
            output = self._network(self._bundles.parameters, self._buffers, side.x, training=True, mask=mask)
            means = self._means(output, side, size)
            gradients = self._bundles.gather(torch.autograd.grad(means.sum(), parameters))
            norms = _norms(gradients)
            self._update.step(_clipped(gradients, config.clip_value, config.clip_norm), factor)
            self._step += 1
            samples = side.counts[0] if len(set(side.counts)) == 1 else _by_slot(means, side.counts, size)
            yield means.detach() * samples, norms

    def _means(self, output: torch.Tensor, side: Side, size: int) -> torch.Tensor:
        """The mean loss of each model ``(K,)``; see `yisheng.training.update.mean_loss`."""
        pieces, apart = output.unflatten(0, (len(side.y), size)), len(self._losses) > 1
        losses = [
            loss(some.flatten(0, 2), y.repeat_interleave(size, 0).flatten(0, 1))
            for loss, some, y in zip(
                self._losses,
                pieces.split(1) if apart else [pieces],
                side.y.split(1) if apart else [side.y],
                strict=True,
            )
        ]
        each = torch.cat(losses).view(output.shape[:2])
        if side.weight is None:
            return each.mean(1)
        weight = side.weight.repeat_interleave(size, 0)
        return (each * weight).sum(1) / weight.sum(1).clamp_min(torch.finfo(weight.dtype).tiny)

    def _outputs(self) -> torch.Tensor | None:
        """Outputs on the validation rows ``(K, N, O)``, filled up behind those of streams that have fewer."""
        most = max((len(valid) for valid in self._valid if valid is not None), default=0)
        if not most:
            return None
        x = torch.stack([more(cast(Batch, valid).x, most) for valid in self._valid])
        mask = self._streams.mask((0,) * len(x), 1)
        with torch.no_grad():
            outputs = [
                self._network(self._bundles.parameters, self._buffers, some, training=False, mask=mask)
                for some in x.split(ROWS, 1)
            ]
        return torch.cat(outputs, 1)

    def _ends(self, member: Member, k: int, seen: Batch | None) -> bool:
        """Score a member, keep its weights if they are the best, and say whether its patience is at its end."""
        config, state = member.assembly.config, member.assembly.state
        scores = {} if seen is None else self._scorers[id(member)](nn.Identity(), [seen])
        state.model = cast(Any, _Weights(self, member, k))
        chooses = score_of(member.assembly) if config.fold is None else ""
        event = Epoched(self._step, self._epoch, member.history[-1], scores)
        for _ in callbacks.keep_best(iter([event]), state, score=chooses, higher=higher(member.assembly)):
            pass
        if state.best.epoch == self._epoch:
            member.scores = scores
        return bool(config.patience) and self._epoch - state.best.epoch >= config.patience

    def _pack(self) -> None:
        """Leave out streams and slots where nobody learns any more."""
        rows, wide = [any(row) for row in self._table], max(sum(m is not None for m in row) for row in self._table)
        size = len(self._table[0])
        if all(rows) and wide == size:
            return
        kept = [f for f, any_left in enumerate(rows) if any_left]
        order = {f: sorted(range(size), key=lambda s: self._table[f][s] is None)[:wide] for f in kept}
        self._table = [[self._table[f][s] for s in order[f]] for f in kept]
        if not kept:
            return
        slots = torch.tensor([f * size + s for f in kept for s in order[f]], device=self._first.train.device)
        self._bundles.select(slots)
        self._buffers = {name: value.index_select(0, slots) for name, value in self._buffers.items()}
        self._update.select(slots, self._bundles.blocks)
        self._streams.select(kept)
        self._valid = [self._valid[f] for f in kept]
        if len(self._losses) > 1:
            self._losses = [self._losses[f] for f in kept]

    def weights(self, member: Member, k: int) -> dict[str, torch.Tensor]:
        """The weights in a slot, named and shaped as in a training alone."""
        tensors = {**self._bundles.parameters, **self._buffers}
        shapes = self._shapes[id(member)]
        return {name: tensors[name][k][tuple(map(slice, shape))] for name, shape in shapes.items()}


class _Weights:
    """What a pipe asks a model for, of the model in a slot."""

    def __init__(self, slots: Slots, member: Member, k: int) -> None:
        self._asked = (member, k)
        self._slots = slots

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The weights."""
        return self._slots.weights(*self._asked)


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in model.state_dict().items()}


def _seen(output: torch.Tensor, valid: Batch | None) -> Batch | None:
    """A model's outputs in the place of inputs, for a scorer of finished outputs."""
    return None if valid is None else Batch(output[: len(valid)], valid.y, valid.index, valid.weight)


def _by_slot(like: torch.Tensor, counts: Sequence[int], size: int) -> torch.Tensor:
    return torch.tensor(counts, dtype=like.dtype, device=like.device).repeat_interleave(size)


def _norms(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """The norm of all gradients of each model ``(K,)``."""
    norms = [torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients]
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), dim=0)


def _clipped(gradients: list[torch.Tensor], value: float | None, norm: float | None) -> list[torch.Tensor]:
    """Gradients cut as `yisheng.training.update.make_update` cuts them, each model's by its own norm."""
    if value is not None:
        gradients = [gradient.clamp(-value, value) for gradient in gradients]
    if norm is not None:
        scale = (norm / (_norms(gradients) + 1e-6)).clamp(max=1.0)[:, None]
        gradients = [gradient * scale for gradient in gradients]
    return gradients

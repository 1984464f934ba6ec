"""Compute frozen layers once: the features of ``finetune=head`` are kept, and epochs train and score the head alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import nn

from yisheng.core.events import Batch
from yisheng.core.input_spec import Inputs
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.data.batches import Batches
from yisheng.training.feature_store import FeatureStore, StoreError
from yisheng.training.finetune import plan_finetuning
from yisheng.training.frozen_split import PROBE_ROWS, FrozenSplit, SplitError, compute_features, split_frozen
from yisheng.training.loop import Loss, Scorer, Step
from yisheng.training.pieces import split_batch
from yisheng.training.setup import Assembly
from yisheng.training.state import State


def cache_frozen_layers(assembly: Assembly, scorer: Scorer) -> tuple[Batches, Step, Scorer]:
    """Return training batches, update and scorer that compute the frozen layers of ``finetune=head`` once.

    With ``feature_cache=K`` the features of the first K epochs serve the others, each with its augmentations: epoch e
    trains on the images of epoch e mod K. Without augmentation one version is all there is. If the network cannot be
    split, or there is no place, everything is computed in every epoch, and a note says why.

    Args:
        assembly: the training in its present state.
        scorer: of the validation part.
    """
    config, train = assembly.config, assembly.train
    if config.finetune != "head" or config.feature_cache == "off" or config.epochs < 2:
        return train, assembly.step, scorer
    reason = _find_obstacle(assembly)
    try:
        if reason is not None:
            raise SplitError(reason)
        scorer = _cache_validation(assembly, scorer)
        versions = int(config.feature_cache) if train.augment else 1
        if versions >= config.epochs:
            return train, assembly.step, scorer
        training = _CachedTraining(assembly, versions)
    except (SplitError, StoreError) as error:
        logger.info(Message("the frozen layers are computed in every epoch: {reason}", reason=error.reason))
        return train, assembly.step, scorer
    return training.batches, training.step, scorer


def _find_obstacle(assembly: Assembly) -> Message | None:
    """Return why features cannot be kept, or None if they can."""
    if assembly.train.stream is not None:
        return Message("the data set makes its rows again in each epoch")
    if assembly.config.shards > 1:
        return Message("each batch is computed in shards")
    if len(assembly.train.rows) < PROBE_ROWS:
        return Message("there are fewer than three training rows")
    return None


def _split(assembly: Assembly, *, training: bool) -> FrozenSplit:
    """Return the network of an assembly in two parts, for training or for evaluation."""
    train, model, config = assembly.train, assembly.state.model, assembly.config
    probe = next(iter(replace(train, rows=train.rows[:PROBE_ROWS], size=PROBE_ROWS, augment=(), prefetcher=None)))
    with evaluation_mode(model):
        model.train(training)
        plan_finetuning(model, "head", config.epochs).freeze(0)
        bf16 = config.precision == "bf16" if training else assembly.validates_in_bf16
        return split_frozen(model, probe.x, bf16=bf16)


def _cache_validation(assembly: Assembly, scorer: Scorer) -> Scorer:
    """Return a scorer that keeps the features of the validation rows."""
    rows = assembly.validation.rows
    if not len(rows):
        return scorer
    split = _split(assembly, training=False)
    store = FeatureStore(rows, 1, split.features)
    is_filled = False

    def score(model: nn.Module, batches: Iterable[Batch]) -> Mapping[str, float]:
        nonlocal is_filled
        if not is_filled:
            with evaluation_mode(model):
                for batch in batches:
                    store.add(0, batch.index, compute_features(split, batch.x, bf16=assembly.validates_in_bf16))
            is_filled = True
        return scorer(split.tail, _read_batches(assembly.validation, store))

    return score


def _read_batches(part: Batches, store: FeatureStore) -> Iterator[Batch]:
    """Yield the batches of a part with its features as inputs."""
    for number in range(len(part)):
        index = part.rows[part.bounds(number)].to(part.device)
        weight = None if part.weight is None else part.weight.index_select(0, index)
        yield Batch(store.take(0, index), part.y.index_select(0, index), index, weight)


class _CachedTraining:
    """The batches and the update of a training whose features are kept.

    Features are kept as the epoch of their version computes them, in the same batches. A resumed run computes those
    of the finished epochs again, so it continues to the same bits.

    Args:
        assembly: the training.
        versions: augmented versions of each image.
    """

    def __init__(self, assembly: Assembly, versions: int) -> None:
        self._assembly, self._versions = assembly, versions
        self._plan = plan_finetuning(assembly.state.model, "head", assembly.config.epochs)
        self._bf16 = assembly.config.precision == "bf16"
        self._split = _split(assembly, training=True)
        self._piece_rows = assembly.config.batch if assembly.config.accumulate > 1 else None
        examples = list(self._split.features)
        self._keeps_targets = bool(assembly.train.augment)  # an augmentation may change targets, as mixup does
        if self._keeps_targets:
            examples.append(next(iter(assembly.train.epoch(0))).y)
        self._store = FeatureStore(assembly.train.rows, versions, examples)
        self._kept_batches = [0] * versions
        values = {name.name: getattr(assembly.train, name.name) for name in fields(assembly.train)}
        self.batches: Batches = _CachedBatches(**values, read=self.read_epoch)
        size = {"size": f"{self._store.nbytes / 2**20:,.0f}"}
        logger.info(Message("the frozen layers are computed once, their features take {size} MiB", **size))

    def read_epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; those of kept features make their images only when they are asked for."""
        train, version = self._assembly.train, epoch % self._versions
        for number in range(min(epoch, self._versions)):
            self._complete(number, len(train))
        if epoch < self._versions:
            self._complete(epoch, start)
            yield from train.epoch(epoch, start)
            return
        order = train.shuffle_rows(epoch)
        for number in range(start, len(train)):
            yield self._read_batch(order[train.bounds(number)], version)

    def step(self, state: State, batch: Batch, loss: Loss) -> torch.Tensor:
        """Update the head; the complete network runs where its layers are recorded."""
        self._plan.freeze(state.epoch)
        is_kept = isinstance(batch, _KeptBatch)
        features = batch.features if isinstance(batch, _KeptBatch) else self._compute(batch)
        if not is_kept:
            self._keep(state.epoch, state.position, batch, features)
        is_recorded = state.is_recorded is not None and state.is_recorded()
        if is_recorded or not (is_kept or all(bool(feature.isfinite().all()) for feature in features)):
            return self._assembly.step(state, batch, loss)
        head_batch = Batch(features, batch.y, batch.index, batch.weight)
        return self._assembly.step(replace(state, model=self._split.tail), head_batch, loss)

    def _read_batch(self, rows: torch.Tensor, version: int) -> Batch:
        train = self._assembly.train
        index = rows.to(train.device)
        *features, y = (
            self._store.take(version, index)
            if self._keeps_targets
            else (
                *self._store.take(version, index),
                train.y.index_select(0, index),
            )
        )
        weight = None if train.weight is None else train.weight.index_select(0, index)
        return _KeptBatch(lambda: train.take(rows, version).x, y, index, weight, tuple(features))

    def _complete(self, version: int, count: int) -> None:
        """Compute the features of the first ``count`` batches of a version that are not kept yet."""
        model = self._assembly.state.model
        start = self._kept_batches[version]
        if start >= count:
            return
        with evaluation_mode(model):
            model.train()
            self._plan.freeze(version)
            for number, batch in zip(range(start, count), self._assembly.train.epoch(version, start), strict=False):
                self._keep(version, number, batch, self._compute(batch))

    def _compute(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        parts = [
            compute_features(self._split, piece.batch.x, bf16=self._bf16)
            for piece in split_batch(batch, self._piece_rows)
        ]
        return tuple(torch.cat(blocks) if len(blocks) > 1 else blocks[0] for blocks in zip(*parts, strict=True))

    def _keep(self, version: int, number: int, batch: Batch, features: tuple[torch.Tensor, ...]) -> None:
        self._store.add(version, batch.index, (*features, batch.y) if self._keeps_targets else features)
        self._kept_batches[version] = max(self._kept_batches[version], number + 1)


@dataclass(frozen=True)
class _CachedBatches(Batches):
    """Batches of a training whose epochs are read from elsewhere.

    Args:
        read: ``(epoch, start) -> batches``.
    """

    read: Callable[[int, int], Iterator[Batch]] | None = None

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from batch number ``start`` on."""
        assert self.read is not None
        return self.read(epoch, start)


class _KeptBatch(Batch):
    """A batch with its features; its inputs are made when they are asked for.

    Args:
        make_x: makes the inputs.
        y: as in `Batch`, like ``index`` and ``weight``.
        features: of the rows.
    """

    def __init__(
        self,
        make_x: Callable[[], Inputs],
        y: torch.Tensor,
        index: torch.Tensor,
        weight: torch.Tensor | None,
        features: tuple[torch.Tensor, ...],
    ) -> None:
        values = {"y": y, "index": index, "weight": weight, "features": features, "_make_x": make_x}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    features: tuple[torch.Tensor, ...]
    _make_x: Callable[[], Inputs]

    @property
    def x(self) -> Inputs:
        """Return the inputs ``(B, ...)``."""
        return self._make_x()

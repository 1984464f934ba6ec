"""What a training check examines: a network, its optimizer and the records of their training."""

from __future__ import annotations

import copy
import functools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from yisheng.core.messages import Message
from yisheng.diagnosis.adversaries import AdversarialSteps
from yisheng.diagnosis.forward_pass import ForwardPass, observe_forward_pass
from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.probe import Probe, probe_network
from yisheng.diagnosis.read_directions import HalfReadLayer, find_half_read_layer
from yisheng.diagnosis.read_positions import ReadPositions, find_read_positions
from yisheng.diagnosis.recorder.batch_order import BatchOrder
from yisheng.diagnosis.recorder.constant_terms import ConstantTerm
from yisheng.diagnosis.recorder.course import Course
from yisheng.diagnosis.recorder.evaluated import EvaluatedRows
from yisheng.diagnosis.recorder.frozen_weights import Merge
from yisheng.diagnosis.recorder.graph_batches import GraphBatch
from yisheng.diagnosis.recorder.loop_habits import LoopHabits
from yisheng.diagnosis.recorder.loss_calls import LossCall
from yisheng.diagnosis.recorder.loss_features import LossFeature
from yisheng.diagnosis.recorder.network_copies import NetworkCopy, UnloadedWeights
from yisheng.diagnosis.recorder.number_terms import NumberSeries
from yisheng.diagnosis.recorder.pair_distances import PairDistances
from yisheng.diagnosis.recorder.rate_watch import RateWatch
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.records import NonFiniteLoss, ParameterRecord, StepRecord
from yisheng.diagnosis.recorder.replicas import Replicas
from yisheng.diagnosis.recorder.schedule_plans import SchedulePlan
from yisheng.diagnosis.recorder.subset_transforms import SharedTransform
from yisheng.diagnosis.recorder.traced import Broadcast, list_broadcasts, list_constant_terms, list_number_terms

MIN_LOSSES_TO_JUDGE = 50
"""Losses before a check says that nothing is learned."""
NO_LOSS = Message("no loss was recorded")
REGRESSION_LOSSES = ("mse", "squared", "smooth_l1", "huber", "absolute")
"""Losses, as in `Pairing`, that compare numbers."""
MIN_CLIPPED_STEPS, MAX_NORM_RANGE = 5, 1e-3
"""Recorded steps, and range of the norms of their gradients relative to the largest, that show clipping: without it
they differ by several percent from batch to batch."""
MAX_UNCERTAINTY = 0.5
"""Mean entropy of targets that are distributions, relative to that of their mean: of smoothed and mixed labels."""
MEDIAN_WINDOW = 8
"""Losses at the end, at least, that the final loss is the median of."""


@dataclass(frozen=True)
class Case:
    """A training as far as it was recorded.

    Args:
        model: the network in its present state.
        optimizer: what updates it.
        records: the recorded steps.
        losses: the loss of every backward pass.
        steps: updates made.
        evaluated_in_training_mode: forward passes without gradient while dropout or batch norm were in training mode.
        equal_rows: a row of each weight whose rows were all equal at the beginning.
        from_config: whether a config describes the training; remedies then name its settings, else torch's.
        updated_in_evaluation_mode: updates made in evaluation mode.
        nonfinite_loss: the first loss that was not finite.
        unchanged: names of parameters that have not changed since the beginning.
        unknown_parameters: parameters that the loss depends on, that neither the network nor the optimizer holds, and
            that have not changed.
        still_equal: names of the weights in ``equal_rows`` whose rows were still equal after some updates.
        begun_updates: updates that have begun; an optimizer that evaluates the loss several times makes several
            backward passes in one update.
        loss_calls: calls of PyTorch loss functions in the first steps, and those that torch refused.
        course: losses of evaluations, which make no updates.
        sources: lines of the user's program by what they do; empty for a training by a config.
        batch_order: the order of the batches.
        data_rows: number of training rows that were given to the doctor; None if none were.
        ran_in_bfloat16: whether a layer computed in bfloat16.
        evaluated: inputs and predicted classes of evaluations.
        rate_vanished_at: the first update at a thousandth of the highest learning rate, or None.
        rates: the course of the learning rate of a loop that is not ours.
        plans: schedules of the learning rate whose length is known.
        is_restored: whether the weights were changed after the last update.
        foreign_writes: numbers of losses before which the weights were changed between two updates.
        merges: adapters that were added to frozen weights and are still next to them.
        habits: what the loop does with its losses and gradients; None for a training by a config.
        broadcasts: rows that were combined with all rows on the way to the loss.
        copies: copies of the network that the program holds in other variables.
        shared_transform: a transform that the program has set through one of several subsets; None without any.
        unloaded: trained weights of the program that fit the network by shape, but not by name; None without any.
        adversaries: in which directions losses move a network on rows that another one generates.
        replicas: networks of the program that are updated with the same gradients and have other weights, or None.
        features: what the recorded losses show of their form.
        pairs: pairs that the recorded losses pull together and push apart.
        graph_batches: batches of graphs, and which of them have edges.
        constant_terms: sums with derivatives that have no graph.
        number_terms: numbers without a gradient in the losses.
        is_finished: whether the training is over.
        began_trained: whether the weights had been trained before.
        example: rows of the inputs to probe the network with; None while it is being trained, or if they are unknown.
        failure: the error that ended the recording, not the training; empty without one.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    records: Sequence[StepRecord]
    losses: Sequence[float]
    steps: int
    evaluated_in_training_mode: int = 0
    equal_rows: dict[str, torch.Tensor] = field(default_factory=dict)
    from_config: bool = False
    updated_in_evaluation_mode: int = 0
    nonfinite_loss: NonFiniteLoss | None = None
    unchanged: frozenset[str] = frozenset()
    unknown_parameters: Sequence[torch.Tensor] = ()
    still_equal: tuple[str, ...] = ()
    begun_updates: int = 0
    loss_calls: Sequence[LossCall] = ()
    course: Course = field(default_factory=Course)
    sources: Mapping[str, str] = field(default_factory=dict)
    batch_order: BatchOrder = field(default_factory=BatchOrder)
    data_rows: int | None = None
    ran_in_bfloat16: bool = False
    evaluated: EvaluatedRows = field(default_factory=EvaluatedRows)
    is_restored: bool = False
    foreign_writes: Sequence[int] = ()
    merges: Sequence[Merge] = ()
    habits: LoopHabits | None = None
    broadcasts: Sequence[Broadcast] = ()
    copies: Sequence[NetworkCopy] = ()
    unloaded: UnloadedWeights | None = None
    shared_transform: SharedTransform | None = None
    replicas: Replicas | None = None
    adversaries: AdversarialSteps = field(default_factory=AdversarialSteps)
    rate_vanished_at: int | None = None
    rates: RateWatch | None = None
    plans: Sequence[SchedulePlan] = ()
    features: Sequence[LossFeature] = ()
    pairs: Sequence[PairDistances] = ()
    graph_batches: Sequence[GraphBatch] = ()
    constant_terms: Sequence[ConstantTerm] = ()
    number_terms: Sequence[NumberSeries] = ()
    is_finished: bool = False
    began_trained: bool = False
    example: tuple[torch.Tensor, ...] | None = None
    failure: str = ""

    @staticmethod
    def from_recorder(recorder: Recorder, *, from_config: bool = False) -> Case:
        """Return the case that a recorder has recorded so far."""
        current = [r for r in (recorder.current,) if r is not None and r.pairing is not None]
        return Case(
            recorder.model,
            recorder.optimizer,
            [*recorder.records, *current],
            list(recorder.losses),
            recorder.steps,
            recorder.evaluated_in_training_mode,
            recorder.equal_rows,
            from_config,
            recorder.updated_in_evaluation_mode,
            recorder.loss_observer.nonfinite_loss,
            recorder.unchanged,
            recorder.loss_observer.unknown.select_unchanged(recorder.steps),
            recorder.still_equal,
            recorder.begun_updates,
            recorder.notes.loss_calls,
            recorder.evaluations.course,
            recorder.notes.find_sources(),
            recorder.loss_observer.batch_order,
            ran_in_bfloat16=recorder.ran_in_bfloat16,
            evaluated=recorder.evaluations.rows,
            is_restored=recorder.is_finished and recorder.foreign_writes.at_end,
            foreign_writes=tuple(recorder.foreign_writes.at),
            merges=tuple(recorder.frozen_weights.merges),
            habits=None if from_config else recorder.habits,
            broadcasts=() if from_config else tuple(list_broadcasts()),
            copies=tuple(recorder.other_networks.copies),
            unloaded=recorder.other_networks.unloaded,
            shared_transform=recorder.shared_transform,
            replicas=recorder.replicas,
            adversaries=recorder.loss_observer.adversaries,
            rate_vanished_at=recorder.rate_watch.vanished_at,
            rates=copy.copy(recorder.rate_watch),
            plans=recorder.schedules.list_plans((recorder.steps, len(recorder.losses))),
            features=tuple(recorder.loss_observer.features.entries),
            pairs=tuple(recorder.loss_observer.pairs.entries),
            graph_batches=tuple(recorder.graph_batches.entries),
            constant_terms=() if from_config else tuple(list_constant_terms()),
            number_terms=() if from_config else tuple(list_number_terms()),
            is_finished=recorder.is_finished,
            began_trained=recorder.began_trained,
            example=recorder.step_observer.example if recorder.is_finished else None,
            failure=recorder.guard.failure,
        )

    @functools.cached_property
    def probe(self) -> Probe:
        """Return how the trained network behaves on the example."""
        return probe_network(self.model, self.example)

    @functools.cached_property
    def read_positions(self) -> ReadPositions | None:
        """Return which positions of its sequences the predictions depend on, or None if there are none."""
        return find_read_positions(self.model, self.example)

    @functools.cached_property
    def half_read_layer(self) -> HalfReadLayer | None:
        """Return a bidirectional layer of which one end is read, where one direction has read one step; else None."""
        return find_half_read_layer(self.model, self.example)

    @functools.cached_property
    def forward_pass(self) -> ForwardPass | None:
        """Return what one forward pass over the example shows; None if it cannot be made."""
        is_training = any(record.training for record in self.records)
        return observe_forward_pass(self.model, self.example, self.optimizer_ids, is_training=is_training)

    def explain_missing_pass(self, max_learned: float) -> str:
        """Return why no forward pass is looked at; empty if one is.

        Args:
            max_learned: fraction of the loss; a network that has learned more does not lack what a pass shows.
        """
        if not self.is_finished:
            return Message("the training is not finished")
        if not self.learned_less_than(max_learned):
            return Message("the network has learned what its loss can show")
        return Message("a pass over the rows could not be repeated") if self.forward_pass is None else ""

    @functools.cached_property
    def pairing(self) -> Pairing | None:
        """Return the loss and what it compares, at the first step that has one."""
        return next((record.pairing for record in self.records if record.pairing is not None), None)

    @functools.cached_property
    def first_loss(self) -> float:
        """Return the loss of the first backward pass, or NaN if there is none."""
        return self.losses[0] if self.losses else math.nan

    @functools.cached_property
    def final_loss(self) -> float:
        """Return the median of the last tenth of the losses, at least `MEDIAN_WINDOW`."""
        window = self.losses[-max(MEDIAN_WINDOW, len(self.losses) // 10) :]
        return statistics.median(window) if window else math.nan

    @functools.cached_property
    def loss_reduction(self) -> float:
        """Return by what fraction the loss has fallen; negative if it rose, NaN if unknown."""
        if len(self.losses) < 2 * MEDIAN_WINDOW or not self.first_loss:
            return math.nan
        if not math.isfinite(self.first_loss + self.final_loss):
            return math.nan
        start = statistics.median(self.losses[:3])
        return (start - self.final_loss) / abs(start) if start else math.nan

    @functools.cached_property
    def baseline_loss(self) -> float:
        """Return the loss of the best constant prediction for the recorded targets; NaN if unknown.

        It is the entropy of the classes for cross-entropy, and the variance for the squared error.
        """
        if self.pairing is None or not self.pairing.is_only_term or not self.is_mean or self.pairing.has_weights:
            return math.nan  # with weights of the classes it is another number than their entropy
        targets = [record.counted_targets for record in self.records if record.counted_targets is not None]
        if not targets or len({tuple(batch.shape[1:]) for batch in targets}) > 1:
            return math.nan
        counted = select_counted(self.pairing, torch.cat(targets))
        return self.pairing.factor * constant_prediction_loss(self.pairing.loss, counted)

    @property
    def is_mean(self) -> bool:
        """Return whether the loss is the plain mean over the samples, as far as its graph shows.

        The loss of a config gives a value per sample, and the training loop takes their mean.
        """
        if self.pairing is None:
            return False
        return self.pairing.reduction in ("mean", "") or (
            self.from_config and self.pairing.reduction == "none" and not self.pairing.has_weights
        )

    @functools.cached_property
    def learned_fraction(self) -> float:
        """Return by what fraction the final loss is below the baseline; if that is unknown, below the first loss."""
        is_known = self.baseline_loss > 0 and math.isfinite(self.baseline_loss + self.final_loss)
        if is_known and len(self.losses) >= 2 * MEDIAN_WINDOW:
            return 1 - self.final_loss / self.baseline_loss
        return self.loss_reduction

    def learned_less_than(self, fraction: float) -> bool:
        """Return whether enough steps have learned less than this fraction, or the loss is not finite."""
        if self.nonfinite_loss is not None or not all(map(math.isfinite, self.losses[-MEDIAN_WINDOW:])):
            return True
        return len(self.losses) >= MIN_LOSSES_TO_JUDGE and self.learned_fraction < fraction

    @functools.cached_property
    def clipped_norm(self) -> float:
        """Return the norm that the gradients of all recorded steps are clipped to; 0 if their norms differ."""
        norms = [
            math.sqrt(sum((p.gradient or 0.0) ** 2 * math.prod(p.shape) for p in record.parameters))
            for record in self.records
            if record.parameters
        ]
        norms = norms if all(map(math.isfinite, norms)) else []
        is_equal = len(norms) >= MIN_CLIPPED_STEPS and max(norms) - min(norms) < MAX_NORM_RANGE * max(norms)
        return statistics.fmean(norms) if is_equal else 0.0

    @property
    def has_line_search(self) -> bool:
        """Return whether the optimizer finds the size of its steps itself, so that no learning rate can be wrong."""
        return any(group.get("line_search_fn") is not None for group in self.optimizer.param_groups)

    @functools.cached_property
    def is_linear(self) -> bool:
        """Return whether the network has one weight of two or more axes, as a linear or softmax regression has."""
        return sum(p.ndim > 1 for p in self.model.parameters()) == 1

    @functools.cached_property
    def optimizer_ids(self) -> frozenset[int]:
        """Return the ``id`` of every parameter that the optimizer holds."""
        return frozenset(id(p) for group in self.optimizer.param_groups for p in group["params"])

    def weight_records(self) -> Iterator[tuple[int, ParameterRecord]]:
        """Yield each recorded step after the first with each of its weights of two or more axes."""
        for record in self.records[1:]:
            yield from ((record.step, parameter) for parameter in record.parameters if len(parameter.shape) > 1)

    @property
    def recorded_updates(self) -> int:
        """Return the number of recorded steps that ended in an update."""
        return sum(bool(record.parameters) for record in self.records)

    def collect_targets(self) -> torch.Tensor | None:
        """Return the targets of all recorded steps that count, flat, or None if the loss keeps none."""
        targets = [r.counted_targets.flatten() for r in self.records if r.counted_targets is not None]
        return torch.cat(targets) if targets else None

    def choose_remedy(self, config: str, plain: str) -> str:
        """Return the remedy for a training by a config, or else the one for a plain PyTorch loop."""
        return config if self.from_config else plain

    def config_change(self, **change: Any) -> dict[str, Any]:
        """Return a remedy as settings of the config; nothing if no config describes the training."""
        return change if self.from_config else {}


@torch.no_grad()
def select_counted(pairing: Pairing, targets: torch.Tensor) -> torch.Tensor:
    """Return the targets that the loss does not leave out."""
    if pairing.ignored is None or targets.is_floating_point():
        return targets
    return targets[targets != pairing.ignored]


def _constant_distribution_loss(targets: torch.Tensor) -> float:
    """Return the entropy of the mean of distributions ``(B, C)`` over the classes; NaN if they are not certain.

    Uncertain ones, as those of a teacher, leave a loss that nothing can remove.
    """
    if targets.ndim != 2 or targets.shape[1] < 2:
        return math.nan
    entropies = [float(torch.special.entr(p).sum(-1).mean()) for p in (targets.double(), targets.double().mean(0))]
    return entropies[1] if entropies[0] < MAX_UNCERTAINTY * entropies[1] else math.nan


def constant_prediction_loss(loss: str, targets: torch.Tensor) -> float:
    """Return the mean loss of the best constant prediction; NaN if unknown.

    Args:
        loss: as in `Pairing`.
        targets: of the samples ``(B, ...)``.

    >>> round(constant_prediction_loss("nll", torch.tensor([0, 1, 1, 0])), 4)
    0.6931
    >>> constant_prediction_loss("mse", torch.tensor([1.0, 3.0]))
    1.0
    """
    if loss in ("nll", "soft_nll"):
        if targets.is_floating_point():
            return _constant_distribution_loss(targets)
        counts = targets[targets >= 0].flatten().unique(return_counts=True)[1].double()
        p = counts / counts.sum()
        return float(-(p * p.log()).sum()) if len(counts) > 1 else math.nan
    values = targets.double()
    if loss.startswith("binary_cross_entropy"):
        p = values.mean(0).clamp(1e-12, 1 - 1e-12)
        return float(-(p * p.log() + (1 - p) * (1 - p).log()).mean())
    if loss in ("mse", "squared"):
        return float(values.var(0, correction=0).mean())
    if loss in ("smooth_l1", "huber"):
        return float(nn.functional.smooth_l1_loss(values.median(0).values.expand_as(values), values))
    if loss == "absolute":
        return float((values - values.median(0).values).abs().mean())
    return math.nan

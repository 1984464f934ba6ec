"""What a check looks at: a network, its optimiser and what was seen of their training."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.records import NonFiniteLoss, ParameterRecord, StepRecord

MIN_LOSSES_TO_JUDGE = 50
"""Losses before one says that nothing is learned."""
NO_LOSS = "no loss was seen"
REGRESSION_LOSSES = ("mse", "squared", "smooth_l1", "huber", "absolute")
"""Losses, as in `Pairing`, that compare numbers."""
MEDIAN_WINDOW = 8
"""Losses of the beginning and of the end that a middle is taken from."""


@dataclass(frozen=True)
class Case:
    """A training, as far as it was seen.

    Args:
        model: the network, as it is now.
        optimizer: what updates it.
        moments: the steps that were looked at.
        losses: of every backward pass.
        steps: updates made.
        evaluated_in_training_mode: forward passes without gradient while dropout or batch norm were training.
        equal_rows: a row of each weight whose rows were all the same at the beginning.
        config: whether remedies are said in the words of a config; else in torch's.
        updated_in_evaluation_mode: updates.
        broken: the first loss that was not finite.
        untouched: names of parameters that nothing has changed since the beginning.
        strangers: parameters that the loss depends on, that neither the network nor the optimiser knows, and that
            nothing has changed.
        still_equal: names of those of ``equal_rows`` whose rows were the same after some updates, too.
        begun: updates that have begun: one that asks for the loss again and again has many backward passes.
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

    @staticmethod
    def from_recorder(recorder: Recorder, *, from_config: bool = False) -> Case:
        """The case that a watch has seen so far."""
        moments = [*recorder.records, *([recorder.current] if recorder.current is not None and recorder.current.pairing is not None else [])]
        return Case(
            recorder.model,
            recorder.optimizer,
            moments,
            list(recorder.losses),
            recorder.steps,
            recorder.evaluated_in_training_mode,
            recorder.equal_rows,
            from_config,
            recorder.updated_in_evaluation_mode,
            recorder.nonfinite_loss,
            recorder.unchanged,
            recorder.unchanged_unknown,
            recorder.still_equal,
            recorder.begun_updates,
        )

    @functools.cached_property
    def pairing(self) -> Pairing | None:
        """The loss and what it is fed with, at the first step."""
        return next((moment.pairing for moment in self.records if moment.pairing is not None), None)

    @functools.cached_property
    def first_loss(self) -> float:
        """The loss of the first step; NaN where there is none."""
        return self.losses[0] if self.losses else math.nan

    @functools.cached_property
    def final_loss(self) -> float:
        """The middle loss of the last tenth of the steps, eight or more."""
        last = self.losses[-max(MEDIAN_WINDOW, len(self.losses) // 10) :]
        return statistics.median(last) if last else math.nan

    @functools.cached_property
    def loss_reduction(self) -> float:
        """Share of the first loss that is gone; negative where it rose, NaN where that cannot be said."""
        if len(self.losses) < 2 * MEDIAN_WINDOW or not self.first_loss or not math.isfinite(self.first_loss + self.final_loss):
            return math.nan
        first = statistics.median(self.losses[:3])
        return (first - self.final_loss) / abs(first) if first else math.nan

    @functools.cached_property
    def baseline_loss(self) -> float:
        """The loss of the best constant answer to the targets that were seen; NaN where that cannot be said.

        Entropy of the classes for cross-entropy, variance for the squared error.
        """
        if self.pairing is None or not self.pairing.is_only_term or not self.is_mean:
            return math.nan
        targets = [moment.targets for moment in self.records if moment.targets is not None]
        if not targets or len({tuple(one.shape[1:]) for one in targets}) > 1:
            return math.nan
        return constant_prediction_loss(self.pairing.loss, torch.cat(targets))

    @property
    def is_mean(self) -> bool:
        """Whether the loss is the plain mean over the samples, as far as its graph tells.

        A config's loss gives a value for each sample, and the loop takes their mean.
        """
        if self.pairing is None:
            return False
        return self.pairing.reduction in ("mean", "") or (
            self.from_config and self.pairing.reduction == "none" and not self.pairing.has_weights
        )

    @functools.cached_property
    def learned_fraction(self) -> float:
        """Share of guessing's loss that is gone at the end; where that cannot be said, of the first loss."""
        if self.baseline_loss > 0 and math.isfinite(self.baseline_loss + self.final_loss) and len(self.losses) >= 2 * MEDIAN_WINDOW:
            return 1 - self.final_loss / self.baseline_loss
        return self.loss_reduction

    def learned_less_than(self, share: float) -> bool:
        """Whether after enough steps less than a share of guessing's loss is gone, or the loss is no number."""
        if self.nonfinite_loss is not None or not all(map(math.isfinite, self.losses[-MEDIAN_WINDOW:])):
            return True
        return len(self.losses) >= MIN_LOSSES_TO_JUDGE and self.learned_fraction < share

    @functools.cached_property
    def optimizer_ids(self) -> frozenset[int]:
        """Identities of the parameters of the optimiser."""
        return frozenset(id(p) for group in self.optimizer.param_groups for p in group["params"])

    def weight_records(self) -> Iterator[tuple[int, ParameterRecord]]:
        """What each weight with two axes or more went through, with the step, after the first step."""
        for moment in self.records[1:]:
            yield from ((moment.step, one) for one in moment.parameters if len(one.shape) > 1)

    @property
    def recorded_updates(self) -> int:
        """How many of the steps that were looked at ended in an update."""
        return sum(bool(moment.parameters) for moment in self.records)

    def collect_targets(self) -> torch.Tensor | None:
        """The targets of the steps that were looked at, flat; None where the loss keeps none."""
        seen = [moment.targets.flatten() for moment in self.records if moment.targets is not None]
        return torch.cat(seen) if seen else None

    def choose_remedy(self, config: str, plain: str) -> str:
        """A remedy in the words of the one who trains."""
        return config if self.from_config else plain

    def config_change(self, **change: Any) -> dict[str, Any]:
        """A remedy as settings of a config; nothing where anyone's own loop trains."""
        return change if self.from_config else {}


@torch.no_grad()
def constant_prediction_loss(loss: str, targets: torch.Tensor) -> float:
    """The mean loss of the best constant answer.

    Args:
        loss: as in `Pairing`.
        targets: of the samples ``(B, ...)``.

    >>> round(guessing("nll", torch.tensor([0, 1, 1, 0])), 4), guessing("mse", torch.tensor([1.0, 3.0]))
    (0.6931, 1.0)
    """
    if loss in ("nll", "soft_nll"):
        if targets.is_floating_point():
            return math.nan
        counts = targets[targets >= 0].flatten().unique(return_counts=True)[1].double()
        shares = counts / counts.sum()
        return float(-(shares * shares.log()).sum()) if len(counts) > 1 else math.nan
    values = targets.double()
    if loss.startswith("binary_cross_entropy"):
        shares = values.mean(0).clamp(1e-12, 1 - 1e-12)
        return float(-(shares * shares.log() + (1 - shares) * (1 - shares).log()).mean())
    if loss in ("mse", "squared"):
        return float(values.var(0, correction=0).mean())
    if loss in ("smooth_l1", "huber"):
        return float(nn.functional.smooth_l1_loss(values.median(0).values.expand_as(values), values))
    if loss == "absolute":
        return float((values - values.median(0).values).abs().mean())
    return math.nan


def is_freshly_initialized(weight: torch.Tensor) -> bool:
    """Whether a weight looks as torch's layers draw it: evenly between two ends, untouched by training.

    >>> _ = torch.manual_seed(0)
    >>> layer = nn.Linear(64, 64)
    >>> fresh(layer.weight), fresh(layer.weight + 0.02 * torch.randn(64, 64))
    (True, False)
    """
    values = weight.detach().double().flatten()
    if weight.ndim < 2 or len(values) < 16:
        return False
    if not bool((values != values[0]).any()):
        return True
    bound = weight[0].numel() ** -0.5  # where torch's own layers end
    if 0.9 * bound < float(values.abs().max()) <= bound * (1 + 1e-6) and float(values.std()) > 0.45 * bound:
        return True
    end = math.sqrt(3) * float(values.square().mean().sqrt())
    kurtosis = float(values.pow(4).mean() / values.square().mean() ** 2)
    noise = 3 / math.sqrt(len(values))
    return float(values.abs().max()) < end * (1.02 + noise / 3) and abs(kurtosis - 1.8) < 0.05 + noise


def are_untrained(weights: Iterable[torch.Tensor]) -> bool:
    """Whether most of some weights are as torch's layers draw them."""
    wide = [weight for weight in weights if weight.ndim > 1]
    return sum(p.numel() for p in wide if is_freshly_initialized(p)) > sum(p.numel() for p in wide) / 2


def describe_shortage(least: int, seen: int, what: str) -> str:
    """Why a check says nothing: it needs more than was seen; empty where there is enough.

    >>> at_least(5, 2, "updates"), at_least(5, 6, "updates")
    ('it needs 5 updates or more, and has seen 2', '')
    """
    return "" if seen >= least else f"it needs {least} {what} or more, and has seen {seen}"


def join_names(names: Sequence[str], most: int = 4) -> str:
    """Some names, and how many more.

    >>> named(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")

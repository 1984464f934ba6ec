"""The scorer of the validation part, called after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import nn

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError, suggest
from yisheng.core.events import Batch
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.evaluation.outputs import compute_outputs
from yisheng.evaluation.predictions import Invert, to_predictions

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Scorer = Callable[[nn.Module, Iterable[Batch]], dict[str, float]]


def make_scorer(
    spec: Spec, loss: Loss, metrics: Sequence[str | Entry], invert: Invert | None = None, *, bf16: bool = False
) -> Scorer:
    """Return a function that scores a model on some batches, in one pass over them.

    The scores are ``loss``, the mean that training minimizes (weighted if the batches have weights, in the scale of
    the transformed target), and each metric by its name in JSON, in the original units and unweighted. A metric is
    NaN if an output is not finite, or if the rows do not define it.

    Args:
        spec: the contract.
        loss: ``(output, y) -> (B,)``.
        metrics: names of metrics, or their entries; ``loss`` among them is allowed and changes nothing.
        invert: the inverse of a regression's target transform.
        bf16: compute in bfloat16, as a training with precision=bf16; see `yisheng.evaluation.outputs.compute_outputs`.

    Raises:
        UsageError: a metric is unknown, gives a table, or does not fit the data.

    >>> spec = Spec("classification", (2,), classes=("a", "b"))
    >>> score = make_scorer(spec, nn.CrossEntropyLoss(reduction="none"), ["accuracy"])
    >>> batch = Batch(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([0, 1]), torch.arange(2))
    >>> {name: round(value, 3) for name, value in score(nn.Identity(), [batch]).items()}
    {'loss': 0.693, 'accuracy': 0.5}
    """
    entries = find_metrics(spec, [name for name in metrics if name != "loss"])

    def score(model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        outputs = compute_outputs(model, batches, bf16=bf16)
        with torch.no_grad():
            losses = loss(outputs.output, outputs.y)
        losses = losses.expand(len(outputs.index)) if losses.ndim == 0 else losses  # a loss that is a mean already
        weight = torch.ones_like(losses) if outputs.weight is None else outputs.weight
        scores = {"loss": float((losses * weight).sum() / weight.sum())}
        if not entries:
            return scores
        predictions = to_predictions(outputs, spec, invert)
        if not np.isfinite(predictions.prediction).all():
            return scores | {entry.key: math.nan for entry in entries}
        return scores | {entry.key: float(entry.build(predictions.y, predictions.prediction)) for entry in entries}

    return score


def find_metrics(spec: Spec, names: Sequence[str | Entry]) -> list[Entry]:
    """Return the registered metrics of these names; entries are returned as they are.

    Raises:
        UsageError: one is unknown, gives a table, or does not fit the data.
    """
    metrics = [registry.find("metrics", name) if isinstance(name, str) else name for name in names]
    for entry in metrics:
        if entry.meta.get("custom"):
            continue
        if not entry.fits(spec) or not entry.meta.get("scalar", True):
            usable = [m.name for m in registry.entries("metrics") if m.fits(spec) and m.meta.get("scalar", True)]
            problem = Message("{name} is a table, not a number", name=entry.name)
            if entry.meta.get("scalar", True):
                values = {"name": entry.name, "requirement": entry.requirement, "task": spec.task}
                problem = Message("{name} needs {requirement}; this is {task}", **values)
            raise UsageError(
                problem,
                suggest(entry.name, usable),
            )
    return metrics

"""The validation score after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import nn

from yisheng.core import registry
from yisheng.core.errors import UsageError, closest
from yisheng.core.types import Batch, Spec
from yisheng.evaluation.outputs import run
from yisheng.evaluation.predictions import Invert, to_predictions

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Scorer = Callable[[nn.Module, Iterable[Batch]], dict[str, float]]


def make_scorer(
    spec: Spec, loss: Loss, metrics: Sequence[str], invert: Invert | None = None, *, half: bool = False
) -> Scorer:
    """A function that scores a model on some batches, in one pass over them.

    It gives ``loss``, the mean that training makes smaller (weighted where the batches are, in the scale of
    the transformed target), and each metric by its name in JSON, in the original units and unweighted. Where
    an output is not finite, and where the rows do not define a metric, its score is NaN.

    Args:
        spec: the contract.
        loss: ``(output, y) -> (B,)``.
        metrics: names of metrics; ``loss`` among them is allowed and changes nothing.
        invert: undoes the target transform of a regression.
        half: compute as a training in bfloat16 does; see `run`.

    Raises:
        UsageError: a metric is unknown, gives a table, or does not fit the data.

    >>> spec = Spec("classification", (2,), classes=("a", "b"))
    >>> score = make_scorer(spec, nn.CrossEntropyLoss(reduction="none"), ["accuracy"])
    >>> batch = Batch(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([0, 1]), torch.arange(2))
    >>> {name: round(value, 3) for name, value in score(nn.Identity(), [batch]).items()}
    {'loss': 0.693, 'accuracy': 0.5}
    """
    chosen = find_metrics(spec, [name for name in metrics if name != "loss"])

    def score(model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        outputs = run(model, batches, half=half)
        with torch.no_grad():
            losses = loss(outputs.output, outputs.y)
        weight = torch.ones_like(losses) if outputs.weight is None else outputs.weight
        scores = {"loss": float((losses * weight).sum() / weight.sum())}
        if not chosen:
            return scores
        seen = to_predictions(outputs, spec, invert)
        finite = bool(np.isfinite(seen.prediction).all())
        return scores | {m.key: float(m.build(seen.y, seen.prediction)) if finite else math.nan for m in chosen}

    return score


def find_metrics(spec: Spec, names: Sequence[str]) -> list[registry.Entry]:
    """The metrics of these names.

    Raises:
        UsageError: one is unknown, gives a table, or does not fit the data.
    """
    chosen = [registry.find("metrics", name) for name in names]
    for entry in chosen:
        if not entry.meta["fits"](spec) or not entry.meta.get("scalar", True):
            known = [e.name for e in registry.entries("metrics") if e.meta["fits"](spec) and e.meta.get("scalar", True)]
            needs = f"needs {entry.meta['wants']}" if entry.meta.get("scalar", True) else "is a table, not a number"
            raise UsageError(f"{entry.name} {needs}; this is {spec.task}", closest(entry.name, known))
    return chosen

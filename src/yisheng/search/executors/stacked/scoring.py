"""Scoring of models that are trained in one pass, with the scorer of their serial training."""

from __future__ import annotations

import torch

from yisheng.core import nested
from yisheng.core.components import find_component
from yisheng.core.events import Batch
from yisheng.data.batches import Batches
from yisheng.evaluation.scorer import Scorer, make_scorer
from yisheng.search.executors.stacked.layers import pad_columns
from yisheng.training.setup import Assembly


def make_job_scorer(assembly: Assembly) -> Scorer:
    """Return the scorer of the job's serial training."""
    target = assembly.transforms["target"]
    invert = None if target is None else target.invert
    return make_scorer(assembly.spec, assembly.loss, [assembly.score_key], invert=invert)


def depends_on_rows(assembly: Assembly) -> bool:
    """Return whether the loss may depend on the training rows: class weights do, and losses of plugins may."""
    choice = assembly.config.loss
    is_builtin = find_component("losses", choice).build.__module__.startswith("yisheng.losses.")
    return not is_builtin or "balanced" in choice.options.values()


def join_batches(part: Batches, width: int) -> Batch | None:
    """Return all rows of a part as one batch, or None if it has no rows."""
    batches = list(part)
    if not batches:
        return None
    weights = [batch.weight for batch in batches if batch.weight is not None]
    return Batch(
        torch.cat([pad_columns(nested.only(batch.x), width) if width else nested.only(batch.x) for batch in batches]),
        torch.cat([batch.y for batch in batches]),
        torch.cat([batch.index for batch in batches]),
        torch.cat(weights) if weights else None,
    )


def pad_rows(x: torch.Tensor, rows: int) -> torch.Tensor:
    """Return the tensor with rows of zeros up to a number of rows."""
    return torch.cat([x, x.new_zeros(rows - len(x), *x.shape[1:])]) if len(x) < rows else x

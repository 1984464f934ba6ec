"""How models that are trained in one pass are scored: as each of them is alone."""

from __future__ import annotations

import torch

from yisheng.core import registry
from yisheng.core.types import Batch
from yisheng.data.batches import Batches
from yisheng.evaluation.scorer import Scorer, make_scorer
from yisheng.search.executors.stacked.layers import columns
from yisheng.training.monitored import score_of
from yisheng.training.setup import Assembly


def scorer(assembly: Assembly) -> Scorer:
    """What a training alone is scored with."""
    target, score = assembly.transforms["target"], score_of(assembly)
    return make_scorer(assembly.spec, assembly.loss, [score], invert=None if target is None else target.invert)


def higher(assembly: Assembly) -> bool:
    """Whether a larger score is the better one."""
    score = assembly.config.score
    return score != "loss" and bool(registry.find("metrics", score).meta.get("higher", True))


def counts_rows(assembly: Assembly) -> bool:
    """Whether the loss may depend on the training rows: weights of classes do, and those of other packages might."""
    choice = assembly.config.loss
    ours = registry.find("losses", choice.name).build.__module__.startswith("yisheng.losses.")
    return not ours or "balanced" in choice.options.values()


def whole(part: Batches, width: int) -> Batch | None:
    """All rows of a part as one batch, or None where there is none."""
    pieces = list(part)
    if not pieces:
        return None
    weights = [piece.weight for piece in pieces if piece.weight is not None]
    return Batch(
        torch.cat([columns(piece.x, width) if width else piece.x for piece in pieces]),
        torch.cat([piece.y for piece in pieces]),
        torch.cat([piece.index for piece in pieces]),
        torch.cat(weights) if weights else None,
    )


def more(x: torch.Tensor, rows: int) -> torch.Tensor:
    """Zeros behind the rows."""
    return torch.cat([x, x.new_zeros(rows - len(x), *x.shape[1:])]) if len(x) < rows else x

"""Distances of pairs that a contrastive loss pulls together and pushes apart, seen in its backward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F  # its common name

from yisheng.diagnosis.loss_graph import Loss, layer_inputs, saved_tensor
from yisheng.diagnosis.recorder.guard import Guard

MAX_ENTRIES, MAX_PAIRS, MIN_PAIRS = 64, 1 << 16, 4
"""Batches whose pairs are compared, and pairs of a batch, at most and of each kind at least."""
NORMS = ("NormBackward", "LinalgVectorNorm", "CdistBackward", "PdistBackward", "EuclideanDist")
"""Beginnings of the names of nodes whose results are distances."""
DISTANCES_OF_ROWS = ("Cdist", "Pdist", "Euclidean")
PASSING = ("Squeeze", "Unsqueeze", "View", "Reshape", "Clone", "ToCopy", "Pow")
COMPARING = ("MseLoss", "SmoothL1Loss", "HuberLoss")
"""Beginnings of the names of losses that compare numbers."""


@dataclass(frozen=True)
class PairDistances:
    """The pairs of one batch.

    Args:
        step: updates made before.
        pulled: pairs that the loss pulls together.
        pushed: pairs that it pushes apart, those beyond its margin included.
        farther: probability that a pair of the first kind is farther apart than one of the second.
        variance: of this number if the kinds do not differ.
        farther_inputs: the same of the network's inputs; NaN if they are unknown.
    """

    step: int
    pulled: int
    pushed: int
    farther: float
    variance: float
    farther_inputs: float = math.nan


class PairObserver:
    """Compare the distances of pairs, by a hook on their node that exists during one backward pass.

    A pair is pulled together if the gradient of its distance is positive. Only losses count in which a label of two
    values, which the graph keeps, says for each pair whether it is: if distances are compared with other numbers, those
    that are too large are pulled, too.

    Attributes:
        entries: in order.
    """

    def __init__(self, guard: Guard) -> None:
        self.entries: list[PairDistances] = []
        self._guard = guard

    @torch.no_grad()
    def watch(self, loss: Loss, nodes: Sequence[Any], step: int) -> None:
        """Watch the distances of a loss in its backward pass, which follows.

        Args:
            loss: with its graph.
            nodes: those of the graph above the last layers.
            step: updates made before.
        """
        if len(self.entries) >= MAX_ENTRIES or any(node.name().startswith(COMPARING) for node in nodes):
            return
        for node in nodes:
            distances, sign = _read_distances(node)
            if distances is None or not 2 * MIN_PAIRS <= distances.numel() <= MAX_PAIRS:
                continue
            labels = [label for source in nodes for label in _read_labels(source, distances.numel())]
            if labels:
                inputs = _measure_inputs(loss, distances)
                node.register_prehook(self._guard.protect(self._make_hook(distances, sign, labels, inputs, step)))

    def _make_hook(
        self,
        distances: torch.Tensor,
        sign: float,
        labels: list[torch.Tensor],
        inputs: torch.Tensor | None,
        step: int,
    ) -> Callable[[Any], None]:
        @torch.no_grad()
        def compare(gradients: tuple[torch.Tensor | None, ...]) -> None:
            gradient = gradients[0]
            if gradient is None or gradient.numel() != distances.numel():
                return
            pull = sign * gradient.flatten()
            is_pulled = next((label for label in labels if _explains(label, pull)), None)
            if is_pulled is not None and len(self.entries) < MAX_ENTRIES:
                count = int(is_pulled.sum()), int((~is_pulled).sum())
                independent = len(distances) / distances.numel()  # of a matrix only its rows are
                variance = (sum(count) + 1) / (12 * math.prod(count) * independent)
                farther = [math.nan if x is None else _compare(x, is_pulled) for x in (distances, inputs)]
                self.entries.append(PairDistances(step, *count, farther[0], variance, farther[1]))

        return compare


def _compare(distances: torch.Tensor, is_pulled: torch.Tensor) -> float:
    """Return the probability that one of the pulled pairs is farther apart than one of the others.

    >>> _compare(torch.arange(8.0), torch.arange(8) > 3)
    1.0
    """
    values = distances.flatten().double()
    pulled, pushed = values[is_pulled], values[~is_pulled].sort().values
    ranks = torch.searchsorted(pushed, pulled) + torch.searchsorted(pushed, pulled, right=True)
    return float(ranks.double().mean()) / (2 * len(pushed))


def _measure_inputs(loss: Loss, distances: torch.Tensor) -> torch.Tensor | None:
    """Return how far the inputs of each pair are from each other ``(N,)``, or None if they are not two batches."""
    size = len(distances)
    batches = [x for x in layer_inputs(loss) if len(x) == size and x.numel() > size]
    if distances.numel() != size or len(batches) != 2 or batches[0].shape != batches[1].shape:
        return None
    return (batches[0] - batches[1]).flatten(1).float().norm(dim=1)


def _explains(label: torch.Tensor, pull: torch.Tensor) -> bool:
    """Return whether just the pairs of a label are pulled together, and others pushed apart."""
    is_exact = bool((pull[label] >= 0).all()) and bool((pull[~label] <= 0).all())
    return is_exact and int((pull[label] > 0).sum()) >= MIN_PAIRS and int((pull[~label] < 0).sum()) >= MIN_PAIRS


def _read_distances(node: Any) -> tuple[torch.Tensor | None, float]:
    """Return the distances that a node computes and 1, or cosines times -1 and -1; None if it computes neither."""
    name = node.name()
    if name.startswith(NORMS):
        is_difference = name.startswith(DISTANCES_OF_ROWS) or _is_difference(_first(node))
        return (saved_tensor(node, "result") if is_difference else None), 1.0
    if not name.startswith("SumBackward1"):
        return None, 1.0
    child = _first(node)
    if child is not None and child.name().startswith("Pow") and _is_difference(child):
        difference = saved_tensor(child, "self")
        return (None if difference is None or difference.ndim < 2 else difference.square().sum(-1)), 1.0
    if child is None or child.name() != "MulBackward0":
        return None, 1.0
    first, second = saved_tensor(child, "self"), saved_tensor(child, "other")
    if first is None or second is None or first.shape != second.shape or first.ndim < 2:
        return None, 1.0
    if child.next_functions[0] == child.next_functions[1]:
        return (first.square().sum(-1) if _is_difference(_first(child)) else None), 1.0
    return -F.cosine_similarity(first, second, dim=-1), -1.0


def _is_difference(node: Any) -> bool:
    """Return whether a node subtracts one thing from another, perhaps with a constant, a square or a new shape."""
    while node is not None and (node.name().startswith(PASSING) or _adds_constant(node)):
        node = _first(node)
    return node is not None and node.name() == "SubBackward0"


def _adds_constant(node: Any) -> bool:
    return node.name().startswith("Add") and len(node.next_functions) == 1


def _first(node: Any) -> Any:
    return next((child for child, _ in node.next_functions if child is not None), None)


def _read_labels(node: Any, size: int) -> Iterator[torch.Tensor]:
    """Yield what a node keeps of a label ``(size,)`` with two values, as booleans, and its opposite."""
    name = node.name()
    label: torch.Tensor | None = None
    if name == "MulBackward0":
        saved = (saved_tensor(node, part) for part in ("self", "other"))
        label = next((values for values in saved if values is not None and values.numel() == size), None)
    elif name.startswith("Where"):
        label = saved_tensor(node, "condition")
    elif name.startswith("BinaryCrossEntropy"):
        label = saved_tensor(node, "target")
    elif name == "IndexBackward0":
        label = _read_selection(node, size)
    if label is None or label.numel() != size:
        return
    values = label.flatten()
    low, high = values.min(), values.max()
    if bool(low < high) and bool(((values == low) | (values == high)).all()):
        yield values == high
        yield values == low


def _read_selection(node: Any, size: int) -> torch.Tensor | None:
    """Return which of the values an index selects ``(size,)``, or None for a selection along several axes."""
    indices = [index for index in getattr(node, "_saved_indices", ()) if index is not None]
    if len(indices) != 1 or math.prod(int(n) for n in node._saved_self_sym_sizes) != size:
        return None
    index = indices[0].detach().flatten()
    if index.dtype == torch.bool:
        return index.int()
    selection = torch.zeros(size, dtype=torch.int, device=index.device)
    selection[index] = 1
    return selection

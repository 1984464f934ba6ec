"""What is looked at to tell whether an input is like the training data: features, and distances between them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.types import Spec
from yisheng.models.head import head

MAPS = 3
"""Convolutions that are looked at: the first, one in the middle and the last."""
FEATURES = 512
"""Features of one place, at most; of more, so many at even distances."""
PARTS = 64
"""Principal components of them, at most."""
RIDGE = 1e-3
"""Added to the variances, as a share of their mean: what never varied may vary a little."""
ROWS_PER_CLASS = 10
"""With fewer rows per class there is one mean for all."""
EDGES = (
    ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    ((1, 0, -1), (2, 0, -2), (1, 0, -1)),
    ((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
    ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
)
"""The image itself, its two Sobel edges, its Laplacian."""


class Place(NamedTuple):
    """Where features are taken: from the ``maps`` of a layer, the input of the ``head``, or the ``image``."""

    what: Literal["maps", "head", "image"]
    layer: str = ""


def places(model: nn.Module) -> list[Place]:
    """Where to look in a network for images.

    >>> from yisheng.models.lenet import lenet
    >>> spec = Spec("classification", (1, 28, 28), classes=("a", "b"))
    >>> [f"{place.what} {place.layer}" for place in places(lenet(spec))]
    ['maps conv1', 'maps conv2', 'head output']
    """
    try:
        last: list[str] = [head(model)[0]]
    except UsageError:
        last = []
    maps = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and name not in last]
    chosen = dict.fromkeys(maps[round(n * (len(maps) - 1) / (MAPS - 1))] for n in range(MAPS)) if maps else {}
    return [
        *(Place("maps", name) for name in chosen),
        *([] if maps else [Place("image")]),
        *(Place("head", name) for name in last),
    ]


@contextlib.contextmanager
def watched(model: nn.Module, wanted: Sequence[Place]) -> Iterator[dict[Place, torch.Tensor]]:
    """The features ``(B, F)`` of a forward pass in this block, by place; the first time that it comes by counts.

    A place that it does not come by, or where something else than numbers comes by, is left out.
    """
    seen: dict[Place, torch.Tensor] = {}

    def keep(place: Place, value: object) -> None:
        if isinstance(value, torch.Tensor) and value.ndim >= 2 and place not in seen:
            seen[place] = features(value)

    def watch(place: Place) -> torch.utils.hooks.RemovableHandle:
        module = model.get_submodule(place.layer)
        if place.what == "head":
            return module.register_forward_pre_hook(lambda _, inputs: keep(place, inputs[0] if inputs else None))
        return module.register_forward_hook(lambda _, __, output: keep(place, output))

    def watch_image(_: nn.Module, inputs: tuple[object, ...]) -> None:
        if inputs and isinstance(inputs[0], torch.Tensor):
            keep(Place("image"), edges(inputs[0]))

    handles = [watch(place) for place in wanted if place.what != "image"]
    if Place("image") in wanted:
        handles.append(model.register_forward_pre_hook(watch_image))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def features(value: torch.Tensor) -> torch.Tensor:
    """Means and standard deviations of maps ``(B, C, H, W)``; anything else flat, ``(B, F)``.

    >>> features(torch.tensor([[[[1.0, 3.0]]]])).tolist()
    [[2.0, 1.0]]
    """
    value = value.detach().float()
    if value.ndim == 4:
        value = torch.cat([value.mean((2, 3)), value.var((2, 3), correction=0).sqrt()], 1)
    value = value.flatten(1)
    if value.shape[1] > FEATURES:
        value = value[:, torch.linspace(0, value.shape[1] - 1, FEATURES).long()]
    return value


def edges(x: torch.Tensor) -> torch.Tensor:
    """Images ``(B, C, H, W)`` and their edges, in their own size and in half of it, as maps ``(B, 8C, H, W)``."""
    filters = torch.tensor(EDGES, dtype=x.dtype, device=x.device)[:, None].repeat(x.shape[1], 1, 1, 1)
    small = F.interpolate(F.avg_pool2d(x, 2, ceil_mode=True), x.shape[2:])
    both = [F.conv2d(F.pad(one, (1, 1, 1, 1), mode="replicate"), filters, groups=x.shape[1]) for one in (x, small)]
    return torch.cat(both, 1)


def whitened(x: torch.Tensor, labels: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor] | None:
    """A projection ``(F, P)`` after which the spread around the class means is round, and those means ``(K, P)``.

    Args:
        x: features ``(N, F)``.
        labels: class numbers ``(N,)``; one mean for all rows without them, or with too few rows for each.

    Returns:
        None where nothing varies.
    """
    x = x.double()
    middle = x.mean(0)
    values, vectors = torch.linalg.eigh((x - middle).T @ (x - middle) / len(x))
    vectors = vectors[:, values > 1e-9 * values[-1]][:, -PARTS:]
    if not values[-1] > 0 or not vectors.shape[1]:
        return None
    parts = (x - middle) @ vectors
    known = torch.zeros(1, dtype=torch.int64) if labels is None else labels.unique()
    if labels is None or len(x) < ROWS_PER_CLASS * len(known):
        labels, known = torch.zeros(len(x), dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    centres = torch.stack([parts[labels == one].mean(0) for one in known])
    rest = parts - centres[torch.searchsorted(known, labels)]
    spread = rest.T @ rest / len(x)
    spread += RIDGE * spread.diagonal().mean() * torch.eye(len(spread), dtype=torch.float64)
    variances, turn = torch.linalg.eigh(spread)
    if not variances[0] > 0:
        return None
    projection = vectors @ (turn / variances.sqrt())
    return projection.float(), (centres @ (turn / variances.sqrt()) + middle @ projection).float()


def distance(x: torch.Tensor, projection: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Mahalanobis distance of features ``(B, F)`` to the nearest centre, float64 ``(B,)``."""
    return torch.cdist(x.cpu().double() @ projection.double(), centres.double()).amin(1)


def outside(raw: torch.Tensor, low: torch.Tensor, high: torch.Tensor, span: torch.Tensor) -> torch.Tensor:
    """How far each row ``(B, D)`` is outside of its columns' ranges, as a share of ``span``: its farthest value.

    Inside it is negative; a missing value is in every range. In a column that never varied every other value is
    outside, by its difference in units of the value's size.

    >>> low, high = torch.tensor([0.0, 5.0]), torch.tensor([10.0, 5.0])
    >>> outside(torch.tensor([[15.0, 5.0], [5.0, 10.0]]), low, high, high - low).tolist()
    [0.5, 1.0]
    """
    raw, low, high = raw.cpu().double(), low.double(), high.double()
    unit = torch.where(span > 0, span.double(), low.abs().clamp_min(1))
    return (torch.maximum(low - raw, raw - high) / unit).nan_to_num(-1).amax(1)


def numbers(spec: Spec) -> torch.Tensor:
    """Which features are numbers, rather than categories or yes/no; all where nothing is said of them."""
    kinds = [column.kind for column in spec.columns] or ["number"] * spec.shape[0]
    return torch.tensor([place for place, kind in enumerate(kinds) if kind == "number"], dtype=torch.int64)

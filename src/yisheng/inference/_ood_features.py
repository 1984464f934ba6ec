"""The features that the out-of-distribution detector reads from a network or a row, and distances between them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.inference._ood_distance import NearestMean
from yisheng.models.head import find_head

MAX_CONVOLUTIONS = 3
"""Convolutions whose feature maps are read: the first, one in the middle and the last."""
MAX_FEATURES = 512
"""Features of one source; of more, this many at equal distances are read."""
MAX_PRINCIPAL_COMPONENTS = 64
MAX_DENSE_SIZE = 1024
"""Rows or columns of a matrix that is decomposed completely."""
RIDGE = 1e-3
"""Added to the variances, as a fraction of their mean, so that a feature that never varied may vary a little."""
MIN_ROWS_PER_CLASS = 10
"""With fewer rows per class one mean is fitted for all classes."""
MIN_RELATIVE_VARIANCE = 1e-9
"""Principal components with less variance than this fraction of the largest are dropped."""
EDGE_FILTERS = (
    ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    ((1, 0, -1), (2, 0, -2), (1, 0, -1)),
    ((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
    ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
)
"""The image itself, its two Sobel edges, its Laplacian."""


class FeatureSource(NamedTuple):
    """Where features come from: the ``maps`` of a layer, the input of the ``head``, or the ``image`` itself."""

    kind: Literal["maps", "head", "image"]
    layer: str = ""


def choose_feature_sources(model: nn.Module) -> list[FeatureSource]:
    """Return where to read features in a network for images.

    >>> from yisheng.models.lenet import lenet
    >>> spec = Spec("classification", (1, 28, 28), classes=("a", "b"))
    >>> [f"{source.kind} {source.layer}" for source in choose_feature_sources(lenet(spec))]
    ['maps conv1', 'maps conv2', 'head output']
    """
    try:
        heads: list[str] = [find_head(model)[0]]
    except UsageError:
        heads = []
    convolutions = [
        name for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and name not in heads
    ]
    last = len(convolutions) - 1
    positions = [round(n * last / (MAX_CONVOLUTIONS - 1)) for n in range(MAX_CONVOLUTIONS)] if convolutions else []
    chosen = dict.fromkeys(convolutions[position] for position in positions)
    return [
        *(FeatureSource("maps", name) for name in chosen),
        *([] if convolutions else [FeatureSource("image")]),
        *(FeatureSource("head", name) for name in heads),
    ]


@contextlib.contextmanager
def capture_features(model: nn.Module, sources: Sequence[FeatureSource]) -> Iterator[dict[FeatureSource, torch.Tensor]]:
    """Collect the features ``(B, F)`` of the forward pass in this block, by source.

    A module that runs several times counts the first time. A source that the pass does not reach, or that holds
    something other than a tensor, is left out.
    """
    captured: dict[FeatureSource, torch.Tensor] = {}

    def capture(source: FeatureSource, value: torch.Tensor) -> None:
        if source not in captured:
            captured[source] = flatten_features(value)

    def capture_image(_: nn.Module, inputs: tuple[object, ...]) -> None:
        if inputs and isinstance(inputs[0], torch.Tensor):
            capture(FeatureSource("image"), compute_edge_maps(inputs[0]))

    handles = hook_features(model, sources, capture)
    if FeatureSource("image") in sources:
        handles.append(model.register_forward_pre_hook(capture_image))
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def hook_features(
    model: nn.Module, sources: Sequence[FeatureSource], capture: Callable[[FeatureSource, torch.Tensor], object]
) -> list[torch.utils.hooks.RemovableHandle]:
    """Call a function with the values of sources inside a network in its forward passes; return the hooks to remove.

    Args:
        model: the network.
        sources: those of kind ``image`` are not inside the network, and are left out.
        capture: called with a source and its tensor, of two axes or more.
    """

    inside = [source for source in sources if source.kind != "image"]
    hook_program: Any = getattr(model, "hook_features", None)
    if hook_program is not None:  # a program has no layers to hook
        return [hook_program(inside, capture)]

    def capture_tensor(source: FeatureSource, value: object) -> None:
        if isinstance(value, torch.Tensor) and value.ndim >= 2:
            capture(source, value)

    def register(source: FeatureSource) -> torch.utils.hooks.RemovableHandle:
        module = model.get_submodule(source.layer)
        if source.kind == "head":
            return module.register_forward_pre_hook(
                lambda _, inputs: capture_tensor(source, inputs[0] if inputs else None)
            )
        return module.register_forward_hook(lambda _, __, output: capture_tensor(source, output))

    return [register(source) for source in inside]


def flatten_features(value: torch.Tensor) -> torch.Tensor:
    """Reduce maps ``(B, C, H, W)`` to means and standard deviations, flatten anything else, to ``(B, F)``.

    >>> flatten_features(torch.tensor([[[[1.0, 3.0]]]])).tolist()
    [[2.0, 1.0]]
    """
    value = value.detach().float()
    if value.ndim == 4:
        maps = value.flatten(2)
        means = maps.mean(2)
        # torch's variance takes twenty times as long as a norm, and longer than the convolution that made the maps.
        deviations = torch.linalg.vector_norm(maps - means[..., None], dim=2) / math.sqrt(maps.shape[2])
        value = torch.cat([means, deviations], 1)
    value = value.flatten(1)
    if value.shape[1] > MAX_FEATURES:
        value = value[:, torch.linspace(0, value.shape[1] - 1, MAX_FEATURES).long()]
    return value


def compute_edge_maps(x: torch.Tensor) -> torch.Tensor:
    """Return images ``(B, C, H, W)`` and their edges, at full and at half resolution, as maps ``(B, 8C, H, W)``."""
    filters = torch.tensor(EDGE_FILTERS, dtype=x.dtype, device=x.device)[:, None].repeat(x.shape[1], 1, 1, 1)
    half = F.interpolate(F.avg_pool2d(x, 2, ceil_mode=True), x.shape[2:])
    maps = [F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), filters, groups=x.shape[1]) for image in (x, half)]
    return torch.cat(maps, 1)


def fit_whitening(x: torch.Tensor, labels: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Fit a projection ``(F, P)`` that whitens the features around their class means, and these means ``(K, P)``.

    Args:
        x: features ``(N, F)``.
        labels: class numbers ``(N,)``; without them, or with too few rows per class, one mean is fitted for all rows.

    Returns:
        None if no feature varies.
    """
    x = x.double()
    center = x.mean(0)
    values, vectors = _decompose_covariance(x - center)
    vectors = vectors[:, values > MIN_RELATIVE_VARIANCE * values[-1]][:, -MAX_PRINCIPAL_COMPONENTS:]
    if not values[-1] > 0 or not vectors.shape[1]:
        return None
    components = (x - center) @ vectors
    classes = torch.zeros(1, dtype=torch.int64) if labels is None else labels.unique()
    if labels is None or len(x) < MIN_ROWS_PER_CLASS * len(classes):
        labels, classes = torch.zeros(len(x), dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    means = torch.stack([components[labels == label].mean(0) for label in classes])
    residuals = components - means[torch.searchsorted(classes, labels)]
    covariance = residuals.T @ residuals / len(x)
    covariance += RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    variances, rotation = torch.linalg.eigh(covariance)
    if not variances[0] > 0:
        return None
    projection = vectors @ (rotation / variances.sqrt())
    return projection.float(), (means @ (rotation / variances.sqrt()) + center @ projection).float()


def _decompose_covariance(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the variances of centered features ``(N, F)`` along their principal directions, ascending, and these.

    The smaller of N and F determines the cost. If both are large, only as many directions as are used are computed, by
    Lanczos' method.
    """
    rows, features = x.shape
    if features <= min(rows, MAX_DENSE_SIZE):
        values, vectors = torch.linalg.eigh(x.T @ x / rows)
        return values, vectors
    if rows <= MAX_DENSE_SIZE:
        values, row_vectors = torch.linalg.eigh(x @ x.T / rows)
        directions = x.T @ row_vectors[:, -MAX_PRINCIPAL_COMPONENTS:]
        lengths = directions.norm(dim=0)
        return values[-MAX_PRINCIPAL_COMPONENTS:], directions / lengths.clamp_min(torch.finfo(x.dtype).tiny)
    from scipy.sparse.linalg import LinearOperator, eigsh

    block = x.numpy()
    operator = LinearOperator((features, features), matvec=lambda v: block.T @ (block @ v) / rows, dtype=block.dtype)
    start = block.std(0) + 1e-3  # any fixed vector would do: the result depends on the data alone
    variances, directions_of_them = eigsh(operator, k=MAX_PRINCIPAL_COMPONENTS, v0=start, which="LA")
    return torch.from_numpy(variances), torch.from_numpy(directions_of_them)


def compute_mahalanobis_distance(x: torch.Tensor, projection: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Compute the Mahalanobis distance of features ``(B, F)`` to the nearest mean, float64 ``(B,)``."""
    return NearestMean.prepare(projection, means).compute_distance(x)


def compute_range_excess(raw: torch.Tensor, low: torch.Tensor, high: torch.Tensor, span: torch.Tensor) -> torch.Tensor:
    """Compute how far the worst value of each row ``(B, D)`` is outside its column's range, as a fraction of ``span``.

    The result is negative inside the range; a missing value is in every range. In a column that never varied every
    other value is outside, by its difference in units of the value's size.

    >>> low, high = torch.tensor([0.0, 5.0]), torch.tensor([10.0, 5.0])
    >>> compute_range_excess(torch.tensor([[15.0, 5.0], [5.0, 10.0]]), low, high, high - low).tolist()
    [0.5, 1.0]
    """
    return compare_with_range(raw, low, high, choose_unit(low, span))


def choose_unit(low: torch.Tensor, span: torch.Tensor) -> torch.Tensor:
    """Return in which unit a value outside the range of its column is measured: the span, or the size of its values."""
    return torch.where(span > 0, span, low.abs().clamp_min(1))


def compare_with_range(raw: torch.Tensor, low: torch.Tensor, high: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Compute `compute_range_excess` for columns ``(B, D)`` in these units; infinite bounds leave a column out."""
    raw = raw.cpu()
    low, high, unit = (bound.to(raw.dtype) for bound in (low, high, unit))
    return torch.maximum(low - raw, raw - high).div_(unit).nan_to_num_(-1).amax(1).double()


def select_numbers(x: torch.Tensor, indices: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """Return the numeric columns of scaled rows ``(B, D)``; a missing value, which trees keep as NaN, becomes 0.

    Args:
        x: the rows.
        indices: of the numeric columns.
        count: their number if they are the first ones, in order: then nothing needs to be gathered.

    >>> select_numbers(torch.tensor([[1.0, torch.nan, 3.0]]), torch.tensor([1, 2])).tolist()
    [[0.0, 3.0]]
    """
    return (x.index_select(1, indices) if count is None else x[:, :count]).nan_to_num(nan=0.0)


def find_number_columns(spec: Spec) -> torch.Tensor:
    """Return the indices of the numeric columns (not categories or yes/no); of all columns if no kinds are known."""
    kinds = [column.kind for column in spec.columns] or ["number"] * spec.shape[0]
    return torch.tensor([index for index, kind in enumerate(kinds) if kind == "number"], dtype=torch.int64)

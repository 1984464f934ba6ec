"""Features of which a network reads one number for each position: the mean or the largest of their channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from yisheng.core import nested
from yisheng.diagnosis.probe import MAX_WEIGHTS, REFUSALS, copied_network, is_compiled
from yisheng.diagnosis.recorder.source_lines import find_direct_source

MIN_CHANNELS, MIN_POSITIONS = 4, 4
MAX_LAYERS = 12
"""Layers, from the last one, whose features are changed: a pooling is near the output."""
ROWS = (7, 6, 5)
"""Rows of a pass: a number that no other axis has tells which axis is that of the rows."""
MAX_ROUNDING = 1e-5
"""Difference of sums in another order, relative to the largest output."""
MIN_CHANGE = 1e-2
"""Difference, relative to that between the rows, that shows that something is read."""
CHANNELS_FIRST = frozenset({f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)}) | {
    "batch_norm",
    "group_norm",
    "instance_norm",
}
CHANNELS_LAST = frozenset(
    {"linear", "embedding", "layer_norm", "lstm", "gru", "rnn_tanh", "rnn_relu", "multi_head_attention_forward"}
)
LOCAL_POOLING = frozenset({f"{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)})
"""Functions that pool neighbors of each channel by itself."""
PASSING = frozenset({"relu", "relu_", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "dropout", "dropout2d"})
PRODUCTS = frozenset({"matmul", "__matmul__", "mm"})
READING = CHANNELS_LAST | CHANNELS_FIRST - {"batch_norm", "group_norm", "instance_norm"} | PRODUCTS
"""Functions that can read what was pooled."""


@dataclass(frozen=True)
class PooledFeatures:
    """Features whose channels may be exchanged at each position without any change of the outputs.

    Args:
        function: name of the function that computes them.
        shape: theirs.
        channel_axis: axis of the channels.
        row_axis: axis of the rows.
        source: the line that computes them; empty if torch calls it.
    """

    function: str
    shape: tuple[int, ...]
    channel_axis: int
    row_axis: int
    source: str

    @property
    def positions(self) -> int:
        """Return the number of positions of a row."""
        rows, channels = self.shape[self.row_axis], self.shape[self.channel_axis]
        return int(torch.Size(self.shape).numel()) // (rows * channels)


def find_pooled_features(model: nn.Module, example: tuple[torch.Tensor, ...] | None) -> PooledFeatures | None:
    """Return features of which only one number for each position reaches a later layer, or None if there are none.

    The outputs do not change if the channels are permuted at each position, change if the positions are permuted, and
    are those of another row if the row has its features: everything the network knows of a row goes through them.

    Args:
        model: the network.
        example: its arguments, each with the same rows ``(B, ...)``.

    >>> class Pooled(nn.Module):
    ...     def __init__(self, axis, size):
    ...         super().__init__()
    ...         self.conv, self.fc, self.axis = nn.Conv1d(2, 8, 3, padding=1), nn.Linear(size, 3), axis
    ...     def forward(self, x):
    ...         return self.fc(self.conv(x).relu().mean(self.axis))
    >>> x = torch.randn(8, 2, 20, generator=torch.Generator().manual_seed(0))
    >>> find_pooled_features(Pooled(1, 20), (x,)).shape
    (7, 8, 20)
    >>> find_pooled_features(Pooled(2, 8), (x,))
    """
    if example is None or is_compiled(model) or sum(p.numel() for p in model.parameters()) > MAX_WEIGHTS:
        return None
    sizes = {size for x in example for size in x.shape[1:]}
    count = next((rows for rows in ROWS if rows <= len(example[0]) and rows not in sizes), 0)
    if not count:
        return None
    try:
        with copied_network(model, example) as network:
            return _find(network, tuple(x[:count] for x in example))
    except REFUSALS:
        return None


Change = Callable[[torch.Tensor, PooledFeatures], torch.Tensor]


class _LayerMode(TorchFunctionMode):
    """Note the features of each layer of a pass, and change those of one."""

    def __init__(self, rows: int, number: int = -1, change: Change | None = None) -> None:
        super().__init__()
        self.layers: list[tuple[str, PooledFeatures | None, torch.Tensor]] = []
        self._rows, self._number, self._change = rows, number, change
        self._channels_first: dict[int, torch.Tensor] = {}  # they are held, so that no other tensor gets their id

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        features = result[0] if isinstance(result, tuple) and result else result
        if not isinstance(features, torch.Tensor) or not self._is_layer(name, args, features):
            return result
        described = _describe(name, features, self._rows)
        if len(self.layers) == self._number and self._change is not None and described is not None:
            has_channels_first = id(features) in self._channels_first
            features = self._change(features, described)
            result = (features, *result[1:]) if isinstance(result, tuple) else features
            if has_channels_first:
                self._channels_first[id(features)] = features
        self.layers.append((name, described, features))
        return result

    def _is_layer(self, name: str, args: Sequence[Any], features: torch.Tensor) -> bool:
        """Return whether features have known channels, and remember those that have them on the second axis."""
        follows_channels = bool(args) and id(args[0]) in self._channels_first
        if name in CHANNELS_FIRST or (follows_channels and name in LOCAL_POOLING | PASSING):
            self._channels_first[id(features)] = features
        if name in LOCAL_POOLING:
            return follows_channels
        return name in CHANNELS_FIRST or name in CHANNELS_LAST or (name in PRODUCTS and _has_weight(args))


def _has_weight(args: Sequence[Any]) -> bool:
    return any(isinstance(value, nn.Parameter) for value in args)


def _describe(name: str, features: torch.Tensor, rows: int) -> PooledFeatures | None:
    """Return rows, channels and positions of features, or None if they have no positions or too few channels."""
    shape = tuple(features.shape)
    if features.ndim < 3 or shape.count(rows) != 1 or not features.is_floating_point():
        return None
    has_channels_first = name in CHANNELS_FIRST or name in LOCAL_POOLING
    channel_axis, row_axis = 1 if has_channels_first else features.ndim - 1, shape.index(rows)
    if channel_axis == row_axis or shape[channel_axis] < MIN_CHANNELS:
        return None
    pooled = PooledFeatures(name, shape, channel_axis, row_axis, find_direct_source())
    return pooled if pooled.positions >= MIN_POSITIONS else None


def _find(network: nn.Module, example: tuple[torch.Tensor, ...]) -> PooledFeatures | None:
    rows = len(example[0])

    def run(number: int = -1, change: Change | None = None) -> tuple[torch.Tensor, _LayerMode]:
        with _LayerMode(rows, number, change) as mode:
            output = next(iter(nested.tensors(network(*example))), torch.zeros(0))
        if output.ndim < 2 or len(output) != rows or not bool(torch.isfinite(output).all()):
            raise ValueError("the network does not return numbers for each row")
        return output.double(), mode

    (first, mode), (second, _) = run(), run()
    between = float((first - first.roll(1, 0)).abs().max())
    limit = MAX_ROUNDING * float(first.abs().max())
    if not torch.equal(first, second) or not MIN_CHANGE * between > limit:
        return None

    def difference(number: int, change: Change, expected: torch.Tensor) -> float:
        return float((run(number, change)[0] - expected).abs().max())

    layers = list(enumerate(mode.layers))
    for number, (_, features, values) in layers[::-1][:MAX_LAYERS]:
        is_read = any(name in READING for name, _, _ in mode.layers[number + 1 :])
        if features is None or not is_read or not _differ(values, features):
            continue
        if difference(number, _permute_channels, first) > limit:
            continue
        if difference(number, _roll_rows, first.roll(1, 0)) > limit:
            continue
        if difference(number, _permute_positions, first) > MIN_CHANGE * between:
            return features
    return None


def _differ(values: torch.Tensor, features: PooledFeatures) -> bool:
    """Return whether the channels have different values at the same position."""
    return float(values.std(features.channel_axis).mean()) > MIN_CHANGE * float(values.std())


def _permute_channels(values: torch.Tensor, features: PooledFeatures) -> torch.Tensor:
    """Permute the channels at each position of each row by itself."""
    return values.gather(
        features.channel_axis, torch.rand(values.shape).argsort(features.channel_axis).to(values.device)
    )


def _roll_rows(values: torch.Tensor, features: PooledFeatures) -> torch.Tensor:
    return values.roll(1, features.row_axis)


def _permute_positions(values: torch.Tensor, features: PooledFeatures) -> torch.Tensor:
    """Permute the positions, all channels of a row together."""
    moved = values.movedim((features.row_axis, features.channel_axis), (0, 1))
    flat = moved.flatten(2)
    permuted = flat[:, :, torch.randperm(flat.shape[2], device="cpu").to(flat.device)].reshape(moved.shape)
    return permuted.movedim((0, 1), (features.row_axis, features.channel_axis))

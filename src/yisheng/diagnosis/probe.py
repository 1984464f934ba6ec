"""Probe a trained network: how its predictions change if something changes that should, or should not, matter.

A prediction for a row must not depend on the other rows of the batch, on chance, or on how much padding follows it; a
prediction of the next token must not depend on it. A copy of the network in evaluation mode is asked, without
gradients; the network and the random generators stay as they are.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from yisheng.core import nested
from yisheng.core.messages import Message

MIN_ROWS, MIN_TOKENS = 4, 3
MIN_PADDING, MIN_PADDED_FRACTION = 2, 0.5
"""Equal tokens at the end of a row that are padding, and the fraction of rows that must have them."""
MAX_RATIO_OF_CHANCE = 1.5
"""Variance between rows over that between passes, up to which there is nothing but chance: of 16 rows with several
values each, an estimate is off by less than half."""
WEIGHT_FACTOR, MAX_GROWTH = 10.0, 1.5
"""Factor of all weights, and growth of the largest output that is none: outputs of a linear layer grow tenfold, those
of cosines change only as their features saturate."""
AFFINE_STEPS, MAX_ROUNDING = (-0.5, 2.0), 1e-4
"""Steps between two rows and beyond, and deviation from a line relative to the largest output: rounding of float32."""
REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError)
"""What a network raises that does not take some rows."""
MAX_WEIGHTS = 20_000_000
"""Weights of a network of which copies are passed for a single check."""
DROPOUT_FUNCTIONS = (
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
)
ATTENTION = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


@dataclass(frozen=True)
class Probe:
    """How predictions changed, relative to their standard deviation; None for what could not be tried.

    Args:
        reason: why nothing could be tried; empty if something was.
        chance: between two passes over the same rows.
        other_rows: if the other half of the batch is replaced.
        padding: if some of the padding at the end of the rows is left out.
        next_token: of earlier positions, if the last token changes.
        order: if the tokens of each row come in reverse order.
        between_rows: standard deviation of the predictions over the rows, relative to their size; 0 if two passes over
            the same row differ as much as different rows do. None if the rows of the example are all the same.
        rows: rows of the example.
        padding_token: what the rows are padded with.
        active_dropout: name of a function that drops values in evaluation mode; empty if none does.
        is_affine: whether the network is one linear map, up to rounding; None if its inputs are not one tensor of
            numbers.
        score_limit: largest absolute value of the outputs if weights of ten times the size do not change it; else None.
        outputs: values of the output for each row.
    """

    reason: str = ""
    chance: float | None = None
    other_rows: float | None = None
    padding: float | None = None
    next_token: float | None = None
    order: float | None = None
    between_rows: float | None = None
    rows: int = 0
    padding_token: int | None = None
    active_dropout: str = ""
    is_affine: bool | None = None
    score_limit: float | None = None
    outputs: int = 0


class _DropoutWatch(TorchFunctionMode):
    """Note a function that drops values although the network is in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.active = ""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, options = getattr(func, "__name__", ""), kwargs or {}
        if name in DROPOUT_FUNCTIONS and options.get("training") and float(options.get("p", 0.5)) > 0:
            self.active = name
        return func(*args, **options)


def is_compiled(model: nn.Module) -> bool:
    """Return whether a part of a network is compiled, so that its functions cannot be watched."""
    return any(type(module).__name__ == "OptimizedModule" for module in model.modules())


@contextlib.contextmanager
def copied_network(model: nn.Module, example: tuple[torch.Tensor, ...]) -> Iterator[nn.Module]:
    """Yield a copy of a network in evaluation mode, without gradients; the random generators stay as they are.

    Args:
        model: the network.
        example: the rows that it is to be asked about.
    """
    device = example[0].device
    with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield copy.deepcopy(model).eval()


def probe_network(model: nn.Module, example: tuple[torch.Tensor, ...] | None) -> Probe:
    """Return how a copy of a network behaves on some rows.

    Args:
        model: the network.
        example: its arguments, each with the same rows ``(B, ...)``.

    >>> _ = torch.manual_seed(0)
    >>> class MixesRows(nn.Module):
    ...     def forward(self, x):
    ...         return x - x.mean(0)
    >>> probe = probe_network(MixesRows(), (torch.randn(8, 3),))
    >>> probe.chance, probe.other_rows > 0.1
    (0.0, True)
    """
    if example is None or len(example[0]) < MIN_ROWS:
        return Probe(Message("the inputs are not tensors with several rows, or the training is not finished"))
    try:
        with copied_network(model, example) as network:
            return _probe(network, example)
    except REFUSALS as error:
        return Probe(
            Message("the network does not take some rows alone: {names}", names=" ".join(str(error).split())[:100])
        )


def _probe(network: nn.Module, example: tuple[torch.Tensor, ...]) -> Probe:
    rows = len(example[0])
    with _DropoutWatch() as watch:
        first = _predict(network, example, rows)
    second = _predict(network, example, rows)
    if first is None or second is None:
        return Probe(Message("the network does not return a tensor with one entry for each row"))
    size = float(first.std())
    differs = any(bool((x != x[:1]).any()) for x in example)
    if not size > 0 or not bool(torch.isfinite(first).all()):
        between_rows = 0.0 if bool(torch.isfinite(first).all()) and differs else None
        return Probe(between_rows=between_rows, rows=rows)
    chance = _difference(first, second, size)
    tokens = example[0] if len(example) == 1 and not example[0].is_floating_point() else None
    padding_token = None if tokens is None else find_padding(tokens)
    is_sequence = tokens is not None and tokens.ndim == 2 and tokens.shape[1] >= MIN_TOKENS
    return Probe(
        chance=chance,
        other_rows=_replace_other_rows(network, example, first, size),
        padding=_cut_padding(network, tokens, padding_token, first, size) if tokens is not None else None,
        next_token=_change_last_token(network, tokens, first, size) if is_sequence and tokens is not None else None,
        order=_reverse(network, tokens, first, size) if is_sequence and tokens is not None else None,
        between_rows=_compute_relative_deviation(first, second) if differs else None,
        rows=rows,
        padding_token=padding_token,
        active_dropout=watch.active,
        is_affine=_is_affine(network, example, first),
        score_limit=_find_score_limit(network, example, first),
        outputs=first.numel() // rows,
    )


def _is_affine(network: nn.Module, example: tuple[torch.Tensor, ...], first: torch.Tensor) -> bool | None:
    """Return whether steps twice as long change the outputs twice as much, in both directions."""
    x = example[0]
    if len(example) > 1 or not x.is_floating_point():
        return None
    neighbors = x.roll(1, 0)
    shifted = _predict(network, (neighbors,), len(x))
    if shifted is None:
        return None
    for factor in AFFINE_STEPS:
        output = _predict(network, (x + factor * (x - neighbors),), len(x))
        expected = first + factor * (first - shifted)
        if output is None or float((output - expected).abs().max()) > MAX_ROUNDING * float(expected.abs().max()):
            return False
    return True


def _find_score_limit(network: nn.Module, example: tuple[torch.Tensor, ...], first: torch.Tensor) -> float | None:
    """Return the largest absolute output if it is the same with weights of ten times the size; they are changed."""
    for parameter in network.parameters():
        parameter.mul_(WEIGHT_FACTOR)
    output = _predict(network, example, len(first))
    limit = float(first.abs().max())
    if output is None or not bool(torch.isfinite(output).all()):
        return None
    return limit if float(output.abs().max()) <= MAX_GROWTH * limit else None


def find_padding(tokens: torch.Tensor) -> int | None:
    """Return the token that fills the ends of most rows, or None.

    >>> find_padding(torch.tensor([[5, 3, 0, 0, 0], [7, 2, 9, 0, 0], [4, 0, 0, 0, 0], [2, 8, 1, 6, 3]]))
    0
    """
    if tokens.ndim != 2 or tokens.shape[1] < MIN_TOKENS:
        return None
    last = tokens[:, -1].mode().values
    padded = (tokens[:, -MIN_PADDING:] == last).all(1)
    return int(last) if float(padded.float().mean()) >= MIN_PADDED_FRACTION else None


def _predict(network: nn.Module, arguments: Sequence[torch.Tensor], rows: int) -> torch.Tensor | None:
    output = network(*arguments)
    output = next(iter(nested.tensors(output)), None) if not isinstance(output, torch.Tensor) else output
    is_per_row = isinstance(output, torch.Tensor) and output.ndim > 0 and len(output) == rows
    return output.float() if is_per_row and isinstance(output, torch.Tensor) else None


def _difference(first: torch.Tensor, second: torch.Tensor, size: float) -> float:
    return float((first - second).square().mean().sqrt()) / size


def _compute_relative_deviation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the standard deviation over the rows relative to the size of the values; 0 if it is one of chance only.

    The squared difference of two passes has twice the variance of chance.
    """
    flat = first.flatten(1)
    variance = float(flat.var(0).mean())
    if variance < MAX_RATIO_OF_CHANCE * float((first - second).square().mean()) / 2:
        return 0.0
    return math.sqrt(variance) / max(float(flat.square().mean().sqrt()), 1e-30)


def _replace_other_rows(
    network: nn.Module, example: tuple[torch.Tensor, ...], first: torch.Tensor, size: float
) -> float | None:
    rows, half = len(first), len(first) // 2
    has_batch_statistics = any(
        getattr(module, "track_running_stats", True) is False and "BatchNorm" in type(module).__name__
        for module in network.modules()
    )
    if has_batch_statistics or (first.ndim == 2 and first.shape[1] == rows):
        return None  # one similarity for each pair of rows
    # Both halves are examined: a recurrent network over the batch carries values in one direction only.
    changes = []
    for fixed, replaced in ((slice(0, half), slice(rows - half, rows)), (slice(rows - half, rows), slice(0, half))):
        changed = tuple(x.clone() for x in example)
        for x, original in zip(changed, example, strict=True):
            x[replaced] = original[fixed]
        output = _predict(network, changed, rows)
        if output is None:
            return None
        changes.append(_difference(first[fixed], output[fixed], size))
    return max(changes)


def _cut_padding(
    network: nn.Module, tokens: torch.Tensor, padding: int | None, first: torch.Tensor, size: float
) -> float | None:
    """Return the change of one prediction per row if the padding that all padded rows have is left out."""
    if padding is None or first.ndim > 2:
        return None
    lengths = ((tokens != padding) * torch.arange(1, tokens.shape[1] + 1, device=tokens.device)).amax(1)
    padded = lengths <= tokens.shape[1] - MIN_PADDING
    length = int(lengths[padded].max())
    if length < 1:
        return None
    try:
        output = _predict(network, (tokens[padded][:, :length],), int(padded.sum()))
    except (RuntimeError, ValueError, IndexError, AssertionError):
        return None  # the network takes rows of one length only
    return None if output is None or output.shape != first[padded].shape else _difference(first[padded], output, size)


def _change_last_token(network: nn.Module, tokens: torch.Tensor, first: torch.Tensor, size: float) -> float | None:
    """Return the change of the predictions of earlier positions if the last token is another one."""
    length = tokens.shape[1]
    axis = next((axis for axis in (1, 2) if first.ndim == 3 and first.shape[axis] == length), None)
    if axis is None:
        return None
    changed = tokens.clone()
    changed[:, -1] = tokens[:, -1].roll(1)
    if bool((changed[:, -1] == tokens[:, -1]).all()):
        changed[:, -1] = tokens[:, 0]
    output = _predict(network, (changed,), len(tokens))
    differs = changed[:, -1] != tokens[:, -1]
    if output is None or output.shape != first.shape or not bool(differs.any()):
        return None
    keep = slice(0, length - 1)
    expected, actual = (x[differs].movedim(axis, 1)[:, keep] for x in (first, output))
    return _difference(expected, actual, size)


def _reverse(network: nn.Module, tokens: torch.Tensor, first: torch.Tensor, size: float) -> float | None:
    """Return the change of one prediction per row if the tokens come in reverse order, for networks of attention."""
    if first.ndim != 2 or not any(isinstance(module, ATTENTION) for module in network.modules()):
        return None
    output = _predict(network, (tokens.flip(1),), len(tokens))
    return None if output is None else _difference(first, output, size)

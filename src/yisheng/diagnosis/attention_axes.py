"""Attention layers that read the axis of the batch as that of the sequence."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.probe import ATTENTION, MIN_ROWS, REFUSALS, copied_network, is_compiled


def find_attention_over_rows(model: nn.Module, example: tuple[torch.Tensor, ...] | None) -> str:
    """Return the name of an attention layer that attends from row to row; empty if none does.

    A layer without `batch_first` reads ``(T, B, D)``. If its first axis has as many entries as there are rows, for
    two numbers of rows, and its second one does not change with them, it was passed ``(B, T, D)``.

    Args:
        model: the network.
        example: its arguments, each with the same rows ``(B, ...)``.

    >>> layer = nn.TransformerEncoderLayer(8, 2, 16)
    >>> find_attention_over_rows(nn.Sequential(layer), (torch.randn(6, 5, 8),))
    '0.self_attn'
    >>> layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> find_attention_over_rows(nn.Sequential(layer), (torch.randn(6, 5, 8),))
    ''
    """
    if example is None or len(example[0]) < MIN_ROWS or is_compiled(model):
        return ""
    if not any(isinstance(module, ATTENTION) for module in model.modules()):
        return ""
    rows = len(example[0])
    counts = (rows, rows - 1)
    try:
        with copied_network(model, example) as network:
            first, second = (_collect_shapes(network, tuple(x[:count] for x in example)) for count in counts)
    except REFUSALS:
        return ""
    for name, shapes in first.items():
        pair = (shapes, second.get(name, ()))
        if all(len(shape) == 3 for shape in pair) and tuple(shape[0] for shape in pair) == counts:
            return name if pair[0][1] == pair[1][1] > 1 else ""
    return ""


def _collect_shapes(network: nn.Module, example: tuple[torch.Tensor, ...]) -> dict[str, tuple[int, ...]]:
    """Return by name the shape of the queries in the last call of each attention layer without `batch_first`."""
    shapes: dict[str, tuple[int, ...]] = {}
    handles = [
        module.register_forward_pre_hook(partial(_note_shape, shapes, name), with_kwargs=True)
        for name, module in network.named_modules()
        if isinstance(module, nn.MultiheadAttention) and not module.batch_first
    ]
    try:
        if handles:
            network(*example)
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def _note_shape(
    shapes: dict[str, tuple[int, ...]], name: str, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    query = args[0] if args else kwargs.get("query")
    if isinstance(query, torch.Tensor):
        shapes[name] = tuple(query.shape)

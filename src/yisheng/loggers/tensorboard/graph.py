"""The graph of a network, as TensorBoard draws it."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import warnings
from typing import Any

import torch
from torch import nn


def graph(model: nn.Module, x: torch.Tensor) -> bytes:
    """The graph of a copy of a network without its hooks, in eval mode on the CPU; the network is not touched.

    Args:
        model: the network, on any device, in any mode.
        x: inputs ``(B, ...)``; two are enough.

    Returns:
        a ``GraphDef``, serialised.

    Raises:
        Exception: whatever the network raises when it is traced, or torch, where it cannot be.
    """
    trace: Any = importlib.import_module("torch.utils.tensorboard._pytorch_graph")
    known: dict[int, Any] = {}
    for module in model.modules():
        parts = vars(module).items()
        known |= {
            id(value): type(value)() for name, value in parts if name.endswith("_hooks") and isinstance(value, dict)
        }
    for tensor in (*model.parameters(), *model.buffers()):
        value = tensor.detach().cpu().clone()
        value = value.float() if value.is_floating_point() else value
        known[id(tensor)] = nn.Parameter(value, requires_grad=False) if isinstance(tensor, nn.Parameter) else value
    twin = copy.deepcopy(model, known).eval()
    with (
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")  # a trace holds for this input only, as it says
        definition, _ = trace.graph(twin, x.detach().cpu().float())
    content: bytes = definition.SerializeToString()
    return content

"""The graph of a network, as TensorBoard draws it."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.input_spec import Inputs


def trace_graph(model: nn.Module, x: Inputs) -> bytes:
    """Return the graph of a network, traced on a copy without hooks in evaluation mode on the CPU.

    Args:
        model: the network, on any device, in any mode; it is not changed.
        x: inputs ``(B, ...)``; two rows are enough.

    Returns:
        a serialized ``GraphDef``.

    Raises:
        Exception: whatever the network or torch raises if it cannot be traced.
    """
    replaced: dict[int, Any] = {}
    for module in model.modules():
        attributes = vars(module).items()
        replaced |= {
            id(value): type(value)()
            for name, value in attributes
            if name.endswith("_hooks") and isinstance(value, dict)
        }
    for tensor in (*model.parameters(), *model.buffers()):
        value = tensor.detach().cpu().clone()
        value = value.float() if value.is_floating_point() else value
        replaced[id(tensor)] = nn.Parameter(value, requires_grad=False) if isinstance(tensor, nn.Parameter) else value
    network = copy.deepcopy(model, replaced).eval()
    with (
        tempfile.TemporaryDirectory() as folder,
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")  # tracing warns that the graph holds for this input only
        writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter(folder)
        with contextlib.closing(writer):
            writer.add_graph(network, nested.map_tensors(_to_host, x))
        return _read_graph(Path(folder))


def _to_host(x: torch.Tensor) -> torch.Tensor:
    """Return a tensor on the CPU, numbers as float32."""
    x = x.detach().cpu()
    return x.float() if x.is_floating_point() else x


def _read_graph(folder: Path) -> bytes:
    """Return the graph in the event file of a folder; torch's public interface can only write it there."""
    loader: Any = importlib.import_module("tensorboard.backend.event_processing.event_file_loader")
    (path,) = folder.iterdir()
    graphs = [event.graph_def for event in loader.EventFileLoader(str(path)).Load() if event.HasField("graph_def")]
    content: bytes = graphs[0]
    return content

"""Write a graph that `torch.export` recorded as plain data; see `yisheng.inference.program`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, OutputKind

from yisheng.core.messages import Message
from yisheng.inference._ood_features import FeatureSource
from yisheng.inference.program_json import encode_argument
from yisheng.inference.program_operators import REWRITTEN, check_call, name_operator

PREFIX = "network."
"""Name of the network in the module that is recorded."""
RANDOM_WORDS = ("rand", "bernoulli", "multinomial", "normal", "poisson", "dropout", "exponential", "uniform", "rrelu")
STATE = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


class CannotRecordError(Exception):
    """The network cannot be saved as a program; the text is the reason, a sentence without its period."""


class GraphWriter:
    """The parts of a program, read from a graph.

    Args:
        exported: torch's program of a module whose submodule ``network`` is the network, with functional operators
            only; it takes one tuple of tensors and returns one.
        features: what the last outputs are.

    Raises:
        CannotRecordError: the graph calls something that a program does not hold.
    """

    def __init__(self, exported: ExportedProgram, features: Sequence[FeatureSource]) -> None:
        self.exported = exported
        self.features = features
        signature = exported.graph_signature
        self.input_specs: Mapping[str, InputSpec] = {spec.arg.name: spec for spec in signature.input_specs}
        outputs = [spec.arg.name for spec in signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]
        nodes = {node.name: node for node in exported.graph.nodes}
        self.outputs = [nodes[name] for name in outputs]
        self.used = set(_find_used(self.outputs))

    def write_inputs(self, inputs: Sequence[torch.Tensor], batched: Sequence[bool]) -> list[dict[str, Any]]:
        """Return the input nodes.

        Args:
            inputs: the tensors that the graph was recorded with.
            batched: whether the first axis of each is the batch.
        """
        names = [name for name, spec in self.input_specs.items() if spec.kind == InputKind.USER_INPUT]
        written = []
        for name, x, flag in zip(names, inputs, batched, strict=True):
            shape: list[int | None] = list(x.shape)
            if flag:
                shape[0] = None
            written.append({"name": name, "shape": shape, "dtype": str(x.dtype).removeprefix("torch.")})
        return written

    def write_tensors(self, network: nn.Module) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
        """Return the tensors of the network's state dict and the graph's constants, and the constants' values."""
        state: dict[str, torch.Tensor] = {
            name: value for name, value in network.state_dict().items() if isinstance(value, torch.Tensor)
        }
        values = {
            **dict(network.named_parameters(remove_duplicate=False)),
            **dict(network.named_buffers(remove_duplicate=False)),
        }
        parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
        written: list[dict[str, Any]] = []
        constants: dict[str, torch.Tensor] = {}
        unused = dict(state)
        for node in self.exported.graph.nodes:
            spec = self.input_specs.get(node.name) if node.op == "placeholder" else None
            if node not in self.used or spec is None or spec.kind not in STATE:
                continue
            target = str(spec.target)
            name = target.removeprefix(PREFIX)
            if name in state:
                value, kind = state[name], "parameter" if name in parameters else "buffer"
                unused.pop(name, None)
            else:
                value, kind = self.exported.constants.get(target, values.get(name)), "constant"
                name = f"constant{len(constants)}"
                if not isinstance(value, torch.Tensor):
                    raise CannotRecordError(f"it uses {target}, which is not a tensor")
                constants[name] = value.detach().cpu().clone()
            written.append(_describe_tensor(node.name, name, kind, value))
        for name, value in unused.items():
            written.append(_describe_tensor(None, name, "parameter" if name in parameters else "buffer", value))
        return written, constants

    def write_nodes(self) -> list[dict[str, Any]]:
        """Return the calls of operators."""
        written = []
        for node in self.exported.graph.nodes:
            if node not in self.used or node.op == "placeholder":
                continue
            if node.op != "call_function":
                raise CannotRecordError(f"it calls {_describe_target(node)}, which a program cannot hold")
            written.append(self._write_node(node))
        return written

    def write_outputs(self) -> dict[str, Any]:
        """Return the names of the network's outputs, and those of the features with their sources."""
        count = len(self.outputs) - len(self.features)
        features = [
            {"kind": source.kind, "layer": source.layer, "node": node.name}
            for source, node in zip(self.features, self.outputs[count:], strict=True)
        ]
        return {"outputs": [node.name for node in self.outputs[:count]], "features": features}

    def _write_node(self, node: fx.Node) -> dict[str, Any]:
        name = name_operator(_rewrite(node))
        if name is None:
            raise CannotRecordError(_refuse(node))
        kwargs = {key: value for key, value in node.kwargs.items() if value is not None and key != "pin_memory"}
        if name.startswith(("aten.zeros.", "aten.new_zeros.")):
            kwargs.pop("memory_format", None)
        try:
            args = [encode_argument(value, _name_node) for value in node.args]
            check_call(name, args, kwargs)
            return {
                "name": node.name,
                "op": name,
                "args": args,
                "kwargs": {key: encode_argument(value, _name_node) for key, value in kwargs.items()},
            }
        except ValueError as error:
            raise CannotRecordError(f"it calls {name} in a way that a program cannot hold: {error}") from None


def _rewrite(node: fx.Node) -> Any:
    """Return the operator of a node; one that returns uninitialized memory is replaced."""
    name = str(node.target).removeprefix("aten.").partition(".")[0]
    if name not in REWRITTEN:
        return node.target
    packet = getattr(torch.ops.aten, REWRITTEN[name])
    return packet.default


def _describe_tensor(node: str | None, name: str, kind: str, value: torch.Tensor) -> dict[str, Any]:
    dtype = str(value.dtype).removeprefix("torch.")
    return {"name": node, "tensor": name, "kind": kind, "shape": list(value.shape), "dtype": dtype}


def _find_used(outputs: Sequence[fx.Node]) -> Iterator[fx.Node]:
    """Yield all nodes that outputs depend on."""
    pending, visited = list(outputs), set(outputs)
    while pending:
        node = pending.pop()
        yield node
        pending += (new := set(node.all_input_nodes) - visited)
        visited |= new


def _name_node(value: Any) -> str | None:
    return value.name if isinstance(value, fx.Node) else None


def _refuse(node: fx.Node) -> str:
    name = _describe_target(node)
    if any(word in name for word in RANDOM_WORDS):
        return Message("it draws random numbers when it predicts ({name})", name=name)
    return Message("it calls {name}, which is not among the operators that a program may call", name=name)


def _describe_target(node: fx.Node) -> str:
    text = str(node.target)
    return text if "<" not in text else str(getattr(node.target, "__name__", text))

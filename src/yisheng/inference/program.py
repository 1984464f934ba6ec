"""Save the graph of a network, so that it predicts without its code.

`torch.export` records the operators that a network calls. The graph is written as JSON with the names of the
operators, and its constants as safetensors; `yisheng.inference.program_module` rebuilds it.

``torch.export.save`` is not used, because the reader must be safe with a file that anyone may have written:
``torch.export.load`` evaluates symbolic expressions that it reads as text, and unpickles parts of the archive
(``torch.load(weights_only=False)`` for constants and example inputs). Its files also belong to one version of torch.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export

from yisheng.core import nested, provenance
from yisheng.core.errors import DataError
from yisheng.core.input_spec import Inputs
from yisheng.core.seeds import isolated_generators
from yisheng.inference._constant_values import ConstantValues
from yisheng.inference._export_messages import explain_failure, silence_torch
from yisheng.inference._ood_features import FeatureSource, hook_features
from yisheng.inference.program_data import Program
from yisheng.inference.program_graph import CannotRecordError, GraphWriter
from yisheng.inference.program_json import fill_structure, flatten_structure
from yisheng.inference.program_reader import read_program

EXAMPLE_ROWS = 3
"""Rows that a graph is recorded with."""
RELATIVE_ROUNDING = 1e-5
"""Largest difference between program and network that is allowed, as a fraction of the largest value."""


def export_program(model: nn.Module, x: Inputs, *, features: Sequence[FeatureSource] = ()) -> Program | str:
    """Record a network, and verify that the program returns what it returns.

    The network is copied; its mode, its weights and the global random generators stay as they are. The program takes
    any number of rows. If the network can be recorded for one row only, the program calls it row by row.

    Args:
        model: the network with its final weights.
        x: inputs ``(N, ...)`` as `yisheng.core.nested.call` takes them, two rows or more.
        features: values inside the network that the program returns too, for the out-of-distribution detector.

    Returns:
        The program; or the reason why there is none, a sentence without its period.

    >>> program = export_program(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.zeros(2, 3))
    >>> [node["op"] for node in program.data["nodes"]]
    ['aten.linear.default', 'aten.relu.default']
    """
    leaves: list[torch.Tensor] = []
    try:
        with isolated_generators():
            structure = flatten_structure(x, leaves)
            inputs = [tensor.detach().cpu().clone() for tensor in leaves]
            return _export(_copy_for_recording(model), structure, inputs, features)
    except ValueError as error:
        return f"its inputs contain {error}"
    except CannotRecordError as error:
        return str(error)


def _export(
    network: nn.Module, structure: Any, inputs: list[torch.Tensor], features: Sequence[FeatureSource]
) -> Program:
    rows = next((x.shape[0] for x in inputs if x.ndim), 0)
    if rows < 2:
        raise CannotRecordError("there are fewer than two rows to record it with")
    batched = [x.ndim > 0 and x.shape[0] == rows for x in inputs]
    result = _call_network(network, structure, inputs)[0]
    features = _find_reached_features(network, structure, inputs, features)
    reasons = []
    with ThreadPoolExecutor(1) as executor:
        for batch, strict in ((None, False), (None, True), (1, False)):
            sample = take_rows(inputs, batched, slice(0, batch or min(rows, EXAMPLE_ROWS)))
            recorder = Recorder(network, structure, features, None if strict else executor)
            try:
                exported = _record(recorder, sample, batched, batch, strict=strict)
                graph = GraphWriter(exported, features)
                tensors, constants = graph.write_tensors(network)
                data = {
                    "format": 1,
                    "torch": provenance.versions()["torch"],
                    "batch": batch,
                    "inputs": graph.write_inputs(sample, batched),
                    "arguments": structure,
                    "tensors": tensors,
                    "nodes": graph.write_nodes(),
                    **graph.write_outputs(),
                    "result": result,
                }
                program = Program(data, constants)
                _verify(program, network, inputs, batched)
            except CannotRecordError as error:
                reasons.append(str(error))
            else:
                return program
            finally:
                recorder.remove_hooks()
    raise CannotRecordError(reasons[0])


class Recorder(nn.Module):
    """A network whose inputs and outputs are flat tuples of tensors, features of the detector included.

    Args:
        network: the network, in eval mode.
        structure: of its inputs; see `flatten_structure`.
        features: values inside the network that are returned after its outputs.
        executor: of one thread, to follow constant values; None to follow none.
    """

    def __init__(
        self,
        network: nn.Module,
        structure: Any,
        features: Sequence[FeatureSource],
        executor: ThreadPoolExecutor | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.structure = structure
        self.executor = executor
        self.features = tuple(features)
        self.captured: dict[FeatureSource, torch.Tensor] = {}
        self.handles = hook_features(network, features, self.captured.setdefault)
        self.buffer_values = {name: buffer.detach().clone() for name, buffer in network.named_buffers()}

    def forward(self, tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Return all tensors of the network's result, and the captured features."""
        x = fill_structure(self.structure, tensors)
        self.captured.clear()
        with self._follow_constants():
            result = nested.call(self.network, x)
        outputs: list[torch.Tensor] = []
        flatten_structure(result, outputs)
        return (*outputs, *(self.captured[source] for source in self.features))

    def _follow_constants(self) -> contextlib.AbstractContextManager[Any]:
        if self.executor is None:
            return contextlib.nullcontext()
        values = self.executor.submit(self._copy_buffer_values).result()  # here a copy would be recorded
        buffers = [(buffer, values[name]) for name, buffer in self.network.named_buffers()]
        return ConstantValues(self.executor, buffers)

    def _copy_buffer_values(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.buffer_values.items()}

    def remove_hooks(self) -> None:
        """Remove the hooks from the network."""
        for handle in self.handles:
            handle.remove()


def _copy_for_recording(model: nn.Module) -> nn.Module:
    """Return a copy on the CPU in eval mode.

    Its parameters require gradients: otherwise torch's transformer would take a fused path that the graph cannot hold.
    """
    try:
        network = copy.deepcopy(model).cpu()
    except Exception as error:
        raise CannotRecordError(f"it cannot be copied: {explain_failure(error)}") from error
    network.eval()
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.detach().contiguous()
    for parameter in network.parameters():
        if parameter.is_floating_point() or parameter.is_complex():
            parameter.requires_grad_(True)
    return network


def _find_reached_features(
    network: nn.Module, structure: Any, inputs: Sequence[torch.Tensor], features: Sequence[FeatureSource]
) -> list[FeatureSource]:
    """Return the features that a forward pass computes."""
    reached: dict[FeatureSource, torch.Tensor] = {}
    handles = hook_features(network, features, reached.setdefault)
    try:
        _call_network(network, structure, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [source for source in features if source in reached]


def _call_network(network: nn.Module, structure: Any, inputs: Sequence[torch.Tensor]) -> tuple[Any, list[torch.Tensor]]:
    """Return structure and tensors of the network's result."""
    outputs: list[torch.Tensor] = []
    try:
        with torch.no_grad():
            result = nested.call(network, fill_structure(structure, [x.clone() for x in inputs]))
    except Exception as error:
        raise CannotRecordError(f"it fails on these inputs: {explain_failure(error)}") from error
    try:
        result_structure = flatten_structure(result, outputs)
    except ValueError as error:
        raise CannotRecordError(f"it returns {error}, not tensors in tuples, lists and dicts") from None
    if not outputs:
        raise CannotRecordError("it returns no tensor")
    return result_structure, [x.detach().clone() for x in outputs]


def _record(
    recorder: Recorder, inputs: list[torch.Tensor], batched: Sequence[bool], batch: int | None, *, strict: bool
) -> ExportedProgram:
    """Return the exported program of torch, without operators that change their arguments."""
    dynamic = [{0: Dim.DYNAMIC} if batch is None and flag else None for flag in batched]
    try:
        with silence_torch(), torch.enable_grad():
            exported = export(recorder, (tuple(inputs),), dynamic_shapes=(tuple(dynamic),), strict=strict)
            return exported.run_decompositions({})
    except Exception as error:
        raise CannotRecordError(explain_failure(error)) from error


def take_rows(inputs: Sequence[torch.Tensor], batched: Sequence[bool], rows: slice) -> list[torch.Tensor]:
    """Return some rows of the inputs; tensors without a batch axis are returned unchanged."""
    return [x[rows] if flag else x for x, flag in zip(inputs, batched, strict=True)]


def _verify(program: Program, network: nn.Module, inputs: list[torch.Tensor], batched: Sequence[bool]) -> None:
    """Compare the program, as it will be read again, with the network: on one row and on all rows.

    Raises:
        CannotRecordError: they differ by more than rounding, or the network is random.
    """
    data = json.loads(json.dumps(program.data, allow_nan=False))
    weights = {name: value for name, value in network.state_dict().items() if isinstance(value, torch.Tensor)}
    try:
        module = read_program(data, weights, program.constants)
        for rows in (slice(0, 1), slice(0, None)):
            sample = take_rows(inputs, batched, rows)
            expected = _call_network(network, program.data["arguments"], sample)[1]
            repeated = _call_network(network, program.data["arguments"], sample)[1]
            actual = _call_network(module, program.data["arguments"], sample)[1]
            for x, y, z in zip(actual, expected, repeated, strict=True):
                if not is_close(y, z):
                    raise CannotRecordError("two calls with the same inputs return different outputs")
                if not is_close(x, y):
                    raise CannotRecordError(
                        f"what was recorded returns other values than the network for {len(sample[0])} rows: "
                        "forward depends on the number of rows or on values of its inputs"
                    )
    except DataError as error:
        raise CannotRecordError(error.problem) from error


def is_close(x: torch.Tensor, y: torch.Tensor) -> bool:
    """Return whether two tensors are equal within float rounding.

    >>> is_close(torch.tensor([1.0, 1e-9]), torch.tensor([1.0, 0.0])), is_close(torch.ones(1), torch.zeros(1))
    (True, False)
    """
    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    if not (x.is_floating_point() or x.is_complex()):
        return bool(torch.equal(x, y))
    finite = y[y.isfinite()].abs()
    largest = float(finite.max()) if finite.numel() else 0.0
    return bool(torch.allclose(x, y, rtol=RELATIVE_ROUNDING, atol=RELATIVE_ROUNDING * largest, equal_nan=True))

"""Decision trees as ``TreeEnsemble``, ONNX's operator for them, instead of the tensor operations that walk down them.

While torch records a model, each `yisheng.models._trees.Trees` is one node ``yisheng::Trees``; then that node is
replaced by a ``TreeEnsemble`` (ai.onnx.ml 5) in double precision. A comparison of a float32 value with a float32
threshold has the same result in double precision, so each row takes the branches that it takes in torch. The sums are
those of float64 leaves, in another order.

- Splits by category read columns that are appended to the inputs: one for each set of categories, 1 for codes that go
  right. The operator's mode for sets (``BRANCH_MEMBER``) has no place for unknown codes.
- A leaf of ``TreeEnsemble`` has one value. Trees whose leaves have several, those of forests, return the number of each
  tree's leaf, and a table of leaves is read and added up.

Source: "ai.onnx.ml - TreeEnsemble", https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng.inference.export.tree_attributes import CategoryColumns, TreeAttributes, describe_trees
from yisheng.models._trees import Trees

DOMAIN, OPERATOR = "yisheng", "Trees"
"""Of the node that stands for trees until they are inserted."""
TREE_DOMAIN, TREE_OPSET = "ai.onnx.ml", 5
SUM = 1
"""The operator's number for adding up leaves."""


@contextlib.contextmanager
def record_trees_as_nodes(model: nn.Module) -> Iterator[list[Trees]]:
    """Let torch record each `Trees` of a model as one node; yield the trees in the order of the nodes' numbers."""
    trees = [module for module in model.modules() if isinstance(module, Trees)]
    try:
        for number, module in enumerate(trees):
            module.operator = _make_operator(number, module.outputs)
        yield trees
    finally:
        for module in trees:
            module.operator = None


def insert_trees(model: Any, trees: Sequence[Trees]) -> None:
    """Replace the nodes that stand for trees.

    Args:
        model: the graph, of onnxscript's ``ir``; it is changed.
        trees: by the numbers of the nodes.
    """
    from onnxscript import ir

    placeholders = [node for node in model.graph if (node.domain, node.op_type) == (DOMAIN, OPERATOR)]
    for node in placeholders:
        (output,) = node.outputs
        tape: Any = ir.tape.Tape()
        result = _add_operators(tape, node.inputs[0], describe_trees(trees[node.attributes["number"].as_int()]))
        result.dtype, result.shape = output.dtype, output.shape
        ir.convenience.replace_nodes_and_values(model.graph, node, [node], list(tape.nodes), [output], [result])
    if placeholders:
        model.opset_imports.pop(DOMAIN, None)
        model.opset_imports[TREE_DOMAIN] = TREE_OPSET


def _make_operator(number: int, outputs: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def record(x: torch.Tensor) -> torch.Tensor:
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{OPERATOR}",
            (x,),
            {"number": number},
            dtype=torch.float64,
            shape=(x.shape[0], outputs),
            version=1,
        )

    return record


def _add_operators(tape: Any, x: Any, trees: TreeAttributes) -> Any:
    """Add what computes the sums ``(B, O)``, float64, from rows ``(B, D)``, and return them."""
    from onnxscript import ir

    call = _Caller(tape)
    columns = call("Cast", call("Gather", x, trees.features, axis=1), to=ir.DataType.DOUBLE.value)
    if trees.categories is not None:
        columns = call("Concat", columns, _add_category_columns(call, x, trees.categories), axis=1)
    attributes = {
        **{name: values.tolist() for name, values in trees.lists.items()},
        **{name: ir.tensor(values) for name, values in trees.tensors.items()},
        "aggregate_function": SUM,
        "post_transform": 0,
        "n_targets": trees.targets,
    }
    result = tape.op("TreeEnsemble", [columns], attributes, domain=TREE_DOMAIN, version=TREE_OPSET)
    if trees.leaves is None:
        return result
    leaves = call("Gather", trees.leaves, call("Cast", result, to=ir.DataType.INT64.value))
    return call("ReduceSum", call("Cast", leaves, to=ir.DataType.DOUBLE.value), np.array([1]), keepdims=0)


def _add_category_columns(call: _Caller, x: Any, categories: CategoryColumns) -> Any:
    """Return the columns ``(B, L)``, float64; a code between -1 and 0 is 0, as a conversion to integers rounds it."""
    from onnxscript import ir

    double = ir.DataType.DOUBLE.value
    values = call("Cast", call("Gather", x, categories.features, axis=1), to=double)
    is_code = call("And", call("Greater", values, np.array([-1.0])), call("Less", values, categories.sizes))
    codes = call("Cast", call("Where", is_code, values, categories.sizes), to=ir.DataType.INT32.value)
    places = call("Add", call("Gather", codes, categories.source, axis=1), categories.start)
    return call("Cast", call("Gather", categories.goes_right, places), to=double)


class _Caller:
    """Adds operators of ONNX to a tape; arrays become constants."""

    def __init__(self, tape: Any) -> None:
        self.tape = tape

    def __call__(self, name: str, *inputs: Any, **attributes: Any) -> Any:
        values = [self.make_constant(item) if isinstance(item, np.ndarray) else item for item in inputs]
        return self.tape.op(name, values, attributes)

    def make_constant(self, array: np.ndarray) -> Any:
        from onnxscript import ir

        return self.tape.op("Constant", [], {"value": ir.tensor(array)})

"""ONNX: one file with graph, weights and metadata, for onnxruntime and other programs that read it."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng.core.errors import MissingPartError, UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.inference._export_messages import explain_conversion_failure, silence_torch
from yisheng.inference.export.full_model import FullModel
from yisheng.inference.export.graph_inputs import OUTPUT, split_inputs
from yisheng.inference.export.tree_nodes import insert_trees, record_trees_as_nodes

SUFFIX = ".onnx"
HOLDS_CODE = True
"""Whether the file computes predictions by itself, so that it can resize images, too."""
OPSET = 20
MAX_WEIGHT_BYTES = (1 << 31) - (1 << 20)
"""Protobuf files end at 2 GiB, and the graph needs some of it."""
ERRORS_ONLY = 3
"""Severity of onnxruntime's log: it warns of every constant that it folds."""


def require_packages() -> None:
    """Check that the packages for this format are installed.

    Raises:
        MissingPartError: one is missing.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(name)
        except Exception:  # absent, or built for another NumPy
            raise MissingPartError(
                Message("format=onnx needs {name}, which is not installed", name=name),
                Message('pip install "yisheng[onnx]"'),
            ) from None


def write(path: Path, model: FullModel, example: tuple[torch.Tensor, ...], metadata: Mapping[str, Any]) -> None:
    """Write the file, for any number of inputs at a time.

    Args:
        path: the file.
        model: the module.
        example: two inputs.
        metadata: written to the file's ``metadata_props``, each value as JSON.

    Raises:
        UsageError: there are more weights than one file can hold, or the network cannot be converted.
    """
    require_weights_that_fit(model.tensors().values())
    sizes = {0: torch.export.Dim("N")}
    if model.resizes:
        sizes |= {2: torch.export.Dim("H"), 3: torch.export.Dim("W")}
    program = convert(model, example, [item["name"] for item in metadata["inputs"]], [OUTPUT], sizes)
    program.model.metadata_props.update({key: json.dumps(value) for key, value in metadata.items()})
    program.model.doc_string = (
        f"{metadata['task']} of {metadata['target']} by yisheng {metadata['yisheng']}: raw inputs as in training, "
        f"{metadata['output']['is']} out. Classes, columns and contract: metadata_props, as JSON."
    )
    with silence_torch():
        program.save(str(path), external_data=False)


def require_weights_that_fit(tensors: Iterable[torch.Tensor]) -> None:
    """Check that one file can hold the weights.

    Raises:
        UsageError: it cannot.
    """
    size = sum(value.nbytes for value in tensors)
    if size > MAX_WEIGHT_BYTES:
        raise UsageError(
            Message("the weights are {size} GiB, an ONNX file holds 2 GiB", size=f"{size / 2**30:.1f}"),
            Message("use format=safetensors or format=torchscript"),
        )


def convert(
    model: nn.Module,
    example: tuple[torch.Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    sizes: Mapping[int, Any],
) -> Any:
    """Return the module as torch's ONNX program.

    Args:
        model: the module.
        example: two inputs.
        input_names: of the graph.
        output_names: of the graph.
        sizes: the axes of every input whose size is not fixed, with torch's dimension.

    Raises:
        UsageError: the network cannot be converted.
    """
    from yisheng.inference.export._operators import OPERATORS

    with _hide_exporter_messages(), silence_torch(), torch.no_grad(), record_trees_as_nodes(model) as trees:
        try:
            program = torch.onnx.export(
                model,
                example,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=(tuple(dict(sizes) for _ in example),),
                input_names=list(input_names),
                output_names=list(output_names),
                custom_translation_table=OPERATORS,
                external_data=False,
                verbose=False,
            )
        except Exception as error:
            raise UsageError(
                Message("the network cannot be converted to ONNX: {error}", error=explain_conversion_failure(error)),
                Message("use format=torchscript, or change that part of the network"),
            ) from error
        assert program is not None
        insert_trees(program.model, trees)
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # the exporter writes this machine's source paths into them
    return program


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that predicts with onnxruntime, after checking that the file is valid."""
    onnx: Any = importlib.import_module("onnx")
    runtime: Any = importlib.import_module("onnxruntime")
    onnx.checker.check_model(str(path))
    options = runtime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    spec = Spec.from_json(json.loads(session.get_modelmeta().custom_metadata_map["spec"]))
    names = [item.name for item in session.get_inputs()]

    def predict(x: np.ndarray) -> np.ndarray:
        inputs = dict(zip(names, split_inputs(x, spec), strict=True))
        outputs: np.ndarray = session.run([OUTPUT], {name: value.numpy() for name, value in inputs.items()})[0]
        return outputs

    return predict


@contextlib.contextmanager
def _hide_exporter_messages() -> Iterator[None]:
    """Silence the exporter, which reports missing optional packages and its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

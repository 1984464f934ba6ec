"""ONNX: one file with graph, weights and what they mean, for onnxruntime and whatever else reads it."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yisheng.core.errors import MissingPartError, UsageError
from yisheng.inference.export.full_model import Whole
from yisheng.inference.export.metadata import INPUT, OUTPUT

SUFFIX = ".onnx"
OPSET = 20
LIMIT = (1 << 31) - (1 << 20)
"""Bytes of weights that fit into one file: protobuf ends at 2 GiB, and the graph needs some of it."""


def require() -> None:
    """See that all that is needed is installed.

    Raises:
        MissingPartError: it is not.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(name)
        except Exception:  # absent, or built for another NumPy
            raise MissingPartError(
                f"format=onnx needs {name}, which is not installed", 'pip install "yisheng[onnx]"'
            ) from None


def write(path: Path, whole: Whole, example: torch.Tensor, about: Mapping[str, Any]) -> None:
    """Write the file; the number of inputs stays free.

    Args:
        path: the file.
        whole: the module.
        example: two inputs.
        about: what goes into the file's ``metadata_props``, each value as JSON.

    Raises:
        UsageError: there are more weights than one file can hold.
    """
    size = sum(value.nbytes for value in whole.tensors().values())
    if size > LIMIT:
        raise UsageError(
            f"the weights are {size / 2**30:.1f} GiB, an ONNX file holds 2 GiB", "say format=safetensors or torchscript"
        )
    from yisheng.inference.export._operators import OPERATORS

    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            whole,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            custom_translation_table=OPERATORS,
            external_data=False,
            verbose=False,
        )
        assert program is not None
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # where in the sources each came from: of no use elsewhere
        program.model.metadata_props.update({key: json.dumps(value) for key, value in about.items()})
        program.model.doc_string = (
            f"{about['task']} of {about['target']} by yisheng {about['yisheng']}: raw inputs as in training, "
            f"{about['output']['is']} out. Classes, columns and contract: metadata_props, as JSON."
        )
        program.save(str(path), external_data=False)


def answer(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """onnxruntime's answers, of a file that was read again and found valid."""
    onnx: Any = importlib.import_module("onnx")
    runtime: Any = importlib.import_module("onnxruntime")
    onnx.checker.check_model(str(path))
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of every constant that it folds
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run([OUTPUT], {INPUT: x})[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which tells of parts that are not installed and of its own parts that are old."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)

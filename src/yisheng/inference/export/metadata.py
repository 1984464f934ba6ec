"""The description in an exported file: plain data, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from yisheng.core import provenance
from yisheng.inference.artifact import Artifact
from yisheng.inference.export.graph_inputs import OUTPUT, describe_inputs
from yisheng.inference.export.image_inputs import describe_images
from yisheng.transforms import to_json


def _output_type(artifact: Artifact) -> str:
    """Return the type of the outputs: float64 where single precision is too coarse for the target."""
    if artifact.spec.task != "regression" or artifact.target_scale is None:
        return "float32"
    outputs: torch.Tensor = artifact.target_scale.invert(torch.zeros(1, artifact.spec.outputs))
    return str(outputs.dtype).removeprefix("torch.")


def build_metadata(artifacts: Sequence[Artifact], dtype: np.dtype[Any], *, any_size: bool = False) -> dict[str, Any]:
    """Return contract, classes, columns, input and output, and the models with their fitted transforms.

    Args:
        artifacts: models of one contract.
        dtype: of the raw inputs: uint8, float32, ...
        any_size: whether the file takes images of any size.
    """
    spec = artifacts[0].spec
    kind = "values" if spec.task == "regression" else "probabilities"
    return {
        "format": 1,
        "yisheng": provenance.versions()["yisheng"],
        "task": spec.task,
        "target": spec.target,
        "targets": list(spec.target_names),
        "unit": spec.unit,
        "classes": list(spec.classes),
        "columns": spec.to_json()["columns"],
        "inputs": describe_inputs(spec, dtype.name, any_size=any_size),
        "image": describe_images(spec, dtype.name, any_size=any_size),
        "output": {
            "name": OUTPUT,
            "dtype": _output_type(artifacts[0]),
            "shape": ["N", len(spec.classes) or spec.outputs],
            "is": kind,
        },
        "spec": spec.to_json(),
        "models": [
            {
                "model": artifact.description.get("model"),
                "best": artifact.description.get("best"),
                "sha256": artifact.description.get("sha256"),
                "transforms": {
                    "input": to_json(artifact.scale),
                    "target": None if artifact.target_scale is None else to_json(artifact.target_scale),
                },
            }
            for artifact in artifacts
        ],
    }

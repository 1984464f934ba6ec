"""safetensors: weights by name, and everything else as JSON in the header; no code, readable from any language."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

from yisheng import transforms
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.inference.artifact import Artifact
from yisheng.inference.export.full_model import FullModel
from yisheng.inference.export.graph_inputs import split_inputs
from yisheng.inference.program_module import CONSTANTS
from yisheng.inference.program_reader import read_program

SUFFIX = ".safetensors"
HOLDS_CODE = False
"""Whether the file computes predictions by itself, so that it can resize images, too."""
METADATA_KEY = "yisheng"
"""The key of the header's metadata."""


def require_packages() -> None:
    """Do nothing: this format needs no further package."""


def write(
    path: Path,
    model: FullModel,
    example: tuple[torch.Tensor, ...],  # noqa: ARG001  # for formats that trace
    metadata: Mapping[str, Any],
) -> None:
    """Write weights and header, and for a user's own network its program and the program's constants.

    Args:
        path: the file.
        model: the module.
        example: not used, because nothing is traced.
        metadata: written to the header under `METADATA_KEY`, as JSON; it includes the fitted transforms.

    Raises:
        UsageError: the network is a user's own that could not be saved without its code.
    """
    tensors, models = model.tensors(), []
    for index, (artifact, description) in enumerate(zip(model.artifacts, metadata["models"], strict=True)):
        network = description["model"]
        if "own" in network and artifact.program is None:
            raise UsageError(
                Message(
                    "{network} could not be saved without its code: {reason}",
                    network=network["name"],
                    reason=network["own"]["no_program"],
                ),
                Message("use format=onnx or format=torchscript, which trace the network"),
            )
        program = {} if artifact.program is None else {"program": artifact.program.data}
        models.append({**description, **program})
        if artifact.program is not None:
            tensors |= {f"{index}.{CONSTANTS}.{name}": value for name, value in artifact.program.constants.items()}
    header = {METADATA_KEY: json.dumps({**metadata, "models": models})}
    path.write_bytes(serialize_tensors(tensors, header))


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that predicts with networks that are rebuilt from nothing but the file."""
    with safe_open(path, "pt") as file:
        metadata = json.loads(file.metadata()[METADATA_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    spec = Spec.from_json(metadata["spec"])
    artifacts = []
    for index, description in enumerate(metadata["models"]):
        scale, target_scale = (
            None if fitted is None else transforms.from_json(fitted) for fitted in description["transforms"].values()
        )
        inner = transforms.transform_spec(scale, spec)
        weights, constants = (_select(tensors, prefix) for prefix in (f"{index}.", f"{index}.{CONSTANTS}."))
        if "program" in description:
            weights = {name: value for name, value in weights.items() if not name.startswith(f"{CONSTANTS}.")}
            network: nn.Module = read_program(description["program"], weights, constants)
        else:
            choice = description["model"]
            network = registry.find("models", choice["name"]).build(inner, **choice["options"])
            network.load_state_dict(weights)
        artifacts.append(Artifact(network, spec, scale, target_scale, description))
    model = FullModel(artifacts)

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            outputs: np.ndarray = model(*split_inputs(x, spec)).numpy()
        return outputs

    return predict


def _select(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

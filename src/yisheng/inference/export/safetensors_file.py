"""safetensors: weights by name, and everything else as JSON in the header; no code, readable from any language."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from yisheng import transforms
from yisheng.core import registry
from yisheng.core.types import Spec
from yisheng.inference.artifact import Artifact
from yisheng.inference.export.full_model import FullModel

SUFFIX = ".safetensors"
METADATA_KEY = "yisheng"
"""The key of the header's metadata."""


def require_packages() -> None:
    """Do nothing: this format needs no further package."""


def write(
    path: Path,
    model: FullModel,
    example: torch.Tensor,  # noqa: ARG001  # for formats that trace
    metadata: Mapping[str, Any],
) -> None:
    """Write weights and header.

    Args:
        path: the file.
        model: the module.
        example: not used, because nothing is traced.
        metadata: written to the header under `METADATA_KEY`, as JSON; it includes the fitted transforms.
    """
    save_file(model.tensors(), path, metadata={METADATA_KEY: json.dumps(metadata)})


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
        network = registry.find("models", description["model"]["name"]).build(inner, **description["model"]["options"])
        prefix = f"{index}."
        weights = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        network.load_state_dict(weights)
        artifacts.append(Artifact(network, spec, scale, target_scale, description))
    model = FullModel(artifacts)

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            outputs: np.ndarray = model(torch.from_numpy(x)).numpy()
        return outputs

    return predict

"""safetensors: weights by name, and all else as JSON in the header; no code, readable from any language."""

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
from yisheng.inference.artifact import Saved
from yisheng.inference.export.full_model import Whole

SUFFIX = ".safetensors"
ABOUT = "yisheng"
"""The key of the header's metadata."""


def require() -> None:
    """Nothing else is needed."""


def write(path: Path, whole: Whole, example: torch.Tensor, about: Mapping[str, Any]) -> None:  # noqa: ARG001  # not traced
    """Write weights and header.

    Args:
        path: the file.
        whole: the module.
        example: not used: nothing is traced.
        about: goes into the header under `ABOUT`, as JSON; what was fitted is in it.
    """
    save_file(whole.tensors(), path, metadata={ABOUT: json.dumps(about)})


def answer(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The answers of networks that are built anew from nothing but the file."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()[ABOUT])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    spec = Spec.from_json(about["spec"])
    members = []
    for number, one in enumerate(about["members"]):
        scale, target = (None if t is None else transforms.from_json(t) for t in one["transforms"].values())
        model = registry.find("models", one["model"]["name"]).build(
            transforms.after(scale, spec), **one["model"]["options"]
        )
        start = f"{number}."
        model.load_state_dict({k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)})
        members.append(Saved(model, spec, scale, target, one))
    whole = Whole(members)

    def answers(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = whole(torch.from_numpy(x)).numpy()
        return found

    return answers

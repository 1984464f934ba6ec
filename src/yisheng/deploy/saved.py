"""The saved model: ``model.safetensors`` and ``model.json``, checked when read, no pickle."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import nn

from yisheng import transforms
from yisheng.core import files, registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Spec

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Saved:
    """A model read from its folder, in eval mode on the CPU.

    Args:
        model: the network with its best weights.
        spec: the contract of the raw data, before ``scale``.
        scale: the fitted input transform.
        target_scale: the fitted target transform, or None.
        description: contents of ``model.json``.
    """

    model: nn.Module
    spec: Spec
    scale: Any
    target_scale: Any
    description: Mapping[str, Any]


def save(
    folder: Path,
    *,
    weights: Mapping[str, torch.Tensor],
    name: str,
    options: Mapping[str, Any],
    spec: Spec,
    fitted: Mapping[str, Any],
    best: Mapping[str, Any],
) -> None:
    """Write both files; the description holds the hash of the weights.

    Neither gets its name before both are on the disk, so that a full one leaves the old pair together.

    Args:
        folder: the run folder.
        weights: state dict of the best epoch.
        name: the registered model.
        options: its options.
        spec: the contract.
        fitted: fitted transforms by role (``input``, ``target``), None where there is none.
        best: epoch, name and value of the validation score that chose these weights.
    """
    content = serialise({key: value.detach().cpu().contiguous() for key, value in weights.items()})
    description = {
        "format": FORMAT,
        "spec": spec.to_json(),
        "transforms": {role: None if t is None else transforms.to_json(t) for role, t in fitted.items()},
        "model": {"name": name, "options": dict(options)},
        "best": dict(best),
        "parameters": sum(value.numel() for key, value in weights.items() if not _is_buffer(key)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with files.replacing(folder / WEIGHTS) as new_weights, files.replacing(folder / DESCRIPTION) as new_description:
        new_weights.write_bytes(content)
        new_description.write_text(text, encoding="utf-8")


def load(folder: Path) -> Saved:
    """Read the model of a run folder.

    Raises:
        DataError: a file is missing, damaged, of another version, or the two do not belong together.
    """
    if not os.path.lexists(folder / DESCRIPTION) and os.path.isfile(folder / "recipe.toml"):  # noqa: PTH113  # never raises
        raise DataError(f"the run in {folder} is not finished: it has no model yet", f"say yisheng resume {folder}")
    description = files.read_json(folder / DESCRIPTION)
    whole = "train again, or take the folder from where it was whole"
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise DataError(f"{folder / DESCRIPTION} is not of format {FORMAT}", "use the version that wrote it")
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise DataError(f"{folder / WEIGHTS} cannot be read: {error.strerror}", whole) from None
    if hashlib.sha256(content).hexdigest() != description.get("sha256"):
        raise DataError(f"{folder / WEIGHTS} is not the file that {DESCRIPTION} describes (SHA-256 differs)", whole)
    try:
        chosen, fitted = description["model"], description["transforms"]
        spec = _spec(description["spec"])
        scale = transforms.from_json(fitted["input"])
        target = None if fitted["target"] is None else transforms.from_json(fitted["target"])
        inner = transforms.after(scale, spec)
        build = functools.partial(registry.find("models", str(chosen["name"])).build, inner, **chosen["options"])
        weights = parse(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged description may ask for layers of no size
            _require_fit(build, weights)
            model: nn.Module = build()
        model.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError, UsageError) as error:
        reason = error.problem if isinstance(error, UsageError) else str(error)
        raise DataError(f"the model in {folder} cannot be rebuilt: {' '.join(reason.split())[:300]}", whole) from None
    return Saved(model.eval(), spec, scale, target, description)


def _spec(data: Any) -> Spec:
    spec = Spec.from_json(data)
    one_unit = spec.outputs == 1 and len(spec.classes) == 2
    if spec.outputs < 1 or (spec.classes and spec.outputs != len(spec.classes) and not one_unit):
        raise ValueError(f"{spec.outputs} output units do not fit {len(spec.classes)} classes")
    return spec


def _require_fit(build: Callable[[], nn.Module], weights: Mapping[str, torch.Tensor]) -> None:
    """Compare the weights with what the model wants, before memory is taken for a model of whatever size."""
    for name, value in weights.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"the weights {name} hold NaN or infinite values")
    try:
        with torch.device("meta"):
            wanted = build().state_dict()
    except (NotImplementedError, RuntimeError):
        return  # a model that looks at values while it is made; what does not fit shows when it is loaded
    for name in (*wanted, *weights):
        want, got = (
            "nothing" if t is None else f"{tuple(t.shape)} of {'floats' if t.is_floating_point() else 'integers'}"
            for t in (wanted.get(name), weights.get(name))
        )
        if want != got:
            raise ValueError(f"the weights {name} should be {want}, got {got}")


def _is_buffer(key: str) -> bool:
    return key.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")

"""The saved model: ``model.safetensors``, ``model.json`` and ``familiar.safetensors``, checked when read, no pickle."""

from __future__ import annotations

import contextlib
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
from yisheng.inference import ood as knowing
from yisheng.inference.ood import Familiar

FORMAT = 1
WEIGHTS, DESCRIPTION, FAMILIAR, SUMS = "model.safetensors", "model.json", "familiar.safetensors", "SHA256SUMS"
NEEDED = (DESCRIPTION, WEIGHTS, FAMILIAR, SUMS)
"""All that prediction reads: a folder with these files is whole."""
WHOLE = "train again, or take the folder from where it was whole"


@dataclass(frozen=True)
class Saved:
    """A model read from its folder, in eval mode on the CPU.

    Args:
        model: the network with its best weights.
        spec: the contract of the raw data, before ``scale``.
        scale: the fitted input transform.
        target_scale: the fitted target transform, or None.
        description: contents of ``model.json``.
        familiar: what inputs like the training data look like to it, or None.
    """

    model: nn.Module
    spec: Spec
    scale: Any
    target_scale: Any
    description: Mapping[str, Any]
    familiar: Familiar | None = None


def save(
    folder: Path,
    *,
    weights: Mapping[str, torch.Tensor],
    name: str,
    options: Mapping[str, Any],
    spec: Spec,
    fitted: Mapping[str, Any],
    best: Mapping[str, Any],
    familiar: Familiar | None = None,
) -> None:
    """Write the files, and their SHA-256 in the form of ``sha256sum``.

    None gets its name before all are on the disk, so that a full one leaves the old ones together.

    Args:
        folder: the run folder.
        weights: state dict of the best epoch.
        name: the registered model.
        options: its options.
        spec: the contract.
        fitted: fitted transforms by role (``input``, ``target``), None where there is none.
        best: epoch, name and value of the validation score that chose these weights.
        familiar: what inputs like the training data look like to it.
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
        "familiar": None if familiar is None else familiar.to_json(),
    }
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    new = {WEIGHTS: content, DESCRIPTION: text.encode()}
    if familiar is not None:
        new[FAMILIAR] = familiar.to_bytes()
    new[SUMS] = _listed({name: hashlib.sha256(value).hexdigest() for name, value in new.items()})
    with contextlib.ExitStack() as stack:
        for name, value in new.items():
            stack.enter_context(files.replacing(folder / name)).write_bytes(value)
    if familiar is None:
        (folder / FAMILIAR).unlink(missing_ok=True)


def seal(folder: Path) -> None:
    """List the SHA-256 of the files of a run or study as they are now.

    Raises:
        StorageError: the list cannot be written.
    """
    there = [folder / name for name in NEEDED if name != SUMS and (folder / name).is_file()]
    files.write(folder / SUMS, _listed({path.name: _hash(path) for path in there}))


def require_listed(folder: Path, *names: str) -> None:
    """Refuse a file that is not the one whose SHA-256 was listed when the model was saved.

    Raises:
        DataError: a file or the list is missing or damaged, or the two do not belong together.
    """
    path = folder / SUMS
    try:
        text = (files.read_bytes(path, 1 << 16) or b"").decode("ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise DataError(f"{path} cannot be read: {reason}; it lists what the files should be", WHOLE) from None
    listed = {name: value for value, _, name in (line.partition("  ") for line in text.splitlines())}
    for name in names:
        if _hash(folder / name) != listed.get(name):
            raise DataError(f"{folder / name} is not the file that {SUMS} lists (SHA-256 differs)", WHOLE)


def load(folder: Path) -> Saved:
    """Read the model of a run folder, or of a folder with nothing but the files in `NEEDED`.

    Raises:
        DataError: a file is missing, damaged, of another version, or not the one that was saved; or the network or
            transform is a plugin's that is not there.
    """
    if not os.path.lexists(folder / DESCRIPTION) and os.path.isfile(folder / "config.toml"):  # noqa: PTH113  # never raises
        raise DataError(f"the run in {folder} is not finished: it has no model yet", f"say yisheng resume {folder}")
    description = files.read_json(folder / DESCRIPTION)
    knows = isinstance(description, dict) and description.get("familiar") is not None
    require_listed(folder, DESCRIPTION, WEIGHTS, *([FAMILIAR] if knows else []))
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise DataError(f"{folder / DESCRIPTION} is not of format {FORMAT}", "use the version that wrote it")
    content = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != description.get("sha256"):
        raise DataError(f"{folder / WEIGHTS} is not the file that {DESCRIPTION} describes (SHA-256 differs)", WHOLE)
    _require_known(folder, description)
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
        known = None
        if knows:
            known = knowing.read((folder / FAMILIAR).read_bytes(), description["familiar"], model, spec, inner)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError, UsageError) as error:
        reason = error.problem if isinstance(error, UsageError) else str(error)
        raise DataError(f"the model in {folder} cannot be rebuilt: {' '.join(reason.split())[:300]}", WHOLE) from None
    return Saved(model.eval(), spec, scale, target, description, known)


def _require_known(folder: Path, description: Mapping[str, Any]) -> None:
    """Weights and numbers are in the folder, but a plugin's network or transform is code."""
    for kind, *keys in (("models", "model", "name"), ("transforms", "transforms", "input", "name")):
        name: Any = description
        for key in keys:
            name = name.get(key) if isinstance(name, Mapping) else None
        if isinstance(name, str) and registry.dashed(name) not in registry.names(kind):
            raise DataError(
                f"the model in {folder} cannot be rebuilt: unknown {registry.PEOPLE_SAY[kind]} {name!r}",
                "if it is a plugin's, its code is needed here too: name the package in YISHENG_PLUGINS",
            )


def _listed(sums: Mapping[str, str]) -> bytes:
    return "".join(f"{value}  {name}\n" for name, value in sums.items()).encode()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", WHOLE) from None


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

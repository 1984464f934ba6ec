"""The saved model: ``model.safetensors``, ``model.json`` and ``ood.safetensors``, verified when read, no pickle."""

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
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as serialize_safetensors
from torch import nn

from yisheng import transforms
from yisheng.core import files, registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.run_folder import FORMAT, INTACT_COPY, RunFolder
from yisheng.core.seeds import isolated_generators
from yisheng.core.types import Spec
from yisheng.inference.ood import OODDetector, parse_ood_detector

ARTIFACT_FILES = (RunFolder.MODEL, RunFolder.WEIGHTS, RunFolder.OOD, RunFolder.CHECKSUMS)
"""All files that prediction reads."""
MAX_CHECKSUMS_BYTES = 1 << 16
BUFFER_NAMES = ("running_mean", "running_var", "num_batches_tracked")
"""Entries of a state dict that are not counted as parameters."""


@dataclass(frozen=True)
class Artifact:
    """A model read from its folder, in eval mode on the CPU.

    Args:
        model: the network with its best weights.
        spec: the contract of the raw data, before ``scale``.
        scale: the fitted input transform.
        target_scale: the fitted target transform, or None.
        description: contents of ``model.json``.
        ood_detector: the detector of out-of-distribution inputs, or None if the run has none.
    """

    model: nn.Module
    spec: Spec
    scale: Any
    target_scale: Any
    description: Mapping[str, Any]
    ood_detector: OODDetector | None = None


def save(
    folder: Path,
    *,
    weights: Mapping[str, torch.Tensor],
    name: str,
    options: Mapping[str, Any],
    spec: Spec,
    fitted_transforms: Mapping[str, Any],
    best: Mapping[str, Any],
    ood_detector: OODDetector | None = None,
) -> None:
    """Write the files of a model, and their SHA-256 in the format of ``sha256sum``.

    No file gets its final name before all are on the disk, so a full disk leaves the old ones consistent.

    Args:
        folder: the run folder.
        weights: state dict of the best epoch.
        name: the registered model.
        options: its options.
        spec: the contract.
        fitted_transforms: by role (``input``, ``target``), None for a role without one.
        best: epoch, name and value of the validation score that chose these weights.
        ood_detector: see `yisheng.inference.ood`.

    Raises:
        StorageError: a file cannot be written.
    """
    content = serialize_safetensors({key: value.detach().cpu().contiguous() for key, value in weights.items()})
    description = {
        "format": FORMAT,
        "spec": spec.to_json(),
        "transforms": {role: None if t is None else transforms.to_json(t) for role, t in fitted_transforms.items()},
        "model": {"name": name, "options": dict(options)},
        "best": dict(best),
        "parameters": sum(value.numel() for key, value in weights.items() if not _is_buffer(key)),
        "sha256": hashlib.sha256(content).hexdigest(),
        "ood": None if ood_detector is None else ood_detector.to_json(),
    }
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    contents = {RunFolder.WEIGHTS: content, RunFolder.MODEL: text.encode()}
    if ood_detector is not None:
        contents[RunFolder.OOD] = ood_detector.to_bytes()
    contents[RunFolder.CHECKSUMS] = _format_checksums(
        {file: hashlib.sha256(value).hexdigest() for file, value in contents.items()}
    )
    with contextlib.ExitStack() as stack:
        for file, value in contents.items():
            stack.enter_context(files.replace_file(folder / file)).write_bytes(value)
    if ood_detector is None:
        (folder / RunFolder.OOD).unlink(missing_ok=True)


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of the files of a run or cross-validation as they are now.

    Raises:
        StorageError: the list cannot be written.
    """
    paths = [folder / name for name in ARTIFACT_FILES if name != RunFolder.CHECKSUMS and (folder / name).is_file()]
    files.write_file(folder / RunFolder.CHECKSUMS, _format_checksums({path.name: _hash(path) for path in paths}))


def verify_checksums(folder: Path, *names: str) -> None:
    """Refuse a file whose SHA-256 is not the one that was written with the model.

    Raises:
        DataError: a file or the list is missing or damaged, or the two do not belong together.
    """
    path = folder / RunFolder.CHECKSUMS
    try:
        text = (files.read_bytes(path, MAX_CHECKSUMS_BYTES) or b"").decode("ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise DataError(f"{path} cannot be read: {reason}; it lists the files' SHA-256", INTACT_COPY) from None
    checksums = {name: value for value, _, name in (line.partition("  ") for line in text.splitlines())}
    for name in names:
        if _hash(folder / name) != checksums.get(name):
            raise DataError(
                f"{folder / name} is not the file that {RunFolder.CHECKSUMS} lists (SHA-256 differs)", INTACT_COPY
            )


def load(folder: Path) -> Artifact:
    """Return the model of a run folder, or of a folder with nothing but the `ARTIFACT_FILES`.

    Raises:
        DataError: a file is missing, damaged, of another version, or not the one that was saved; or the network or
            transform belongs to a plugin that is not installed.
    """
    description = _read_description(folder)
    content = (folder / RunFolder.WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != description.get("sha256"):
        raise DataError(
            f"{folder / RunFolder.WEIGHTS} is not the file that {RunFolder.MODEL} describes (SHA-256 differs)",
            INTACT_COPY,
        )
    _require_registered(folder, description)
    try:
        spec = _parse_spec(description["spec"])
        scale = transforms.from_json(description["transforms"]["input"])
        target_scale = _parse_optional_transform(description["transforms"]["target"])
        inner = transforms.transform_spec(scale, spec)
        model = _build_model(description["model"], inner, parse_safetensors(content))
        detector = None
        if description.get("ood") is not None:
            detector_content = (folder / RunFolder.OOD).read_bytes()
            detector = parse_ood_detector(detector_content, description["ood"], model, spec, inner)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError, UsageError) as error:
        reason = error.problem if isinstance(error, UsageError) else str(error)
        raise DataError(
            f"the model in {folder} cannot be rebuilt: {' '.join(reason.split())[:300]}", INTACT_COPY
        ) from None
    return Artifact(model.eval(), spec, scale, target_scale, description, detector)


def _read_description(folder: Path) -> dict[str, Any]:
    """Return the contents of ``model.json`` after the checksums of all files were verified."""
    RunFolder(folder).require_current_format()
    if not os.path.lexists(folder / RunFolder.MODEL) and os.path.isfile(folder / RunFolder.CONFIG):  # noqa: PTH113  # never raises
        raise DataError(
            f"the run in {folder} is not finished: it has no model yet", f"continue it: yisheng resume {folder}"
        )
    description = files.read_json(folder / RunFolder.MODEL)
    has_detector = isinstance(description, dict) and description.get("ood") is not None
    verify_checksums(folder, RunFolder.MODEL, RunFolder.WEIGHTS, *([RunFolder.OOD] if has_detector else []))
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise DataError(
            f"{folder / RunFolder.MODEL} is not of format {FORMAT}", "use the version of yisheng that wrote it"
        )
    return description


def _parse_optional_transform(plain: Any) -> Any:
    return None if plain is None else transforms.from_json(plain)


def _build_model(choice: Mapping[str, Any], inner: Spec, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """Build the network that ``model.json`` describes, with these weights."""
    build = functools.partial(registry.find("models", str(choice["name"])).build, inner, **choice["options"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a damaged description may ask for layers of size zero
        _require_matching_weights(build, weights)
        with isolated_generators():  # the initial weights are random, and replaced
            model: nn.Module = build()
    model.load_state_dict(weights)
    return model


def _require_registered(folder: Path, description: Mapping[str, Any]) -> None:
    """Refuse a model whose network or transform is a plugin's: its code is not in the folder."""
    for kind, *keys in (("models", "model", "name"), ("transforms", "transforms", "input", "name")):
        name: Any = description
        for key in keys:
            name = name.get(key) if isinstance(name, Mapping) else None
        if isinstance(name, str) and registry.hyphenate(name) not in registry.names(kind):
            raise DataError(
                f"the model in {folder} cannot be rebuilt: unknown {registry.KIND_LABELS[kind]} {name!r}",
                "if it belongs to a plugin, install the plugin here and name its package in YISHENG_PLUGINS",
            )


def _format_checksums(checksums: Mapping[str, str]) -> bytes:
    return "".join(f"{value}  {name}\n" for name, value in checksums.items()).encode()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", INTACT_COPY) from None


def _parse_spec(plain: Any) -> Spec:
    spec = Spec.from_json(plain)
    is_one_logit = spec.outputs == 1 and len(spec.classes) == 2
    if spec.outputs < 1 or (spec.classes and spec.outputs != len(spec.classes) and not is_one_logit):
        raise ValueError(f"{spec.outputs} output units do not fit {len(spec.classes)} classes")
    return spec


def _require_matching_weights(build: Callable[[], nn.Module], weights: Mapping[str, torch.Tensor]) -> None:
    """Compare the weights with those of the model before memory is allocated for a model of any size."""
    for name, value in weights.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"the weights {name} contain NaN or infinite values")
    try:
        with torch.device("meta"):
            expected = build().state_dict()
    except (NotImplementedError, RuntimeError):
        return  # the model reads values while it is built; load_state_dict will report what does not fit
    for name in (*expected, *weights):
        expected_form, actual_form = (_describe_tensor(tensors.get(name)) for tensors in (expected, weights))
        if expected_form != actual_form:
            raise ValueError(f"the weights {name} must be {expected_form}, got {actual_form}")


def _describe_tensor(tensor: torch.Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    return f"{tuple(tensor.shape)} of {'floats' if tensor.is_floating_point() else 'integers'}"


def _is_buffer(key: str) -> bool:
    return key.rpartition(".")[2] in BUFFER_NAMES

"""The saved model: ``model.safetensors``, ``model.json`` and ``ood.safetensors``, verified when read, no pickle."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import nn

from yisheng import transforms
from yisheng.core import files, registry
from yisheng.core.discovery import hyphenate
from yisheng.core.errors import DataError, UsageError
from yisheng.core.kinds import KIND_LABELS
from yisheng.core.messages import Message
from yisheng.core.run_folder import FORMAT, INTACT_COPY, RunFolder
from yisheng.core.seeds import isolated_generators
from yisheng.core.spec import Spec
from yisheng.core.supplied_components import find_supplied
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.data import hub
from yisheng.inference.model_files import INTERVAL_FILES, PROGRAM_FILES, format_checksums, verify_checksums
from yisheng.inference.ood import OODDetector, parse_ood_detector
from yisheng.inference.own_network import (
    OwnNetwork,
    explain_registered,
    plain_options,
    read_own_program,
    rebuild_own_network,
    require_own_entry,
)
from yisheng.inference.program_data import Program
from yisheng.models._fitted_model import list_hub_files


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
        program: a user's own network without its code; None for other networks, and if it could not be saved so.
    """

    model: nn.Module
    spec: Spec
    scale: Any
    target_scale: Any
    description: Mapping[str, Any]
    ood_detector: OODDetector | None = None
    program: Program | None = None


def save(
    folder: Path,
    *,
    weights: Mapping[str, torch.Tensor],
    name: str,
    options: Mapping[str, Any],
    spec: Spec,
    fitted_transforms: Mapping[str, Any],
    best: Mapping[str, Any],
    parameters: int,
    ood_detector: OODDetector | None = None,
    own_network: OwnNetwork | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> None:
    """Write the files of a model, and their SHA-256 in the format of ``sha256sum``.

    No file gets its final name before all are on the disk, so a full disk leaves the old ones consistent.

    Args:
        folder: the run folder.
        weights: state dict of the best epoch.
        name: the registered model, or the reference of a user's own network.
        options: its options.
        spec: the contract.
        fitted_transforms: by role (``input``, ``target``), None for a role without one.
        best: epoch, name and value of the validation score that chose these weights.
        parameters: number of the network's parameters; tied ones count once.
        ood_detector: see `yisheng.inference.ood`.
        own_network: what else is saved of a user's own network.
        calibration: the temperature that was fitted, and whether it is kept; see `yisheng.evaluation.temperature`.

    Raises:
        StorageError: a file cannot be written.
    """
    content = serialize_tensors(weights)
    description = {
        "format": FORMAT,
        "spec": spec.to_json(),
        "transforms": {role: None if t is None else transforms.to_json(t) for role, t in fitted_transforms.items()},
        "model": {
            "name": name,
            "options": plain_options(options),
            **({} if own_network is None else {"own": own_network.to_json()}),
        },
        "best": dict(best),
        "parameters": parameters,
        "sha256": hashlib.sha256(content).hexdigest(),
        "ood": None if ood_detector is None else ood_detector.to_json(),
        **({} if calibration is None else {"calibration": dict(calibration)}),
    }
    contents = {RunFolder.WEIGHTS: content, RunFolder.MODEL: files.format_json(description).encode()}
    if ood_detector is not None:
        contents[RunFolder.OOD] = ood_detector.to_bytes()
    if own_network is not None:
        contents |= own_network.to_files()
    contents[RunFolder.CHECKSUMS] = format_checksums(
        {file: hashlib.sha256(value).hexdigest() for file, value in contents.items()}
    )
    with contextlib.ExitStack() as stack:
        for file, value in contents.items():
            stack.enter_context(files.replace_file(folder / file)).write_bytes(value)
    for file in (RunFolder.OOD, *PROGRAM_FILES, *INTERVAL_FILES):
        if file not in contents:
            (folder / file).unlink(missing_ok=True)


def load(folder: Path, model: Any = None) -> Artifact:
    """Return the model of a run folder, or of a folder with nothing but its files.

    Args:
        folder: the folder.
        model: a user's own network, its class, a function that builds it, or its reference, whose code is imported; by
            default what `yisheng.core.supplied_components.supply_components` gave, else the network's program.

    Raises:
        DataError: a file is missing, damaged, of another version, or not the one that was saved; the network or
            transform belongs to a plugin that is not installed; or the network is a user's own, and has no program.
        UsageError: ``model`` cannot be built, or the run's network is a registered one.
    """
    description = _read_description(folder)
    content = (folder / RunFolder.WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != description.get("sha256"):
        raise DataError(
            Message(
                "{path} is not the file that {MODEL} describes (SHA-256 differs)",
                path=folder / RunFolder.WEIGHTS,
                MODEL=RunFolder.MODEL,
            ),
            INTACT_COPY,
        )
    _require_registered(folder, description)
    with _explain_damage(folder):
        network, weights = description["model"], parse_safetensors(content)
        if _is_own(description):
            require_own_entry(network)
        spec = _parse_spec(description["spec"])
        scale = transforms.from_json(description["transforms"]["input"])
        target_scale = _parse_optional_transform(description["transforms"]["target"])
        inner = transforms.transform_spec(scale, spec)
        program = read_own_program(folder, network) if _is_own(description) else None
    if _is_own(description):
        supplied = find_supplied("model", network["name"]) if model is None else model
        built = rebuild_own_network(folder, network, program, weights, supplied, spec=spec, inner=inner, scale=scale)
    elif model is not None:
        raise explain_registered(folder, network["name"])
    else:
        with _explain_damage(folder):
            built = _build_model(network, inner, weights)
    with _explain_damage(folder):
        _require_finite(built)
    detector = None
    if description.get("ood") is not None:
        with _explain_damage(folder):
            content = (folder / RunFolder.OOD).read_bytes()
            detector = parse_ood_detector(content, description["ood"], built, spec, inner)
    return Artifact(built.eval(), spec, scale, target_scale, description, detector, program)


@contextlib.contextmanager
def _explain_damage(folder: Path) -> Iterator[None]:
    """Turn what a damaged description raises into a DataError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError, UsageError) as error:
        reason = error.problem if isinstance(error, UsageError) else str(error)
        raise DataError(
            Message(
                "the model in {folder} cannot be rebuilt: {reason}",
                folder=folder,
                reason=" ".join(reason.split())[:300],
            ),
            INTACT_COPY,
        ) from None


def _is_own(description: Mapping[str, Any]) -> bool:
    """Return whether the network is a user's own."""
    network = description.get("model")
    return isinstance(network, Mapping) and "own" in network


def _read_description(folder: Path) -> dict[str, Any]:
    """Return the contents of ``model.json`` after the checksums of all files were verified."""
    RunFolder(folder).require_current_format()
    if not os.path.lexists(folder / RunFolder.MODEL) and os.path.isfile(folder / RunFolder.CONFIG):  # noqa: PTH113  # never raises
        raise DataError(
            Message("the run in {folder} is not finished: it has no model yet", folder=folder),
            Message("continue it: yisheng resume {folder}", folder=folder),
        )
    description = files.read_json(folder / RunFolder.MODEL)
    verify_checksums(folder, RunFolder.MODEL, RunFolder.WEIGHTS, *_list_optional_files(folder, description))
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise DataError(
            Message("{path} is not of format {FORMAT}", path=folder / RunFolder.MODEL, FORMAT=FORMAT),
            Message("use the version of yisheng that wrote it"),
        )
    return description


def _list_optional_files(folder: Path, description: Any) -> list[str]:
    """Return the files that the description requires besides the weights."""
    if not isinstance(description, dict):
        return []
    names = [] if description.get("ood") is None else [RunFolder.OOD]
    if _is_own(description):
        entry = description["model"]["own"]
        names += [RunFolder.PROGRAM] if isinstance(entry, dict) and entry.get("has_program") else []
        names += [RunFolder.PROGRAM_TENSORS] if (folder / RunFolder.PROGRAM_TENSORS).is_file() else []
    return names


def _parse_optional_transform(plain: Any) -> Any:
    return None if plain is None else transforms.from_json(plain)


def _build_model(choice: Mapping[str, Any], inner: Spec, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """Build the network that ``model.json`` describes, with these weights."""
    build = functools.partial(registry.find("models", str(choice["name"])).build, inner, **choice["options"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a damaged description may ask for layers of size zero
        if not registry.find("models", str(choice["name"])).meta.get("fitted"):  # such a model checks what it loads
            _require_matching_weights(build, weights)
        with isolated_generators():  # the initial weights are random, and replaced
            model: nn.Module = build()
    model.load_state_dict(weights)
    for file in list_hub_files(model):
        hub.fetch_file(*file)
    return model


def _require_registered(folder: Path, description: Mapping[str, Any]) -> None:
    """Refuse a model whose network or transform is a plugin's: its code is not in the folder."""
    for kind, *keys in (("models", "model", "name"), ("transforms", "transforms", "input", "name")):
        name: Any = description
        for key in keys:
            name = name.get(key) if isinstance(name, Mapping) else None
        is_own = kind == "models" and _is_own(description)
        if isinstance(name, str) and not is_own and hyphenate(name) not in registry.names(kind):
            raise DataError(
                Message(
                    "the model in {folder} cannot be rebuilt: unknown {kind} {name}",
                    folder=folder,
                    kind=KIND_LABELS[kind],
                    name=f"{name!r}",
                ),
                Message("if it belongs to a plugin, install the plugin here and name its package in YISHENG_PLUGINS"),
            )


def _parse_spec(plain: Any) -> Spec:
    spec = Spec.from_json(plain)
    is_one_logit = spec.outputs == 1 and len(spec.classes) == 2
    if spec.outputs < 1 or (spec.classes and spec.outputs != len(spec.classes) and not is_one_logit):
        raise ValueError(f"{spec.outputs} output units do not fit {len(spec.classes)} classes")
    return spec


def _require_matching_weights(build: Callable[[], nn.Module], weights: Mapping[str, torch.Tensor]) -> None:
    """Compare the weights with those of the model before memory is allocated for a model of any size."""
    try:
        with torch.device("meta"):
            expected = build().state_dict()
    except (NotImplementedError, RuntimeError):
        return  # the model reads values while it is built; load_state_dict will report what does not fit
    for name in (*expected, *sorted(weights)):
        expected_form, actual_form = (_describe_tensor(tensors.get(name)) for tensors in (expected, weights))
        if expected_form != actual_form:
            raise ValueError(f"the weights {name} must be {expected_form}, got {actual_form}")


def _require_finite(model: nn.Module) -> None:
    """Check the parameters; a buffer may hold a mask of infinite values."""
    for name, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise ValueError(f"the weights {name} contain NaN or infinite values")


def _describe_tensor(tensor: torch.Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    return f"{tuple(tensor.shape)} of {'floats' if tensor.is_floating_point() else 'integers'}"

"""A user's own network in a run folder: what is saved of it, and how it is built again.

It is built from its code if the user names it in the present call (``model=net.py:Net``), else from its program
(`yisheng.inference.program`). Code is never imported because a file of the folder mentions it.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as parse_safetensors
from torch import nn

from yisheng.core import files, nested
from yisheng.core.choice import IN_MEMORY, Choice
from yisheng.core.components import find_component, read_component
from yisheng.core.errors import DataError, UsageError
from yisheng.core.input_spec import Inputs
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.references import hash_source
from yisheng.core.run_folder import RunFolder
from yisheng.core.seeds import isolated_generators
from yisheng.core.spec import Spec
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.ood import OODDetector
from yisheng.inference.program_data import Program
from yisheng.inference.program_reader import read_program
from yisheng.models.custom_output import fit_output

MAX_PROGRAM_BYTES = 64 << 20
PROBE_ROWS = 2
"""Rows that a network is called with when it is built, which creates lazy layers."""


@dataclass(frozen=True)
class OwnNetwork:
    """What a run folder holds of a user's own network besides its weights.

    Args:
        sha256: of the file of its code, or None if there is none.
        output: which of several outputs is used, or None.
        program: the network without its code, or the reason why there is none.
    """

    sha256: str | None
    output: str | None
    program: Program | str

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``own`` of the network in ``model.json``."""
        reason = self.program if isinstance(self.program, str) else None
        return {"sha256": self.sha256, "output": self.output, "has_program": reason is None, "no_program": reason}

    def to_files(self) -> dict[str, bytes]:
        """Return the contents of the program's files by name."""
        return {} if isinstance(self.program, str) else program_to_files(self.program)


def save_own_network(
    choice: Choice, model: nn.Module, x: Inputs, *, output: str | None, detector: OODDetector | None
) -> OwnNetwork:
    """Return what is saved of a user's own network; it is recorded and verified here.

    Args:
        choice: the config's choice of the model.
        model: the network with its best weights.
        x: scaled inputs of a few rows.
        output: the config's ``output``.
        detector: of the run, whose features the program returns too.
    """
    from yisheng.inference.program import export_program  # torch.export is not needed to predict

    sources = [] if detector is None else [c.source for c in detector.components if c.source is not None]
    program = export_program(model, x, features=[source for source in sources if source.kind != "image"])
    if isinstance(program, str):
        logger.info(
            Message(
                "the network cannot be saved without its code: {reason}; predicting from the shell will need {remedy}",
                reason=program,
                remedy=describe_remedy(choice.name),
            )
        )
    return OwnNetwork(hash_source(choice.component), output, program)


def program_to_files(program: Program) -> dict[str, bytes]:
    """Return the contents of ``program.json``, and of ``program.safetensors`` if there are constants."""
    content = {RunFolder.PROGRAM: json.dumps(program.data, allow_nan=False).encode()}
    if program.constants:
        content[RunFolder.PROGRAM_TENSORS] = serialize_tensors(program.constants)
    return content


def describe_remedy(reference: str) -> str:
    """Return how a user names a network: its reference in the shell, or the object in Python.

    >>> describe_remedy("net.py:Net"), describe_remedy("in-memory:Net")
    ('model=net.py:Net', 'the network in Python: yisheng.load(run, model=Net)')
    """
    if not reference.startswith(f"{IN_MEMORY}:"):
        return f"model={reference}"
    name = reference.removeprefix(f"{IN_MEMORY}:")
    return Message("the network in Python: yisheng.load(run, model={name})", name=name)


def read_own_program(folder: Path, network: Mapping[str, Any]) -> Program | None:
    """Return the program in a folder whose checksums were verified, not checked; None if there is none.

    Raises:
        DataError: a file of it cannot be read.
    """
    if not network["own"]["has_program"]:
        return None
    data = files.read_json(folder / RunFolder.PROGRAM, limit=MAX_PROGRAM_BYTES)
    path = folder / RunFolder.PROGRAM_TENSORS
    constants = parse_safetensors(path.read_bytes()) if path.is_file() else {}
    return Program(data, constants)


def rebuild_own_network(
    folder: Path,
    network: Mapping[str, Any],
    program: Program | None,
    weights: Mapping[str, torch.Tensor],
    supplied: Any,
    *,
    spec: Spec,
    inner: Spec,
    scale: Any,
) -> nn.Module:
    """Return a user's own network with its trained weights.

    Args:
        folder: of the run, for messages.
        network: the entry ``model`` of ``model.json``.
        program: the network without its code, or None.
        weights: the trained weights.
        supplied: the network, its class, a function or a reference, as the user gave it; None for the program.
        spec: the contract of the raw data.
        inner: that of the scaled data.
        scale: the fitted input transform.

    Raises:
        UsageError: the given network cannot be built.
        DataError: it is not the one that was trained; or none is given, and there is no program.
    """
    if supplied is None:
        if program is None:
            raise DataError(
                Message(
                    "the network of {folder} is {network}, which could not be saved without its code: {reason}",
                    folder=folder,
                    network=network["name"],
                    reason=network["own"]["no_program"],
                ),
                Message("give {remedy}", remedy=describe_remedy(str(network["name"]))),
            )
        return read_program(program.data, weights, program.constants)
    name, component = read_component("models", supplied)
    options = {} if isinstance(component, nn.Module) else dict(network["options"])
    entry = find_component("models", Choice(name=name, options=options, component=component))
    for key in options:
        entry.check_option(key, options[key], "model")
    mismatch = ""
    for outputs in dict.fromkeys((spec.outputs, len(spec.classes) or spec.outputs)):
        with isolated_generators(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: nn.Module = entry.build(inner.with_outputs(outputs), **options)
            x = scale.apply(nested.from_numpy(draw_example_inputs(spec, scale, PROBE_ROWS)))
            fit_output(model, x, spec, output=network["own"]["output"])
        difference = _find_mismatch(model.state_dict(), weights)
        mismatch = mismatch or difference
        if not difference:
            _report_changed_code(name, component, network)
            model.load_state_dict(weights)
            return model
    raise DataError(
        Message(
            "{name} is not the network that was trained in {folder}: {mismatch}",
            name=name,
            folder=folder,
            mismatch=mismatch,
        ),
        Message("give the network of the training, {name} with the options that it had", name=network["name"])
        if options
        else Message("give the network of the training, {name} as it was then", name=network["name"]),
    )


def _find_mismatch(state: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]) -> str:
    """Return how the first differing weight differs, or an empty text."""
    for name in (*state, *sorted(weights)):  # a safetensors file is read in no particular order
        if name not in state:
            return Message("it has no weights {name}, the run has", name=name)
        if name not in weights:
            return Message("it has weights {name}, the run has none of that name", name=name)
        expected, actual = tuple(weights[name].shape), tuple(state[name].shape)
        if expected != actual:
            return Message(
                "its weights {name} have the shape {actual}, those of the run {expected}",
                name=name,
                actual=actual,
                expected=expected,
            )
    return ""


def _report_changed_code(name: str, component: Any, network: Mapping[str, Any]) -> None:
    saved, present = network["own"]["sha256"], hash_source(component)
    if saved is not None and present is not None and saved != present:
        logger.info(Message("note: the code of {name} changed since the training; its weights still fit", name=name))


@contextlib.contextmanager
def explain_failed_call(description: Mapping[str, Any]) -> Iterator[None]:
    """Turn what a user's own network raises for inputs that it cannot take into a DataError.

    Args:
        description: contents of ``model.json``; errors of registered networks are defects, and stay as they are.

    Raises:
        DataError: the network failed.
    """
    try:
        yield
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        if "own" not in (description.get("model") or {}):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise DataError(
            Message("the network cannot take these inputs: {reason}", reason=reason),
            Message("give inputs as in training"),
        ) from error


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON holds them; other objects, such as classes of layers, as text.

    >>> plain_options({"width": (8, 4), "activation": nn.ReLU()})
    {'width': [8, 4], 'activation': 'ReLU()'}
    """
    plain: dict[str, Any] = json.loads(json.dumps(dict(options), default=str))
    return plain


def require_own_entry(network: Any) -> None:
    """Check the entry ``model`` of a user's own network.

    Raises:
        ValueError: it is damaged.
    """
    entry = network["own"]
    is_valid = (
        isinstance(entry, dict)
        and set(entry) == {"sha256", "output", "has_program", "no_program"}
        and isinstance(entry["has_program"], bool)
        and all(entry[key] is None or isinstance(entry[key], str) for key in ("sha256", "output", "no_program"))
        and isinstance(network["options"], dict)
    )
    if not is_valid:
        raise ValueError("the entry of the network is damaged")


def explain_registered(folder: Path, name: str) -> UsageError:
    """Return the error for ``model=`` with a run of a registered network."""
    return UsageError(
        Message("the network of {folder} is {name}, which is built in", folder=folder, name=name),
        Message("leave model= out"),
    )

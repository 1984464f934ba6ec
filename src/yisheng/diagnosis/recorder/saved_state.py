"""A recorder's observations as bytes, so that a run that is stopped and continued is diagnosed as a whole."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialize

from yisheng.diagnosis.loss_terms import LossTerm
from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.records import (
    ActivationRecord,
    GradientRecord,
    InputRecord,
    LayerRecord,
    NonFiniteLoss,
    ParameterRecord,
    StepRecord,
)
from yisheng.diagnosis.recorder.schedule import MIN_UPDATES_TO_JUDGE
from yisheng.diagnosis.recorder.trained_rows import TrainedRows

FORMAT = 4
RECORD_TYPES = {
    kind.__name__: kind
    for kind in (
        ActivationRecord,
        GradientRecord,
        InputRecord,
        LayerRecord,
        LossTerm,
        NonFiniteLoss,
        Pairing,
        ParameterRecord,
        StepRecord,
        TrainedRows,
    )
}
SAVED_SEPARATELY = (
    "model",
    "optimizer",
    "records",
    "equal_rows",
    "changed_before",
    "steps",
    "backwards",
    "probe",
    "arguments",
)
"""Attributes of a recorder that are not saved as plain values: parts of this process, or saved in another form."""


def dump(recorder: Recorder) -> bytes:
    """Return all observations so far as safetensors bytes; reading the losses waits for the device.

    >>> net = torch.nn.Linear(2, 1)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> with Recorder(net, sgd) as recorder:
    ...     torch.nn.functional.mse_loss(net(torch.ones(4, 2)), torch.ones(4, 1)).backward()
    ...     sgd.step()
    >>> restored = Recorder(net, sgd)
    >>> load(restored, dump(recorder), 1), restored.losses == recorder.losses, len(restored.records)
    (True, True, 1)
    """
    losses = recorder.loss_observer
    losses.log.read()
    tensors: dict[str, torch.Tensor] = {"losses": torch.tensor(losses.log.values, dtype=torch.float64)}
    tensors |= {f"equal.{name}": row for name, row in recorder.equal_rows.items()}
    unknown = losses.unknown.select_unchanged(recorder.steps)
    tensors |= {f"unknown.{index}": p.detach().clone() for index, p in enumerate(unknown)}
    plain = {
        "format": FORMAT,
        "steps": recorder.steps,
        "backwards": losses.backwards,
        "other_losses": losses.log.other_values,
        "changed": sorted(recorder.changed),
        "probe": None if losses.probe is None else recorder.step_observer.names.get(id(losses.probe)),
        "attributes": {name: _encode(value, tensors) for _, name, value in _plain_attributes(recorder)},
        "records": [_encode(record, tensors) for record in recorder.records],
    }
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return serialize({**content, "json": torch.frombuffer(bytearray(json.dumps(plain).encode()), dtype=torch.uint8)})


def load(recorder: Recorder, content: bytes, step: int) -> bool:
    """Give a recorder the observations of an earlier one; return False if they are damaged.

    Args:
        recorder: not entered yet.
        content: from `dump`.
        step: updates that the training has made: later observations are dropped.
    """
    try:
        tensors = parse(content)
        plain = json.loads(tensors.pop("json").numpy().tobytes())
        if plain["format"] != FORMAT:
            return False
        records = [_decode(record, tensors) for record in plain["records"]]
        values = tensors["losses"].tolist()
        # A step has one loss, or one per piece of its batch: of a log that is cut the fraction is right for both.
        fraction = min(1.0, step / max(1, plain["steps"]))
        count = round(len(values) * fraction)
        records = [record for record in records if isinstance(record, StepRecord) and record.step <= step]
        attributes = [
            (owner, name, _decode(plain["attributes"][name], tensors)) for owner, name, _ in _plain_attributes(recorder)
        ]
        other_losses = [float(loss) for loss in plain["other_losses"]]
        backwards = round(int(plain["backwards"]) * fraction)
        changed = frozenset(map(str, plain["changed"]))
        probe = plain["probe"]
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return False
    recorder.records, recorder.steps, recorder.changed_before = records, step, changed
    for owner, name, value in attributes:
        setattr(owner, name, value)
    recorder.equal_rows = _with_prefix(tensors, "equal.")
    if step < MIN_UPDATES_TO_JUDGE:
        recorder.still_equal = ()
    losses = recorder.loss_observer
    losses.log.values, losses.log.other_values, losses.backwards = values[:count], other_losses, backwards
    unknown = sorted(_with_prefix(tensors, "unknown.").items(), key=lambda pair: int(pair[0]))
    losses.unknown.restored = [tensor for _, tensor in unknown]
    losses.probe = recorder.step_observer.parameters.get(probe) if isinstance(probe, str) else None
    if losses.nonfinite_loss is not None and losses.nonfinite_loss.step > count:
        losses.nonfinite_loss = None
    return True


def _with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _plain_attributes(recorder: Recorder) -> list[tuple[object, str, Any]]:
    """Return the public counters and notes of a recorder: whose they are, name and value."""
    owners: tuple[object, ...] = (recorder, recorder.loss_observer)
    return [
        (owner, name, value)
        for owner in owners
        for name, value in vars(owner).items()
        if name[0] != "_" and name not in SAVED_SEPARATELY and _can_encode(value)
    ]


def _can_encode(value: Any) -> bool:
    """Return whether a value is a plain one or a record; what an observer of its own keeps begins again on resuming."""
    if isinstance(value, tuple | list):
        return all(map(_can_encode, value))
    is_plain = value is None or isinstance(value, str | bool | int | float | torch.Tensor)
    return is_plain or type(value).__name__ in RECORD_TYPES


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return plain data; each tensor is added to ``tensors`` under a number."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.clone()  # two may share their memory
        return {"tensor": name}
    if is_dataclass(value):
        encoded = {field.name: _encode(getattr(value, field.name), tensors) for field in fields(value)}
        return {"type": type(value).__name__, "fields": encoded}
    if isinstance(value, dict):
        return {"dict": {key: _encode(item, tensors) for key, item in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, tensors) for item in value]}
    return [_encode(item, tensors) for item in value] if isinstance(value, list) else value


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Invert `_encode`."""
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "dict" in value:
        return {str(key): _decode(item, tensors) for key, item in value["dict"].items()}
    if "tuple" in value:
        return tuple(_decode(item, tensors) for item in value["tuple"])
    return RECORD_TYPES[value["type"]](**{name: _decode(item, tensors) for name, item in value["fields"].items()})

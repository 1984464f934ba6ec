"""What a watch has seen, as bytes: a run that is stopped and continued is seen as a whole."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise

from yisheng.diagnosis.recorder import recorder as seen
from yisheng.diagnosis.recorder.recorder import SETTLED, Moment, Watch

FORMAT = 2
KINDS = {name: kind for name, kind in vars(seen).items() if isinstance(kind, type) and is_dataclass(kind)}
"""The forms that what was seen is kept in, by name."""
ELSEWHERE = ("model", "optimizer", "moments", "equal_rows", "strangers", "lost", "touched", "steps", "backwards")
"""What a watch has, but is not kept as a plain value: parts of this process, or kept in another way."""


def dump(watch: Watch) -> bytes:
    """All that a watch has seen so far; reading the losses waits for the device.

    >>> net = torch.nn.Linear(2, 1)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> with Watch(net, sgd) as watch:
    ...     torch.nn.functional.mse_loss(net(torch.ones(4, 2)), torch.ones(4, 1)).backward()
    ...     sgd.step()
    >>> again = Watch(net, sgd)
    >>> load(again, dump(watch), 1), again.losses == watch.losses, len(again.moments)
    (True, True, 1)
    """
    watch._read()
    tensors: dict[str, torch.Tensor] = {"losses": torch.tensor(watch._values, dtype=torch.float64)}
    tensors |= {f"equal.{name}": row for name, row in watch.equal_rows.items()}
    tensors |= {f"lost.{at}": p.detach().clone() for at, p in enumerate(watch.strays)}
    plain = {
        "format": FORMAT,
        "steps": watch.steps,
        "backwards": watch.backwards,
        "aside": watch._aside,
        "touched": sorted(watch.changed),
        "probe": None if watch._probe is None else watch._names.get(id(watch._probe)),
        "kept": {name: _plain(value, tensors) for name, value in _counted(watch)},
        "moments": [_plain(moment, tensors) for moment in watch.moments],
    }
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return serialise({**content, "json": torch.frombuffer(bytearray(json.dumps(plain).encode()), dtype=torch.uint8)})


def load(watch: Watch, content: bytes, step: int) -> bool:
    """Let a watch begin with what one before it saw, up to a step; False where it is damaged.

    Args:
        watch: not entered yet.
        content: from `dump`.
        step: updates that the training has behind it: what was seen later is forgotten.
    """
    try:
        tensors = parse(content)
        plain = json.loads(tensors.pop("json").numpy().tobytes())
        if plain["format"] != FORMAT:
            return False
        moments = [_again(one, tensors) for one in plain["moments"]]
        losses = tensors["losses"].tolist()
        # A step has one loss, or as many as it has pieces; of a log cut in the middle the share is right.
        share = min(1.0, step / max(1, plain["steps"]))
        kept = round(len(losses) * share)
        moments = [moment for moment in moments if isinstance(moment, Moment) and moment.step <= step]
        found = {name: _again(plain["kept"][name], tensors) for name, _ in _counted(watch)}
        aside = [float(loss) for loss in plain["aside"]]
        backwards = round(int(plain["backwards"]) * share)
        touched = frozenset(map(str, plain["touched"]))
        probe = plain["probe"]
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return False
    watch.moments = moments
    for name, value in found.items():
        setattr(watch, name, value)
    watch._values, watch._aside = losses[:kept], aside
    watch.steps, watch.backwards, watch.touched = step, backwards, touched
    watch.equal_rows = _named(tensors, "equal.")
    watch.lost = [tensor for _, tensor in sorted(_named(tensors, "lost.").items(), key=lambda pair: int(pair[0]))]
    watch._probe = watch._parameters.get(probe) if isinstance(probe, str) else None
    if step < SETTLED:
        watch.still_equal = ()
    if watch.broken is not None and watch.broken.step > kept:
        watch.broken = None
    return True


def _named(tensors: dict[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _counted(watch: Watch) -> list[tuple[str, Any]]:
    """What a watch counts and notes, besides moments and losses, by name."""
    return [(name, value) for name, value in vars(watch).items() if name[0] != "_" and name not in ELSEWHERE]


def _plain(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Plain data; each tensor is put aside under a number."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.clone()  # two may share their memory
        return {"tensor": name}
    if is_dataclass(value):
        found = {one.name: _plain(getattr(value, one.name), tensors) for one in fields(value)}
        return {"kind": type(value).__name__, "fields": found}
    if isinstance(value, tuple):
        return {"tuple": [_plain(one, tensors) for one in value]}
    return [_plain(one, tensors) for one in value] if isinstance(value, list) else value


def _again(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The inverse of `_plain`."""
    if isinstance(value, list):
        return [_again(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(_again(one, tensors) for one in value["tuple"])
    return KINDS[value["kind"]](**{name: _again(one, tensors) for name, one in value["fields"].items()})

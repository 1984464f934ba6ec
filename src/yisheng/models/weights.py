"""Weights that were trained before: read from a file, and fitted to a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from yisheng.core import registry
from yisheng.core.errors import DataError, YishengError
from yisheng.core.types import Spec
from yisheng.models._weights_file import read
from yisheng.models.head import head, outputs

__all__ = ["Fitted", "fit", "fitting_networks", "preprocessing", "read"]

Triple = tuple[float, float, float]
IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels / 255, by channel (red, green, blue)."""
HALF: tuple[Triple, Triple] = ((0.5,) * 3, (0.5,) * 3)
PREFIXES = ("module.", "_orig_mod.")
"""What `torch.nn.DataParallel` and `torch.compile` put before every name."""
AUXILIARY = ("aux1.", "aux2.")
"""GoogLeNet's side heads: they only served its training, and are not trained in torchvision's file."""
SHOWN = 4


@dataclass(frozen=True)
class Fitted:
    """What came of fitting weights to a network.

    Args:
        loaded: names of the tensors that were loaded.
        head: name of the head.
        fresh: whether the head keeps its first, random weights.
        remarks: what the user should know, a sentence each.
    """

    loaded: tuple[str, ...]
    head: str
    fresh: bool
    remarks: tuple[str, ...] = ()


def preprocessing(name: str) -> tuple[Triple, Triple]:
    """Mean and standard deviation, in units of pixel / 255, that published weights were trained with.

    All of torchvision's classic networks saw images scaled by ImageNet's statistics, but for GoogLeNet, whose
    weights came from TensorFlow: pixels from -1 to 1 (torchvision hides this in ``transform_input``).

    Args:
        name: the network, or the file's name.

    >>> preprocessing("googlenet-1378be20.pth")
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    >>> preprocessing("resnet18")[0]
    (0.485, 0.456, 0.406)
    """
    return HALF if name.lower().startswith("googlenet") else IMAGENET


def fit(model: nn.Module, tensors: Mapping[str, torch.Tensor], *, name: str = "the network") -> Fitted:
    """Load weights into a network, in place: every one, by name and shape, but for what is said here.

    The head keeps its first weights where the file's has another number of outputs: another task was learned
    there. On grey images the first convolution's filters for red, green and blue are added up, which is what
    they do to an image whose three channels are the same. GoogLeNet's side heads are dropped, and so is what
    wrappers put before the names. Counters of batch norm (``num_batches_tracked``), which older files lack, stay.

    Args:
        model: the network; its head is made for the new task.
        tensors: weights by name, as `read` gives them.
        name: the network's registered name, for errors.

    Raises:
        DataError: a tensor is missing, or unexpected, or of another shape; the network is left as it was.

    >>> old, new = (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, n)) for n in (10, 2))
    >>> fitted = fit(new, old.state_dict())
    >>> fitted.loaded, fitted.head, fitted.fresh
    (('0.weight', '0.bias'), '2', True)
    """
    remarks: list[str] = []
    given = _named_plainly(tensors, remarks)
    wanted = model.state_dict()
    where, layer = head(model)
    ours = {key for key in wanted if key.startswith(f"{where}.")}
    there = given.get(f"{where}.weight")
    fresh = there is not None and there.ndim > 0 and there.shape[0] != outputs(layer)
    if fresh:
        assert there is not None
        units = outputs(layer)
        plural = "s" * (units != 1)
        remarks.append(f"the head {where} begins anew: {units} output{plural}, where the weights have {there.shape[0]}")
        given = {key: value for key, value in given.items() if not key.startswith(f"{where}.")}
    _greyed(model, given, remarks)
    expected = {key: value for key, value in wanted.items() if not (fresh and key in ours)}
    trouble = _misfit(expected, given)
    if trouble:
        known = fitting_networks(tensors)
        remedy = f"they fit model={' or model='.join(known)}" if known else "give the weights of this very network"
        raise DataError(f"the weights do not fit {name}: {trouble}", remedy)
    model.load_state_dict({**wanted, **given})
    return Fitted(tuple(given), where, fresh, tuple(remarks))


def fitting_networks(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Registered networks, in their default form, whose body these weights fit.

    Args:
        tensors: weights by name. Only networks for images are looked at: those of rows have names like ``linear1``
            that say nothing.
    """
    given = _named_plainly(tensors, [])
    first = next((value for value in given.values() if value.ndim == 4), None)
    if first is None:
        return []
    spec = Spec("classification", (int(first.shape[1]), 224, 224), classes=("a", "b"))
    return [entry.name for entry in registry.entries("models") if _fits_body(entry, spec, given)]


def _fits_body(entry: registry.Entry, spec: Spec, given: Mapping[str, torch.Tensor]) -> bool:
    if "fits" in entry.meta and not entry.meta["fits"](spec):
        return False
    try:
        with torch.device("meta"):  # shapes without memory
            model: nn.Module = entry.build(spec)
            where, _ = head(model)
    except (YishengError, NotImplementedError, RuntimeError):  # too small an image, or made by looking at values
        return False
    wanted = model.state_dict()
    top = f"{where}."
    if {key for key in wanted if key.startswith(top)} != {key for key in given if key.startswith(top)}:
        return False
    body, ours = ({k: v for k, v in t.items() if not k.startswith(top)} for t in (given, wanted))
    return not _misfit(ours, body)


def _named_plainly(tensors: Mapping[str, torch.Tensor], remarks: list[str]) -> dict[str, torch.Tensor]:
    """Without a wrapper's prefix and without side heads."""
    given = dict(tensors)
    for prefix in PREFIXES:
        if given and all(key.startswith(prefix) for key in given):
            given = {key.removeprefix(prefix): value for key, value in given.items()}
            remarks.append(f"the names of the weights begin with {prefix!r}, of a wrapper around the network: left out")
    aside = [key for key in given if key.startswith(AUXILIARY)]
    if aside:
        remarks.append(f"{len(aside)} weights of side heads (aux1, aux2) are left out: they only serve training")
    return {key: value for key, value in given.items() if key not in aside}


def _greyed(model: nn.Module, given: dict[str, torch.Tensor], remarks: list[str]) -> None:
    """Add up the first convolution's filters over the channels, where images are grey and the weights are not."""
    found = next(((name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)), None)
    if found is None or found[1].in_channels != 1:
        return
    key = f"{found[0]}.weight"
    weight = given.get(key)
    if weight is None or weight.ndim != 4 or weight.shape[1] == 1:
        return
    given[key] = weight.sum(dim=1, keepdim=True)
    remarks.append(f"grey images: the filters of {found[0]} are added up over their {weight.shape[1]} channels")


def _misfit(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """What is missing, unexpected or of another shape; nothing if all fits."""
    missing = [key for key in wanted if key not in given and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in wanted]
    other = [
        f"{key} {_form(given[key])} where {_form(value)} is wanted"
        for key, value in wanted.items()
        if key in given and _form(given[key]) != _form(value)
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": other}
    return "; ".join(f"{kind}: {_few(keys)}" for kind, keys in kinds.items() if keys)


def _form(value: torch.Tensor) -> str:
    return f"{tuple(value.shape)}{'' if value.is_floating_point() else ' of integers'}"


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more

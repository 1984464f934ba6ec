"""Trained weights: loaded into a network of the same body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.errors import DataError, YishengError
from yisheng.core.messages import Message, plural_message
from yisheng.core.spec import Spec
from yisheng.models._weights_file import read_weights
from yisheng.models.head import count_outputs, find_head

__all__ = ["LoadedWeights", "find_matching_networks", "get_normalization", "load_weights", "read_weights"]

Triple = tuple[float, float, float]
IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels / 255, by channel (red, green, blue)."""
MINUS_ONE_TO_ONE: tuple[Triple, Triple] = ((0.5,) * 3, (0.5,) * 3)
"""Mean and standard deviation that scale pixels / 255 to -1 .. 1."""
WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""Prefixes of every name that `torch.nn.DataParallel` and `torch.compile` add."""
AUXILIARY_PREFIXES = ("aux1.", "aux2.")
"""GoogLeNet's auxiliary heads: only its training needed them, and they are not trained in torchvision's file."""
MAX_NAMES_IN_MESSAGE = 4


@dataclass(frozen=True)
class LoadedWeights:
    """Report of loading weights into a network.

    Args:
        loaded: names of the tensors that were loaded.
        head: name of the head.
        new_head: whether the head keeps its initial, random weights.
        notes: what the user should know, one sentence each.
    """

    loaded: tuple[str, ...]
    head: str
    new_head: bool
    notes: tuple[str, ...] = ()


def get_normalization(name: str) -> tuple[Triple, Triple]:
    """Return the mean and standard deviation, in units of pixel / 255, that published weights were trained with.

    All of torchvision's classic networks were trained on images scaled by ImageNet's statistics, except GoogLeNet,
    whose weights come from TensorFlow: pixels from -1 to 1 (torchvision computes them in ``transform_input``).

    Args:
        name: the network's or the file's name.

    >>> get_normalization("googlenet-1378be20.pth")
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    >>> get_normalization("resnet18")[0]
    (0.485, 0.456, 0.406)
    """
    return MINUS_ONE_TO_ONE if name.lower().startswith("googlenet") else IMAGENET


def load_weights(model: nn.Module, tensors: Mapping[str, torch.Tensor], *, name: str = "the network") -> LoadedWeights:
    """Load weights into a network, in place: every one, by name and shape, with these exceptions.

    The head keeps its initial weights if the file's has another number of outputs, since it was trained for another
    task. On gray images the first convolution's filters for red, green and blue are summed, which is what they compute
    on an image whose three channels are equal. GoogLeNet's auxiliary heads and the prefixes of wrappers are dropped.
    Counters of batch norm (``num_batches_tracked``), which older files lack, stay.

    Args:
        model: the network; its head is made for the new task.
        tensors: weights by name, as returned by `read_weights`.
        name: the network's registered name, for errors.

    Raises:
        DataError: a tensor is missing, or unexpected, or of another shape; the network is not changed.

    >>> old, new = (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, n)) for n in (10, 2))
    >>> report = load_weights(new, old.state_dict())
    >>> report.loaded, report.head, report.new_head
    (('0.weight', '0.bias'), '2', True)
    """
    notes: list[str] = []
    source = _remove_wrappers(tensors, notes)
    target = model.state_dict()
    head_name, head = find_head(model)
    head_keys = {key for key in target if key.startswith(f"{head_name}.")}
    source_head = source.get(f"{head_name}.weight")
    units = count_outputs(head)
    new_head = source_head is not None and source_head.ndim > 0 and source_head.shape[0] != units
    if new_head:
        assert source_head is not None
        notes.append(
            plural_message(
                units,
                "the head {head} is initialized at random: it has {units} output, and that of the weights has {count}",
                "the head {head} is initialized at random: it has {units} outputs, and that of the weights has {count}",
                head=head_name,
                units=units,
                count=source_head.shape[0],
            )
        )
        source = {key: value for key, value in source.items() if not key.startswith(f"{head_name}.")}
    _sum_color_filters(model, source, notes)
    expected = {key: value for key, value in target.items() if not (new_head and key in head_keys)}
    mismatch = _describe_mismatch(expected, source)
    if mismatch:
        networks = find_matching_networks(tensors)
        remedy = (
            Message("they fit model={names}", names=", model=".join(networks))
            if networks
            else Message("use weights of this network")
        )
        raise DataError(Message("the weights do not fit {name}: {mismatch}", name=name, mismatch=mismatch), remedy)
    model.load_state_dict({**target, **source})
    return LoadedWeights(tuple(source), head_name, new_head, tuple(notes))


def find_matching_networks(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the registered networks, with their default options, whose body these weights fit.

    Args:
        tensors: weights by name. Only networks for images are compared: those for rows have names like ``linear1``,
            which do not identify a network.
    """
    source = _remove_wrappers(tensors, [])
    filters = next((value for value in source.values() if value.ndim == 4), None)
    if filters is None:
        return []
    spec = Spec("classification", (int(filters.shape[1]), 224, 224), classes=("a", "b"))
    return [entry.name for entry in registry.entries("models") if _matches_body(entry, spec, source)]


def _matches_body(entry: Entry, spec: Spec, source: Mapping[str, torch.Tensor]) -> bool:
    """Return whether all weights except those of the head have the names and shapes of the network's."""
    if "fits" in entry.meta and not entry.meta["fits"](spec):
        return False
    try:
        with torch.device("meta"):  # shapes without memory
            model: nn.Module = entry.build(spec)
            head_name, _ = find_head(model)
    except (YishengError, NotImplementedError, RuntimeError):  # the image is too small, or it computes with values
        return False
    target = model.state_dict()
    prefix = f"{head_name}."
    if {key for key in target if key.startswith(prefix)} != {key for key in source if key.startswith(prefix)}:
        return False
    source_body, target_body = ({k: v for k, v in t.items() if not k.startswith(prefix)} for t in (source, target))
    return not _describe_mismatch(target_body, source_body)


def _remove_wrappers(tensors: Mapping[str, torch.Tensor], notes: list[str]) -> dict[str, torch.Tensor]:
    """Return the tensors without a wrapper's prefix and without auxiliary heads."""
    source = dict(tensors)
    for prefix in WRAPPER_PREFIXES:
        if source and all(key.startswith(prefix) for key in source):
            source = {key.removeprefix(prefix): value for key, value in source.items()}
            notes.append(
                Message(
                    "the prefix {prefix!r} of the weights' names, from a wrapper of the network, is removed",
                    prefix=prefix,
                )
            )
    auxiliary = [key for key in source if key.startswith(AUXILIARY_PREFIXES)]
    if auxiliary:
        notes.append(
            Message(
                "{count} weights of auxiliary heads (aux1, aux2) are left out: only training needs them",
                count=len(auxiliary),
            )
        )
    return {key: value for key, value in source.items() if key not in auxiliary}


def _sum_color_filters(model: nn.Module, source: dict[str, torch.Tensor], notes: list[str]) -> None:
    """Sum the first convolution's filters over the channels if images are gray and the weights are not."""
    convolution = next(((name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)), None)
    if convolution is None or convolution[1].in_channels != 1:
        return
    name = convolution[0]
    weight = source.get(f"{name}.weight")
    if weight is None or weight.ndim != 4 or weight.shape[1] == 1:
        return
    source[f"{name}.weight"] = weight.sum(dim=1, keepdim=True)
    notes.append(
        Message(
            "gray images: the filters of {name} are summed over their {channels} channels",
            name=name,
            channels=weight.shape[1],
        )
    )


def _describe_mismatch(target: Mapping[str, torch.Tensor], source: Mapping[str, torch.Tensor]) -> str:
    """Return which tensors are missing, unexpected or of another shape; empty if all fit."""
    missing = [key for key in target if key not in source and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in source if key not in target]
    mismatched = [
        f"{key} {_describe_shape(source[key])} instead of {_describe_shape(value)}"
        for key, value in target.items()
        if key in source and _describe_shape(source[key]) != _describe_shape(value)
    ]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": mismatched}
    return "; ".join(f"{problem}: {_abbreviate(keys)}" for problem, keys in problems.items() if keys)


def _describe_shape(value: torch.Tensor) -> str:
    return f"{tuple(value.shape)}{'' if value.is_floating_point() else ' of integers'}"


def _abbreviate(keys: list[str]) -> str:
    remaining = len(keys) - MAX_NAMES_IN_MESSAGE
    return ", ".join(keys[:MAX_NAMES_IN_MESSAGE]) + (f" and {remaining} more" if remaining > 0 else "")

"""Other networks of the user's program: copies of the trained one, and trained weights that were not loaded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.initialization import have_structure, is_freshly_initialized
from yisheng.diagnosis.recorder.guard import Guard
from yisheng.diagnosis.recorder.source_lines import user_frames

MAX_FRAMES, MAX_VARIABLES, MAX_COPIES = 6, 500, 4
"""Callers whose variables are looked at, variables of each, and copies that are watched."""
SCAN_STEPS = (1, 5)
"""Updates before which the variables are looked at: copies may be made after the first one."""
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
MIN_MATRICES = 2
"""Weights of two or more axes that a network must have to be recognized by their shapes."""


@dataclass
class CallCounter:
    """A forward hook that counts the calls of a network without gradients, by its mode.

    Args:
        training: calls in training mode.
        evaluation: calls in evaluation mode.
    """

    training: int = 0
    evaluation: int = 0

    def __call__(self, module: nn.Module, _arguments: Any, _output: Any) -> None:
        if torch.is_grad_enabled() and any(p.requires_grad for p in itertools.islice(module.parameters(), 1)):
            return
        if module.training:
            self.training += 1
        else:
            self.evaluation += 1


@dataclass
class NetworkCopy:
    """A network with the parameters of the trained one, by name and shape.

    Args:
        model: the copy.
        was_equal: whether it had the same values before the first update.
        versions: of its parameters and buffers by name, when it was found.
        calls: of it since then.
        step: updates made before it was found.
    """

    model: nn.Module
    was_equal: bool
    versions: dict[str, int]
    calls: CallCounter = field(default_factory=CallCounter)
    step: int = 0

    def is_unchanged(self, kind: str) -> bool:
        """Return whether nothing has changed its ``parameters``, or its ``statistics`` of batch norm."""
        tensors = dict(self.model.named_parameters() if kind == "parameters" else named_statistics(self.model))
        return all(tensor._version == self.versions.get(name) for name, tensor in tensors.items())


@dataclass(frozen=True)
class UnloadedWeights:
    """Trained weights of a program that fit the untrained network by shape, but not by name.

    Args:
        names: the first names of the program's weights and of the network's.
        count: weights of two or more axes that fit.
    """

    names: tuple[str, str]
    count: int


class NetworkCopies:
    """The copies of a network that the program holds in variables, watched until the training is over.

    Args:
        model: the network.
        guard: runs the hooks.

    Attributes:
        copies: of the network.
        unloaded: trained weights that were not loaded into it; None if there are none.
    """

    def __init__(self, model: nn.Module, guard: Guard) -> None:
        self.copies: list[NetworkCopy] = []
        self.unloaded: UnloadedWeights | None = None
        self._model, self._guard = model, guard
        self._handles: list[Any] = []

    def scan(self, step: int, *, is_untrained: bool) -> None:
        """Look for copies among the variables of the callers.

        Args:
            step: updates made before.
            is_untrained: whether the network has its random initial weights.
        """
        shapes = {name: p.shape for name, p in self._model.named_parameters()}
        known_ids = {id(module) for module in self._model.modules()} | {id(copy.model) for copy in self.copies}
        try:
            values = list(find_values(user_frames()))
            for value in values:
                if isinstance(value, nn.Module) and id(value) not in known_ids and len(self.copies) < MAX_COPIES:
                    copy = _find_copy(value, shapes, known_ids)
                    if copy is not None:
                        known_ids.add(id(copy))
                        self._watch(copy, step)
            if is_untrained and not step:
                self.unloaded = find_unloaded(self._model, values)
        except Exception:  # the objects of the program may do anything when they are looked at
            return

    def stop(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _watch(self, model: nn.Module, step: int) -> None:
        named = dict(self._model.named_parameters())
        was_equal = not step and all(torch.equal(p, named[name]) for name, p in model.named_parameters())
        tensors = itertools.chain(model.named_parameters(), named_statistics(model))
        copy = NetworkCopy(model, was_equal, {name: tensor._version for name, tensor in tensors}, step=step)
        self._handles.append(model.register_forward_hook(self._guard.protect(copy.calls)))
        self.copies.append(copy)


def named_statistics(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the running statistics of the batch norms of a network by name."""
    for name, module in model.named_modules():
        if isinstance(module, BATCH_NORMS) and module.running_mean is not None and module.running_var is not None:
            yield f"{name}.running_mean", module.running_mean
            yield f"{name}.running_var", module.running_var


def find_values(frames: Iterator[FrameType]) -> Iterator[Any]:
    """Yield what variables of the nearest callers hold, and the attributes of the objects that methods belong to."""
    ids: set[int] = set()
    for frame in itertools.islice(frames, MAX_FRAMES):
        variables = frame.f_locals
        for name, value in itertools.islice(list(variables.items()), MAX_VARIABLES):
            is_owner = name == "self" and not isinstance(value, nn.Module) and hasattr(value, "__dict__")
            candidates = [value, *itertools.islice(vars(value).values(), MAX_VARIABLES)] if is_owner else [value]
            for candidate in candidates:
                if isinstance(candidate, nn.Module | dict) and id(candidate) not in ids:
                    ids.add(id(candidate))
                    yield candidate


def find_unloaded(model: nn.Module, values: list[Any]) -> UnloadedWeights | None:
    """Return trained weights among some values whose shapes are those of a network and whose names are not.

    Args:
        model: the network, untrained.
        values: networks, and dicts of tensors.

    >>> net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> saved = {f"module.{name}": value**3 for name, value in net.state_dict().items()}
    >>> find_unloaded(net, [saved]).names, find_unloaded(net, [net.state_dict()])
    (('module.0.weight', '0.weight'), None)
    """
    parameters = [(name, p) for name, p in model.named_parameters() if p.ndim > 1]
    own_names = {name for name, _ in parameters}
    for value in values:
        if value is model or len(parameters) < MIN_MATRICES:
            continue
        weights = dict(value.named_parameters()) if isinstance(value, nn.Module) else value
        matrices = [
            (name, p) for name, p in weights.items() if isinstance(p, torch.Tensor) and p.ndim > 1 and type(name) is str
        ]
        common = [name for name, _ in matrices if name in own_names]
        pairs = list(zip(matrices, parameters, strict=False))
        fits = [(a, b) for a, b in pairs if a[1].shape == b[1].shape]
        if common or len(fits) < max(MIN_MATRICES, len(parameters) - 1) or len(matrices) < len(parameters) - 1:
            continue
        if not any(torch.equal(a[1], b[1]) for a, b in fits) and _are_trained(fits):
            return UnloadedWeights((fits[0][0][0], fits[0][1][0]), len(fits))
    return None


def _are_trained(pairs: Sequence[tuple[tuple[str, torch.Tensor], tuple[str, torch.Tensor]]]) -> bool:
    """Return whether the first weights of some pairs have been trained and the second ones have not."""
    saved, parameters = ([pair[i][1] for pair in pairs] for i in (0, 1))
    has_changed = all(map(is_freshly_initialized, parameters)) and not any(map(is_freshly_initialized, saved))
    return has_changed or have_structure(saved)


def _find_copy(value: nn.Module, shapes: Mapping[str, torch.Size], known_ids: set[int]) -> nn.Module | None:
    """Return the part of a network that has these parameters, or None: the network, or what an average holds."""
    candidates = [value, *(module for name, module in value.named_children() if name == "module")]
    for module in candidates:
        contains_trained = any(id(part) in known_ids for part in module.modules())
        if not contains_trained and {name: p.shape for name, p in module.named_parameters()} == shapes:
            return module
    return None

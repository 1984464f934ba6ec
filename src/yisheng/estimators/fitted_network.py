"""A trained network as plain data, for the estimators."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng import transforms
from yisheng.core import machine, nested, registry
from yisheng.core.seeds import isolated_generators
from yisheng.core.spec import Spec
from yisheng.evaluation.predictions import apply_link

ROWS_PER_PASS = 8192
"""Rows of one forward pass."""


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A trained network that can be pickled without any pickled code, unless the network is the user's own.

    Args:
        model: registered name of the network.
        options: its options.
        spec: the contract of the raw data.
        transforms: the fitted transforms by role (``input``, ``target``) as plain data, or None.
        weights: the state dict, as arrays.
        own_network: the user's own network, from which another copy is made; None for a registered one.
    """

    model: str
    options: Mapping[str, Any]
    spec: Spec
    transforms: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    own_network: nn.Module | None = None

    @functools.cached_property
    def network(self) -> nn.Module:
        """Return the network in evaluation mode, on the CPU, in float64.

        In float64 the output of a row does not depend on the other rows of the batch. In float32 it would, in the last
        digit, because larger blocks are multiplied in another order.
        """
        with isolated_generators():  # building draws initial weights, which are discarded
            inner = transforms.transform_spec(self.scale, self.spec)
            network: nn.Module = (
                registry.find("models", self.model).build(inner, **self.options)
                if self.own_network is None
                else copy.deepcopy(self.own_network)
            )
        network.load_state_dict({name: torch.tensor(value) for name, value in self.weights.items()})
        return network.double().eval().requires_grad_(False)

    @functools.cached_property
    def scale(self) -> Any:
        """Return the fitted input transform."""
        return transforms.from_json(self.transforms["input"])

    @functools.cached_property
    def target_scale(self) -> Any:
        """Return the fitted target transform, or None."""
        plain = self.transforms["target"]
        return None if plain is None else transforms.from_json(plain)

    def outputs(self, x: np.ndarray) -> torch.Tensor:
        """Return the network's outputs for rows ``(N, D)``, float64 ``(N, O)``: logits, or scaled targets."""
        with torch.inference_mode(), machine.use_threads(machine.threads_worth(x.size)):
            starts = range(0, len(x), ROWS_PER_PASS)
            chunks = (nested.from_numpy(x[start : start + ROWS_PER_PASS].astype(np.float64)) for start in starts)
            return torch.cat([self.network(nested.to_contiguous(self.scale.apply(chunk))) for chunk in chunks])

    def predictions(self, x: np.ndarray) -> np.ndarray:
        """Return probabilities ``(N, C)``, or numbers in the original unit ``(N, T)``, float64."""
        invert = None if self.target_scale is None else self.target_scale.invert
        return apply_link(self.outputs(x), self.spec, invert).numpy()

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # without cached properties

"""A user's own initialization: of one weight tensor, or of a module, as in ``net.apply(init_weights)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from yisheng.core.callables import build_instance, list_required
from yisheng.core.custom_entry import CustomEntry

TENSOR_NAMES: Final = ("tensor", "weight", "weights", "w", "t", "parameter")
"""Names of the first parameter of a function that fills a tensor."""


def make_entry(component: Callable[..., Any], name: str) -> CustomEntry:
    """Return the entry of a user's own initialization.

    A function of ``torch.nn.init``, and one whose first parameter is called ``tensor``, ``weight`` or ``w``, fills the
    weights of linear and convolution layers. Any other one is called with every module of the network, innermost
    first, as ``net.apply`` does (fact ``applies`` of the entry).

    Args:
        component: the function.
        name: its reference.

    >>> from torch import nn
    >>> def init_weights(m): ...
    >>> make_entry(nn.init.zeros_, "torch.nn.init:zeros_").meta["applies"]
    False
    >>> make_entry(init_weights, "net.py:init_weights").meta["applies"]
    True
    """
    component = build_instance(component, "init")
    parameters = list_required(component)
    fills_tensor = getattr(component, "__module__", "") == "torch.nn.init" or parameters[:1] in [
        [parameter] for parameter in TENSOR_NAMES
    ]
    build = _fill(component) if fills_tensor else component
    return CustomEntry("init", name, build, {"custom": True, "applies": not fills_tensor}, open_ended=True)


def _fill(component: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that fills a weight, whether the user's own changes it or returns other values."""

    def fill(weight: torch.Tensor, **options: Any) -> None:
        result = component(weight, **options)
        if isinstance(result, torch.Tensor) and result is not weight:
            with torch.no_grad():
                weight.copy_(result)

    return fill

"""Train a network temporarily: afterwards everything is as it was, to the bit."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn


@contextlib.contextmanager
def preserve_training_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Restore everything that is trained inside, to the bit.

    Restored are parameters, gradients, buffers, modes, the state and settings of the optimizer, and the random
    generators of Python, NumPy and torch.

    >>> net = nn.Linear(2, 1)
    >>> sgd, before = torch.optim.SGD(net.parameters(), lr=0.1), net.weight.clone()
    >>> with preserve_training_state(net, sgd):
    ...     _ = net.weight.data.zero_()
    >>> torch.equal(net.weight, before)
    True
    """
    with _preserve_optimizer(optimizer), _preserve_network(model, optimizer), preserve_random_states():
        yield


@contextlib.contextmanager
def preserve_random_states() -> Iterator[None]:
    """Restore the random generators of Python, NumPy and torch: a network may draw from each of them.

    >>> before = random.getstate()
    >>> with preserve_random_states():
    ...     _ = random.random()
    >>> random.getstate() == before
    True
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextlib.contextmanager
def _preserve_network(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    held = {id(p): p for group in optimizer.param_groups for p in group["params"]}
    parameters = list({**{id(p): p for p in model.parameters()}, **held}.values())
    values = [(p, p.detach().clone(), p.grad, None if p.grad is None else p.grad.clone()) for p in parameters]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    modes = [(module, module.training) for module in model.modules()]
    requires_grad = [(p, p.requires_grad) for p in parameters]
    try:
        yield
    finally:
        with torch.no_grad():
            for p, value, gradient, gradient_value in values:
                p.copy_(value)
                p.grad = gradient
                if gradient is not None and gradient_value is not None:
                    gradient.copy_(gradient_value)
            for buffer, value in buffers:
                buffer.copy_(value)
        for module, training in modes:
            module.training = training
        for p, required in requires_grad:
            p.requires_grad_(required)


@contextlib.contextmanager
def _preserve_optimizer(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    state = {p: copy.deepcopy(dict(values)) for p, values in optimizer.state.items()}
    groups = [
        {key: copy.deepcopy(value) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    try:
        yield
    finally:
        optimizer.state.clear()
        optimizer.state.update(state)
        for group, settings in zip(optimizer.param_groups, groups, strict=True):
            for key in [key for key in group if key != "params" and key not in settings]:
                del group[key]
            group.update(settings)

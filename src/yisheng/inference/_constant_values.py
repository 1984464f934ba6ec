"""The values of tensors that do not depend on a network's inputs, while its graph is recorded.

`torch.export` records a graph on tensors without values, so a network that asks for a value fails, even if the value is
the same for all inputs: `torch.nn.Transformer` asks whether the mask that it was given is the causal one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

CREATING = frozenset(
    {
        *(torch.arange, torch.eye, torch.full, torch.hann_window, torch.linspace, torch.logspace, torch.ones),
        *(torch.tensor, torch.tril_indices, torch.triu_indices, torch.zeros),
    }
)
"""Functions whose results depend on nothing but their arguments."""
READING = frozenset(
    {
        *(torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__, torch.Tensor.__index__),
        *(torch.Tensor.item, torch.Tensor.tolist),
        *(torch.equal, torch.allclose, torch.Tensor.equal, torch.Tensor.allclose),
    }
)
"""Functions that return values of tensors as numbers."""
RANDOM_WORDS = ("rand", "normal", "bernoulli", "dropout", "multinomial", "uniform", "exponential", "poisson", "empty")
IN_PLACE = frozenset(
    {
        *("__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__", "__imod__", "__ipow__", "__imatmul__"),
        *("__iand__", "__ior__", "__ixor__", "__ilshift__", "__irshift__", "__setitem__", "__set__"),
    }
)
"""Special methods that change a tensor; other methods that do end in an underscore."""
MAX_VALUES = 1 << 22
"""Larger tensors are not followed."""


class ConstantValues(TorchFunctionMode):
    """Follow the tensors that a network makes of constants, and return their values where it asks for them.

    The values are computed in another thread, because recording is a state of the thread that records.

    Args:
        executor: of one thread.
        constants: tensors of the graph that is recorded, and their values: the network's buffers.
    """

    def __init__(self, executor: Executor, constants: Iterable[tuple[torch.Tensor, torch.Tensor]] = ()) -> None:
        super().__init__()
        self.executor = executor
        self.values: dict[int, torch.Tensor] = {}
        self.followed: list[torch.Tensor] = []
        for recorded, value in constants:
            self._follow(recorded, value)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors: list[torch.Tensor] = []
        try:
            values = self._replace([list(args), kwargs], tensors)
        except LookupError:
            values = None
        if values is not None and tensors and func in READING:
            return self._compute(func, *values)
        result = func(*args, **kwargs)
        is_followed = values is not None and (tensors or func in CREATING) and not _is_random(func)
        try:
            if is_followed:
                self._follow(result, self._compute(func, *values))
        except Exception:  # the recorded call succeeded: this value is just not available
            is_followed = False
        if not is_followed and _changes_arguments(func, kwargs):
            self.values.clear()  # the tensor may be a view of any of them
        return result

    def _compute(self, func: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        def compute() -> Any:
            with torch.no_grad():
                return func(*args, **kwargs)

        return self.executor.submit(compute).result()

    def _follow(self, recorded: Any, value: Any) -> None:
        if isinstance(recorded, tuple | list) and isinstance(value, tuple | list):
            for pair in zip(recorded, value, strict=False):
                self._follow(*pair)
        elif isinstance(recorded, torch.Tensor) and isinstance(value, torch.Tensor) and value.numel() <= MAX_VALUES:
            self.values[id(recorded)] = value
            self.followed.append(recorded)  # keeps its id from being used again

    def _replace(self, value: Any, tensors: list[torch.Tensor]) -> Any:
        """Return arguments with values in place of tensors; collect the tensors.

        Raises:
            LookupError: one depends on the network's inputs or parameters.
        """
        if isinstance(value, torch.Tensor):
            tensors.append(value)
            return self.values[id(value)]
        if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            raise LookupError
        if type(value) in (list, tuple):
            return type(value)(self._replace(item, tensors) for item in value)
        if type(value) is dict:
            return {key: self._replace(item, tensors) for key, item in value.items()}
        if isinstance(value, slice):
            return slice(*(self._replace(part, tensors) for part in (value.start, value.stop, value.step)))
        return value


def _changes_arguments(func: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    name = getattr(func, "__name__", "")
    is_in_place = name in IN_PLACE if name.startswith("__") else name.endswith("_")
    return is_in_place or kwargs.get("out") is not None or bool(kwargs.get("inplace"))


def _is_random(func: Callable[..., Any]) -> bool:
    name = getattr(func, "__name__", "")
    return any(word in name for word in RANDOM_WORDS)

"""Find the line at which a network's forward pass leaves the graph, in a pass after parameters had no gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from yisheng.diagnosis.probe import is_compiled
from yisheng.diagnosis.recorder.guard import Guard
from yisheng.diagnosis.recorder.source_lines import find_direct_source

CUTS = frozenset({"detach", "detach_", "data", "numpy", "item", "tolist", "argmax", "round", "sign"})
"""Names of functions and attributes whose results do not depend on the parameters any more."""
EVENT = "cut"


class CutFinder:
    """Look for the line in one forward pass, in which every torch function is observed and computes as it does.

    Args:
        sources: receives the line under the name `EVENT`; two lines are joined by "or".
    """

    def __init__(self, sources: dict[str, str], guard: Guard) -> None:
        self._sources, self._guard = sources, guard
        self._handles: list[Any] = []
        self._mode: _CutMode | None = None

    def start(self, model: nn.Module) -> None:
        """Observe the next forward pass of a network, unless one was observed or its code is compiled."""
        if self._handles or EVENT in self._sources or is_compiled(model):
            return
        self._handles = [
            model.register_forward_pre_hook(self._guard.protect(self._enter)),
            model.register_forward_hook(self._guard.protect(self._leave, ends=True), always_call=True),
        ]

    def stop(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _enter(self, _module: nn.Module, _arguments: Any) -> None:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            self._mode = _CutMode()
            self._mode.__enter__()

    def _leave(self, _module: nn.Module, _arguments: Any, _output: Any) -> None:
        mode, self._mode = self._mode, None
        if mode is None:
            return
        mode.__exit__(None, None, None)
        self._sources[EVENT] = " or ".join(mode.lines) if len(mode.lines) <= 2 else ""
        self.stop()


class _CutMode(TorchFunctionMode):
    """Note the lines at which something that depends on parameters is detached."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        name = getattr(getattr(func, "__self__", None), "__name__", "") if name == "__get__" else name
        is_cut = name in CUTS or not torch.is_grad_enabled()
        if is_cut and any(isinstance(value, torch.Tensor) and value.requires_grad for value in args):
            line = find_direct_source()
            if line and line not in self.lines:
                self.lines.append(line)
        return func(*args, **(kwargs or {}))

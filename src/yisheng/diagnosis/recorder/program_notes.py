"""What is noted of a user's program: its lines, and its calls of PyTorch's loss functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.recorder.cuts import CutFinder
from yisheng.diagnosis.recorder.guard import Guard
from yisheng.diagnosis.recorder.loss_calls import LOSS_FUNCTIONS, LossCall, describe_loss_call
from yisheng.diagnosis.recorder.source_lines import Variable, find_source_of_error, find_variable, is_torch_file

MAX_LOSS_CALLS = 16
"""Calls of loss functions that are kept."""
REFUSALS = (RuntimeError, ValueError, IndexError, TypeError)
"""What a loss function raises if it does not accept its arguments."""


class ProgramNotes:
    """The lines of a user's program by what they do, and its calls of loss functions.

    Args:
        guard: runs the hooks.
        is_active: whether the program is the user's own; nothing is noted otherwise.

    Attributes:
        sources: lines of the program by what they do first (``loss``, ``backward``, ``step``).
        loss_calls: calls of PyTorch loss functions in recorded steps, and those that torch refused.
    """

    def __init__(self, guard: Guard, *, is_active: bool) -> None:
        self.sources: dict[str, str] = {}
        self.loss_calls: list[LossCall] = []
        self._is_active, self._guard = is_active, guard
        self._optimizer_variable: Variable | None = None
        self._cut_finder = CutFinder(self.sources, guard)

    def begin(self, optimizer: torch.optim.Optimizer) -> None:
        """Find the variable that holds the optimizer."""
        if self._is_active:
            self._optimizer_variable = find_variable(optimizer)

    def end(self, error: BaseException | None, trace: TracebackType | None, inputs: torch.Tensor | None) -> None:
        """Note the call of a loss function that ended the training, if one did.

        Args:
            error: what ended it, if anything did.
            trace: where.
            inputs: the network's last input.
        """
        self._cut_finder.stop()
        if self._is_active and isinstance(error, REFUSALS) and not any(call.error for call in self.loss_calls):
            call = find_refused_call(error, trace, inputs)
            if call is not None:
                self.loss_calls.append(call)

    def note_source(self, event: str, source: str | Callable[[], str]) -> None:
        """Note the line of the program where something happens first."""
        if self._is_active and event not in self.sources:
            line = source if isinstance(source, str) else source()
            if line:
                self.sources[event] = line

    def note_loss_call(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        inputs: torch.Tensor | None,
        error: BaseException | None,
        result: Any = None,
    ) -> None:
        """Note a call of a loss function, if it raised or only a few were noted.

        Args:
            name: of the function.
            args: its positional arguments.
            kwargs: its other arguments.
            inputs: the network's last input.
            error: what it raised.
            result: what it returned.
        """
        if error is None and len(self.loss_calls) >= MAX_LOSS_CALLS:
            return
        call = describe_loss_call(name, args, kwargs, inputs, error)
        if call is not None:
            self.loss_calls.append(call)
            self.note_source("loss", call.source)
            if isinstance(result, torch.Tensor) and result.requires_grad and result.ndim:
                result.register_hook(self._guard.protect(call.note_gradient))

    def find_cut(self, model: nn.Module) -> None:
        """Find the line at which the next forward pass of a network leaves the graph."""
        self._cut_finder.start(model)

    def find_sources(self) -> dict[str, str]:
        """Return the lines of the program, that of the optimizer's construction included."""
        try:
            construction = "" if self._optimizer_variable is None else self._optimizer_variable.find_construction()
        except Exception:  # Python may refuse to parse the program, as in several threads at once
            construction = ""
        return {**self.sources, **({"optimizer": construction} if construction else {})}


def find_refused_call(
    error: BaseException, trace: TracebackType | None, inputs: torch.Tensor | None
) -> LossCall | None:
    """Return the call of one of PyTorch's loss functions that raised an error, or None if none did.

    Args:
        error: what was raised.
        trace: where; the arguments are those of the function when it raised.
        inputs: the network's last input.

    >>> try:
    ...     torch.nn.functional.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3]))
    ... except IndexError as refusal:
    ...     call = find_refused_call(refusal, refusal.__traceback__, None)
    >>> call.function, call.high, call.error
    ('cross_entropy', 3.0, 'Target 3 is out of bounds.')
    """
    source = find_source_of_error(trace)
    while trace is not None:
        code, variables = trace.tb_frame.f_code, trace.tb_frame.f_locals
        if code.co_name in LOSS_FUNCTIONS and is_torch_file(code.co_filename):
            args, options = (variables.get("input"), variables.get("target")), {"ignore_index", "reduction"}
            kwargs = {name: variables[name] for name in options & variables.keys()}
            call = describe_loss_call(code.co_name, args, kwargs, inputs, error)
            return None if call is None else replace(call, source=source)
        trace = trace.tb_next
    return None

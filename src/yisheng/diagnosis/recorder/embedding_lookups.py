"""Numbers that evaluations look up in the embeddings of a network, also where only its parts are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.compiler import is_compiling

from yisheng.diagnosis.recorder.guard import Guard

MAX_ROWS, MAX_POSITIONS = 64, 64
"""Rows of a call and positions of a row that are kept."""
MAX_CALLS_PER_LENGTH, MAX_LENGTHS = 4, 32
"""Calls with rows of one length that are kept, and such lengths: a decoder reads one token more each time."""
MAX_TRAINING_CALLS = 64
"""Calls of training that are kept."""

Hook = Callable[[nn.Module, tuple[Any, ...]], None]


class EmbeddingLookups:
    """Numbers that are looked up, by the name of the embedding.

    The hooks exist between an evaluation's first pass and the next pass with gradients.

    Args:
        model: the network.
        guard: runs the hooks.

    Attributes:
        evaluated: numbers ``(B, ...)`` of calls without gradients after an update.
        trained: numbers of calls in recorded steps, flat.
    """

    def __init__(self, model: nn.Module, guard: Guard) -> None:
        self.evaluated: dict[str, list[torch.Tensor]] = {}
        self.trained: dict[str, list[torch.Tensor]] = {}
        self._embeddings = {name: part for name, part in model.named_modules() if isinstance(part, nn.Embedding)}
        self._calls: dict[tuple[str, tuple[int, ...]], int] = {}
        self._handles: list[Any] = []
        self._guard = guard

    def begin_evaluation(self) -> None:
        """Note the calls from now on."""
        if self._embeddings and not self._handles:
            self._handles = [
                embedding.register_forward_pre_hook(self._guard.protect(self._make_hook(name, embedding)))
                for name, embedding in self._embeddings.items()
            ]

    def end_evaluation(self) -> None:
        """Note no more calls."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def note_training(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Note a call in a recorded step.

        Args:
            name: of the embedding.
            arguments: its arguments.
        """
        calls = self.trained.setdefault(name, [])
        if len(calls) < MAX_TRAINING_CALLS and arguments and isinstance(arguments[0], torch.Tensor):
            calls.append(arguments[0].detach().flatten()[: MAX_ROWS * MAX_POSITIONS].clone())

    def _make_hook(self, name: str, embedding: nn.Embedding) -> Hook:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            if is_compiling() or module is not embedding:  # a copy of the network has the hook, too
                return
            if torch.is_grad_enabled():
                self.end_evaluation()
            elif arguments and isinstance(arguments[0], torch.Tensor):
                self._note(name, arguments[0].detach())

        return hook

    def _note(self, name: str, numbers: torch.Tensor) -> None:
        key = (name, tuple(numbers.shape[1:]))
        count = self._calls.get(key, 0)
        if numbers.ndim not in (1, 2) or count == MAX_CALLS_PER_LENGTH or not numbers.numel():
            return
        if not count and len(self._calls) >= MAX_LENGTHS * len(self._embeddings):
            return
        self._calls[key] = count + 1
        sample = numbers[:MAX_ROWS] if numbers.ndim == 1 else numbers[:MAX_ROWS, :MAX_POSITIONS]
        self.evaluated.setdefault(name, []).append(sample.clone())

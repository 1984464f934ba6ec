"""Models that are fitted to rows by a method of their own, not by gradient steps: trees, nearest neighbors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng.core.types import Spec


@dataclass(frozen=True)
class FitRows:
    """The rows that a model is fitted to.

    Args:
        x: scaled inputs ``(N, D)``, float32; NaN where a value is missing.
        y: transformed targets: class numbers ``(N,)``, labels ``(N, L)`` of zeros and ones, or numbers ``(N, O)``.
        weight: weights of the rows ``(N,)``, or None.
        seed: of the model's random choices.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    seed: int


CERTAIN_LOGIT = 30.0
"""Logit of the only class, and minus the logit of a class without training rows."""


class FittedModel(nn.Module):
    """A module whose buffers are computed from the training rows, in one stage or several.

    After each stage the model predicts, so that the validation score can choose among the stages, as it chooses among
    epochs. The sizes of the buffers depend on the rows: `load_state_dict` takes those of the file.
    """

    stages = 1
    """Number of stages if the config leaves ``epochs`` open."""

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Fit the next stage, from 0 on. The same rows and seed give the same model, also in a new process.

        Args:
            stage: its number. If the previous ones were fitted in another process, they are fitted again.
            rows: the training part, in the same order at each stage.
        """
        raise NotImplementedError

    def check_buffers(self) -> None:
        """Check what `forward` relies on.

        Raises:
            ValueError: the buffers contradict one another.
        """

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load the buffers, in the sizes that they have in ``state_dict``.

        Raises:
            RuntimeError: a buffer is missing, unknown, or of another type or number of axes.
            ValueError: the buffers contradict one another.
        """
        for path, module in self.named_modules():
            for name, buffer in module.named_buffers(recurse=False):
                value = state_dict.get(f"{path}.{name}".lstrip("."))
                if isinstance(value, torch.Tensor) and value.ndim == buffer.ndim and value.dtype == buffer.dtype:
                    setattr(module, name, torch.empty_like(value, device=buffer.device))
        result = super().load_state_dict(state_dict, strict=strict, assign=assign)
        self.check_buffers()
        return result


class FittedLinear(FittedModel):
    """A linear model whose weights are fitted by a method of its own: x W^T + b.

    Args:
        spec: the contract of the scaled rows.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("weight", torch.zeros(spec.outputs, spec.shape[0]))
        self.register_buffer("bias", torch.zeros(spec.outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled rows ``(B, D)`` to outputs ``(B, O)``."""
        return nn.functional.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))

    def check_buffers(self) -> None:
        """Check what `forward` relies on."""
        expected = (self.spec.outputs, self.spec.shape[0])
        if self.weight.shape != expected or self.bias.shape != expected[:1]:
            raise ValueError(f"the weights must have the shape {expected}, got {tuple(self.weight.shape)}")
        if not bool(self.weight.isfinite().all()) or not bool(self.bias.isfinite().all()):
            raise ValueError("the weights contain NaN or infinite values")

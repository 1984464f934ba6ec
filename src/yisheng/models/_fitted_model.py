"""Models that are fitted to rows by a method of their own, not by gradient steps: trees, nearest neighbors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng.core.spec import Spec


@dataclass(frozen=True)
class FitRows:
    """The rows that a model is fitted to.

    Args:
        x: scaled inputs ``(N, D)``, float32; NaN where a value is missing.
        y: transformed targets: class numbers ``(N,)``, labels ``(N, L)`` of zeros and ones, or numbers ``(N, O)``.
        weight: weights of the rows ``(N,)``, or None.
        seed: of the model's random choices.
        quantile: of the target that is to be predicted, with the pinball loss; None for the usual loss.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    seed: int
    quantile: float | None = None


CERTAIN_LOGIT = 30.0
"""Logit of the only class, and minus the logit of a class without training rows."""


def to_outputs(mean: torch.Tensor, spec: Spec, *, votes: int) -> torch.Tensor:
    """Return what averaged votes are as a network's outputs: logits ``(B, O)``, or the averaged numbers.

    Args:
        mean: fractions of the classes ``(B, C)`` or of the labels ``(B, L)``, or numbers ``(B, O)``.
        spec: the contract of the scaled rows.
        votes: number of votes; a fraction is limited to half a vote, so that no logit is infinite.

    >>> to_outputs(torch.tensor([[0.0, 1.0]]), Spec("classification", (1,), classes=("no", "yes")), votes=4).exp()
    tensor([[0.1250, 1.0000]])
    """
    if spec.task == "regression":
        return mean
    smallest = 0.5 / max(1, votes)
    if spec.task == "multilabel":
        fractions = mean.clamp(smallest, 1 - smallest)
        return (fractions / (1 - fractions)).log()
    logits = mean.clamp_min(smallest).log()
    return logits[:, 1:] - logits[:, :1] if spec.outputs == 1 else logits


def make_certain_logits(spec: Spec, label: int, number: int) -> np.ndarray:
    """Return the logits ``(O,)`` where all rows have one class.

    Args:
        spec: the contract of the scaled rows.
        label: the class; of labels 0 or 1.
        number: which label; the others get 0.

    >>> make_certain_logits(Spec("classification", (1,), classes=("a", "b", "c")), 1, 0)
    array([-30.,   0., -30.])
    """
    logits = np.zeros(spec.outputs)
    if spec.task == "multilabel":
        logits[number] = CERTAIN_LOGIT if label else -CERTAIN_LOGIT
    elif spec.outputs == 1:
        logits[0] = CERTAIN_LOGIT if label else -CERTAIN_LOGIT
    else:
        logits[:] = -CERTAIN_LOGIT
        logits[label] = 0.0
    return logits


def apply_to_chunks(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, size: int) -> torch.Tensor:
    """Apply a function of rows to at most ``size`` rows at a time; to all at once in an exported graph."""
    if torch.compiler.is_exporting() or x.shape[0] <= size:
        return function(x)
    return torch.cat([function(rows) for rows in x.split(size)])


class FittedModel(nn.Module):
    """A module whose buffers are computed from the training rows, in one stage or several.

    After each stage the model predicts, so that the validation score can choose among the stages, as it chooses among
    epochs. The sizes of the buffers depend on the rows: `load_state_dict` takes those of the file.
    """

    stages = 1
    """Number of stages if the config leaves ``epochs`` open."""
    hub_file: tuple[str, str] | None = None
    """Set and file of the hub that it reads, which is fetched before it is used; None without one."""

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Fit the next stage, from 0 on. The same rows and seed give the same model, also in a new process.

        Args:
            stage: its number. If the previous ones were fitted in another process, they are fitted again.
            rows: the training part, in the same order at each stage.
        """
        raise NotImplementedError

    def require_packages(self) -> None:
        """Check that the optional packages that fitting needs are installed; prediction needs none.

        Raises:
            MissingPartError: one is not.
        """

    def require_size(self, rows: int, device: torch.device) -> None:
        """Check that it can be fitted to so many rows.

        Args:
            rows: their number.
            device: where it is fitted and predicts.

        Raises:
            UsageError: it cannot.
        """

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


def list_hub_files(model: nn.Module) -> list[tuple[str, str]]:
    """Return the set and file of the hub of each part of a model that reads one.

    >>> list_hub_files(nn.Linear(2, 1))
    []
    """
    fitted = [module for module in model.modules() if isinstance(module, FittedModel)]
    return [module.hub_file for module in fitted if module.hub_file is not None]


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

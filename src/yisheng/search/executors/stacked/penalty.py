"""The L1 penalty of K models, each with its own strength."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from yisheng.optim.parameter_groups import list_weights
from yisheng.training.setup import Assembly


class L1Penalty:
    """The gradients of the L1 penalty, ``l1 * sign(w)``; see `yisheng.training.update.make_l1_penalty`.

    Args:
        assemblies: the serial training of each model.
    """

    def __init__(self, assemblies: Sequence[Assembly]) -> None:
        first = assemblies[0]
        weights = list_weights(first.state.model, decay_bias=first.config.decay_bias)
        self._is_weight = [name in weights for name, _ in first.state.model.named_parameters()]
        strengths = [assembly.config.l1 for assembly in assemblies]
        template = next(first.state.model.parameters())
        self._strengths = torch.tensor(strengths, dtype=torch.float64).to(template) if any(strengths) else None

    def add_gradients(
        self, gradients: Sequence[torch.Tensor], parameters: Sequence[torch.Tensor]
    ) -> Sequence[torch.Tensor]:
        """Return the gradients of the loss plus those of the penalty.

        Args:
            gradients: of the loss, ``(K, ...)`` for each parameter.
            parameters: in the same order.
        """
        if self._strengths is None:
            return gradients
        with torch.no_grad():
            return [
                g + w.sign() * self._strengths.view(-1, *[1] * (w.ndim - 1)) if is_weight else g
                for g, w, is_weight in zip(gradients, parameters, self._is_weight, strict=True)
            ]

    def select(self, indices: torch.Tensor) -> None:
        """Keep only the models at some indices."""
        if self._strengths is not None:
            self._strengths = self._strengths.index_select(0, indices)

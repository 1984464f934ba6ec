"""Everything between raw inputs and answers as one module."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from yisheng.evaluation.predictions import link
from yisheng.inference.artifact import Saved


class Whole(nn.Module):
    """Preprocessing, network, link and inverse target scaling of each member, and the mean of what they say.

    Args:
        members: the models of a study, or the one of a run; in eval mode.

    >>> from yisheng.core.types import Spec
    >>> from yisheng.transforms.standard import standard
    >>> spec = Spec("classification", (2,), classes=("no", "yes"))
    >>> Whole([Saved(nn.Flatten(), spec, standard((0.0, 3.0), (1.0, 2.0)), None, {})])(torch.tensor([[0.0, 3.0]]))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, members: Sequence[Saved]) -> None:
        super().__init__()
        self.networks = nn.ModuleList([one.model for one in members])
        self.members = tuple(members)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Raw inputs ``(N, *shape)`` to probabilities ``(N, C)`` or values ``(N, T)`` in their original units."""
        found = [self._one(one, network, x) for one, network in zip(self.members, self.networks, strict=True)]
        if len(found) == 1:
            return found[0]
        return (torch.stack([one.double() for one in found]).sum(0) / len(found)).float()

    def _one(self, member: Saved, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        invert = None if member.target_scale is None else member.target_scale.invert
        return link(network(member.scale.apply(x)), member.spec, invert)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights of all members, by the member's number and their name: ``0.output.bias``."""
        return {
            f"{number}.{name}": value.detach().cpu().contiguous()
            for number, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }


def example(whole: Whole, x: np.ndarray) -> torch.Tensor:
    """Two inputs to trace the module with, after it has seen them once.

    The transforms make their constants when they are first used; made while a graph is taken they would be none.
    """
    two = torch.from_numpy(np.ascontiguousarray(x[[0, -1]]))
    with torch.no_grad():
        whole(two)
    return two

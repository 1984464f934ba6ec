"""Everything between raw inputs and predictions as one module."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.input_spec import Inputs
from yisheng.evaluation.predictions import apply_link
from yisheng.inference.artifact import Artifact
from yisheng.inference.export.graph_inputs import join_inputs, split_inputs
from yisheng.inference.export.resizing import resize_images


class FullModel(nn.Module):
    """Preprocessing, network, link and inverse target scaling of each model, and the mean of their predictions.

    Args:
        artifacts: the model of a run, or the fold models of a cross-validation; in eval mode.
        resizes: take images of any size, and resize them first; see `yisheng.inference.export.resizing`.

    >>> from yisheng.core.spec import Spec
    >>> from yisheng.transforms.standard import standard
    >>> spec = Spec("classification", (2,), classes=("no", "yes"))
    >>> artifact = Artifact(nn.Flatten(), spec, standard((0.0, 3.0), (1.0, 2.0)), None, {})
    >>> FullModel([artifact])(torch.tensor([[0.0, 3.0]]))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, artifacts: Sequence[Artifact], *, resizes: bool = False) -> None:
        super().__init__()
        self.resizes = resizes
        self.networks = nn.ModuleList([artifact.model for artifact in artifacts])
        self.artifacts = tuple(artifacts)
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return probabilities ``(N, C)`` or values ``(N, T)`` in original units.

        Args:
            *inputs: raw inputs ``(N, *shape)``: one tensor, or one for each of the network's inputs.
        """
        spec = self.artifacts[0].spec
        if self.resizes:
            inputs = (resize_images(inputs[0], (spec.shape[1], spec.shape[2]), spec.fit),)
        x = join_inputs(inputs, spec)
        outputs = [_predict(artifact, net, x) for artifact, net in zip(self.artifacts, self.networks, strict=True)]
        if len(outputs) == 1:
            return outputs[0]
        return (torch.stack([output.double() for output in outputs]).sum(0) / len(outputs)).float()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all weights by the index of the model and their name: ``0.output.bias``."""
        return {
            f"{index}.{name}": value
            for index, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }


def make_example_inputs(model: FullModel, x: np.ndarray) -> tuple[torch.Tensor, ...]:
    """Return two inputs to trace the module with, after one forward pass on them.

    The transforms create their constants on first use; created while a graph is traced, they would not be constants.
    """
    example = split_inputs(x[[0, -1]], model.artifacts[0].spec)
    if model.resizes:  # sizes that differ from each other and from the network's, so that none becomes a constant
        example = tuple(torch.nn.functional.pad(images, (0, 5, 0, 3)) for images in example)
    with torch.no_grad():
        model(*example)
    return example


def _predict(artifact: Artifact, network: nn.Module, x: Inputs) -> torch.Tensor:
    invert = None if artifact.target_scale is None else artifact.target_scale.invert
    return apply_link(nested.call(network, nested.to_single(artifact.scale.apply(x))), artifact.spec, invert)

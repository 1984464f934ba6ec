"""The head of a network: its last layer, whose size depends on the number of classes."""

from __future__ import annotations

from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

HEAD_LAYERS = (nn.Linear, nn.Conv2d)
"""Layers that may be a head; those of SqueezeNet and NiN are 1 x 1 convolutions."""


def find_head(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """Return the head of a network and its name: the last linear or convolution layer, in the order of its modules.

    All layers before it are the *body*, whose features a new task can use; the head is initialized for the new task.

    Args:
        model: any network.

    Raises:
        UsageError: it has no such layer.

    >>> find_head(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    ('2', Linear(in_features=8, out_features=3, bias=True))
    """
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, HEAD_LAYERS)]
    if not layers:
        raise UsageError(
            Message(
                "{type_name} has no linear or convolution layer that could be its head", type_name=type(model).__name__
            ),
            Message("use another network, or leave weights= and finetune= out"),
        )
    return layers[-1]


def count_outputs(layer: nn.Module) -> int:
    """Return the number of output units of a head.

    >>> count_outputs(nn.Conv2d(512, 10, kernel_size=1))
    10
    """
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]  # see HEAD_LAYERS

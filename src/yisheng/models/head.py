"""The last layer: the one that must know how many classes there are."""

from __future__ import annotations

from torch import nn

from yisheng.core.errors import UsageError

LAYERS = (nn.Linear, nn.Conv2d)
"""What a head may be; SqueezeNet's and NiN's are convolutions of 1 x 1."""


def head(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """The head of a network, by name: its last linear or convolution layer, in the order of its modules.

    All that comes before it is the *body*, whose features a new task can take over; the head is made anew.

    Args:
        model: any network.

    Raises:
        UsageError: it has no such layer.

    >>> head(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    ('2', Linear(in_features=8, out_features=3, bias=True))
    """
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, LAYERS)]
    if not found:
        raise UsageError(
            f"{type(model).__name__} has no linear or convolution layer that could be its head",
            "take another network, or leave weights= and finetune= out",
        )
    return found[-1]


def outputs(layer: nn.Module) -> int:
    """Output units of a head.

    >>> outputs(nn.Conv2d(512, 10, kernel_size=1))
    10
    """
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]  # see LAYERS

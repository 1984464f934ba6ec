"""Styles of the classic networks: which of them an image can take, and how their weights are initialized."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec

MAX_SIDE_FOR_SMALL = 64
"""Images whose shorter side is at most this get the small style; the published networks were made for 224."""

MIN_SIDE_OF_SMALL = 8
"""Shorter side from which on every small style works: its three halvings leave one cell."""


def choose_style(model: str, spec: Spec, style: str, min_sides: Mapping[str, int]) -> str:
    """Return the style to build: the one that was named, or what ``auto`` means for images of this size.

    Args:
        model: the network's name, for the error.
        spec: the contract of the data.
        style: the style's name, or ``auto``.
        min_sides: the shortest side in pixels that each style takes; the first is the style for large images.

    Raises:
        UsageError: the images are too small for the style.

    >>> choose_style("alexnet", Spec("regression", (3, 32, 32)), "auto", {"published": 63, "small": 8})
    'small'
    """
    side = min(spec.shape[1:])
    if style == "auto":
        large = next(iter(min_sides))
        style = "small" if side <= MAX_SIDE_FOR_SMALL or side < min_sides[large] else large
    if side >= min_sides[style]:
        return style
    fitting = [name for name, min_side in min_sides.items() if side >= min_side]
    raise UsageError(
        Message(
            "{model} style={style} needs images of at least {min_side} x {min_side} pixels, got {height} x {width}",
            model=model,
            style=style,
            min_side=min_sides[style],
            height=spec.shape[1],
            width=spec.shape[2],
        ),
        Message("use {names}", names=" or ".join(f"style={name}" for name in fitting))
        if fitting
        else Message("use model=mlp"),
    )


def make_final_activation(spec: Spec) -> nn.Module:
    """Return the relu after the last convolution of a network that averages it into its output, or an identity.

    The outputs of a relu are never negative. Scores of several classes only need to differ; a number, a yes/no
    question or a label needs both signs, so there the relu is left out.

    >>> make_final_activation(Spec("regression", (3, 224, 224)))
    Identity()
    """
    return nn.ReLU(inplace=True) if spec.task == "classification" and spec.outputs > 1 else nn.Identity()


def set_bias_to_one(layer: nn.Conv2d) -> None:
    """Fill a convolution's bias with 1, so that the relu after it is active at first.

    Before the softmax it changes nothing, since all outputs are shifted alike. With a bias of 0 half of them would be
    inactive, and a row whose classes are all inactive has no gradient: its loss stays at the logarithm of the number
    of classes.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
    2012, section 5.
    """
    assert layer.bias is not None
    nn.init.ones_(layer.bias)


def init_kaiming(model: nn.Module, *, linear_std: float | None = None) -> None:
    """Fill weights with variance 2 / fan-out for convolutions and 2 / fan-in for linear layers, biases with zero.

    So the signal keeps its size through any number of relus. The last linear layer has no relu after it and
    starts with a standard deviation of 0.01: the first outputs are near zero, whatever the width.

    Args:
        model: any module, filled in place.
        linear_std: standard deviation of the weights of all linear layers, if a paper states one; Kaiming's by
            default.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.2.
    """
    last_linear = [module for module in model.modules() if isinstance(module, nn.Linear)][-1:]
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            if linear_std is not None or module in last_linear:
                nn.init.normal_(module.weight, std=linear_std or 0.01)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_xavier(model: nn.Module) -> None:
    """Fill weights uniformly with variance 2 / (fan-in + fan-out), as the textbook does; biases stay torch's.

    Source: Zhang et al., "Dive into Deep Learning", section 7.6.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)

"""The forms that a classic network comes in, and which of them an image can take."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.types import Spec

SMALL_UP_TO = 64
"""Images whose shorter side is at most this get the small form; the published ones were made for 224."""

LEAST_SMALL = 8
"""Shorter side from which on every small form works: its three halvings leave one cell."""


def choose(model: str, spec: Spec, style: str, least: Mapping[str, int]) -> str:
    """The form to build: the one that was named, or what ``auto`` means for images of this size.

    Args:
        model: the network's name, for the error.
        spec: the contract of the data.
        style: what was asked for.
        least: the shortest side that each form takes; the first is the form for large images.

    Raises:
        UsageError: the images are too small for the form.

    >>> choose("alexnet", Spec("regression", (3, 32, 32)), "auto", {"published": 63, "small": 8})
    'small'
    """
    side = min(spec.shape[1:])
    if style == "auto":
        full = next(iter(least))
        style = "small" if side <= SMALL_UP_TO or side < least[full] else full
    if side >= least[style]:
        return style
    fitting = [name for name, needed in least.items() if side >= needed]
    raise UsageError(
        f"{model} style={style} needs images of at least {least[style]} x {least[style]} pixels, "
        f"got {spec.shape[1]} x {spec.shape[2]}",
        f"say {' or '.join(f'style={name}' for name in fitting)}" if fitting else "say model=mlp",
    )


def last_bend(spec: Spec) -> nn.Module:
    """The relu after the last convolution, in nets that average it into their output.

    Its outputs are never negative. As the scores of several classes they only need to differ; a number, a yes/no
    or a label of its own needs both signs, and there the relu is left out.

    >>> last_bend(Spec("regression", (3, 224, 224)))
    Identity()
    """
    return nn.ReLU(inplace=True) if spec.task == "classification" and spec.outputs > 1 else nn.Identity()


def open_bend(layer: nn.Conv2d) -> None:
    """Give a convolution the bias 1, so that the relu behind it begins open.

    Before the softmax it changes nothing, since all outputs are moved alike. With a bias of 0 half of them would be
    shut, and a row whose classes are all shut has no gradient: its loss stands at the logarithm of the number of
    classes.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
    2012, section 5.
    """
    assert layer.bias is not None
    nn.init.ones_(layer.bias)


def kaiming(model: nn.Module, *, linear: float | None = None) -> None:
    """Weights with variance 2 / fan-out for convolutions and 2 / fan-in for linear layers; biases zero.

    So the signal keeps its size through any number of relus. The last linear layer has no relu behind it and
    starts with a deviation of 0.01: the first outputs are near zero, whatever the width.

    Args:
        model: any module, filled in place.
        linear: deviation of the weights of all linear layers, where a paper names one; by default Kaiming's.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.2.
    """
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1:]
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            if linear is not None or module in last:
                nn.init.normal_(module.weight, std=linear or 0.01)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def xavier(model: nn.Module) -> None:
    """Uniform weights with variance 2 / (fan-in + fan-out) and torch's biases, as the textbook's nets begin.

    Source: Zhang et al., "Dive into Deep Learning", section 7.6.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)

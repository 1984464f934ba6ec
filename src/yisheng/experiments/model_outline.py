"""Layers and size of a network for the command ``models``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.models.summary import summarize_by_name

if TYPE_CHECKING:
    from yisheng.models.summary import Summary

IMAGE_SHAPE, ROW_SHAPE = (3, 224, 224), (8,)
"""Input shapes that networks are shown with by default."""
MAX_INPUT_VALUES = 10**9


def outline_model(
    name: str, options: Mapping[str, str], *, shape: str | None = None, classes: int = 10
) -> tuple[Spec, Summary]:
    """Return the layers of a network, and the contract that it is built for; no memory is allocated for its weights.

    Args:
        name: of the network.
        options: its options.
        shape: ``channels,rows,columns`` of an image, or the number of features of a row.
        classes: number of classes; with 1 it predicts a number.

    Raises:
        UsageError: the name or an option is unknown, a value is not allowed, or the shape does not fit.
    """
    entry = registry.find("models", name)
    if shape is None:
        fits = entry.meta.get("fits", lambda _: True)
        default = ROW_SHAPE if fits(_make_spec(ROW_SHAPE, classes)) else IMAGE_SHAPE
        spec = _make_spec(entry.meta.get("shape") or default, classes)
    else:
        spec = _make_spec(_parse_shape(shape), classes)
    return spec, summarize_by_name(entry.name, spec, **options)


def _make_spec(shape: tuple[int, ...], classes: int) -> Spec:
    if classes == 1:
        return Spec("regression", shape)
    return Spec("classification", shape, classes=("0", "1"), outputs=classes)  # only the number of outputs matters


def _parse_shape(text: str) -> tuple[int, ...]:
    parts = re.split("[,x]", text)
    sizes = tuple(int(part) for part in parts if re.fullmatch("[0-9]{1,10}", part))
    if len(sizes) != len(parts) or len(sizes) not in (1, 3) or not 1 <= math.prod(sizes) <= MAX_INPUT_VALUES:
        raise UsageError(
            Message(
                "shape must be the features of a row or channels,rows,columns of an image, "
                "{MAX_INPUT_VALUES} values at most, got {text}",
                MAX_INPUT_VALUES=f"{MAX_INPUT_VALUES:,}",
                text=f"{text!r}",
            ),
            Message("write shape=8 or shape=3,224,224"),
        )
    return sizes

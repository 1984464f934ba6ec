"""Looking inside a network: its first filters, the feature maps of a layer, and the classic edge filters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from yisheng.core.errors import UsageError, closest
from yisheng.data.images import decode
from yisheng.evaluation.predictions import link
from yisheng.inference import images
from yisheng.inference._contact_sheet import Tile, sheet, signed, stretched
from yisheng.inference.artifact import Saved
from yisheng.inference.occlusion import looked_at

Kernel = Literal["vertical", "sobel", "scharr"]
MIDDLE: Mapping[Kernel, tuple[float, float, float]] = {
    "vertical": (1, 1, 1),
    "sobel": (1, 2, 1),
    "scharr": (3, 10, 3),
}
"""What the three rows of each edge filter weigh."""
MOST = 256
"""Most filters or maps on one sheet."""
SIDE = 1024
"""Longest side of an image that the edge filters are shown on, in pixels."""


def edge_filter(kernel: Kernel) -> torch.Tensor:
    """The 3 x 3 filter for vertical edges: the pixels on the left minus those on the right, ``(3, 3)``.

    Transposed it is the one for horizontal edges. ``vertical`` weighs the three rows alike, ``sobel`` 1 2 1,
    ``scharr`` 3 10 3, which is truer for edges aslant.

    Raises:
        UsageError: the name is unknown.

    Source: Sobel and Feldman, "A 3x3 isotropic gradient operator for image processing", 1968; Scharr, "Optimale
    Operatoren in der digitalen Bildverarbeitung", 2000.

    >>> edge_filter("sobel").int().tolist()
    [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    """
    if kernel not in MIDDLE:
        raise UsageError(f"there is no edge filter {kernel!r}", closest(str(kernel), get_args(Kernel)))
    return torch.outer(torch.tensor(MIDDLE[kernel]), torch.tensor([1.0, 0.0, -1.0]))


def edges(grey: np.ndarray, kernel: Kernel) -> dict[str, np.ndarray]:
    """The edges of an image, by cross-correlation with a filter and with its transpose.

    Beyond the border the image goes on as at the border, so that the border itself is no edge.

    Args:
        grey: ``(H, W)``.
        kernel: the filter.

    Returns:
        ``vertical`` and ``horizontal`` edges, with their sign, and their ``magnitude``, the root of the sum of the
        squares; float32 ``(H, W)`` each.

    >>> step = np.array([[9.0, 9.0, 0.0, 0.0]] * 3)
    >>> edges(step, "vertical")["vertical"][1].tolist()
    [0.0, 27.0, 27.0, 0.0]
    """
    across = edge_filter(kernel)
    filters = torch.stack([across, across.T])[:, None]
    padded = F.pad(torch.from_numpy(np.asarray(grey, np.float32))[None, None], (1, 1, 1, 1), mode="replicate")
    found = F.conv2d(padded, filters)[0].numpy()  # torch's convolution is cross-correlation: nothing is flipped
    return {"vertical": found[0], "horizontal": found[1], "magnitude": np.hypot(found[0], found[1])}


def filters(model: nn.Module) -> tuple[str, torch.Tensor]:
    """The filters of a network's first convolution: its name, and the weights ``(O, C, H, W)``.

    Raises:
        UsageError: it has no convolution.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module.weight.detach()
    raise UsageError(
        f"{type(model).__name__} has no convolution, and so no filters to look at",
        "take a run of a convolutional network, such as model=lenet",
    )


def maps(saved: Saved, x: np.ndarray, layer: str | None = None) -> tuple[str, torch.Tensor]:
    """What a layer makes of an image: its name, and its feature maps ``(C, H, W)``.

    Args:
        saved: a trained network for images.
        x: one image as in training, ``(C, H, W)``, uint8 or float32.
        layer: a module of the network by name; the first convolution without it. The first time that the network
            comes by counts.

    Raises:
        UsageError: there is no such layer, or it gives no maps; the error lists those that do.
    """
    wanted = filters(saved.model)[0] if layer is None else layer
    shapes: dict[str, tuple[int, ...]] = {}
    found: list[torch.Tensor] = []

    def watch(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and name not in shapes:
                shapes[name] = tuple(output.shape[1:])
                if name == wanted:
                    found.append(output[0].clone())  # a relu in place may write over it

        return hook

    handles = [m.register_forward_hook(watch(name)) for name, m in saved.model.named_modules() if name]
    try:
        with torch.inference_mode():
            saved.model(saved.scale.apply(torch.from_numpy(x[None])))
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        known = dict(saved.model.named_modules())
        what = f"layer {wanted!r} gives no maps" if wanted in known else f"there is no layer {wanted!r}"
        raise UsageError(what, "layers with maps: " + ", ".join(f"{n} {_by(s)}" for n, s in shapes.items()))
    return wanted, found[0]


def draw_filters(saved: Saved) -> Image.Image:
    """A sheet of the first convolution's filters.

    Zero is mid-grey and a filter's largest weight black or white (in its colour, where images have three channels).

    Raises:
        UsageError: the network has no convolution.
    """
    name, weights = filters(saved.model)
    tiles: list[Tile] = []
    for weight in weights[:MOST].numpy():
        colour = weight.transpose(1, 2, 0) if len(weight) == 3 else weight.mean(axis=0)
        tiles.append(("", signed(colour)))
    channels, tall, wide = weights.shape[1:]
    facts = f"{_count(len(weights), 'filters')} of {tall} x {wide} on {channels} channel{'s' * (channels > 1)}"
    return sheet(f"filters of {name}", f"{facts}; mid-grey is zero", tiles, side=48, columns=16)


def draw_maps(saved: Saved, path: Path, layer: str | None = None) -> Image.Image:
    """A sheet of a layer's feature maps for an image file, each from black (its least) to white (its most).

    Raises:
        DataError: the file cannot be read.
        UsageError: the network is not for images, or has no such layer; see `maps`.
    """
    if not saved.spec.is_image:
        raise UsageError("the network reads rows of numbers, not images", "look into a run that learned images")
    x, _ = images.read(path, saved.spec)
    name, found = maps(saved, x, layer)
    seen = x.transpose(1, 2, 0) if len(x) == 3 else x.mean(axis=0).astype(np.uint8)
    tall, wide = found.shape[1:]
    tiles: list[Tile] = [(str(number), stretched(values)) for number, values in enumerate(found[:MOST].numpy())]
    facts = f"of {path.name}: {_count(len(found), 'maps')} of {tall} x {wide}"
    return sheet(name, facts, [("input", seen), *tiles], side=96, columns=12)


def draw_looked_at(saved: Saved, path: Path) -> Image.Image:
    """A sheet of an image file, and of what the network's answer to it depends on, in orange.

    Raises:
        DataError: the file cannot be read.
        UsageError: the network is not for images.
    """
    if not saved.spec.is_image:
        raise UsageError("the network reads rows of numbers, not images", "look into a run that learned images")
    x, _ = images.read(path, saved.spec)
    seen = x.transpose(1, 2, 0) if len(x) == 3 else x.mean(axis=0).astype(np.uint8)
    with torch.inference_mode():
        output = saved.model(saved.scale.apply(torch.from_numpy(x[None])))
    likely = link(output, saved.spec)[0]
    said = "the predicted number" if saved.spec.task == "regression" else saved.spec.classes[int(likely.argmax())]
    tiles: list[Tile] = [("input", seen), ("what counted", looked_at(saved, x))]
    return sheet(said, f"{path.name}: covering the orange parts changes the answer most", tiles, side=360, columns=2)


def draw_edges(path: Path, kernel: Kernel) -> Image.Image:
    """A sheet of an image, its vertical and horizontal edges (mid-grey is none) and their magnitude.

    Raises:
        DataError: the file cannot be read.
        UsageError: the filter is unknown.
    """
    across = edge_filter(kernel)
    grey = _grey(path)
    found = edges(grey, kernel)
    most = max(float(np.abs(found[way]).max()) for way in ("vertical", "horizontal"))
    tiles: list[Tile] = [
        ("image", grey),
        ("vertical edges", signed(found["vertical"], most)),
        ("horizontal edges", signed(found["horizontal"], most)),
        ("magnitude", stretched(found["magnitude"])),
    ]
    rows = "   ".join(" ".join(f"{value:g}" for value in row) for row in across.tolist())
    return sheet(f"{kernel}: {path.name}", f"filter rows {rows}", tiles, side=360, columns=2)


def _grey(path: Path) -> np.ndarray:
    """An image file in grey, uint8 ``(H, W)``, scaled down to `SIDE` if it is larger."""
    with decode.quiet():
        image = Image.fromarray(decode.decode(images._content(path), str(path), colour="grey"))
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number <= MOST else f"the first {MOST} of {number} {what}"

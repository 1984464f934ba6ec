"""Images of what a network has learned: its first filters, feature maps, occlusion maps, and classic edge filters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.data.images import decode
from yisheng.evaluation.predictions import apply_link
from yisheng.inference import images
from yisheng.inference._contact_sheet import Tile, draw_contact_sheet, scale_signed, stretch_contrast
from yisheng.inference.artifact import Artifact
from yisheng.inference.occlusion import draw_occlusion_map

Kernel = Literal["vertical", "sobel", "scharr"]
ROW_WEIGHTS: Mapping[Kernel, tuple[float, float, float]] = {
    "vertical": (1, 1, 1),
    "sobel": (1, 2, 1),
    "scharr": (3, 10, 3),
}
"""Weights of the three rows of each edge filter."""
MAX_TILES = 256
"""Filters or maps on one sheet."""
MAX_EDGE_IMAGE_SIDE = 1024
"""Longest side of an image that the edge filters are applied to, in pixels; larger images are scaled down."""


def make_edge_filter(kernel: Kernel) -> torch.Tensor:
    """Return the 3 x 3 filter for vertical edges: the pixels on the left minus those on the right, ``(3, 3)``.

    Its transpose is the filter for horizontal edges. ``vertical`` weighs the three rows equally, ``sobel`` with 1 2 1,
    ``scharr`` with 3 10 3, which is more accurate for diagonal edges.

    Raises:
        UsageError: the name is unknown.

    Source: Sobel and Feldman, "A 3x3 isotropic gradient operator for image processing", 1968; Scharr, "Optimale
    Operatoren in der digitalen Bildverarbeitung", 2000.

    >>> make_edge_filter("sobel").int().tolist()
    [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    """
    if kernel not in ROW_WEIGHTS:
        raise UsageError(
            Message("there is no edge filter {kernel}", kernel=f"{kernel!r}"), suggest(str(kernel), get_args(Kernel))
        )
    return torch.outer(torch.tensor(ROW_WEIGHTS[kernel]), torch.tensor([1.0, 0.0, -1.0]))


def compute_edges(gray: np.ndarray, kernel: Kernel) -> dict[str, np.ndarray]:
    """Compute the edges of an image, by cross-correlation with a filter and with its transpose.

    The image is padded by repeating its border, so that the border itself is not an edge.

    Args:
        gray: ``(H, W)``.
        kernel: the filter.

    Returns:
        ``vertical`` and ``horizontal`` edges v and h, with their sign, and their ``magnitude``, √(v² + h²); float32
        ``(H, W)`` each.

    >>> step = np.array([[9.0, 9.0, 0.0, 0.0]] * 3)
    >>> compute_edges(step, "vertical")["vertical"][1].tolist()
    [0.0, 27.0, 27.0, 0.0]
    """
    vertical_filter = make_edge_filter(kernel)
    filters = torch.stack([vertical_filter, vertical_filter.T])[:, None]
    padded = F.pad(torch.from_numpy(np.asarray(gray, np.float32))[None, None], (1, 1, 1, 1), mode="replicate")
    vertical, horizontal = F.conv2d(padded, filters)[0].numpy()  # torch's convolution is a cross-correlation
    return {"vertical": vertical, "horizontal": horizontal, "magnitude": np.hypot(vertical, horizontal)}


def get_first_filters(model: nn.Module) -> tuple[str, torch.Tensor]:
    """Return the name of a network's first convolution, and its weights ``(O, C, H, W)``.

    Raises:
        UsageError: the network has no convolution.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module.weight.detach()
    raise UsageError(
        Message("{type_name} has no convolution, so there are no filters to draw", type_name=type(model).__name__),
        Message("give a run of a convolutional network, such as model=lenet"),
    )


def compute_feature_maps(artifact: Artifact, x: np.ndarray, layer: str | None = None) -> tuple[str, torch.Tensor]:
    """Return the name of a layer and its feature maps for an image ``(C, H, W)``.

    Args:
        artifact: a trained network for images.
        x: one image as in training, ``(C, H, W)``, uint8 or float32.
        layer: name of a module; the first convolution by default. A module that runs several times counts the first
            time.

    Raises:
        UsageError: there is no such layer, or its output has no maps; the error lists the layers that do.
    """
    requested = get_first_filters(artifact.model)[0] if layer is None else layer
    shapes: dict[str, tuple[int, ...]] = {}
    maps: list[torch.Tensor] = []

    def make_hook(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and name not in shapes:
                shapes[name] = tuple(output.shape[1:])
                if name == requested:
                    maps.append(output[0].clone())  # an in-place ReLU may overwrite it

        return hook

    handles = [m.register_forward_hook(make_hook(name)) for name, m in artifact.model.named_modules() if name]
    try:
        with torch.inference_mode():
            artifact.model(nested.to_single(artifact.scale.apply(nested.from_numpy(x[None]))))
    finally:
        for handle in handles:
            handle.remove()
    if not maps:
        exists = requested in dict(artifact.model.named_modules())
        layer = f"{requested!r}"
        problem = (
            Message("layer {layer} has no feature maps", layer=layer)
            if exists
            else Message("there is no layer {layer}", layer=layer)
        )
        listed = ", ".join(f"{name} {_format_shape(shape)}" for name, shape in shapes.items())
        raise UsageError(problem, Message("use one of the layers with maps: {listed}", listed=listed))
    return requested, maps[0]


def draw_filters(artifact: Artifact) -> Image.Image:
    """Draw a sheet of the first convolution's filters.

    Zero is middle gray and a filter's largest weight black or white (in color, if images have three channels).

    Raises:
        UsageError: the network has no convolution.
    """
    name, weights = get_first_filters(artifact.model)
    tiles: list[Tile] = []
    for weight in weights[:MAX_TILES].numpy():
        pixels = weight.transpose(1, 2, 0) if len(weight) == 3 else weight.mean(axis=0)
        tiles.append(("", scale_signed(pixels)))
    channels, height, width = weights.shape[1:]
    count = _format_count(len(weights), "filters")
    details = f"{count} of {height} x {width} on {channels} channel{'s' * (channels > 1)}; middle gray is zero"
    return draw_contact_sheet(f"filters of {name}", details, tiles, side=48, columns=16)


def draw_feature_maps(artifact: Artifact, path: Path, layer: str | None = None) -> Image.Image:
    """Draw a sheet of a layer's feature maps for an image file, each from black (its minimum) to white (its maximum).

    Raises:
        DataError: the file cannot be read.
        UsageError: the network is not for images, or has no such layer; see `compute_feature_maps`.
    """
    x, input_tile = _read_input(artifact, path)
    name, maps = compute_feature_maps(artifact, x, layer)
    height, width = maps.shape[1:]
    tiles = [(str(number), stretch_contrast(values)) for number, values in enumerate(maps[:MAX_TILES].numpy())]
    details = f"of {path.name}: {_format_count(len(maps), 'maps')} of {height} x {width}"
    return draw_contact_sheet(name, details, [input_tile, *tiles], side=96, columns=12)


def draw_occlusion(artifact: Artifact, path: Path) -> Image.Image:
    """Draw a sheet of an image file and its occlusion map, in orange.

    Raises:
        DataError: the file cannot be read.
        UsageError: the network is not for images.
    """
    x, input_tile = _read_input(artifact, path)
    with torch.inference_mode():
        output = artifact.model(nested.to_single(artifact.scale.apply(nested.from_numpy(x[None]))))
    invert = None if artifact.target_scale is None else artifact.target_scale.invert
    outputs = apply_link(output, artifact.spec, invert)[0]
    if artifact.spec.task == "regression":
        values = zip(artifact.spec.target_names, outputs.tolist(), strict=True)
        title = ", ".join(f"{name} {value:.4g}" for name, value in values)
    else:
        title = artifact.spec.classes[int(outputs.argmax())]
    tiles: list[Tile] = [input_tile, ("occlusion map", draw_occlusion_map(artifact, x))]
    details = f"{path.name}: covering the orange parts changes the prediction most"
    return draw_contact_sheet(title, details, tiles, side=360, columns=2)


def draw_edges(path: Path, kernel: Kernel) -> Image.Image:
    """Draw a sheet of an image, its vertical and horizontal edges (middle gray is none) and their magnitude.

    Raises:
        DataError: the file cannot be read.
        UsageError: the filter is unknown.
    """
    weights = make_edge_filter(kernel)
    gray = _read_gray(path)
    edges = compute_edges(gray, kernel)
    max_magnitude = max(float(np.abs(edges[direction]).max()) for direction in ("vertical", "horizontal"))
    tiles: list[Tile] = [
        ("image", gray),
        ("vertical edges", scale_signed(edges["vertical"], max_magnitude)),
        ("horizontal edges", scale_signed(edges["horizontal"], max_magnitude)),
        ("magnitude", stretch_contrast(edges["magnitude"])),
    ]
    rows = "   ".join(" ".join(f"{value:g}" for value in row) for row in weights.tolist())
    return draw_contact_sheet(f"{kernel}: {path.name}", f"filter rows {rows}", tiles, side=360, columns=2)


def _read_input(artifact: Artifact, path: Path) -> tuple[np.ndarray, Tile]:
    """Return an image file as the network takes it, and a tile of it."""
    if not artifact.spec.is_image:
        raise UsageError(
            Message("the network takes rows of numbers, not images"), Message("give a run that was trained on images")
        )
    x, _ = images.read_image(path, artifact.spec)
    pixels = np.rint(np.clip(x, 0, 255)).astype(np.uint8)
    return x, ("input", pixels.transpose(1, 2, 0) if len(x) == 3 else pixels.mean(axis=0).astype(np.uint8))


def _read_gray(path: Path) -> np.ndarray:
    """Return an image file in gray, uint8 ``(H, W)``, scaled down to `MAX_EDGE_IMAGE_SIDE` if it is larger."""
    with decode.silence_pillow():
        content = images.read_image_bytes(path)
        image = Image.fromarray(decode.decode_image(content, str(path), color="gray", values=None))
    image.thumbnail((MAX_EDGE_IMAGE_SIDE, MAX_EDGE_IMAGE_SIDE))
    return np.asarray(image)


def _format_shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _format_count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number <= MAX_TILES else f"the first {MAX_TILES} of {number} {noun}"

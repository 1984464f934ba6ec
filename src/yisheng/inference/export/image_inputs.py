"""How an exported file takes images: facts for programs, and the same in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yisheng.core.messages import Message, join_messages, translate
from yisheng.core.spec import Spec

CHANNELS = {1: ["gray"], 3: ["red", "green", "blue"]}
"""Number of channels -> their order."""
INTERPOLATION = Message(
    "bilinear with antialiasing, as Pillow's Image.resize(size, BILINEAR): along rows, then along columns"
)
CROPPING = {
    "crop": Message("cut out the center, as large as possible at that ratio of sides, and scale it"),
    "squash": Message("scale it, changing the ratio of sides"),
    "pad": Message("scale it so that all of it fits in, and add black borders of equal width"),
}
"""How `yisheng.data.images.resize` gets an image to a size."""
DOCUMENTATION = Message("docs/export.md has examples in Python, JavaScript and C++.")


def describe_images(spec: Spec, dtype: str, *, any_size: bool) -> dict[str, Any] | None:
    """Return the facts about a file's images; None if its input is not an image that a file could hold.

    Args:
        spec: the contract of the raw data.
        dtype: type of the raw pixels.
        any_size: whether the graph resizes images.

    >>> spec = Spec("classification", (3, 8, 8), classes=("cat", "dog"))
    >>> facts = describe_images(spec, "uint8", any_size=True)
    >>> facts["size"], facts["layout"], facts["channels"]
    ([8, 8], 'NCHW', ['red', 'green', 'blue'])
    """
    if not spec.is_image or spec.inputs or spec.shape[0] not in CHANNELS:
        return None
    return {
        "any_size": any_size,
        "size": list(spec.shape[1:]),
        "fit": spec.fit,
        "interpolation": INTERPOLATION,
        "channels": CHANNELS[spec.shape[0]],
        "layout": "NCHW",
        "dtype": dtype,
        "range": [0, 255],
        "background": _find_background(spec),
        "steps": _list_steps(spec, dtype, any_size=any_size),
    }


def _list_steps(spec: Spec, dtype: str, *, any_size: bool) -> list[str]:
    """Return what a program does before it gives an image to the file, one sentence each."""
    channels, height, width = spec.shape
    background = _find_background(spec)
    gray_level = Message("white") if background == 255 else Message("the gray level {level}", level=background)
    steps = [
        Message(
            "Decode the image at full size, turn it upright by its EXIF orientation, and put {gray_level} behind "
            "transparent parts.",
            gray_level=gray_level,
        ),
        Message("Convert it to red, green and blue.")
        if channels == 3
        else Message("Convert it to gray (0.299 red + 0.587 green + 0.114 blue, rounded)."),
        *_describe_values(spec, dtype),
    ]
    if spec.drawing is not None:
        center = Message("center of mass") if spec.drawing.center == "mass" else Message("center")
        steps += [
            Message("An image of {size} with light strokes on black stays as it is.", size=f"{width}x{height}"),
            Message(
                "Others: invert dark strokes on light; stretch from the median of the border, which becomes 0, to the "
                "brightest value, which becomes 255; set values up to 0.15 of 255 to 0; cut out the rectangle of "
                "values above 0.35 of 255."
            ),
            Message(
                "Scale its longer side to {box} pixels (by Pillow's BOX to scale down, BICUBIC to scale up), "
                "and place its {center} in the middle of {size} black pixels.",
                box=spec.drawing.box,
                center=center,
                size=f"{width}x{height}",
            ),
        ]
    elif not any_size:
        steps.append(
            Message(
                "Resize it to {size}: {cropping}; {interpolation}.",
                size=f"{width}x{height}",
                cropping=CROPPING[spec.fit],
                interpolation=INTERPOLATION,
            )
        )
    size = Message("the image's own height and width") if any_size else f"{height}x{width}"
    steps.append(
        Message(
            "Give {dtype} (N, {channels}, H, W), values from 0 to 255, H x W: {size}.",
            dtype=dtype,
            channels=channels,
            size=size,
        )
    )
    if any_size:
        steps.append(
            Message(
                "The file resizes it to {size} ({cropping}) and scales its values.",
                size=f"{width}x{height}",
                cropping=CROPPING[spec.fit],
            )
        )
    return steps


def _find_background(spec: Spec) -> int:
    """Return the gray level behind transparent parts, which is white if no training image has any."""
    return 255 if spec.image_values.background is None else spec.image_values.background


def _describe_values(spec: Spec, dtype: str) -> list[str]:
    """Return what the values of image files become, if a pixel is not the value in the file."""
    values = spec.image_values
    if values.is_plain:
        return []
    ranges = join_messages(
        Message(
            "{dtype} files: {low} becomes 0, {high} becomes 255", dtype=i.dtype, low=f"{i.low:g}", high=f"{i.high:g}"
        )
        for i in values.ranges
    )
    rounding = Message("rounded to whole numbers") if dtype == "uint8" else Message("as float32, not rounded")
    return [
        Message(
            "Scale its values to 0..255, {rounding}, and cut what is outside: {ranges}.",
            rounding=rounding,
            ranges=ranges,
        )
    ]


def describe_scaling(fitted: Mapping[str, Any]) -> str:
    """Return a fitted transform of the inputs in words.

    Args:
        fitted: its name and fields, as in the metadata.

    >>> describe_scaling({"name": "unit", "low": [0.0], "high": [255.0]})
    'unit(low=[0.0], high=[255.0]), as the docstring of yisheng.transforms.unit defines it'
    """
    fields = ", ".join(f"{key}={value}" for key, value in fitted.items() if key != "name")
    return Message(
        "{name}({fields}), as the docstring of yisheng.transforms.{name} defines it", name=fitted["name"], fields=fields
    )


def format_preparation(facts: Mapping[str, Any], name: str, scaling: str | None) -> str:
    """Return the steps as the text of a file next to the exported one.

    Args:
        facts: from `describe_images`.
        name: name of the exported file.
        scaling: how the network's inputs are computed from the pixels, if the file does not do it.
    """
    scaling_steps = [] if scaling is None else [Message("Scale the values: {scaling}.", scaling=scaling)]
    steps = [translate(step) for step in (*facts["steps"], *scaling_steps)]
    title = translate(Message("How to prepare images for {name}", name=name))
    lines = [title, "", *(f"{number}. {step}" for number, step in enumerate(steps, 1))]
    return "\n".join([*lines, "", translate(DOCUMENTATION), ""])

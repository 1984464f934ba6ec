"""Parse a request's body to inputs of the network: images, forms, CSV and JSON; anything else is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from yisheng.core.errors import DataError, YishengError
from yisheng.core.spec import Spec
from yisheng.data.images.decode_limits import PNG_SIGNATURE, estimate_decoding_cost
from yisheng.serving.body_formats import JSON, media_type
from yisheng.serving.errors import to_api_error
from yisheng.serving.image_inputs import Decoded, decode_files, estimate_costs, read_files
from yisheng.serving.limits import Limits
from yisheng.serving.row_inputs import RowInputs, parse_rows, place_on_first

MAX_SMALL_BYTES, MAX_SMALL_SECONDS = 32 << 10, 2e-3
"""A smaller PNG is decoded in the event loop, since handing it to a reader would take longer."""
MAX_SMALL_JSON_BYTES = 1 << 10


@dataclass(frozen=True)
class Inputs:
    """The inputs of a request.

    Args:
        x: the inputs that could be read ``(n, ...)``, as in training.
        names: of these.
        notes: on each of these, for people.
        failures: the others: name and error, by their position among all inputs of the request.
    """

    x: np.ndarray
    names: tuple[str, ...]
    notes: tuple[tuple[str, ...], ...]
    failures: dict[int, tuple[str, DataError]] = field(default_factory=dict)


def is_small(body: bytes, content_type: str, spec: Spec) -> bool:
    """Return whether parsing a body takes less time than handing it to a reader."""
    kind = media_type(content_type)
    if spec.is_image:
        if kind != "image/png" or len(body) > MAX_SMALL_BYTES or not body.startswith(PNG_SIGNATURE):
            return False
        try:
            return estimate_decoding_cost(body, "image").seconds <= MAX_SMALL_SECONDS
        except DataError:  # a reader will say it
            return False
    return kind == JSON and len(body) <= MAX_SMALL_JSON_BYTES


def parse_inputs(body: bytes, content_type: str, spec: Spec, limits: Limits) -> Inputs:
    """Return the inputs in a body; callers wrap it in `decode.silence_pillow`.

    Raises:
        ApiError: the body is of a type that the model does not take, damaged, or too large; or no input can be read.
    """
    try:
        if not spec.is_image:
            return collect_rows(parse_rows(body, content_type, spec, limits))
        files = read_files(body, content_type, limits)
        return collect_images([name for name, _ in files], decode_files(files, estimate_costs(files, limits), spec))
    except YishengError as error:
        raise to_api_error(error) from None


def collect_rows(rows: RowInputs) -> Inputs:
    """Return the rows of a request as its inputs."""
    return Inputs(rows.x, rows.names, place_on_first(rows.notes, len(rows.names)))


def collect_images(names: Sequence[str], images: Iterable[Decoded]) -> Inputs:
    """Return the images of a request as its inputs.

    Raises:
        DataError: none of them can be read.
    """
    decoded: list[tuple[str, np.ndarray, tuple[str, ...]]] = []
    failures: dict[int, tuple[str, DataError]] = {}
    for position, (name, image) in enumerate(zip(names, images, strict=True)):
        if isinstance(image, DataError):
            failures[position] = name, image
        else:
            decoded.append((name, image[0], tuple(image[1])))
    if not decoded:
        raise next(iter(failures.values()))[1]
    return Inputs(
        np.stack([pixels for _, pixels, _ in decoded]),
        tuple(name for name, _, _ in decoded),
        tuple(notes for _, _, notes in decoded),
        failures,
    )

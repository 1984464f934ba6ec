"""Find rows that a user's loop mirrored or rotated, and what it did with their targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case

CHECK = "label-changing-augmentation"
MAX_VALUES = 1 << 25
"""Values of given rows that are compared."""
MAX_ROUNDING = 1e-3
"""Difference of two standardized rows that are the same up to a scaling."""
MIN_TRANSFORMED = 8
"""Rows that were seen mirrored or rotated."""
MIN_ASYMMETRIC = 0.5
"""Fraction of their masks that would be different if they were mirrored, too."""
MIN_SIDE = 4
"""Height and width of a mask, below which an axis may count something else, as the corners of a box."""
IDENTITY = ""


@dataclass(frozen=True)
class MovedRow:
    """A recorded row that is a given one.

    Args:
        number: of the given row.
        transform: how it was moved; empty if it is as it was given.
        has_same_target: whether its target in the loss is the given one; None if it is unknown.
    """

    number: int
    transform: str
    has_same_target: bool | None


def list_transforms(shape: tuple[int, ...]) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Return the transforms that keep the shape of images ``(B, C, H, W)`` or ``(B, H, W)``, or reverse ``(B, C, T)``.

    >>> sorted(list_transforms((4, 1, 8, 8)))[:2], len(list_transforms((4, 5)))
    (['', 'mirrored left to right'], 1)
    """
    transforms: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {IDENTITY: lambda x: x}
    if len(shape) < 3:
        return transforms
    transforms[Message("mirrored left to right")] = lambda x: x.flip(-1)
    if len(shape) == 4:
        transforms[Message("mirrored top to bottom")] = lambda x: x.flip(-2)
        transforms[Message("rotated by 180 degrees")] = lambda x: x.flip(-1, -2)
        if shape[-1] == shape[-2]:
            transforms[Message("rotated by 90 degrees")] = lambda x: x.rot90(1, (-2, -1))
            transforms[Message("rotated by 270 degrees")] = lambda x: x.rot90(3, (-2, -1))
    return transforms


def find_moved_rows(case: Case, data: Any) -> list[MovedRow]:
    """Return the recorded rows that are given ones, perhaps scaled, mirrored or rotated.

    Args:
        case: the training.
        data: the given rows ``(x, y)``.
    """
    x, y = data
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor) or not 0 < x.numel() <= MAX_VALUES:
        return []
    records = [record for record in case.records if record.rows is not None]
    records = [record for record in records if record.rows is not None and record.rows[0].shape[1:] == x.shape[1:]]
    if not records:
        return []
    rows = torch.cat([record.rows[0] for record in records if record.rows is not None]).float().cpu()
    targets = [
        _find_target(record.targets, i)
        for record in records
        for i in range(0 if record.rows is None else len(record.rows[0]))
    ]
    given_rows = _standardize(x.float().cpu())
    columns = given_rows.shape[1]
    direction = torch.randn(columns, generator=torch.Generator().manual_seed(0)) / math.sqrt(columns)
    places, order = torch.sort(given_rows @ direction)
    moved: dict[int, MovedRow] = {}
    for name, transform in list_transforms(tuple(rows.shape)).items():
        standardized = _standardize(transform(rows))
        nearest = torch.searchsorted(places, standardized @ direction)
        for i in (i for i in range(len(rows)) if i not in moved):
            for place in (int(nearest[i]) - 1, int(nearest[i])):
                number = int(order[place]) if 0 <= place < len(order) else -1
                if number >= 0 and float((standardized[i] - given_rows[number]).abs().max()) < MAX_ROUNDING:
                    moved[i] = MovedRow(number, name, _is_same(targets[i], y[number]))
                    break
    return list(moved.values())


def find_unmoved_masks(case: Case, data: Any) -> Iterator[Finding]:
    """Yield that the loop mirrors or rotates images, and leaves their masks as they are.

    Args:
        case: the training.
        data: the given rows ``(x, y)``, whose targets are masks of the same or of a proportional size.

    Source: Buslaev et al., "Albumentations: fast and flexible image augmentations", 2020, section 2 (the same transform
    for image, mask, boxes and keypoints).
    """
    if not isinstance(data, tuple | list) or len(data) != 2 or not all(isinstance(v, torch.Tensor) for v in data):
        return
    x, y = data
    if not _are_masks(x, y):
        return
    rows = [row for row in find_moved_rows(case, data) if row.transform and row.has_same_target]
    transforms = list_transforms(tuple(x.shape))
    asymmetric = [
        row for row in rows if not torch.equal(_move(transforms, row.transform, y[row.number]), y[row.number])
    ]
    if len(rows) < MIN_TRANSFORMED or len(asymmetric) < MIN_ASYMMETRIC * len(rows):
        return
    yield Finding(
        CHECK,
        "error",
        {"moved rows": len(rows), "transform": rows[0].transform},
        Message(
            "{count} of the recorded images are given ones, {transform}, with the mask of the image as it was: the "
            "mask does not show what is in the image",
            count=len(rows),
            transform=rows[0].transform,
        ),
        Message("draw the transform once for each image, and apply it to image, mask, boxes and points"),
        source=case.sources.get("forward", ""),
    )


def _are_masks(x: torch.Tensor, y: torch.Tensor) -> bool:
    """Return whether targets have the height and width of the images, or a part of both."""
    if x.ndim != 4 or y.ndim not in (3, 4) or len(x) != len(y) or min(y.shape[-2:]) < MIN_SIDE:
        return False
    return x.shape[-1] * y.shape[-2] == x.shape[-2] * y.shape[-1]


def _move(
    transforms: dict[str, Callable[[torch.Tensor], torch.Tensor]], name: str, target: torch.Tensor
) -> torch.Tensor:
    return transforms[name](target[None])[0]


def _standardize(x: torch.Tensor) -> torch.Tensor:
    """Return rows ``(B, D)`` of mean 0 and standard deviation 1."""
    x = x.flatten(1)
    return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).clamp(min=1e-12)


def _find_target(targets: torch.Tensor | None, i: int) -> torch.Tensor | None:
    return None if targets is None or i >= len(targets) else targets[i].cpu()


def _is_same(target: torch.Tensor | None, expected: torch.Tensor) -> bool | None:
    """Return whether a recorded target is the given one; None if it has another number of values."""
    if target is None or target.numel() != expected.numel():
        return None
    return bool(torch.allclose(target.double().flatten(), expected.cpu().double().flatten(), atol=1e-6))

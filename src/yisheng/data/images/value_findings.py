"""Findings about the values in image files: how they became pixels, and images that do not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from yisheng.core.findings import Finding
from yisheng.core.image_values import ImageValues
from yisheng.core.messages import Message, join_messages
from yisheng.data.images.folder_findings import MAX_EXAMPLES
from yisheng.data.images.image_values import describe_values


def report_values(values: ImageValues, types: Mapping[str, int], notes: Sequence[tuple[str, str]]) -> Iterable[Finding]:
    """Yield findings about the values in a set's files.

    Args:
        values: how the values became pixels.
        types: number of training files whose values have each type.
        notes: name of the file and note, for each image that does not fit the values of the training images.
    """
    description = describe_values(values)
    if description:
        ranges = [{"dtype": r.dtype, "low": r.low, "high": r.high} for r in values.ranges]
        evidence = {"ranges": ranges, "stored": values.stored, "background": values.background}
        yield Finding(
            "image-values", "note", evidence, description, Message("save them again if they should hold something else")
        )
    if len(values.ranges) > 1:
        counts = ", ".join(f"{count:,} of {dtype}" for dtype, count in types.items())
        yield Finding(
            "several-image-types",
            "warning",
            {"types": dict(types)},
            Message(
                "the training images have several types of values ({types}), whose brightness may not be comparable",
                types=counts,
            ),
            Message("save all of them in one type with one range"),
        )
    if notes:
        examples = [Message("{name}: {note}", name=name, note=note) for name, note in notes[:MAX_EXAMPLES]]
        yield Finding(
            "other-image-values",
            "warning",
            {"count": len(notes), "first": examples},
            Message(
                "{count} images do not have the values of the training images: {examples}",
                count=len(notes),
                examples=join_messages(examples[:2]),
            )
            + "; ..." * (len(notes) > 2),
            Message("save them with the type and the range of the training images"),
        )

"""How much a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from yisheng.core.spec import Spec


@dataclass(frozen=True)
class Limits:
    """The limits of a service; each bounds time or memory that grows with it.

    Args:
        body: bytes of a request; a phone's photo has about 5 MB.
        pixels: of all images of a request together; decoding takes about 10 bytes of memory per pixel.
        images: of a request.
        rows: of a request.
        seconds: to receive a request's body, and again to respond to it.
        explained: images of a request with ``explain=true``; each takes about a hundred forward passes.
        corrections: samples that are kept for the next training.
        correction_bytes: of these samples on the disk together; an image may take ten times what was sent.
        output_values: values of a response, rows times classes; each takes about 25 bytes of JSON.
    """

    body: int = 16 << 20
    pixels: int = 64_000_000
    images: int = 256
    rows: int = 10_000
    seconds: float = 30
    explained: int = 16
    corrections: int = 10_000
    correction_bytes: int = 256 << 20
    output_values: int = 1_000_000


def max_rows(spec: Spec, limits: Limits) -> int:
    """Return the number of rows that a request may have.

    >>> max_rows(Spec("regression", (2,)), Limits(rows=5))
    5
    """
    return min(limits.rows, limits.output_values // max(1, len(spec.classes)))

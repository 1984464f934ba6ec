"""How much a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a service; each is there because something grows with it.

    Args:
        body: bytes of a request; a telephone's photo has about 5 MB.
        pixels: of all images of a request together; decoding takes about 10 bytes of memory for each.
        images: of a request.
        rows: of a request.
        seconds: for reading a request's body, and again for answering it.
        explained: images of a request that are explained; each takes some hundred passes through the network.
        corrections: samples that are kept for the next training.
        answered: values of a request's answer, rows times classes; each takes some 25 bytes of JSON.
    """

    body: int = 16 << 20
    pixels: int = 64_000_000
    images: int = 256
    rows: int = 10_000
    seconds: float = 30
    explained: int = 16
    corrections: int = 10_000
    answered: int = 1_000_000

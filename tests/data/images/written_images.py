"""Image files written byte by byte, so that what they hold is known independently of any decoder."""

import struct
import zlib

import numpy as np

UINT16, UINT32 = 3, 4
"""TIFF's types of whole numbers."""
PNG_COLORS = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's color type by number of channels."""


def write_png(values, bits=8):
    """Return a PNG of whole numbers ``(H, W)`` or ``(H, W, c)`` with c = 2, 3 or 4 (the last of an even c is alpha)."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    height, width = values.shape[:2]
    if bits < 8:
        planes = (values[..., None].astype(np.uint8) >> np.arange(bits - 1, -1, -1)) & 1
        rows = [b"\0" + np.packbits(row.reshape(-1)).tobytes() for row in planes]
    else:
        stored = values.reshape(height, -1).astype(">u2" if bits == 16 else np.uint8)
        rows = [b"\0" + row.tobytes() for row in stored]

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">2I5B", width, height, bits, PNG_COLORS[channels], 0, 0, 0)
    data = zlib.compress(b"".join(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def write_tiff(values, order="<", photometric=None, extra=None):
    """Return an uncompressed TIFF of any type of numbers ``(H, W)`` or ``(H, W, c)``.

    Args:
        values: the samples; their type becomes bits per sample and sample format.
        order: ``<`` little or ``>`` big endian.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 5 CMYK; None goes by the number of channels.
        extra: meaning of the channels beyond the colors (2: alpha).
    """
    samples = 1 if values.ndim == 2 else values.shape[2]
    height, width = values.shape[:2]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    photometric = (1 if samples == 1 else 2) if photometric is None else photometric
    fields = [
        (256, UINT32, [width]),
        (257, UINT32, [height]),
        (258, UINT16, [values.dtype.itemsize * 8] * samples),
        (259, UINT16, [1]),
        (262, UINT16, [photometric]),
        (273, UINT32, [8]),
        (277, UINT16, [samples]),
        (278, UINT32, [height]),
        (279, UINT32, [len(data)]),
        *([] if extra is None else [(338, UINT16, [extra])]),
        (339, UINT16, [sample_format] * samples),
    ]
    directory_at = 8 + len(data) + len(data) % 2
    outside_at = directory_at + 2 + 12 * len(fields) + 4
    entries, outside = b"", b""
    for tag, kind, numbers in fields:
        content = struct.pack(f"{order}{len(numbers)}{'H' if kind == UINT16 else 'I'}", *numbers)
        if len(content) > 4:
            pointer = struct.pack(f"{order}I", outside_at + len(outside))
            outside += content
        else:
            pointer = content.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + pointer
    mark = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", directory_at)
    count = struct.pack(f"{order}H", len(fields))
    return mark + data + b"\0" * (len(data) % 2) + count + entries + bytes(4) + outside


def write_netpbm(values, max_value):
    """Return a PGM or PPM of whole numbers, or a PFM of floats."""
    height, width = values.shape[:2]
    if values.dtype.kind == "f":
        return f"Pf\n{width} {height}\n-1.0\n".encode() + values[::-1].astype("<f4").tobytes()
    kind = "P5" if values.ndim == 2 else "P6"
    return (
        f"{kind}\n{width} {height}\n{max_value}\n".encode()
        + values.astype(">u2" if max_value > 255 else np.uint8).tobytes()
    )

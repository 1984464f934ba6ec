"""Any file is decoded to pixels or refused with a DataError: no crash, no hang, bounded memory.

The decoders are C code, so they run in a separate process, where a crash or a hang fails the example.
Set `YISHENG_EXAMPLES=10000` for a thorough test; see CONTRIBUTING.
"""

from __future__ import annotations

import collections
import io
import json
import queue
import random
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from yisheng.data.images import decode
from yisheng.data.images.orientation import EXIF_ORIENTATION

MAX_MEMORY = 2 << 30
"""Bytes that the process may take: the largest image, 64 million pixels, in several copies."""
TIMEOUT_SECONDS = 60
"""Seconds that a file may take; a busy machine decodes the largest image in a few."""
CHILD = """
import json, pathlib, re, resource, struct, sys
from yisheng.core.errors import DataError
from yisheng.data.images import decode
def peak():
    # On Linux ru_maxrss starts at the parent's value; VmHWM is the child's own, in KiB.
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(re.search("VmHWM:\\s*(\\d+)", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
while head := sys.stdin.buffer.read(4):
    content = sys.stdin.buffer.read(struct.unpack("<I", head)[0])
    color, size, fit = json.loads(sys.stdin.buffer.readline())
    try:
        with decode.silence_pillow():
            options = {"color": color, "size": size and tuple(size), "fit": fit}
            pixels = decode.decode_image(content, "a.jpg", values=None, **options)
        answer = ["pixels", pixels.dtype.name, *pixels.shape]
    except DataError as error:
        answer = ["error", error.problem, error.remedy]
    print(json.dumps([*answer, peak()]), flush=True)
"""


class Decoder:
    """A process that decodes."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.answers = queue.Queue()
        self.counts = collections.Counter()
        self.peak = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def __call__(self, content, color, size, fit):
        options = json.dumps([color, size, fit]).encode()
        self.process.stdin.write(struct.pack("<I", len(content)) + content + options + b"\n")
        self.process.stdin.flush()
        answer = self.answers.get(timeout=TIMEOUT_SECONDS)
        assert answer is not None, f"the decoder ended with {self.process.wait()}"
        *answer, peak = answer
        self.peak = peak * (1 if sys.platform == "darwin" else 1024)
        assert self.peak < MAX_MEMORY
        self.counts[answer[0]] += 1
        return answer


@pytest.fixture(scope="module")
def decoder():
    pytest.importorskip("resource", reason="only Unix tells how much memory a process took")
    decoder = Decoder()
    yield decoder
    decoder.process.stdin.close()
    assert decoder.process.wait(timeout=TIMEOUT_SECONDS) == 0
    decoder.process.stdout.close()
    print(f"\n{dict(decoder.counts)}, {decoder.peak >> 20} MiB", file=sys.stderr)  # shown with pytest -s


def encode(mode, kind, size=(24, 16), **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, kind, **options)
    return file.getvalue()


def rotated():
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    return exif


FILES = [
    encode("RGB", "JPEG"),
    encode("RGB", "JPEG", (300, 200), quality=50),
    encode("RGB", "JPEG", progressive=True, subsampling=0),
    encode("L", "JPEG"),
    encode("CMYK", "JPEG"),
    encode("RGB", "JPEG", exif=rotated()),
    *(encode(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    encode("RGBA", "PNG", (100, 80), exif=rotated()),
    encode("P", "GIF", transparency=3),
    *(encode(mode, "BMP") for mode in ("1", "P", "RGB", "RGBA")),
    *(encode(mode, "TIFF") for mode in ("1", "L", "P", "RGB", "CMYK", "F")),
    *(
        encode("RGB", "TIFF", compression=compression)
        for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    ),
    *(encode(mode, "PPM") for mode in ("1", "L", "RGB")),
    *([encode("RGBA", "WEBP"), encode("RGB", "WEBP", lossless=True)] if features.check("webp") else []),
    *([encode("RGB", "AVIF")] if features.check("avif") else []),
]
MAGIC = sorted({file[:length] for file in FILES for length in (2, 4, 8, 12)})
SIZES = st.none() | st.tuples(st.integers(1, 40), st.integers(1, 40))
OPTIONS = st.tuples(st.sampled_from(["auto", "gray", "rgb"]), SIZES, st.sampled_from(["crop", "squash", "pad"]))


def flipped(content, draw):
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] = draw.choice((0, 255, draw.randrange(256)))
    return bytes(changed)


def cut(content, draw):
    return content[: draw.randrange(len(content))]


def swapped(content, draw):
    second_file, start = draw.choice(FILES), draw.choice((2, 4, 8, 16, 32, 100))
    return second_file[:start] + content[start:]


def spliced(content, draw):
    second_file = draw.choice(FILES)
    return content[: draw.randrange(len(content))] + second_file[draw.randrange(len(second_file)) :]


def huge(content, draw):
    """Write a wrong size where this format has it."""
    width, height = (draw.choice((0, 1, 7_999, 8_000, 30_000, 65_535, 65_536, 2**31 - 1, 2**32 - 1)) for _ in "wh")
    changed = bytearray(content)
    if content.startswith(b"\x89PNG"):
        changed[16:24] = struct.pack(">2I", width, height)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    elif content.startswith(b"\xff\xd8"):
        start = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
        changed[start + 5 : start + 9] = struct.pack(">2H", height & 65_535, width & 65_535)
    elif content.startswith(b"GIF"):
        changed[6:10] = struct.pack("<2H", width & 65_535, height & 65_535)
        start = content.find(b"\x2c", 13)
        changed[start + 5 : start + 9] = changed[6:10]
    elif content.startswith(b"BM"):
        changed[18:26] = struct.pack("<2I", width, height)
    elif content.startswith(b"II*"):
        for start in range(len(content) - 12):
            if content[start : start + 2] in (b"\x00\x01", b"\x01\x01") and content[start + 2 : start + 4] in (
                b"\3\0",
                b"\4\0",
            ):
                changed[start + 2 : start + 12] = struct.pack("<HII", 4, 1, width if content[start] == 0 else height)
    elif content.startswith(b"RIFF"):
        changed[24:30] = struct.pack("<Q", (width & 0xFFFFFF) | (height & 0xFFFFFF) << 24)[:6]
    else:
        changed[3:8] = str(width).encode()[:5].ljust(5)
    return bytes(changed)


def noise(_, draw):
    return draw.choice((b"", *MAGIC)) + draw.randbytes(draw.randrange(400))


@given(
    st.sampled_from([flipped, flipped, flipped, flipped, cut, swapped, spliced, huge, noise]),
    st.integers(0, 2**32),
    OPTIONS,
)
def test_images_are_decoded_or_refused(decoder, change, seed, options):
    draw = random.Random(seed)
    content = change(draw.choice(FILES), draw)
    if draw.random() < 0.2:
        content = draw.choice((flipped, cut))(content or b"\0", draw)
    kind, *answer = decoder(content, *options)
    if kind == "error":
        problem, remedy = answer
        assert problem.startswith("a.jpg ")
        assert len(remedy) > 3
        return
    dtype, *shape = answer
    assert dtype == "uint8"
    assert len(shape) in {"auto": (2, 3), "gray": (2,), "rgb": (3,)}[options[0]]
    assert shape[2:] in ([], [3])
    assert options[1] is None or tuple(shape[:2]) == options[1]
    assert shape[0] * shape[1] <= decode.MAX_PIXELS


def test_intact_files_are_decoded(decoder):
    for content in FILES:
        assert decoder(content, "auto", None, "crop")[0] == "pixels"

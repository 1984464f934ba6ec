"""Whatever an image file holds, it gives pixels or an error of ours: no crash, no hang, in bounded memory.

The decoders are C code, so they run in a process of their own, where a crash or a hang shows as a failed example.
`YISHENG_EXAMPLES=10000` makes this thorough; see CONTRIBUTING.
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

MEMORY = 2 << 30
"""Bytes that one process may take in all: the largest image, 64 million pixels, in several copies."""
PATIENCE = 60
"""Seconds that one file may take; a busy machine decodes the largest image in a few."""
CHILD = """
import json, pathlib, re, resource, struct, sys
from yisheng.core.errors import DataError
from yisheng.data.images import decode
def peak():
    # Linux's ru_maxrss begins with the parent's, whatever the child takes; VmHWM is its own, in KiB.
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(re.search("VmHWM:\\s*(\\d+)", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
while head := sys.stdin.buffer.read(4):
    content = sys.stdin.buffer.read(struct.unpack("<I", head)[0])
    how = json.loads(sys.stdin.buffer.readline())
    try:
        with decode.quiet():
            found = decode.decode(content, "a.jpg", colour=how[0], size=how[1] and tuple(how[1]), fit=how[2])
        answer = ["pixels", found.dtype.name, *found.shape]
    except DataError as error:
        answer = ["error", error.problem, error.remedy]
    print(json.dumps([*answer, peak()]), flush=True)
"""


class Decoder:
    """The process that decodes."""

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

    def __call__(self, content, colour, size, fit):
        how = json.dumps([colour, size, fit]).encode()
        self.process.stdin.write(struct.pack("<I", len(content)) + content + how + b"\n")
        self.process.stdin.flush()
        answer = self.answers.get(timeout=PATIENCE)
        assert answer is not None, f"the decoder ended with {self.process.wait()}"
        *answer, peak = answer
        self.peak = peak * (1 if sys.platform == "darwin" else 1024)
        assert self.peak < MEMORY
        self.counts[answer[0]] += 1
        return answer


@pytest.fixture(scope="module")
def decoder():
    pytest.importorskip("resource", reason="only Unix tells how much memory a process took")
    found = Decoder()
    yield found
    found.process.stdin.close()
    assert found.process.wait(timeout=PATIENCE) == 0
    found.process.stdout.close()
    print(f"\n{dict(found.counts)}, {found.peak >> 20} MiB", file=sys.stderr)  # shown with pytest -s


def saved(mode, kind, size=(24, 16), **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, kind, **options)
    return file.getvalue()


def rotated():
    exif = Image.Exif()
    exif[decode.ORIENTATION] = 6
    return exif


FILES = [
    saved("RGB", "JPEG"),
    saved("RGB", "JPEG", (300, 200), quality=50),
    saved("RGB", "JPEG", progressive=True, subsampling=0),
    saved("L", "JPEG"),
    saved("CMYK", "JPEG"),
    saved("RGB", "JPEG", exif=rotated()),
    *(saved(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    saved("RGBA", "PNG", (100, 80), exif=rotated()),
    saved("P", "GIF", transparency=3),
    *(saved(mode, "BMP") for mode in ("1", "P", "RGB", "RGBA")),
    *(saved(mode, "TIFF") for mode in ("1", "L", "P", "RGB", "CMYK", "F")),
    *(saved("RGB", "TIFF", compression=how) for how in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
    *(saved(mode, "PPM") for mode in ("1", "L", "RGB")),
    *([saved("RGBA", "WEBP"), saved("RGB", "WEBP", lossless=True)] if features.check("webp") else []),
    *([saved("RGB", "AVIF")] if features.check("avif") else []),
]
MAGIC = sorted({file[:length] for file in FILES for length in (2, 4, 8, 12)})
SIZES = st.none() | st.tuples(st.integers(1, 40), st.integers(1, 40))
HOW = st.tuples(st.sampled_from(["auto", "grey", "rgb"]), SIZES, st.sampled_from(["crop", "squash", "pad"]))


def flipped(content, draw):
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] = draw.choice((0, 255, draw.randrange(256)))
    return bytes(changed)


def cut(content, draw):
    return content[: draw.randrange(len(content))]


def swapped(content, draw):
    other, at = draw.choice(FILES), draw.choice((2, 4, 8, 16, 32, 100))
    return other[:at] + content[at:]


def spliced(content, draw):
    other = draw.choice(FILES)
    return content[: draw.randrange(len(content))] + other[draw.randrange(len(other)) :]


def huge(content, draw):
    """A size that is not true, written where this format has it."""
    wide, tall = (draw.choice((0, 1, 7_999, 8_000, 30_000, 65_535, 65_536, 2**31 - 1, 2**32 - 1)) for _ in "wh")
    changed = bytearray(content)
    if content.startswith(b"\x89PNG"):
        changed[16:24] = struct.pack(">2I", wide, tall)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    elif content.startswith(b"\xff\xd8"):
        at = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
        changed[at + 5 : at + 9] = struct.pack(">2H", tall & 65_535, wide & 65_535)
    elif content.startswith(b"GIF"):
        changed[6:10] = struct.pack("<2H", wide & 65_535, tall & 65_535)
        at = content.find(b"\x2c", 13)
        changed[at + 5 : at + 9] = changed[6:10]
    elif content.startswith(b"BM"):
        changed[18:26] = struct.pack("<2I", wide, tall)
    elif content.startswith(b"II*"):
        for at in range(len(content) - 12):
            if content[at : at + 2] in (b"\x00\x01", b"\x01\x01") and content[at + 2 : at + 4] in (b"\3\0", b"\4\0"):
                changed[at + 2 : at + 12] = struct.pack("<HII", 4, 1, wide if content[at] == 0 else tall)
    elif content.startswith(b"RIFF"):
        changed[24:30] = struct.pack("<Q", (wide & 0xFFFFFF) | (tall & 0xFFFFFF) << 24)[:6]
    else:
        changed[3:8] = str(wide).encode()[:5].ljust(5)
    return bytes(changed)


def noise(_, draw):
    return draw.choice((b"", *MAGIC)) + draw.randbytes(draw.randrange(400))


@given(
    st.sampled_from([flipped, flipped, flipped, flipped, cut, swapped, spliced, huge, noise]),
    st.integers(0, 2**32),
    HOW,
)
def test_images_are_decoded_or_refused(decoder, change, seed, how):
    draw = random.Random(seed)
    content = change(draw.choice(FILES), draw)
    if draw.random() < 0.2:
        content = draw.choice((flipped, cut))(content or b"\0", draw)
    kind, *answer = decoder(content, *how)
    if kind == "error":
        problem, remedy = answer
        assert problem.startswith("a.jpg ")
        assert len(remedy) > 3
        return
    dtype, *shape = answer
    assert dtype == "uint8"
    assert len(shape) in {"auto": (2, 3), "grey": (2,), "rgb": (3,)}[how[0]]
    assert shape[2:] in ([], [3])
    assert how[1] is None or tuple(shape[:2]) == how[1]
    assert shape[0] * shape[1] <= decode.PIXELS


def test_whole_files_are_decoded(decoder):
    for content in FILES:
        assert decoder(content, "auto", None, "crop")[0] == "pixels"

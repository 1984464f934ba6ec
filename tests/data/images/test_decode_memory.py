"""The memory that decoding takes is at most what is estimated, measured in a process of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sampled,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of memory"),
]
FIXED_BYTES = 24 << 20
"""Memory of libraries and of bands, which does not depend on the image."""
CHILD = """
import io, json, re, sys, zlib
import numpy as np
from pathlib import Path
from PIL import Image
from yisheng.core.image_values import ImageValues
from yisheng.data.images import decode
from yisheng.data.images.decode_limits import estimate_decoding_cost

sys.path.insert(0, sys.argv[1])
from benchmarks.hostile_images import compress_zeros, make_png, make_tiff, repeat_last_scan, resize_jpeg

kind, side = sys.argv[2], int(sys.argv[3])
def encode(mode, form, **options):
    file = io.BytesIO()
    Image.new(mode, (side, side)).save(file, form, **options)
    return file.getvalue()

def png(channels, depth, color, **options):
    data = compress_zeros(side * (side * channels * depth // 8 + 8))
    return make_png(side, side, data, depth=depth, color=color, **options)

def jpeg(mode, **options):
    small = io.BytesIO()
    Image.new(mode, (64, 64)).save(small, "JPEG", **options)
    return resize_jpeg(small.getvalue(), side, side)

contents = {
    "png 8 gray": lambda: png(1, 8, 0), "png 8 rgb": lambda: png(3, 8, 2), "png 8 rgba": lambda: png(4, 8, 6),
    "png 16 gray": lambda: png(1, 16, 0), "png 16 rgb": lambda: png(3, 16, 2), "png 16 rgba": lambda: png(4, 16, 6),
    "png 16 la": lambda: png(2, 16, 4), "png interlaced": lambda: png(4, 8, 6, interlace=1),
    "jpeg": lambda: encode("RGB", "JPEG"),
    "jpeg progressive": lambda: encode("RGB", "JPEG", progressive=True, subsampling=0),
    "jpeg cmyk": lambda: encode("CMYK", "JPEG", progressive=True),
    "gif": lambda: encode("P", "GIF"), "bmp": lambda: encode("RGB", "BMP"), "ppm": lambda: encode("RGB", "PPM"),
    "tiff": lambda: encode("RGB", "TIFF", compression="tiff_lzw"),
    "tiff rgba": lambda: encode("RGBA", "TIFF", compression="tiff_deflate"),
    "tiff float": lambda: make_tiff(
        side, side, compress_zeros(4 * side * side), compression=8, bits=32, extra=((339, 3, 1, 3),)
    ),
    "webp": lambda: encode("RGBA", "WEBP", method=0),
    "webp lossless": lambda: encode("RGB", "WEBP", lossless=True, method=0, quality=0),
    "avif": lambda: encode("RGB", "AVIF", speed=10),
}
content = contents[kind]()
Path("/proc/self/clear_refs").write_text("5")
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
import gc; gc.collect()
before = peak()
cost = estimate_decoding_cost(content, "a")
size = None if sys.argv[4] == "full" else (224, 224)
with decode.silence_pillow():
    image = decode.decode_image(content, "a", size=size, color=sys.argv[5], values=None)
print(json.dumps({"peak": peak() - before, "estimate": cost.nbytes, "pixels": cost.pixels, "length": len(content)}))
"""
KINDS = re.findall(r'"([a-z0-9 ]+)": lambda', CHILD)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "color"), [("full", "auto"), ("small", "rgb")])
def test_memory_is_estimated_from_above(kind, size, color):
    completed = subprocess.run(
        [sys.executable, "-c", CHILD, str(Path(__file__).parents[3]), kind, "4000", size, color],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "encoder" in completed.stderr or "KeyError: 'AVIF'" in completed.stderr:
        pytest.skip("Pillow was built without this format")
    assert completed.returncode == 0, completed.stderr
    facts = json.loads(completed.stdout)
    print(f"{kind} {size}: {facts['peak'] / facts['pixels']:.1f} bytes a pixel")
    assert facts["peak"] <= facts["estimate"] + 2 * facts["length"] + FIXED_BYTES

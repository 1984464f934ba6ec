"""Measure decoding a folder or zip of images, by Yisheng and by Pillow alone, on one core.

Pillow alone is `np.asarray(Image.open(file).convert("RGB"))`, fitted with `ImageOps.fit` to another size, and copied
into an array in memory. Two steps are measured. `decode` starts from the same bytes in memory. `load` is everything
that `data=PATH` does the first time: list and check the files, read, decode, look for duplicates, and write the block
to the disk; Pillow's `load` lists and reads the files too. Both alternate (A B A B ...) in one process that is bound to
one core.

    python benchmarks/decode.py data=PATH [rounds=3] [size=224] [enlarge=2048] [limit=5000]

`enlarge` first writes copies of the images whose longer side is this many pixels, like a camera's; `limit` is the
number of images to use.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
from PIL import Image, ImageOps

from yisheng.core import machine
from yisheng.data import load
from yisheng.data.images import decode, folder_labels
from yisheng.data.images.file_listing import is_image


def decode_with_pillow(contents: Sequence[bytes], size: tuple[int, int] | None, block: np.ndarray) -> None:
    """Decode bytes in memory with Pillow alone."""
    for row, content in zip(block, contents, strict=True):
        row[:] = read_with_pillow(io.BytesIO(content), size)


def read_with_pillow(file: io.BytesIO | Path, size: tuple[int, int] | None) -> np.ndarray:
    """Return one image as an array."""
    image = Image.open(file).convert("RGB")
    if size is not None and image.size != size[::-1]:
        image = ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def load_with_pillow(path: Path, size: tuple[int, int] | None, block: np.ndarray) -> None:
    """Read and decode the files with Pillow alone."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if is_image(file.name))
        for row, file in zip(block, files, strict=True):
            row[:] = read_with_pillow(file, size)
        return
    with zipfile.ZipFile(path) as packed:
        names = [name for name in packed.namelist() if is_image(name)]
        for row, name in zip(block, names, strict=True):
            row[:] = read_with_pillow(io.BytesIO(packed.read(name)), size)


def decode_with_yisheng(contents: Sequence[bytes], size: tuple[int, int] | None, block: np.ndarray) -> None:
    """Decode bytes in memory with Yisheng."""
    for row, content in zip(block, contents, strict=True):
        if not decode.decode_plain_jpeg(content, row):
            row[:] = decode.decode_image(content, "an image", color="rgb", size=size)


def load_with_yisheng(path: Path, size: tuple[int, int] | None) -> None:
    """Load the data set with an empty cache."""
    shutil.rmtree(Path(os.environ["YISHENG_HOME"]) / "images", ignore_errors=True)
    load("folder", path=str(path), color="rgb", **({} if size is None else {"size": size}))


def select_images(path: Path, enlarge: int, limit: int, folder: Path) -> Path:
    """Return the path of the images to measure; larger or fewer images are written to a new folder."""
    if not (enlarge or limit):
        return path
    listing = folder_labels.list_images(path)
    numbers = folder_labels.find_classes(listing).file_indices.tolist()
    numbers = numbers[:: max(1, len(numbers) // limit)][:limit] if limit else numbers
    for n, content in zip(numbers, listing.read(numbers), strict=True):
        assert isinstance(content, bytes)
        target = folder / "images" / listing.names[n]
        target.parent.mkdir(parents=True, exist_ok=True)
        if enlarge:
            image = Image.open(io.BytesIO(content)).convert("RGB")
            scale = enlarge / max(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            image.resize(size, Image.Resampling.BICUBIC).save(target.with_suffix(".jpg"), "JPEG", quality=90)
        else:
            target.write_bytes(content)
    return folder / "images"


def measure(work: Callable[[], None]) -> tuple[float, float]:
    """Return the wall seconds and the CPU seconds of a function."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main(words: list[str]) -> None:
    """Measure and print the table."""
    options = dict(word.split("=", 1) for word in words)
    rounds, side = int(options.get("rounds", 3)), int(options.get("size", 0))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["YISHENG_HOME"] = str(Path(temporary) / "home")
        enlarge, limit = int(options.get("enlarge", 0)), int(options.get("limit", 0))
        path = select_images(Path(options["data"]), enlarge, limit, Path(temporary))
        listing = folder_labels.list_images(path)
        numbers = folder_labels.find_classes(listing).file_indices.tolist()
        contents = [content for content in listing.read(numbers) if isinstance(content, bytes)]
        shape = decode.decode_image(contents[0], "an image", color="rgb").shape
        size = (side, side) if side else None
        block = np.empty((len(contents), *(size or shape[:2]), 3), np.uint8)
        versions = f"Python {platform.python_version()}, Pillow {PIL.__version__}, simplejpeg {simplejpeg.__version__}"
        print(
            f"{machine.describe_processor()[0]}, one core, {versions}; {len(contents):,} images of {path.name}, ",
            end="",
        )
        print(f"{sum(map(len, contents)) / len(contents) / 1e3:.1f} kB each, to {block.shape[1:3]}, {rounds} rounds\n")
        print(f"{'':<24} {'Pillow /s':>10} {'yisheng /s':>10}   ratio: median (min to max)")
        steps = {
            "decode": (
                lambda: decode_with_pillow(contents, size, block),
                lambda: decode_with_yisheng(contents, size, block),
            ),
            "load": (lambda: load_with_pillow(path, size, block), lambda: load_with_yisheng(path, size)),
        }
        for name, (with_pillow, with_yisheng) in steps.items():
            pairs = [(measure(with_pillow), measure(with_yisheng)) for _ in range(rounds)]
            for i, clock in enumerate(("wall time", "CPU time")):
                pillow_rate = len(contents) / statistics.median(pair[0][i] for pair in pairs)
                yisheng_rate = len(contents) / statistics.median(pair[1][i] for pair in pairs)
                ratios = sorted(pair[0][i] / pair[1][i] for pair in pairs)
                print(
                    f"{name:<6} {clock:<17} {pillow_rate:>10,.0f} {yisheng_rate:>10,.0f}   "
                    f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])

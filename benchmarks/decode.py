"""The first decode of a folder or zip of images beside Pillow alone, on one core each.

Pillow alone is `np.asarray(Image.open(file).convert("RGB"))`, fitted with `ImageOps.fit` where another size is
wanted, and laid into an array in memory. Ours is measured twice: `decode`, the same step on the same bytes in
memory; and `whole`, all that `data=PATH` does the first time: listing and checking the files, reading, decoding,
looking for duplicates, and writing the block to the disk. Pillow's `whole` lists and reads the files too. Both take
turns (A B A B ...) in one process that is bound to one core.

    python benchmarks/decode.py data=PATH [rounds=3] [size=224] [enlarge=2048] [limit=5000]

`enlarge` first writes copies of the images with that longer side, as a camera's would be; `limit` takes only so
many images.
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


def by_pillow(contents: Sequence[bytes], size: tuple[int, int] | None, block: np.ndarray) -> None:
    """Pillow alone, from bytes in memory."""
    for row, content in zip(block, contents, strict=True):
        row[:] = pillow(io.BytesIO(content), size)


def pillow(file: io.BytesIO | Path, size: tuple[int, int] | None) -> np.ndarray:
    """One image."""
    image = Image.open(file).convert("RGB")
    if size is not None and image.size != size[::-1]:
        image = ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def pillow_from_files(path: Path, size: tuple[int, int] | None, block: np.ndarray) -> None:
    """Pillow alone, from the files."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if is_image(file.name))
        for row, file in zip(block, files, strict=True):
            row[:] = pillow(file, size)
        return
    with zipfile.ZipFile(path) as packed:
        names = [name for name in packed.namelist() if is_image(name)]
        for row, name in zip(block, names, strict=True):
            row[:] = pillow(io.BytesIO(packed.read(name)), size)


def by_us(contents: Sequence[bytes], size: tuple[int, int] | None, block: np.ndarray) -> None:
    """Our reader, from bytes in memory."""
    for row, content in zip(block, contents, strict=True):
        if not decode.decode_plain_jpeg(content, row):
            row[:] = decode.decode_image(content, "an image", color="rgb", size=size)


def us_from_files(path: Path, size: tuple[int, int] | None) -> None:
    """All that the first load does, with an empty cache."""
    shutil.rmtree(Path(os.environ["YISHENG_HOME"]) / "images", ignore_errors=True)
    load("folder", path=str(path), color="rgb", **({} if size is None else {"size": size}))


def prepared(path: Path, enlarge: int, limit: int, folder: Path) -> Path:
    """The images to measure: as they are, or larger or fewer in a new folder."""
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


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """How long something takes: by the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def main(words: list[str]) -> None:
    """Measure and print a table."""
    options = dict(word.split("=", 1) for word in words)
    rounds, side = int(options.get("rounds", 3)), int(options.get("size", 0))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["YISHENG_HOME"] = str(Path(temporary) / "home")
        enlarge, limit = int(options.get("enlarge", 0)), int(options.get("limit", 0))
        path = prepared(Path(options["data"]), enlarge, limit, Path(temporary))
        listing = folder_labels.list_images(path)
        numbers = folder_labels.find_classes(listing).file_indices.tolist()
        contents = [content for content in listing.read(numbers) if isinstance(content, bytes)]
        first = decode.decode_image(contents[0], "an image", color="rgb")
        size = (side, side) if side else None
        block = np.empty((len(contents), *(size or first.shape[:2]), 3), np.uint8)
        print(
            f"{machine.describe_processor()[0]}, one core, Python {platform.python_version()}, Pillow {PIL.__version__}, ",
            end="",
        )
        print(f"simplejpeg {simplejpeg.__version__}; {len(contents):,} images of {path.name}, ", end="")
        print(f"{sum(map(len, contents)) / len(contents) / 1e3:.1f} kB each, to {block.shape[1:3]}, {rounds} rounds\n")
        print(f"{'':<24} {'Pillow /s':>10} {'yisheng /s':>10}   ratio: median (least to most)")
        turns = {
            "decode": (lambda: by_pillow(contents, size, block), lambda: by_us(contents, size, block)),
            "whole": (lambda: pillow_from_files(path, size, block), lambda: us_from_files(path, size)),
        }
        for name, (pillow_seconds, ours) in turns.items():
            pairs = [(seconds(pillow_seconds), seconds(ours)) for _ in range(rounds)]
            for kind, clock in enumerate(("by the clock", "of the processor")):
                a = len(contents) / statistics.median(pair[0][kind] for pair in pairs)
                b = len(contents) / statistics.median(pair[1][kind] for pair in pairs)
                ratios = sorted(pair[0][kind] / pair[1][kind] for pair in pairs)
                print(
                    f"{name:<6} {clock:<17} {a:>10,.0f} {b:>10,.0f}   "
                    f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])

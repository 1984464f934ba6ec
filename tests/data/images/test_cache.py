"""The cache of decoded images: its pixels, when they are reused, and what a crash leaves behind."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from yisheng.core import cache_folder, machine
from yisheng.core.errors import DataError, StorageError
from yisheng.data.images import bulk_decode, cache, folder_files
from yisheng.data.images.bulk_decode import DecodeOptions


def image(seed, size=(12, 10), mode="RGB"):
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    return Image.fromarray(noise).convert(mode)


@pytest.fixture
def photos(tmp_path):
    """Return a folder of six small images, lossless."""
    root = tmp_path / "photos"
    root.mkdir()
    for n in range(6):
        image(n).save(root / f"{n}.png")
    return root


def load(root, options=None):
    listing = folder_files.list_folder(root)
    return cache.load_block(listing, range(len(listing.names)), options or DecodeOptions(), "photos")


def to_channels_first(image):
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def forbid_calls(monkeypatch, *names):
    for name in names:
        monkeypatch.setattr(bulk_decode, name, lambda *args, name=name: pytest.fail(f"{name} was called"))


def blocks():
    return sorted(path.parent for path in (cache_folder.get_cache_folder() / "images").rglob(cache.ENTRY_FILE))


def test_pixels_equal_those_of_the_files(photos):
    block = load(photos)
    assert np.array_equal(block.pixels, [to_channels_first(image(n)) for n in range(6)])
    assert isinstance(block.pixels, np.memmap)
    assert block.pixels.mode == "r"
    with pytest.raises(ValueError, match="read-only"):
        block.pixels[0] = 0
    assert block.file_positions.tolist() == list(range(6))
    assert block.damaged == block.duplicates == ()


def test_a_second_load_reads_no_files(photos, monkeypatch):
    first = load(photos)
    forbid_calls(monkeypatch, "decode_files", "hash_files")
    assert np.array_equal(load(photos).pixels, first.pixels)


def test_touched_and_moved_files_are_compared_but_not_decoded(photos, monkeypatch):
    first = load(photos)
    forbid_calls(monkeypatch, "decode_files")
    os.utime(photos / "3.png", (1, 1))
    assert np.array_equal(load(photos).pixels, first.pixels)
    copy = shutil.copytree(photos, photos.parent / "copy")
    shutil.rmtree(photos)
    assert np.array_equal(load(copy).pixels, first.pixels)
    forbid_calls(monkeypatch, "hash_files")
    load(copy)
    assert len(blocks()) == 1


def test_changed_content_is_decoded_again(photos):
    times = (photos / "3.png").stat()
    Image.new("RGB", (12, 10), "red").save(photos / "3.bmp")
    load(photos)
    Image.new("RGB", (12, 10), "blue").save(photos / "3.bmp")  # of the same size,
    os.utime(photos / "3.bmp", ns=(times.st_atime_ns, times.st_mtime_ns))  # with its time set back
    assert (load(photos).pixels[3, 2] == 255).all()
    assert len(blocks()) == 2


@pytest.mark.parametrize(
    "options",
    [
        DecodeOptions((5, 7)),
        DecodeOptions((5, 7), "pad"),
        DecodeOptions((5, 7), "squash"),
        DecodeOptions("auto", color="gray"),
    ],
)
def test_other_options_are_decoded_again(photos, options):
    first = load(photos)
    second = load(photos, options)
    assert second.pixels.shape != first.pixels.shape
    assert len(blocks()) == 2


@pytest.mark.parametrize("damage", ["cut", "gone", "no entry", "not json", "wrong shape", "pointer"])
def test_a_damaged_block_is_decoded_again(photos, damage):
    first = np.array(load(photos).pixels)
    (folder,) = blocks()
    if damage == "cut":
        os.truncate(folder / cache.PIXELS_FILE, 100)
    elif damage == "gone":
        (folder / cache.PIXELS_FILE).unlink()
    elif damage == "no entry":
        (folder / cache.ENTRY_FILE).unlink()
    elif damage == "pointer":
        next(folder.parent.glob("*.json")).write_text('{"content": "../../../etc"}')
    else:
        (folder / cache.ENTRY_FILE).write_text(
            "{" if damage == "not json" else '{"shape": [6, 3], "damaged": [], "duplicates": []}'
        )
    assert np.array_equal(load(photos).pixels, first)


def test_auto_size_keeps_only_a_common_small_size(tmp_path):
    for n in range(40):
        image(n, (20, 30)).save(tmp_path / f"{n:02}.png")
    assert load(tmp_path).pixels.shape == (40, 3, 30, 20)
    image(40, (20, 31)).save(tmp_path / "40.png")  # after those of the sample
    assert load(tmp_path).pixels.shape == (41, 3, 224, 224)


@pytest.mark.parametrize(("size", "expected_size"), [((96, 50), (50, 96)), ((97, 50), (224, 224))])
def test_auto_size_scales_large_images_to_224(tmp_path, size, expected_size):
    for n in range(2):
        image(n, size).save(tmp_path / f"{n}.png")
    assert load(tmp_path).pixels.shape[2:] == expected_size


def test_auto_color_is_gray_if_all_images_are(tmp_path):
    for n in range(40):
        image(n, mode="L").save(tmp_path / f"{n:02}.{'jpg' if n % 2 else 'png'}")
    gray = load(tmp_path)
    assert gray.pixels.shape[1] == 1
    assert np.array_equal(gray.pixels[0, 0], np.asarray(image(0, mode="L")))
    image(39).save(tmp_path / "39.jpg")
    color = load(tmp_path)
    assert color.pixels.shape[1] == 3
    assert np.array_equal(color.pixels[0], np.repeat(gray.pixels[0], 3, 0))


def test_damaged_images_do_not_decide_size_and_color(tmp_path):
    for n in range(60):
        image(n, mode="L").save(tmp_path / f"{n:02}.png")
    for n in range(0, 60, 3):  # the images of the sample are damaged, and have another size
        content = io.BytesIO()
        image(n, (50, 50)).save(content, "PNG")
        (tmp_path / f"{n:02}.png").write_bytes(content.getvalue()[:-60])
    block = load(tmp_path)
    assert block.pixels.shape == (40, 1, 10, 12)
    assert block.file_positions.tolist() == [n for n in range(60) if n % 3]
    assert len(block.damaged) == 20
    assert block.damaged[0].startswith("00.png cannot be decoded")
    assert np.array_equal(block.pixels[0, 0], np.asarray(image(1, mode="L")))


def test_all_images_damaged_is_an_error(tmp_path):
    (tmp_path / "0.png").write_bytes(b"hello")
    for options in (DecodeOptions(), DecodeOptions((8, 8), color="rgb")):
        with pytest.raises(DataError, match="none of the 1 images"):
            load(tmp_path, options)
    assert not blocks()
    assert not list(cache_folder.get_cache_folder().rglob(f"{cache.PART_PREFIX}*"))


def test_the_number_of_cores_does_not_change_the_block(tmp_path, monkeypatch):
    for n in range(30):
        image(n, (40, 30 + n % 7)).save(tmp_path / f"{n:02}.jpg")
    (tmp_path / "12.jpg").write_bytes(b"hello")
    monkeypatch.setattr(bulk_decode, "CHUNK_BYTES", 10_000)  # a few images each
    results = []
    for cores in (1, 4):
        monkeypatch.setattr(machine, "count_cores", lambda n=cores: n)
        results.append(load(tmp_path, DecodeOptions((20, 20))))
        shutil.rmtree(cache_folder.get_cache_folder() / "images")
    assert np.array_equal(results[0].pixels, results[1].pixels)
    assert results[0].damaged == results[1].damaged
    assert results[0].file_positions.tolist() == results[1].file_positions.tolist()


def test_decoding_takes_bounded_memory(tmp_path, monkeypatch):
    content = io.BytesIO()
    image(0, (32, 32)).save(content, "JPEG")
    for n in range(300):
        (tmp_path / f"{n}.jpg").write_bytes(content.getvalue())
    monkeypatch.setattr(machine, "count_cores", lambda: 2)
    tracemalloc.start()
    try:
        block = load(tmp_path, DecodeOptions((224, 224)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert block.pixels.nbytes > 45e6
    assert peak < 30e6
    assert len(block.duplicates[0]) == 300


def test_a_full_disk_is_refused_before_decoding(photos, monkeypatch):
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(StorageError, match="its disk has"):
        load(photos)
    assert not list(cache_folder.get_cache_folder().rglob(cache.PIXELS_FILE))


def test_a_cache_that_cannot_be_written_to_is_an_error(photos, tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "images").write_text("a file is in the way")
    monkeypatch.setenv("YISHENG_HOME", str(blocked))
    with pytest.raises(StorageError, match="cannot be written"):
        load(photos)


CHILD = """
import sys
from pathlib import Path
from yisheng.data.images import cache, folder_files
from yisheng.data.images.bulk_decode import DecodeOptions
listing = folder_files.list_folder(Path(sys.argv[1]))
block = cache.load_block(listing, range(len(listing.names)), DecodeOptions((224, 224)), "photos")
print(block.pixels.shape[0], int(block.pixels.astype("uint32").sum()))
"""


def start_process(root):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def large_folder(tmp_path):
    """Return a folder of images that take a second or more to decode."""
    root = tmp_path / "large_folder"
    root.mkdir()
    for n in range(600):
        image(n % 50).save(root / f"{n:04}.png", compress_level=0)
    return root


@pytest.mark.slow
def test_a_killed_process_leaves_no_usable_block(large_folder):
    process = start_process(large_folder)
    deadline = time.monotonic() + 60
    while not any(
        path.stat().st_size
        for path in cache_folder.get_cache_folder().rglob(f"{cache.PART_PREFIX}*/{cache.PIXELS_FILE}")
    ):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not blocks()
    assert list(cache_folder.get_cache_folder().rglob(f"{cache.PART_PREFIX}*"))
    block = load(large_folder, DecodeOptions((224, 224)))
    assert len(block.pixels) == 600
    assert len(blocks()) == 1
    assert not list(cache_folder.get_cache_folder().rglob(f"{cache.PART_PREFIX}*"))


@pytest.mark.slow
def test_two_processes_decode_only_once(large_folder):
    processes = [start_process(large_folder), start_process(large_folder)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0] != ""
    assert sum("waiting for another process" in log for _, log in outputs) <= 1
    assert len(blocks()) == 1
    assert not list(cache_folder.get_cache_folder().rglob(f"{cache.PART_PREFIX}*"))

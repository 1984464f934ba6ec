"""The block of decoded images: what is in it, when it is used again, and what a crash leaves."""

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

from yisheng.core import machine
from yisheng.core.errors import DataError, StorageError
from yisheng.data.hub import locations
from yisheng.data.images import block, cache, folder_files
from yisheng.data.images.block import Settings


def image(seed, size=(12, 10), mode="RGB"):
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    return Image.fromarray(noise).convert(mode)


@pytest.fixture
def photos(tmp_path):
    """Six small images, lossless."""
    root = tmp_path / "photos"
    root.mkdir()
    for n in range(6):
        image(n).save(root / f"{n}.png")
    return root


def decoded(root, settings=None):
    listing = folder_files.listing(root)
    return cache.decoded(listing, range(len(listing.names)), settings or Settings(), "photos")


def chw(image):
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def forbid(monkeypatch, *names):
    for name in names:
        monkeypatch.setattr(block, name, lambda *args, name=name: pytest.fail(f"{name} was called"))


def blocks():
    return sorted(path.parent for path in (locations.home() / "images").rglob(cache.ENTRY))


def test_pixels_are_those_of_the_files(photos):
    found = decoded(photos)
    assert np.array_equal(found.pixels, [chw(image(n)) for n in range(6)])
    assert isinstance(found.pixels, np.memmap)
    assert found.pixels.mode == "r"
    with pytest.raises(ValueError, match="read-only"):
        found.pixels[0] = 0
    assert found.kept.tolist() == list(range(6))
    assert found.damaged == found.twins == ()


def test_a_second_time_nothing_is_read(photos, monkeypatch):
    first = decoded(photos)
    forbid(monkeypatch, "write", "digest")
    assert np.array_equal(decoded(photos).pixels, first.pixels)


def test_touched_and_moved_files_are_compared_not_decoded(photos, monkeypatch):
    first = decoded(photos)
    forbid(monkeypatch, "write")
    os.utime(photos / "3.png", (1, 1))
    assert np.array_equal(decoded(photos).pixels, first.pixels)
    copy = shutil.copytree(photos, photos.parent / "copy")
    shutil.rmtree(photos)
    assert np.array_equal(decoded(copy).pixels, first.pixels)
    forbid(monkeypatch, "digest")
    decoded(copy)
    assert len(blocks()) == 1


def test_other_content_gives_another_block(photos):
    times = (photos / "3.png").stat()
    Image.new("RGB", (12, 10), "red").save(photos / "3.bmp")
    decoded(photos)
    Image.new("RGB", (12, 10), "blue").save(photos / "3.bmp")  # of the same size,
    os.utime(photos / "3.bmp", ns=(times.st_atime_ns, times.st_mtime_ns))  # with its time set back
    assert (decoded(photos).pixels[3, 2] == 255).all()
    assert len(blocks()) == 2


@pytest.mark.parametrize(
    "settings", [Settings((5, 7)), Settings((5, 7), "pad"), Settings((5, 7), "squash"), Settings("auto", colour="grey")]
)
def test_other_settings_give_another_block(photos, settings):
    first = decoded(photos)
    other = decoded(photos, settings)
    assert other.pixels.shape != first.pixels.shape
    assert len(blocks()) == 2


@pytest.mark.parametrize("damage", ["cut", "gone", "no entry", "not json", "wrong shape", "pointer"])
def test_a_damaged_block_is_not_used(photos, damage):
    first = np.array(decoded(photos).pixels)
    (place,) = blocks()
    if damage == "cut":
        os.truncate(place / cache.PIXELS, 100)
    elif damage == "gone":
        (place / cache.PIXELS).unlink()
    elif damage == "no entry":
        (place / cache.ENTRY).unlink()
    elif damage == "pointer":
        next(place.parent.glob("*.json")).write_text('{"content": "../../../etc"}')
    else:
        (place / cache.ENTRY).write_text(
            "{" if damage == "not json" else '{"shape": [6, 3], "damaged": [], "twins": []}'
        )
    assert np.array_equal(decoded(photos).pixels, first)


def test_auto_keeps_a_common_small_size_only(tmp_path):
    for n in range(40):
        image(n, (20, 30)).save(tmp_path / f"{n:02}.png")
    assert decoded(tmp_path).pixels.shape == (40, 3, 30, 20)
    image(40, (20, 31)).save(tmp_path / "40.png")  # past those that are looked at first
    assert decoded(tmp_path).pixels.shape == (41, 3, 224, 224)


@pytest.mark.parametrize(("size", "wanted"), [((96, 50), (50, 96)), ((97, 50), (224, 224))])
def test_auto_makes_large_images_224(tmp_path, size, wanted):
    for n in range(2):
        image(n, size).save(tmp_path / f"{n}.png")
    assert decoded(tmp_path).pixels.shape[2:] == wanted


def test_auto_is_grey_if_all_are(tmp_path):
    for n in range(40):
        image(n, mode="L").save(tmp_path / f"{n:02}.{'jpg' if n % 2 else 'png'}")
    grey = decoded(tmp_path)
    assert grey.pixels.shape[1] == 1
    assert np.array_equal(grey.pixels[0, 0], np.asarray(image(0, mode="L")))
    image(39).save(tmp_path / "39.jpg")
    colour = decoded(tmp_path)
    assert colour.pixels.shape[1] == 3
    assert np.array_equal(colour.pixels[0], np.repeat(grey.pixels[0], 3, 0))


def test_damaged_images_say_nothing_about_the_rest(tmp_path):
    for n in range(60):
        image(n, mode="L").save(tmp_path / f"{n:02}.png")
    for n in range(0, 60, 3):  # what is looked at first is damaged, and would be another size
        content = io.BytesIO()
        image(n, (50, 50)).save(content, "PNG")
        (tmp_path / f"{n:02}.png").write_bytes(content.getvalue()[:-60])
    found = decoded(tmp_path)
    assert found.pixels.shape == (40, 1, 10, 12)
    assert found.kept.tolist() == [n for n in range(60) if n % 3]
    assert len(found.damaged) == 20
    assert found.damaged[0].startswith("00.png cannot be decoded")
    assert np.array_equal(found.pixels[0, 0], np.asarray(image(1, mode="L")))


def test_only_damaged_images_are_an_error(tmp_path):
    (tmp_path / "0.png").write_bytes(b"hello")
    for settings in (Settings(), Settings((8, 8), colour="rgb")):
        with pytest.raises(DataError, match="none of the 1 images"):
            decoded(tmp_path, settings)
    assert not blocks()
    assert not list(locations.home().rglob(f"{cache.PART}*"))


def test_the_number_of_cores_changes_nothing(tmp_path, monkeypatch):
    for n in range(30):
        image(n, (40, 30 + n % 7)).save(tmp_path / f"{n:02}.jpg")
    (tmp_path / "12.jpg").write_bytes(b"hello")
    monkeypatch.setattr(block, "PIECE", 10_000)  # a few images each
    found = []
    for cores in (1, 4):
        monkeypatch.setattr(machine, "cores", lambda n=cores: n)
        found.append(decoded(tmp_path, Settings((20, 20))))
        shutil.rmtree(locations.home() / "images")
    assert np.array_equal(found[0].pixels, found[1].pixels)
    assert found[0].damaged == found[1].damaged
    assert found[0].kept.tolist() == found[1].kept.tolist()


def test_memory_is_bounded(tmp_path, monkeypatch):
    content = io.BytesIO()
    image(0, (32, 32)).save(content, "JPEG")
    for n in range(300):
        (tmp_path / f"{n}.jpg").write_bytes(content.getvalue())
    monkeypatch.setattr(machine, "cores", lambda: 2)
    tracemalloc.start()
    try:
        found = decoded(tmp_path, Settings((224, 224)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.pixels.nbytes > 45e6
    assert peak < 30e6
    assert len(found.twins[0]) == 300


def test_a_full_disk_is_seen_before(photos, monkeypatch):
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(StorageError, match="its disk has"):
        decoded(photos)
    assert not list(locations.home().rglob(cache.PIXELS))


def test_a_home_that_cannot_be_written_to_is_told(photos, tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "images").write_text("a file is in the way")
    monkeypatch.setenv("YISHENG_HOME", str(blocked))
    with pytest.raises(StorageError, match="cannot be written"):
        decoded(photos)


CHILD = """
import sys
from pathlib import Path
from yisheng.data.images import cache, folders
from yisheng.data.images.block import Settings
listing = folders.listing(Path(sys.argv[1]))
found = cache.decoded(listing, range(len(listing.names)), Settings((224, 224)), "photos")
print(found.pixels.shape[0], int(found.pixels.astype("uint32").sum()))
"""


def child(root):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def many(tmp_path):
    """Images that take a second or more to decode."""
    root = tmp_path / "many"
    root.mkdir()
    for n in range(600):
        image(n % 50).save(root / f"{n:04}.png", compress_level=0)
    return root


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_that_is_used(many):
    process = child(many)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in locations.home().rglob(f"{cache.PART}*/{cache.PIXELS}")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not blocks()
    assert list(locations.home().rglob(f"{cache.PART}*"))
    found = decoded(many, Settings((224, 224)))
    assert len(found.pixels) == 600
    assert len(blocks()) == 1
    assert not list(locations.home().rglob(f"{cache.PART}*"))


@pytest.mark.slow
def test_two_processes_decode_once(many):
    both = [child(many), child(many)]
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0] != ""
    assert sum("waiting for another process" in said for _, said in answers) <= 1
    assert len(blocks()) == 1
    assert not list(locations.home().rglob(f"{cache.PART}*"))

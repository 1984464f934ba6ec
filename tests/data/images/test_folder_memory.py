"""The memory that a folder of images takes does not grow with their number, local or at an address."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no getrusage")]
COUNTS = (50, 600)
PIXEL_BYTES = 3 * 224 * 224
CHILD = """
import resource, sys
from yisheng.core import registry
data = registry.build("data.datasets", "folder", path=sys.argv[1], size=224, **eval(sys.argv[2]))
assert data.x.shape == (int(sys.argv[3]), 3, 224, 224), data.x.shape
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure_peak(folder, count, home, monkeypatch, address="", **options):
    """Return the largest memory of a process that decodes a folder, in bytes: the least of three."""
    peaks = []
    for attempt in range(3):
        monkeypatch.setenv("YISHENG_HOME", str(home / f"{folder.name}-{attempt}-{len(address)}"))
        command = [sys.executable, "-c", CHILD, f"{address}{folder}", repr(options), str(count)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return min(peaks) * (1 if sys.platform == "darwin" else 1024)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a folder of few images and one of many, which decoded take 90 MB."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for count in COUNTS:
        for number in range(count):
            path = root / str(count) / ("cat" if number % 2 else "dog") / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return [root / str(count) for count in COUNTS]


@pytest.mark.parametrize(("address", "options"), [("", {}), ("local://", {"stream": True})])
def test_the_peak_does_not_grow_with_the_number_of_images(folders, tmp_path, monkeypatch, address, options):
    peaks = [
        measure_peak(folder, count, tmp_path, monkeypatch, address, **options)
        for folder, count in zip(folders, COUNTS, strict=True)
    ]
    growth, pixels = peaks[1] - peaks[0], (COUNTS[1] - COUNTS[0]) * PIXEL_BYTES
    print(f"{address or 'local'}: {[peak >> 20 for peak in peaks]} MB, {pixels >> 20} MB more pixels")
    assert growth < pixels / 4

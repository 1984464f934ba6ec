"""Duplicate images: groups of equal ones, and the findings about them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.data.images import duplicates


@given(st.lists(st.integers(0, 6), max_size=30), st.sampled_from([(1, 3, 3), (3, 8, 8), (1, 1, 1)]))
def test_groups_are_those_of_equal_images(kinds, shape):
    images = np.random.default_rng(0).integers(0, 256, (7, *shape)).astype(np.uint8)
    images[6] = images[5]
    images[4] = 200  # blank
    pixels = images[np.array(kinds, int)] if kinds else np.empty((0, *shape), np.uint8)
    expected = {}
    for row, image in enumerate(pixels):
        if image.std() >= duplicates.MIN_STD:
            expected.setdefault(image.tobytes(), []).append(row)
    assert duplicates.group_duplicates(duplicates.hash_images(pixels), pixels) == sorted(
        rows for rows in expected.values() if len(rows) > 1
    )


def test_images_with_equal_hashes_are_compared():
    pixels = np.array([[1, 9], [2, 9], [1, 9], [2, 9], [3, 9]], np.uint8)
    assert duplicates.group_duplicates(np.zeros(5, np.uint64), pixels) == [[0, 2], [1, 3]]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_blank_images_are_no_duplicates(dtype):
    pixels = np.zeros((8, 1, 20, 20), dtype)
    pixels[4:] = 250
    pixels[2:6, 0, 0, :3] += 3
    pixels[6:, 0, 5:9, 5:9] = 0
    assert duplicates.group_duplicates(duplicates.hash_images(pixels), pixels) == [[6, 7]]


def test_hashes_differ_for_small_differences():
    pixels = np.zeros((2048, 3, 16, 16), np.uint8)
    flat = pixels.reshape(2048, -1)
    flat[np.arange(768), np.arange(768)] = 1
    flat[np.arange(768, 1536), np.arange(768)] = 128
    assert len(np.unique(duplicates.hash_images(pixels))) == 1537


def report(groups, y, part=None):
    rows = [f"{n}.jpg" for n in range(len(y))]
    parts = None if part is None else np.array(part)
    return {finding.check: finding for finding in duplicates.report_duplicates(groups, rows, np.array(y), parts)}


def test_images_in_two_parts_are_a_leak():
    findings = report([[0, 3, 4], [1, 2]], [0, 1, 1, 0, 0, 1], [0, 0, 0, 2, 2, 2])
    assert findings["leakage"].severity == "warning"
    assert findings["leakage"].evidence == {
        "part": "test",
        "count": 2,
        "of": 3,
        "first": ["3.jpg = 0.jpg", "4.jpg = 0.jpg"],
    }
    assert "2 of 3 images of the test part are in the training part" in findings["leakage"].cause
    assert findings["duplicate-images"].evidence["first"] == ["4.jpg = 3.jpg", "2.jpg = 1.jpg"]
    assert findings["duplicate-images"].severity == "note"


def test_both_later_parts_are_compared_with_training():
    leaks = [
        f
        for f in duplicates.report_duplicates([[0, 1, 2]], "abc", np.zeros(3, int), np.array([0, 1, 2]))
        if f.check == "leakage"
    ]
    assert [leak.evidence["part"] for leak in leaks] == ["test", "validation"]


def test_different_labels_of_equal_images_are_reported():
    findings = report([[0, 1, 2]], [0, 1, 0])
    assert findings["conflicting-labels"].evidence == {"count": 1, "first": ["1.jpg = 0.jpg"]}
    assert findings["conflicting-labels"].severity == "warning"
    assert findings["duplicate-images"].evidence["count"] == 1
    several = report([[0, 1]], [[1.0, 0.0], [1.0, 1.0]])
    assert list(several) == ["conflicting-labels"]


def test_distinct_images_have_no_findings():
    assert not report([], [0, 1])

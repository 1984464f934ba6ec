import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from yisheng.data.images import duplicates


@given(st.lists(st.integers(0, 6), max_size=30), st.sampled_from([(1, 3, 3), (3, 8, 8), (1, 1, 1)]))
def test_groups_are_those_of_equal_images(kinds, shape):
    stock = np.random.default_rng(0).integers(0, 256, (7, *shape)).astype(np.uint8)
    stock[6] = stock[5]
    pixels = stock[np.array(kinds, int)] if kinds else np.empty((0, *shape), np.uint8)
    wanted = {}
    for row, one in enumerate(pixels):
        wanted.setdefault(one.tobytes(), []).append(row)
    assert duplicates.groups(duplicates.sums(pixels), pixels) == sorted(
        rows for rows in wanted.values() if len(rows) > 1
    )


def test_equal_sums_are_not_trusted():
    pixels = np.array([[1], [2], [1], [2], [3]], np.uint8)
    assert duplicates.groups(np.zeros(5, np.uint64), pixels) == [[0, 2], [1, 3]]


def test_sums_tell_small_differences_apart():
    pixels = np.zeros((2048, 3, 16, 16), np.uint8)
    flat = pixels.reshape(2048, -1)
    flat[np.arange(768), np.arange(768)] = 1
    flat[np.arange(768, 1536), np.arange(768)] = 128
    assert len(np.unique(duplicates.sums(pixels))) == 1537


def found(groups, y, part=None):
    rows = [f"{n}.jpg" for n in range(len(y))]
    return {
        f.check: f for f in duplicates.findings(groups, rows, np.array(y), None if part is None else np.array(part))
    }


def test_images_in_two_parts_are_a_leak():
    told = found([[0, 3, 4], [1, 2]], [0, 1, 1, 0, 0, 1], [0, 0, 0, 2, 2, 2])
    assert told["leakage"].severity == "warning"
    assert told["leakage"].evidence == {
        "part": "test",
        "count": 2,
        "of": 3,
        "first": ["3.jpg = 0.jpg", "4.jpg = 0.jpg"],
    }
    assert "2 of 3 images of the test part are in the training part" in told["leakage"].cause
    assert told["duplicate-images"].evidence["first"] == ["4.jpg = 3.jpg", "2.jpg = 1.jpg"]
    assert told["duplicate-images"].severity == "note"


def test_both_later_parts_are_looked_at():
    leaks = [
        f
        for f in duplicates.findings([[0, 1, 2]], "abc", np.zeros(3, int), np.array([0, 1, 2]))
        if f.check == "leakage"
    ]
    assert [leak.evidence["part"] for leak in leaks] == ["test", "validation"]


def test_different_labels_of_the_same_image_are_told():
    told = found([[0, 1, 2]], [0, 1, 0])
    assert told["conflicting-labels"].evidence == {"count": 1, "first": ["1.jpg = 0.jpg"]}
    assert told["conflicting-labels"].severity == "warning"
    assert told["duplicate-images"].evidence["count"] == 1
    several = found([[0, 1]], [[1.0, 0.0], [1.0, 1.0]])
    assert list(several) == ["conflicting-labels"]


def test_nothing_is_said_where_all_differ():
    assert not found([], [0, 1])

"""KMNIST, QMNIST and EMNIST from small files."""

import numpy as np
import pytest

from tests.data.datasets.small_files import build, make_idx_gz, make_zip, random_bytes, rng
from yisheng.core.errors import DataError, UsageError
from yisheng.data.datasets import kmnist


def make_four_files(n=5, m=3):
    return {
        "train-images-idx3-ubyte.gz": random_bytes(n, 28, 28),
        "train-labels-idx1-ubyte.gz": np.arange(n, dtype=np.uint8),
        "t10k-images-idx3-ubyte.gz": random_bytes(m, 28, 28),
        "t10k-labels-idx1-ubyte.gz": np.arange(m, dtype=np.uint8) + 7,
    }


def test_kmnist_reads_its_four_files(serve):
    files = make_four_files()
    folder = serve("kmnist", {name: make_idx_gz(x) for name, x in files.items()})
    data = build("kmnist")
    assert data.spec.classes == kmnist.CLASSES
    assert data.spec.drawing is not None
    assert data.y.tolist() == [0, 1, 2, 3, 4, 7, 8, 9]
    assert data.part.tolist() == [0] * 5 + [2] * 3
    np.testing.assert_array_equal(data.x[:5, 0], files["train-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(data.x[5:, 0], files["t10k-images-idx3-ubyte.gz"])
    assert build("kmnist", folder=folder).x.tobytes() == data.x.tobytes()
    assert build("kmnist", size=32).x.shape == (8, 1, 32, 32)


def make_qmnist_files(n=6, m=4, **changed):
    labels = rng.integers(0, 10, (n + m, 8)).astype(np.int32)
    labels[:, 1:] *= 100
    files = {
        "qmnist-train-images-idx3-ubyte.gz": random_bytes(n, 28, 28),
        "qmnist-train-labels-idx2-int.gz": labels[:n],
        "qmnist-test-images-idx3-ubyte.gz": random_bytes(m, 28, 28),
        "qmnist-test-labels-idx2-int.gz": labels[n:],
    }
    return labels, files | changed


def test_qmnist_reads_the_class_from_its_table(serve):
    labels, files = make_qmnist_files()
    serve("qmnist", {name: make_idx_gz(x) for name, x in files.items()})
    data = build("qmnist")
    assert data.y.tolist() == labels[:, 0].tolist()
    assert data.part.tolist() == [0] * 6 + [2] * 4
    np.testing.assert_array_equal(data.x[6:, 0], files["qmnist-test-images-idx3-ubyte.gz"])


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.zeros(6, np.int32), "rows of labels in int32"),
        (np.zeros((6, 8), np.uint8), "rows of labels in int32"),
        (np.zeros((5, 8), np.int32), "should hold 6"),
        (np.full((6, 8), 10, np.int32), "the label 10 in row 0"),
        (np.full((6, 8), -1, np.int32), "the label -1 in row 0"),
    ],
)
def test_qmnist_refuses_invalid_labels(serve, labels, problem):
    _, files = make_qmnist_files(**{"qmnist-train-labels-idx2-int.gz": labels})
    serve("qmnist", {name: make_idx_gz(x) for name, x in files.items()})
    with pytest.raises(DataError, match=problem):
        build("qmnist")


def make_emnist_zip(split, mapping, train, test):
    members = {f"gzip/emnist-{split}-mapping.txt": mapping.encode()}
    for part, (x, y) in (("train", train), ("test", test)):
        members[f"gzip/emnist-{split}-{part}-images-idx3-ubyte.gz"] = make_idx_gz(x)
        members[f"gzip/emnist-{split}-{part}-labels-idx1-ubyte.gz"] = make_idx_gz(np.array(y, np.uint8))
    return {"gzip.zip": make_zip(members)}


def test_emnist_transposes_its_images(serve):
    x = random_bytes(5, 28, 28)
    mapping = "0 48\n1 65\n2 97 \n"
    serve("emnist", make_emnist_zip("balanced", mapping, (x[:3], [0, 1, 2]), (x[3:], [2, 1])))
    data = build("emnist")
    assert data.spec.classes == ("0", "A", "a")
    assert data.y.tolist() == [0, 1, 2, 2, 1]
    assert data.part.tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_array_equal(data.x[:, 0], x.transpose(0, 2, 1))  # stored by columns
    with pytest.raises(DataError, match="mapping"):
        build("emnist", split="digits")  # not in this zip
    with pytest.raises(UsageError, match="split"):
        build("emnist", split="greek")


def test_emnist_letters_are_numbered_from_one(serve):
    x = random_bytes(4, 28, 28)
    serve("emnist", make_emnist_zip("letters", "1 65 97\r\n2 66 98\r\n3 67 99\r\n", (x[:3], [1, 2, 3]), (x[3:], [3])))
    data = build("emnist", split="letters")
    assert data.spec.classes == ("A", "B", "C")
    assert data.y.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("mapping", "labels", "problem"),
    [
        ("0 48\n1 65\n", [0, 2], "the label 2 in row 1"),
        ("1 48\n2 65\n", [0, 1], "the label 0 in row 0"),
        ("0 48\n2 65\n", [0, 1], "one after the other"),
        ("0 48\n", [0, 0], "one after the other"),
        ("", [0, 1], "one after the other"),
        ("zero 48\n1 65\n", [0, 1], "codes of characters"),
        ("0 48\n1 6\xe95\n", [0, 1], "cannot be read"),
    ],
)
def test_emnist_refuses_invalid_mappings(serve, mapping, labels, problem):
    x = random_bytes(2, 28, 28)
    serve("emnist", make_emnist_zip("balanced", mapping, (x, labels), (x, labels)))
    with pytest.raises(DataError, match=problem):
        build("emnist")

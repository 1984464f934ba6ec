"""SVHN and Flowers from small MATLAB files."""

import io

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.datasets.small_files import build, make_image, make_tar, random_bytes
from yisheng.core.errors import DataError


def make_mat(**arrays):
    buffer = io.BytesIO()
    savemat(buffer, arrays, do_compression=True)
    return buffer.getvalue()


def test_svhn_reads_its_arrays(serve):
    x = random_bytes(32, 32, 3, 7)
    y = np.array([1, 2, 10, 9, 10, 5, 3], np.uint8)[:, None]
    files = {"train_32x32.mat": make_mat(X=x[..., :5], y=y[:5]), "test_32x32.mat": make_mat(X=x[..., 5:], y=y[5:])}
    folder = serve("svhn", files)
    data = build("svhn")
    assert data.y.tolist() == [1, 2, 0, 9, 0, 5, 3]
    assert data.part.tolist() == [0] * 5 + [2] * 2
    for n in range(7):
        np.testing.assert_array_equal(data.x[n].transpose(1, 2, 0), x[..., n])
    assert build("svhn", folder=folder).x.tobytes() == data.x.tobytes()


@pytest.mark.parametrize(
    "arrays",
    [
        {"X": random_bytes(32, 32, 3, 2)},
        {"X": random_bytes(32, 32, 3, 2), "y": np.array([[1], [2], [3]])},
        {"X": random_bytes(32, 32, 3, 2), "y": np.array([[0], [2]])},
        {"X": random_bytes(32, 32, 1, 2), "y": np.array([[1], [2]])},
        {"X": random_bytes(32, 32, 3, 2).astype(float), "y": np.array([[1], [2]])},
        {"X": random_bytes(3, 2), "y": np.array([[1], [2]])},
    ],
)
def test_svhn_refuses_invalid_arrays(serve, arrays):
    content = make_mat(**arrays)
    serve("svhn", {"train_32x32.mat": content, "test_32x32.mat": content})
    with pytest.raises(DataError, match="should hold images X"):
        build("svhn")


def test_flowers_join_images_labels_and_parts(serve):
    labels = np.array([[3, 1, 102, 1, 2, 3]], np.uint8)
    images = {f"jpg/image_{n:05d}.jpg": make_image((40 * n, 0, 0), format="JPEG") for n in range(1, 7)}
    ids = {"trnid": np.array([[6, 2]]), "valid": np.array([[1, 3]]), "tstid": np.array([[4, 5]])}
    files = {
        "102flowers.tgz": make_tar(images),
        "imagelabels.mat": make_mat(labels=labels),
        "setid.mat": make_mat(**ids),
    }
    serve("flowers-102", files)
    data = build("flowers-102", size=16)
    assert data.x.shape == (6, 3, 16, 16)
    assert data.y.tolist() == [2, 0, 101, 0, 1, 2]
    assert data.part.tolist() == [1, 0, 1, 2, 2, 0]
    assert np.abs(data.x[:, 0, 8, 8].astype(int) - 40 * np.arange(1, 7)).max() <= 3
    assert data.rows[0] == "image_00001.jpg"


@pytest.mark.parametrize(
    ("labels", "ids"),
    [([1, 2], [1]), ([1, 2], [1, 1]), ([1, 2], [0, 1]), ([1, 103], [1, 2]), ([], []), ([0, 1], [1, 2])],
)
def test_flowers_refuse_invalid_lists(serve, labels, ids):
    empty = np.zeros((1, 0))
    files = {
        "102flowers.tgz": make_tar({"jpg/image_00001.jpg": make_image("red", format="JPEG")}),
        "imagelabels.mat": make_mat(labels=np.array([labels])),
        "setid.mat": make_mat(trnid=np.array([ids]), valid=empty, tstid=empty),
    }
    serve("flowers-102", files)
    with pytest.raises(DataError, match="does not split the images"):
        build("flowers-102")

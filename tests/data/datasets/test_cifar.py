"""CIFAR-10 and CIFAR-100 from small files."""

import numpy as np
import pytest

from tests.data.datasets.small_files import build, make_image, make_tar, make_zip, random_bytes
from yisheng.core.errors import DataError
from yisheng.data.datasets import cifar10
from yisheng.data.hub import catalog


def make_records(labels, x):
    return np.concatenate([np.atleast_2d(labels).reshape(len(x), -1), x.reshape(len(x), -1)], 1).astype(np.uint8)


def make_cifar10_tar(x, y, **changed):
    parts = np.array_split(np.arange(len(x)), 6)
    members = {
        f"cifar-10-batches-bin/{name}": make_records(y[rows], x[rows]).tobytes()
        for name, rows in zip(cifar10.FILES, parts, strict=True)
    }
    members["cifar-10-batches-bin/batches.meta.txt"] = "\n".join(cifar10.CLASSES).encode()
    return {"cifar-10-binary.tar.gz": make_tar({k: v for k, v in (members | changed).items() if v is not None})}


FORMS = {"binary": ["cifar-10-binary.tar.gz"], "jpeg": ["train.zip", "test.zip"]}


def test_cifar10_reads_the_binary_form(serve):
    x, y = random_bytes(12, 3, 32, 32), np.arange(12) % 10
    serve("cifar10", make_cifar10_tar(x, y), {"binary": FORMS["binary"]})
    data = build("cifar10")
    np.testing.assert_array_equal(data.x, x)
    assert data.y.tolist() == y.tolist()
    assert data.part.tolist() == [0] * 10 + [2] * 2
    assert data.spec.classes == cifar10.CLASSES


def test_cifar10_reads_the_jpeg_form(serve):
    def make_folders(part, n):
        return {
            f"{part}/{name}/{i:04d}.png": make_image((20 * c, i, 7), (32, 32))
            for c, name in enumerate(cifar10.CLASSES)
            for i in range(n)
        }

    files = {"train.zip": make_zip(make_folders("train", 3)), "test.zip": make_zip(make_folders("test", 2))}
    serve("cifar10", files, {"jpeg": FORMS["jpeg"]})
    data = build("cifar10", form="jpeg")
    assert data.x.shape == (50, 3, 32, 32)
    assert np.bincount(data.part).tolist() == [30, 0, 20]
    assert (data.x[:, 0, 5, 5] == 20 * data.y).all()
    assert data.spec.classes == cifar10.CLASSES
    assert data.spec.target == "object"


def test_cifar10_takes_the_form_of_the_mirror(serve):
    x, y = random_bytes(12, 3, 32, 32), np.arange(12) % 10
    mirror = serve("cifar10", {**make_cifar10_tar(x, y), "train.zip": b"", "test.zip": b""}, FORMS)
    (mirror / "train.zip").unlink()
    np.testing.assert_array_equal(build("cifar10").x, x)
    with pytest.raises(DataError, match=r"train\.zip"):
        build("cifar10", form="jpeg")


ARCHIVE_FOLDER = "cifar-10-batches-bin/"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({f"{ARCHIVE_FOLDER}test_batch.bin": None}, "cannot be read"),
        ({f"{ARCHIVE_FOLDER}test_batch.bin": b""}, "got 0 bytes"),
        ({f"{ARCHIVE_FOLDER}data_batch_3.bin": bytes(3073 * 2 - 1)}, "records of 3,073 bytes"),
        ({f"{ARCHIVE_FOLDER}data_batch_3.bin": bytes(3073) + b"\x0a" + bytes(3072)}, "the label 10 in record 1"),
    ],
)
def test_cifar10_refuses_invalid_files(serve, changed, problem):
    serve(
        "cifar10",
        make_cifar10_tar(random_bytes(12, 3, 32, 32), np.arange(12) % 10, **changed),
        {"binary": FORMS["binary"]},
    )
    with pytest.raises(DataError, match=problem):
        build("cifar10")


def test_cifar_pickles_are_never_read():
    for name in ("cifar10", "cifar100"):
        owner = catalog.find(name)
        assert "python" not in owner.forms
        assert {f.name for form in owner.forms for f in owner.get_form(form)}.isdisjoint(
            f.name for f in owner.get_form("python")
        )


def make_cifar100_tar(x, coarse, fine, n_names=100):
    labels = np.stack([coarse, fine], 1)
    return {
        "cifar-100-binary.tar.gz": make_tar(
            {
                "cifar-100-binary/train.bin": make_records(labels[:-2], x[:-2]).tobytes(),
                "cifar-100-binary/test.bin": make_records(labels[-2:], x[-2:]).tobytes(),
                "cifar-100-binary/fine_label_names.txt": "".join(f"kind_{i}\n" for i in range(n_names)).encode(),
                "cifar-100-binary/coarse_label_names.txt": "".join(f"group_{i}\n" for i in range(20)).encode(),
            }
        )
    }


def test_cifar100_reads_fine_and_coarse_labels(serve):
    x, coarse, fine = random_bytes(9, 3, 32, 32), np.arange(9) + 11, np.arange(9) * 12
    serve("cifar100", make_cifar100_tar(x, coarse, fine))
    data = build("cifar100")
    np.testing.assert_array_equal(data.x, x)
    assert data.y.tolist() == fine.tolist()
    assert data.spec.classes[:2] == ("kind 0", "kind 1")
    assert data.part.tolist() == [0] * 7 + [2] * 2
    data = build("cifar100", labels="coarse")
    assert data.y.tolist() == coarse.tolist()
    assert len(data.spec.classes) == 20


@pytest.mark.parametrize(
    ("coarse", "names", "problem"),
    [(20, 100, "label 20 in record 0; there are 20 classes"), (0, 99, "should name 100 classes, got 99")],
)
def test_cifar100_refuses_invalid_files(serve, coarse, names, problem):
    groups = np.array([0, 0, coarse, 0])
    serve("cifar100", make_cifar100_tar(random_bytes(4, 3, 32, 32), groups, np.arange(4), names))
    with pytest.raises(DataError, match=problem):
        build("cifar100")

"""Sets whose files the hub brings: small files of the true formats, served by a ``file://`` mirror."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import tomli_w
from PIL import Image
from scipy.io import savemat

from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.data.datasets import cifar10, kmnist, pets
from yisheng.data.hub import catalog

draw = np.random.Generator(np.random.PCG64(11))


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Puts files on a mirror, and a catalogue that promises just them in the place of the package's own."""
    entries, mirror = tmp_path / "catalog", tmp_path / "mirror"
    entries.mkdir()
    monkeypatch.setattr(catalog, "_folders", lambda: [entries])
    monkeypatch.setenv("YISHENG_MIRROR", mirror.as_uri())

    def put(name, files, forms=None):
        listed = []
        for file, content in files.items():
            (mirror / name).mkdir(parents=True, exist_ok=True)
            (mirror / name / file).write_bytes(content)
            form = {"form": next(f for f, members in forms.items() if file in members)} if forms else {}
            listed.append({"name": file, "sums": [f"file:sha256:{hashlib.sha256(content).hexdigest()}"], **form})
        known = {"about": f"small {name}", "source": "made here", "license": "free"}
        known |= {"forms": list(forms)} if forms else {}
        (entries / f"{name}.toml").write_text(tomli_w.dumps({**known, "files": listed}))
        return mirror / name

    return put


def build(name, **options):
    data = registry.build("data.datasets", name, **options)
    assert data.name == name
    assert data.about == f"small {name}"
    assert (data.source, data.license) == ("made here", "free")
    assert data.x.dtype == np.uint8
    assert data.x.flags.c_contiguous
    assert data.y.dtype == np.int64
    assert data.y.flags.c_contiguous
    assert data.part.dtype == np.int8
    return data


def idx_file(x):
    code = {"uint8": 8, "int32": 12}[x.dtype.name]
    head = struct.pack(">HBB", 0, code, x.ndim) + struct.pack(f">{x.ndim}I", *x.shape)
    return gzip.compress(head + x.astype(x.dtype.newbyteorder(">")).tobytes())


def tar_file(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zip_file(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def image(colour, size=(40, 30), form="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, form)
    return buffer.getvalue()


def some(*shape):
    return draw.integers(0, 256, shape).astype(np.uint8)


ALL = (
    *("kmnist", "qmnist", "emnist", "cifar10", "cifar100", "svhn", "flowers-102", "hymenoptera", "pets"),
    *("imagenette", "imagenette-160", "imagenette-320"),
)


@pytest.mark.parametrize("name", ALL)
def test_registered_and_without_files_a_clear_error(name, monkeypatch, tmp_path):
    entry = registry.find("data.datasets", name)
    assert entry.about
    assert all(option.help for option in entry.options.values())
    monkeypatch.setenv("YISHENG_MIRROR", (tmp_path / "empty").as_uri())
    with pytest.raises(DataError) as caught:
        entry.build()
    assert "offline" in caught.value.problem.lower() or "could not be fetched" in caught.value.problem
    assert "download it from" in caught.value.remedy


def test_every_set_of_images_that_the_hub_knows_can_be_read():
    tables_and_weights = {"adult", "weights"}  # a table that has no reader yet; weights of networks
    assert set(catalog.names()) - set(registry.names("data.datasets")) <= tables_and_weights


# --- idx ---


def four(n=5, m=3):
    return {
        "train-images-idx3-ubyte.gz": some(n, 28, 28),
        "train-labels-idx1-ubyte.gz": np.arange(n, dtype=np.uint8),
        "t10k-images-idx3-ubyte.gz": some(m, 28, 28),
        "t10k-labels-idx1-ubyte.gz": np.arange(m, dtype=np.uint8) + 7,
    }


def test_kmnist(serve):
    files = four()
    place = serve("kmnist", {name: idx_file(x) for name, x in files.items()})
    data = build("kmnist")
    assert data.spec.classes == kmnist.CLASSES
    assert data.spec.drawing is not None
    assert data.y.tolist() == [0, 1, 2, 3, 4, 7, 8, 9]
    assert data.part.tolist() == [0] * 5 + [2] * 3
    np.testing.assert_array_equal(data.x[:5, 0], files["train-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(data.x[5:, 0], files["t10k-images-idx3-ubyte.gz"])
    assert build("kmnist", folder=place).x.tobytes() == data.x.tobytes()
    assert build("kmnist", size=32).x.shape == (8, 1, 32, 32)


def qmnist_files(n=6, m=4, **changed):
    labels = draw.integers(0, 10, (n + m, 8)).astype(np.int32)
    labels[:, 1:] *= 100
    files = {
        "qmnist-train-images-idx3-ubyte.gz": some(n, 28, 28),
        "qmnist-train-labels-idx2-int.gz": labels[:n],
        "qmnist-test-images-idx3-ubyte.gz": some(m, 28, 28),
        "qmnist-test-labels-idx2-int.gz": labels[n:],
    }
    return labels, files | changed


def test_qmnist(serve):
    labels, files = qmnist_files()
    serve("qmnist", {name: idx_file(x) for name, x in files.items()})
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
def test_qmnist_labels_that_do_not_fit(serve, labels, problem):
    _, files = qmnist_files(**{"qmnist-train-labels-idx2-int.gz": labels})
    serve("qmnist", {name: idx_file(x) for name, x in files.items()})
    with pytest.raises(DataError, match=problem):
        build("qmnist")


def emnist_zip(split, mapping, train, test):
    members = {f"gzip/emnist-{split}-mapping.txt": mapping.encode()}
    for part, (x, y) in (("train", train), ("test", test)):
        members[f"gzip/emnist-{split}-{part}-images-idx3-ubyte.gz"] = idx_file(x)
        members[f"gzip/emnist-{split}-{part}-labels-idx1-ubyte.gz"] = idx_file(np.array(y, np.uint8))
    return {"gzip.zip": zip_file(members)}


def test_emnist(serve):
    x = some(5, 28, 28)
    mapping = "0 48\n1 65\n2 97 \n"
    serve("emnist", emnist_zip("balanced", mapping, (x[:3], [0, 1, 2]), (x[3:], [2, 1])))
    data = build("emnist")
    assert data.spec.classes == ("0", "A", "a")
    assert data.y.tolist() == [0, 1, 2, 2, 1]
    assert data.part.tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_array_equal(data.x[:, 0], x.transpose(0, 2, 1))  # stored by columns
    with pytest.raises(DataError, match="mapping"):
        build("emnist", split="digits")  # not in this zip
    with pytest.raises(UsageError, match="split"):
        build("emnist", split="greek")


def test_emnist_letters_are_counted_from_one(serve):
    x = some(4, 28, 28)
    serve("emnist", emnist_zip("letters", "1 65 97\r\n2 66 98\r\n3 67 99\r\n", (x[:3], [1, 2, 3]), (x[3:], [3])))
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
def test_emnist_mappings_that_do_not_fit(serve, mapping, labels, problem):
    x = some(2, 28, 28)
    serve("emnist", emnist_zip("balanced", mapping, (x, labels), (x, labels)))
    with pytest.raises(DataError, match=problem):
        build("emnist")


# --- CIFAR ---


def records(labels, x):
    return np.concatenate([np.atleast_2d(labels).reshape(len(x), -1), x.reshape(len(x), -1)], 1).astype(np.uint8)


def cifar10_tar(x, y, **changed):
    parts = np.array_split(np.arange(len(x)), 6)
    members = {
        f"cifar-10-batches-bin/{name}": records(y[rows], x[rows]).tobytes()
        for name, rows in zip(cifar10.FILES, parts, strict=True)
    }
    members["cifar-10-batches-bin/batches.meta.txt"] = "\n".join(cifar10.CLASSES).encode()
    return {"cifar-10-binary.tar.gz": tar_file({k: v for k, v in (members | changed).items() if v is not None})}


FORMS = {"binary": ["cifar-10-binary.tar.gz"], "jpeg": ["train.zip", "test.zip"]}


def test_cifar10_binary(serve):
    x, y = some(12, 3, 32, 32), np.arange(12) % 10
    serve("cifar10", cifar10_tar(x, y), {"binary": FORMS["binary"]})
    data = build("cifar10")
    np.testing.assert_array_equal(data.x, x)
    assert data.y.tolist() == y.tolist()
    assert data.part.tolist() == [0] * 10 + [2] * 2
    assert data.spec.classes == cifar10.CLASSES


def test_cifar10_from_images(serve):
    def folders(part, n):
        return {
            f"{part}/{name}/{i:04d}.png": image((20 * c, i, 7), (32, 32))
            for c, name in enumerate(cifar10.CLASSES)
            for i in range(n)
        }

    files = {"train.zip": zip_file(folders("train", 3)), "test.zip": zip_file(folders("test", 2))}
    serve("cifar10", files, {"jpeg": FORMS["jpeg"]})
    data = build("cifar10", form="jpeg")
    assert data.x.shape == (50, 3, 32, 32)
    assert np.bincount(data.part).tolist() == [30, 0, 20]
    assert (data.x[:, 0, 5, 5] == 20 * data.y).all()
    assert data.spec.classes == cifar10.CLASSES
    assert data.spec.target == "object"


def test_cifar10_forms(serve):
    x, y = some(12, 3, 32, 32), np.arange(12) % 10
    mirror = serve("cifar10", {**cifar10_tar(x, y), "train.zip": b"", "test.zip": b""}, FORMS)
    (mirror / "train.zip").unlink()
    np.testing.assert_array_equal(build("cifar10").x, x)
    with pytest.raises(DataError, match=r"train\.zip"):
        build("cifar10", form="jpeg")


INNER = "cifar-10-batches-bin/"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({f"{INNER}test_batch.bin": None}, "cannot be read"),
        ({f"{INNER}test_batch.bin": b""}, "got 0 bytes"),
        ({f"{INNER}data_batch_3.bin": bytes(3073 * 2 - 1)}, "records of 3,073 bytes"),
        ({f"{INNER}data_batch_3.bin": bytes(3073) + b"\x0a" + bytes(3072)}, "the label 10 in record 1"),
    ],
)
def test_cifar10_files_that_do_not_fit(serve, changed, problem):
    serve("cifar10", cifar10_tar(some(12, 3, 32, 32), np.arange(12) % 10, **changed), {"binary": FORMS["binary"]})
    with pytest.raises(DataError, match=problem):
        build("cifar10")


def test_pickles_are_never_taken():
    for name in ("cifar10", "cifar100"):
        owner = catalog.find(name)
        assert "python" not in owner.forms
        assert {f.name for form in owner.forms for f in owner.get_form(form)}.isdisjoint(
            f.name for f in owner.get_form("python")
        )


def cifar100_tar(x, coarse, fine, names=100):
    labels = np.stack([coarse, fine], 1)
    return {
        "cifar-100-binary.tar.gz": tar_file(
            {
                "cifar-100-binary/train.bin": records(labels[:-2], x[:-2]).tobytes(),
                "cifar-100-binary/test.bin": records(labels[-2:], x[-2:]).tobytes(),
                "cifar-100-binary/fine_label_names.txt": "".join(f"kind_{i}\n" for i in range(names)).encode(),
                "cifar-100-binary/coarse_label_names.txt": "".join(f"group_{i}\n" for i in range(20)).encode(),
            }
        )
    }


def test_cifar100(serve):
    x, coarse, fine = some(9, 3, 32, 32), np.arange(9) + 11, np.arange(9) * 12
    serve("cifar100", cifar100_tar(x, coarse, fine))
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
def test_cifar100_files_that_do_not_fit(serve, coarse, names, problem):
    groups = np.array([0, 0, coarse, 0])
    serve("cifar100", cifar100_tar(some(4, 3, 32, 32), groups, np.arange(4), names))
    with pytest.raises(DataError, match=problem):
        build("cifar100")


# --- MATLAB ---


def mat_file(**found):
    buffer = io.BytesIO()
    savemat(buffer, found, do_compression=True)
    return buffer.getvalue()


def test_svhn(serve):
    x = some(32, 32, 3, 7)
    y = np.array([1, 2, 10, 9, 10, 5, 3], np.uint8)[:, None]
    files = {"train_32x32.mat": mat_file(X=x[..., :5], y=y[:5]), "test_32x32.mat": mat_file(X=x[..., 5:], y=y[5:])}
    place = serve("svhn", files)
    data = build("svhn")
    assert data.y.tolist() == [1, 2, 0, 9, 0, 5, 3]
    assert data.part.tolist() == [0] * 5 + [2] * 2
    for n in range(7):
        np.testing.assert_array_equal(data.x[n].transpose(1, 2, 0), x[..., n])
    assert build("svhn", folder=place).x.tobytes() == data.x.tobytes()


@pytest.mark.parametrize(
    "found",
    [
        {"X": some(32, 32, 3, 2)},
        {"X": some(32, 32, 3, 2), "y": np.array([[1], [2], [3]])},
        {"X": some(32, 32, 3, 2), "y": np.array([[0], [2]])},
        {"X": some(32, 32, 1, 2), "y": np.array([[1], [2]])},
        {"X": some(32, 32, 3, 2).astype(float), "y": np.array([[1], [2]])},
        {"X": some(3, 2), "y": np.array([[1], [2]])},
    ],
)
def test_svhn_files_that_do_not_fit(serve, found):
    content = mat_file(**found)
    serve("svhn", {"train_32x32.mat": content, "test_32x32.mat": content})
    with pytest.raises(DataError, match="should hold images X"):
        build("svhn")


def test_flowers(serve):
    labels = np.array([[3, 1, 102, 1, 2, 3]], np.uint8)
    images = {f"jpg/image_{n:05d}.jpg": image((40 * n, 0, 0), form="JPEG") for n in range(1, 7)}
    ids = {"trnid": np.array([[6, 2]]), "valid": np.array([[1, 3]]), "tstid": np.array([[4, 5]])}
    files = {
        "102flowers.tgz": tar_file(images),
        "imagelabels.mat": mat_file(labels=labels),
        "setid.mat": mat_file(**ids),
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
def test_flowers_lists_that_do_not_fit(serve, labels, ids):
    empty = np.zeros((1, 0))
    files = {
        "102flowers.tgz": tar_file({"jpg/image_00001.jpg": image("red", form="JPEG")}),
        "imagelabels.mat": mat_file(labels=np.array([labels])),
        "setid.mat": mat_file(trnid=np.array([ids]), valid=empty, tstid=empty),
    }
    serve("flowers-102", files)
    with pytest.raises(DataError, match="does not split the images"):
        build("flowers-102")


# --- image files ---


def test_hymenoptera_from_the_published_zip(serve):
    members = {
        f"hymenoptera_data/{part}/{name}/{i}.jpg": image((0, 100 + 50 * c, 10 * i), form="JPEG")
        for part in ("train", "val")
        for c, name in enumerate(("ants", "bees"))
        for i in range(3)
    }
    members["hymenoptera_data/train/ants/imageNotFound.gif"] = image("white", form="GIF")
    serve("hymenoptera", {"hymenoptera_data.zip": zip_file(members)}, {"zip": ["hymenoptera_data.zip"]})
    data = build("hymenoptera", size=24)
    assert data.spec.classes == ("ants", "bees")
    assert data.x.shape == (12, 3, 24, 24)
    assert data.y.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert data.part.tolist() == [0] * 6 + [1] * 6
    assert data.x.max() < 200  # no answer of a server among the ants
    assert build("hymenoptera").x.shape[2:] == (224, 224)


def test_imagenette(serve):
    members = {
        f"imagenette2-160/{part}/{number}/{i}.JPEG": image((100 * c, 60 * i, 0), form="JPEG")
        for part in ("train", "val")
        for c, number in enumerate(("n01440764", "n03888257"))
        for i in range(2)
    }
    members["imagenette2-160/noisy_imagenette.csv"] = b"path\n"
    serve("imagenette-160", {"imagenette2-160.tgz": tar_file(members)})
    data = build("imagenette-160")
    assert data.spec.classes == ("tench", "parachute")
    assert data.x.shape == (8, 3, 128, 128)
    assert data.part.tolist() == [0] * 4 + [1] * 4


def pets_files(lines=None):
    rows = {
        "trainval.txt": ["Abyssinian_1 1 1 1", "american_bulldog_12 2 2 1", "Egyptian_Mau_3 3 1 2"],
        "test.txt": ["american_bulldog_2 2 2 1"],
    }
    rows |= lines or {}
    names = [line.split()[0] for listed in rows.values() for line in listed if line.strip()]
    return {
        "images.tar.gz": tar_file(
            {f"images/{name}.jpg": image((i, 99, 0), form="JPEG") for i, name in enumerate(names)}
        ),
        "annotations.tar.gz": tar_file({f"annotations/{k}": "\n".join(v).encode() for k, v in rows.items()}),
    }


def test_pets(serve):
    serve("pets", pets_files())
    data = build("pets", size=20)
    assert data.spec.classes == ("Abyssinian", "american bulldog", "Egyptian Mau")
    assert data.y.tolist() == [0, 1, 2, 1]
    assert data.part.tolist() == [0, 0, 0, 2]
    assert data.rows[3] == "american_bulldog_2.jpg"
    species = build("pets", labels="species", size=20)
    assert species.spec.classes == pets.SPECIES
    assert species.y.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Abyssinian_1 1 3 1", "three numbers"),
        ("../../Abyssinian_1 1 1 1", "three numbers"),
        ("Bombay_1 5 1 1", "one after the other"),
    ],
)
def test_pets_lists_that_do_not_fit(serve, line, problem):
    files = pets_files()
    files["annotations.tar.gz"] = tar_file(
        {"annotations/trainval.txt": line.encode(), "annotations/test.txt": b"american_bulldog_2 2 2 1\n"}
    )
    serve("pets", files)
    with pytest.raises(DataError, match=problem):
        build("pets")


def test_a_listed_image_that_is_not_there(serve):
    files = pets_files()
    files["images.tar.gz"] = tar_file({"images/Abyssinian_1.jpg": image("red", form="JPEG")})
    serve("pets", files)
    with pytest.raises(DataError, match="lacks 3 images of pets: american_bulldog_12"):
        build("pets")


# --- the real ones ---


@pytest.fixture(scope="module")
def one_home(tmp_path_factory):
    return tmp_path_factory.mktemp("real")


@pytest.mark.realdata
def test_the_real_hymenoptera(one_home, monkeypatch):
    monkeypatch.setenv("YISHENG_HOME", str(one_home))
    data = registry.build("data.datasets", "hymenoptera", size=64)
    assert data.x.shape == (397, 3, 64, 64)
    assert data.spec.classes == ("ants", "bees")
    assert np.bincount(data.part).tolist() == [244, 153]
    assert not data.findings or all(f.severity != "error" for f in data.findings)


@pytest.mark.slow
@pytest.mark.realdata
def test_the_real_cifar10(one_home, monkeypatch):
    monkeypatch.setenv("YISHENG_HOME", str(one_home))
    data = registry.build("data.datasets", "cifar10")
    assert data.x.shape == (60_000, 3, 32, 32)
    assert data.spec.classes == cifar10.CLASSES
    assert np.bincount(data.part).tolist() == [50_000, 0, 10_000]
    assert np.bincount(data.y).tolist() == [6000] * 10
    np.testing.assert_allclose(data.x[data.part == 0].mean((0, 2, 3)) / 255, [0.4914, 0.4822, 0.4465], atol=0.004)
    shutil.rmtree(one_home / "images")

"""Hymenoptera, Imagenette and pets from small image files."""

import pytest

from tests.data.datasets.small_files import build, make_image, make_tar, make_zip
from yisheng.core.errors import DataError
from yisheng.data.datasets import pets


def test_hymenoptera_reads_the_published_zip(serve):
    members = {
        f"hymenoptera_data/{part}/{name}/{i}.jpg": make_image((0, 100 + 50 * c, 10 * i), format="JPEG")
        for part in ("train", "val")
        for c, name in enumerate(("ants", "bees"))
        for i in range(3)
    }
    members["hymenoptera_data/train/ants/imageNotFound.gif"] = make_image("white", format="GIF")
    serve("hymenoptera", {"hymenoptera_data.zip": make_zip(members)}, {"zip": ["hymenoptera_data.zip"]})
    data = build("hymenoptera", size=24)
    assert data.spec.classes == ("ants", "bees")
    assert data.x.shape == (12, 3, 24, 24)
    assert data.y.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert data.part.tolist() == [0] * 6 + [1] * 6
    assert data.x.max() < 200  # the server's error image is not among the ants
    assert build("hymenoptera").x.shape[2:] == (224, 224)


def test_imagenette_reads_its_folders(serve):
    members = {
        f"imagenette2-160/{part}/{number}/{i}.JPEG": make_image((100 * c, 60 * i, 0), format="JPEG")
        for part in ("train", "val")
        for c, number in enumerate(("n01440764", "n03888257"))
        for i in range(2)
    }
    members["imagenette2-160/noisy_imagenette.csv"] = b"path\n"
    serve("imagenette-160", {"imagenette2-160.tgz": make_tar(members)})
    data = build("imagenette-160")
    assert data.spec.classes == ("tench", "parachute")
    assert data.x.shape == (8, 3, 128, 128)
    assert data.part.tolist() == [0] * 4 + [1] * 4


def make_pets_files(lines=None):
    rows = {
        "trainval.txt": ["Abyssinian_1 1 1 1", "american_bulldog_12 2 2 1", "Egyptian_Mau_3 3 1 2"],
        "test.txt": ["american_bulldog_2 2 2 1"],
    }
    rows |= lines or {}
    names = [line.split()[0] for listed in rows.values() for line in listed if line.strip()]
    return {
        "images.tar.gz": make_tar(
            {f"images/{name}.jpg": make_image((i, 99, 0), format="JPEG") for i, name in enumerate(names)}
        ),
        "annotations.tar.gz": make_tar({f"annotations/{k}": "\n".join(v).encode() for k, v in rows.items()}),
    }


def test_pets_reads_breeds_and_species(serve):
    serve("pets", make_pets_files())
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
def test_pets_refuses_invalid_lists(serve, line, problem):
    files = make_pets_files()
    files["annotations.tar.gz"] = make_tar(
        {"annotations/trainval.txt": line.encode(), "annotations/test.txt": b"american_bulldog_2 2 2 1\n"}
    )
    serve("pets", files)
    with pytest.raises(DataError, match=problem):
        build("pets")


def test_pets_refuses_a_missing_image(serve):
    files = make_pets_files()
    files["images.tar.gz"] = make_tar({"images/Abyssinian_1.jpg": make_image("red", format="JPEG")})
    serve("pets", files)
    with pytest.raises(DataError, match="lacks 3 images of pets: american_bulldog_12"):
        build("pets")

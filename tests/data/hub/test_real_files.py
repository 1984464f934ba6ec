"""The real sets of a mirror, if there is one, against the catalog's checksums."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from yisheng.data import hub
from yisheng.data.hub import catalog, locations

pytestmark = pytest.mark.realdata
IDX = {
    "train-images-idx3-ubyte.gz": 47_040_016,
    "train-labels-idx1-ubyte.gz": 60_008,
    "t10k-images-idx3-ubyte.gz": 7_840_016,
    "t10k-labels-idx1-ubyte.gz": 10_008,
}


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one cache for all tests of this file, so that the sets are copied once."""
    return tmp_path_factory.mktemp("realdata") / "home"


@pytest.fixture(autouse=True)
def folder(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the mirror's folder."""
    monkeypatch.setenv("YISHENG_HOME", str(shared_home))
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    for mirror in locations.get_mirrors():
        if (path := locations.to_local_path(mirror)) and path.is_dir():
            return path
    pytest.skip("the mirror is not a local folder")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_mnist_and_fashion_mnist_have_the_published_size(name: str) -> None:
    files = hub.fetch(name)
    assert {file: len(gzip.decompress(path.read_bytes())) for file, path in files.items()} == IDX
    assert all(s.scope == "content" for file in catalog.find(name).files for s in file.sums)


def test_every_set_of_the_mirror_is_verified(folder: Path) -> None:
    """Files without a published checksum are unverified."""
    n_files = 0
    for name in catalog.names():
        hub_set = catalog.find(name)
        for file in hub_set.files:
            if (folder / name / file.name).exists():
                n_files += 1
                hub.fetch_file(name, file.name)
    states = [c.state for name in catalog.names() if (folder / name).is_dir() for c in hub.verify(name)]
    assert n_files >= 20
    assert states.count("ok") + states.count("unverified") == n_files
    assert states.count("unverified") == 2 * (folder / "hymenoptera").is_dir()


def test_form_of_the_mirror_is_used(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "home"))
    if not (folder / "cifar10" / "train.zip").exists():
        pytest.skip("the mirror holds another form")
    assert list(hub.fetch("cifar10")) == ["train.zip", "test.zip"]
    assert "took the form 'jpeg'" in capsys.readouterr().err


def test_bundle_of_real_files_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = hub.bundle(["mnist", "titanic"], tmp_path / "air.zip")
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "there"))
    monkeypatch.delenv("YISHENG_MIRROR")
    assert len(hub.import_file(out)) == 6
    assert list(hub.fetch("mnist")) == list(IDX)

"""Registered sets of the hub: complete, with clear errors, and the real ones as published."""

import shutil

import numpy as np
import pytest

from yisheng.core import registry
from yisheng.core.errors import DataError
from yisheng.data.datasets import cifar10
from yisheng.data.hub import catalog

IMAGE_SETS = (
    *("kmnist", "qmnist", "emnist", "cifar10", "cifar100", "svhn", "flowers-102", "hymenoptera", "pets"),
    *("imagenette", "imagenette-160", "imagenette-320"),
)


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_missing_files_are_an_error_with_a_remedy(name, monkeypatch, tmp_path):
    entry = registry.find("data.datasets", name)
    assert entry.about
    assert all(option.help for option in entry.options.values())
    monkeypatch.setenv("YISHENG_MIRROR", (tmp_path / "empty").as_uri())
    with pytest.raises(DataError) as caught:
        entry.build()
    assert "offline" in caught.value.problem.lower() or "could not be fetched" in caught.value.problem
    assert "download it from" in caught.value.remedy


def test_every_image_set_of_the_catalog_is_registered():
    files_only = {"adult", "weights", "tabicl", "d2l"}  # a table without a reader; weights; a book's archives
    assert set(catalog.names()) - set(registry.names("data.datasets")) <= files_only


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    return tmp_path_factory.mktemp("real")


@pytest.mark.realdata
def test_real_hymenoptera(shared_home, monkeypatch):
    monkeypatch.setenv("YISHENG_HOME", str(shared_home))
    data = registry.build("data.datasets", "hymenoptera", size=64)
    assert data.x.shape == (397, 3, 64, 64)
    assert data.spec.classes == ("ants", "bees")
    assert np.bincount(data.part).tolist() == [244, 153]
    assert not data.findings or all(f.severity != "error" for f in data.findings)


@pytest.mark.slow
@pytest.mark.realdata
def test_real_cifar10(shared_home, monkeypatch):
    monkeypatch.setenv("YISHENG_HOME", str(shared_home))
    data = registry.build("data.datasets", "cifar10")
    assert data.x.shape == (60_000, 3, 32, 32)
    assert data.spec.classes == cifar10.CLASSES
    assert np.bincount(data.part).tolist() == [50_000, 0, 10_000]
    assert np.bincount(data.y).tolist() == [6000] * 10
    np.testing.assert_allclose(data.x[data.part == 0].mean((0, 2, 3)) / 255, [0.4914, 0.4822, 0.4465], atol=0.004)
    shutil.rmtree(shared_home / "images")

"""The list of optional parts: what the package declares, and which of it is missing or too old."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest

from yisheng.experiments import environment

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture
def declared(monkeypatch):
    """Declare what pyproject.toml does: an older installation of the sources may differ."""
    extras = PROJECT["optional-dependencies"]
    requirements = [*PROJECT["dependencies"]]
    for name, items in extras.items():
        for item in items:
            requirement, _, marker = item.partition(";")
            if not item.startswith("yisheng["):
                markers = [marker.strip()] if marker else []
                requirements.append(requirement + "; " + " and ".join([*markers, f"extra == '{name}'"]))

    class Metadata:
        @staticmethod
        def get_all(key):
            return list(extras) if key == "Provides-Extra" else None

    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements)
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: Metadata)
    return extras


def test_every_extra_of_the_package_is_listed(declared):
    listed = environment.list_extras()
    assert set(listed) == set(declared) - {"all", "dev"}
    for name, items in listed.items():
        assert items == [item.partition(";")[0].replace(" ", "") for item in declared[name]]


def test_missing_and_old_packages_are_named(declared, monkeypatch):
    versions = {
        "onnx": "1.17.0",
        "onnxscript": "0.1",
        "optuna": "5.0rc1",
        "ipykernel": "7",
        "ipython": "9",
        "nbclient": "1",
    }

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    states = {name: environment._describe_extra(items) for name, items in environment.list_extras().items()}
    assert states["notebook"] == states["tune"] == "installed"
    assert states["onnx"] == "missing: onnxruntime; too old: onnxscript>=0.3 (here: 0.1)"
    assert states["serve"].startswith("missing: fastapi, uvicorn")
    lines = list(environment._advise_extras({"extras": states}))
    assert any("pip install 'yisheng[onnx]'" in line for line in lines)
    assert not any("notebook" in line for line in lines)


def test_without_an_installation_no_extras_are_claimed(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert environment.list_extras() == {}

"""`install` answers to the book's imports, refuses where the book's own package is loaded, and can be undone."""

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from yisheng import d2l
from yisheng.core.errors import UsageError

NAMES = ("d2l", "d2l.torch", "torchvision", "torchvision.transforms", "torchvision.datasets", "torchvision.models")


@pytest.fixture(autouse=True)
def _uninstalled():
    yield
    d2l.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "d2l"]


def test_both_forms_of_the_import_give_the_names(capsys):
    d2l.install()
    from d2l import torch as names

    imported = importlib.import_module("d2l.torch")
    assert names is imported is d2l
    assert names.torch is sys.modules["torch"]
    assert "now imports yisheng.d2l" in capsys.readouterr().err


def test_a_second_call_does_nothing(capsys):
    d2l.install()
    capsys.readouterr()
    d2l.install()
    assert capsys.readouterr().err == ""


def test_uninstall_removes_what_was_registered():
    before = {name: sys.modules.get(name) for name in NAMES}
    d2l.install()
    d2l.uninstall()
    assert {name: sys.modules.get(name) for name in NAMES} == before


def test_the_books_own_package_is_refused(monkeypatch):
    book = ModuleType("d2l")
    book.__file__ = "/site-packages/d2l/__init__.py"
    monkeypatch.setitem(sys.modules, "d2l", book)
    with pytest.raises(UsageError, match=r"imported already, from /site-packages.*\n.*restart Python"):
        d2l.install()
    assert sys.modules["d2l"] is book
    d2l.uninstall()
    assert sys.modules["d2l"] is book
    monkeypatch.undo()


def test_names_of_other_frameworks_are_refused():
    d2l.install()
    with pytest.raises(ImportError, match="PyTorch only, not for mxnet"):
        from d2l import mxnet  # noqa: F401
    with pytest.raises(ImportError):
        importlib.import_module("d2l.tensorflow")
    with pytest.raises(AttributeError):
        _ = sys.modules["d2l"].nonsense


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Return a folder on the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


def test_a_working_torchvision_stays(packages, capsys):
    (packages / "torchvision.py").write_text("own = True\n")
    d2l.install()
    torchvision = importlib.import_module("torchvision")
    assert torchvision.own
    assert "torchvision" not in capsys.readouterr().err
    d2l.uninstall()
    assert sys.modules.pop("torchvision") is torchvision


def test_a_broken_torchvision_gets_a_stand_in(packages, capsys):
    folder = packages / "torchvision"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import torchvision.extension\nraise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    (folder / "extension.py").write_text("")
    d2l.install()
    from torchvision import transforms

    assert transforms.ToTensor.__module__ == "yisheng.d2l.vision.transforms"
    assert "is broken (RuntimeError: operator torchvision::nms does not exist)" in capsys.readouterr().err
    assert "torchvision.extension" not in sys.modules


def test_the_stand_in_says_what_it_lacks():
    d2l.install()
    import torchvision

    with pytest.raises(AttributeError, match="stand-in for torchvision has no 'ops'"):
        _ = torchvision.ops


def test_an_installed_book_is_hidden_and_announced(packages, capsys):
    (packages / "d2l").mkdir()
    (packages / "d2l" / "__init__.py").write_text("own = True\n")
    d2l.install()
    assert "hidden until yisheng.d2l.uninstall()" in capsys.readouterr().err
    d2l.uninstall()
    assert importlib.import_module("d2l").own
    del sys.modules["d2l"]


def test_the_names_can_be_pickled_by_worker_processes():
    code = (
        "import yisheng.d2l, pickle; yisheng.d2l.install()\n"
        "from torchvision import transforms\n"
        "t = pickle.loads(pickle.dumps(transforms.Compose([transforms.Resize(8), transforms.ToTensor()])))\n"
        "print(len(t.transforms))"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "2"

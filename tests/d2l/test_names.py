"""The names of the book: all there, loaded on first use, and each with Yisheng's own way."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from tests.d2l.chapters import ALIASES, OWN_NAMES
from yisheng import d2l
from yisheng.core.errors import MissingPartError

PATH = Path(d2l.__file__)
BRIDGED = [
    *("load_array", "load_data_fashion_mnist", "synthetic_data", "linreg", "corr2d", "Residual", "resnet18"),
    *("squared_loss", "sgd", "accuracy", "evaluate_accuracy", "evaluate_accuracy_gpu", "evaluate_loss"),
    *("train_epoch_ch3", "train_ch3", "predict_ch3", "train_ch6", "train_batch_ch13", "train_ch13", "Animator", "plot"),
    *("show_images", "Timer", "download", "get_fashion_mnist_labels", "read_csv_labels", "reorg_train_valid", "compat"),
]


@pytest.mark.parametrize("name", OWN_NAMES + ALIASES)
def test_every_name_of_the_book_is_there(name):
    assert getattr(d2l, name) is not None
    assert name in dir(d2l)


def test_the_three_lists_of_names_agree():
    tree = ast.parse(PATH.read_text(encoding="utf-8"))
    imported = {
        alias.name: node.module.rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("yisheng.d2l.")
        for alias in node.names
    }
    assert imported == d2l._MODULE_OF_NAME
    assert set(imported) == set(d2l.__all__)


@pytest.mark.parametrize("name", BRIDGED)
def test_docstrings_name_yishengs_own_way(name):
    assert "Yisheng's own:" in inspect.getdoc(getattr(d2l, name))


@pytest.mark.parametrize(
    ("name", "module"),
    [("torch", "torch"), ("nn", "torch.nn"), ("np", "numpy"), ("pd", "pandas"), ("os", "os"), ("Image", "PIL.Image")],
)
def test_packages_are_attributes_as_in_the_book(name, module):
    assert getattr(d2l, name) is sys.modules[module]


def test_importing_the_names_imports_nothing_heavy():
    code = "from yisheng import d2l; import sys; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "[]"


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(AttributeError, match="did you mean train_ch6"):
        _ = d2l.train_ch66
    with pytest.raises(AttributeError, match="later chapter"):
        _ = d2l.MultiHeadAttention


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    d2l.__dict__.pop("requests", None)
    with pytest.raises(MissingPartError, match=r"d2l\.requests requires the package requests"):
        _ = d2l.requests

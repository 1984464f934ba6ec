"""Setup of all tests, those in docstrings among them."""

import pytest


@pytest.fixture(autouse=True)
def _forget_components():
    """Remove components that a test registered in no file, so that no other test lists them."""
    yield
    from yisheng.core import registry

    for kind, name in list(registry._entries):
        if name not in registry.list_modules(kind):
            del registry._entries[kind, name]


@pytest.fixture(autouse=True)
def _figures_of_the_book(tmp_path_factory, monkeypatch):
    """Let `yisheng.d2l` write its figures into a temporary folder."""
    monkeypatch.setenv("YISHENG_D2L_FIGURES", str(tmp_path_factory.getbasetemp() / "d2l-figures"))

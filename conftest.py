"""Setup of all tests, those in docstrings among them."""

import os

import pytest

os.environ["YISHENG_LANG"] = "en"  # whatever the locale of the developer


@pytest.fixture(autouse=True)
def _forget_components():
    """Remove components that a test registered in no file, so that no other test lists them."""
    yield
    from yisheng.core import discovery, registry

    plugins = discovery.plugins()  # they are not listed again: a test may have set some that cannot be imported
    for (kind, name), entry in list(registry._entries.items()):
        package = getattr(entry.component, "__module__", "").partition(".")[0]
        if package not in plugins and name not in discovery._list_modules(kind, ()):
            del registry._entries[kind, name]


@pytest.fixture(autouse=True)
def _figures_of_the_book(tmp_path_factory, monkeypatch):
    """Let `yisheng.d2l` write its figures into a temporary folder."""
    monkeypatch.setenv("YISHENG_D2L_FIGURES", str(tmp_path_factory.getbasetemp() / "d2l-figures"))

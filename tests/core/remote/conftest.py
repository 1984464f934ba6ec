import pytest

from tests.core.remote.stores import SCHEME, clear_stores
from yisheng.core.remote import connections, store, writers


@pytest.fixture(autouse=True)
def _empty_stores(monkeypatch):
    monkeypatch.setattr(store, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(connections, "LOCAL_SCHEMES", (*connections.LOCAL_SCHEMES, SCHEME))
    monkeypatch.setattr(writers, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(writers, "RENEWAL_SECONDS", 0.15)
    clear_stores()
    yield
    clear_stores()


@pytest.fixture
def move_to_other_machine(monkeypatch, tmp_path):
    """Return a function that gives this process an empty cache, and another machine's name."""
    count = 0

    def move():
        nonlocal count
        count += 1
        monkeypatch.setenv("YISHENG_HOME", str(tmp_path / f"machine-{count}"))
        monkeypatch.setattr(writers, "_identify_boot", lambda number=count: f"machine-{number}")

    return move

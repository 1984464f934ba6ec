"""What all tests share: quiet threads, a scratch home, and the real data if it is there."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The nets of the tests are tiny: a second thread costs more than it gains, and on a shared machine far more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "yisheng",
    max_examples=int(os.environ.get("YISHENG_EXAMPLES", "200")),  # 10,000 for the thorough round
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("yisheng")

ROOT = Path(__file__).parents[1]
REAL = os.environ.get("YISHENG_MIRROR") or (
    (ROOT.parent / "shared" / "data").as_uri() if (ROOT.parent / "shared" / "data" / "mnist").is_dir() else None
)
"""The mirror of the hub with real data sets, or None: tests marked ``realdata`` are then skipped."""


def pytest_collection_modifyitems(items):
    if REAL is None:
        for item in items:
            if item.get_closest_marker("realdata"):
                item.add_marker(pytest.mark.skip(reason="no real data: set YISHENG_MIRROR to a mirror of the hub"))


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    """No test reads or fills the user's cache, nor reaches out."""
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    if REAL is not None:
        monkeypatch.setenv("YISHENG_MIRROR", REAL)
    monkeypatch.delenv("YISHENG_PLUGINS", raising=False)


def pytest_make_parametrize_id(val, argname):
    """Bytes have no name of their own: packed ones hold the time, and every process must name a test alike."""
    return f"{argname} of {len(val)} bytes" if isinstance(val, bytes) else None

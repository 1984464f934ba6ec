"""Shared setup: one thread, hypothesis profiles, an empty home, and the real data for tests that are marked."""

import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The networks of the tests are tiny: a second thread costs more than it gains.
os.environ.setdefault("OMP_NUM_THREADS", "1")

PROFILE = {
    "max_examples": int(os.environ.get("YISHENG_EXAMPLES", "100")),
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}
settings.register_profile("fixed", derandomize=True, **PROFILE)  # a failure is the fault of the last change
settings.register_profile("random", **PROFILE)  # new examples in every round
settings.load_profile("random" if os.environ.get("YISHENG_RANDOM") == "1" else "fixed")

LOCAL_DATA = Path(__file__).parents[2] / "shared" / "data"
MIRROR = os.environ.get("YISHENG_MIRROR") or (LOCAL_DATA.as_uri() if (LOCAL_DATA / "mnist").is_dir() else None)
"""A mirror of the hub with the real data sets, or None: then tests marked ``realdata`` are skipped."""
LONG_FILES = (
    "search/test_cluster.py",
    "test_docs_custom.py",
    "experiments/test_resume.py",
    "serving/test_hostile_images.py",
    "test_docs_evaluation.py",
    "experiments/test_killed_portfolio_driver.py",
    "test_docs_predictor.py",
    "training/test_wide_tables.py",
    "experiments/test_bulk_on_cluster.py",
    "experiments/test_processes.py",
    "test_plugins.py",
)
"""Files of few tests that take minutes: begun last, they would be waited for while the other processes have no work."""


def pytest_collection_modifyitems(config, items):
    if os.environ.get("YISHENG_EVERY_CASE") != "1":
        _deselect_half_of_the_sampled(config, items)
    _skip_without_gpus(items)
    _begin_with_long_files(items)
    if MIRROR is None:
        for item in items:
            if item.get_closest_marker("realdata"):
                item.add_marker(pytest.mark.skip(reason="no real data: set YISHENG_MIRROR to a mirror of the hub"))


def _begin_with_long_files(items):
    """Order the files: the long ones first, then those of many tests; the order within each stays."""
    rank = {Path(__file__).parent / name: number for number, name in enumerate(LONG_FILES)}
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: (rank.get(item.path, len(rank)), -counts[item.path], str(item.path)))


def _skip_without_gpus(items):
    """Skip tests that are marked ``gpu`` on a machine with fewer CUDA GPUs than they need."""
    marked = [(item, marker) for item in items if (marker := item.get_closest_marker("gpu"))]
    if not marked or os.environ.get("YISHENG_TEST_DEVICE", "cuda") != "cuda":
        return
    import torch

    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for item, marker in marked:
        needed = marker.args[0] if marker.args else 1
        if available < needed:
            reason = f"needs {needed} CUDA GPUs, this machine has {available}: see scripts/gpu_check.sh"
            item.add_marker(pytest.mark.skip(reason=reason))


def _deselect_half_of_the_sampled(config, items):
    """Deselect every second slow case of each test that is marked ``sampled``: many cases of one kind.

    The next such test keeps the other ones, so that tests with the same cases keep all of them together.
    """
    cases, deselected = defaultdict(list), []
    for item in items:
        if item.get_closest_marker("sampled") and item.get_closest_marker("slow"):
            cases[item.path, item.originalname].append(item)
    for number, of_test in enumerate(cases.values()):
        deselected += of_test[1 - number % 2 :: 2]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        removed = set(deselected)
        items[:] = [item for item in items if item not in removed]


@pytest.fixture(autouse=True)
def _isolated_environment(request, tmp_path, monkeypatch):
    """Hide the user's cache, plugins, the network, and the mirror from tests that are not marked ``realdata``."""
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    monkeypatch.delenv("YISHENG_PLUGINS", raising=False)
    monkeypatch.setenv("YISHENG_LANG", "en")  # whatever the locale of the developer
    if MIRROR is not None and request.node.get_closest_marker("realdata"):
        monkeypatch.setenv("YISHENG_MIRROR", MIRROR)
    else:
        monkeypatch.delenv("YISHENG_MIRROR", raising=False)


def pytest_make_parametrize_id(val, argname):
    """Return a name for a parameter of bytes: packed ones contain the time, and all processes must use one name."""
    return f"{argname} of {len(val)} bytes" if isinstance(val, bytes) else None

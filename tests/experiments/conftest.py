"""Fixtures of the experiments' tests."""

import pytest

from yisheng.core.run_folder import RunFolder
from yisheng.reporting import run_page


@pytest.fixture
def without_reports(monkeypatch):
    """Skip the reports, which take most of the time of a small training."""
    skip_reports(monkeypatch)


def skip_reports(monkeypatch):
    """Replace the function that writes a run's report during a test or the block of a ``MonkeyPatch``."""
    monkeypatch.setattr(run_page, "write_run_page", lambda folder: folder / RunFolder.REPORT)

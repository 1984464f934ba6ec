"""A service under attack by hostile images: the quick version of ``benchmarks/hostile_load.py``."""

import os

import pytest
from benchmarks.hostile_images import list_makers, make_hostile_images
from benchmarks.hostile_load import describe, measure


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows does not have SIGTERM")
def test_others_are_served_while_hostile_images_come(digits_run):
    kinds = len(list_makers())
    assert kinds >= 25
    measurement = measure(digits_run, list(make_hostile_images(kinds)), seconds=5)
    report = describe(measurement)
    assert not measurement.failures, report
    assert measurement.waits, report
    assert all(measurement.waits.values()), report  # of every kind some were answered
    assert measurement.bytes_after < 1.5 * measurement.bytes_before, report
    assert measurement.exit_code == 143
    assert measurement.processes_left == 0

"""docs/data-in-python.md runs as it is written."""

from pathlib import Path

import pytest

from tests.doc_pages import run_page

PAGE = Path(__file__).parents[1] / "docs" / "data-in-python.md"


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path):
    printed = run_page(PAGE, tmp_path)
    assert " (0." in printed.splitlines()[0]  # a score with its interval
    assert "classification (4,) ('down', 'up')" in printed

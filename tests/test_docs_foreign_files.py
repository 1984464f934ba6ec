"""The blocks of docs/foreign-files.md run as they are written."""

from pathlib import Path

import pytest

from tests.doc_pages import run_page

PAGE = Path(__file__).parents[1] / "docs" / "foreign-files.md"


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path):
    run_page(PAGE, tmp_path)

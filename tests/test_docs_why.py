"""The blocks of docs/why.md and docs/uncertainty.md run as they are written."""

from pathlib import Path

import pytest

from tests.doc_pages import run_page

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
def test_the_page_on_reasons_runs(tmp_path):
    output = run_page(DOCS / "why.md", tmp_path)
    assert "['age', 'sex']" in output
    assert "standard error" in output


@pytest.mark.slow
def test_the_page_on_uncertainty_runs(tmp_path):
    output = run_page(DOCS / "uncertainty.md", tmp_path)
    assert output.split()[0] == "True"
    assert "'low', 'high'" in output
    assert (tmp_path / "prices.csv").read_text().startswith("row,price,price_low,price_high\n")

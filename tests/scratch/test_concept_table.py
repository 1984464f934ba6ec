"""docs/concepts.md and its Chinese page list every concept with its description."""

import pytest

from tests.scratch.write_concept_table import PAGES, make_rows, replace_rows


@pytest.mark.parametrize("language", PAGES)
def test_the_page_lists_the_concepts(language):
    page = PAGES[language].read_text(encoding="utf-8")
    assert page.endswith("|\n" + make_rows(language)), "run python -m tests.scratch.write_concept_table"
    assert replace_rows(page, "| `a` | b |\n").endswith("|---|---|\n| `a` | b |\n")

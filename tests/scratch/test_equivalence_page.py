"""docs/equivalence.md and its Chinese page list all equivalence cases."""

from __future__ import annotations

import pytest

from tests.scratch.write_equivalence_page import PAGES, make_page


@pytest.mark.parametrize("language", PAGES)
def test_the_page_is_up_to_date(language: str) -> None:
    page = PAGES[language].read_text(encoding="utf-8")
    assert page == make_page(language), "run python -m tests.scratch.write_equivalence_page"

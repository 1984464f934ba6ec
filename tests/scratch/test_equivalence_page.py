"""docs/equivalence.md lists all equivalence cases."""

from __future__ import annotations

from tests.scratch import write_equivalence_page


def test_the_page_is_up_to_date() -> None:
    page = write_equivalence_page.PAGE.read_text(encoding="utf-8")
    assert page == write_equivalence_page.make_page(), "run python -m tests.scratch.write_equivalence_page"

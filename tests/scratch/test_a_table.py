"""The page of the proofs is what its script writes."""

from __future__ import annotations

import write_table


def test_the_page_is_up_to_date() -> None:
    assert write_table.PAGE.read_text(encoding="utf-8") == write_table.page(), "run python tests/scratch/write_table.py"

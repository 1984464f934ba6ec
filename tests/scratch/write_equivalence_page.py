"""Write docs/equivalence.md, the table of all equivalence cases: python -m tests.scratch.write_equivalence_page"""

from __future__ import annotations

from pathlib import Path

from tests.scratch.cases import CASES

PAGE = Path(__file__).parents[2] / "docs" / "equivalence.md"
INTRODUCTION = """# Equivalence of the from-scratch concepts with the libraries

Each concept of `yisheng.scratch` is a few lines of tensor operations with equation and source. This table lists
what each is compared with, in float64 (class numbers and masks: exactly), on random inputs from several seeds. The
tolerance is the largest difference that counts as equal, absolute plus relative to the library's value; 0 means
bit-identical. The tests run every row of the table and check that a difference just above the tolerance is detected.
This page is written by `python -m tests.scratch.write_equivalence_page`, and a test compares it with the cases.

| concept | library form | what is compared | tolerance |
|---|---|---|---|
"""


def make_page() -> str:
    """Return the page: one line for each case, in the order of the concepts' names."""
    rows = [
        (case.concept, *(text.replace("|", r"\|") for text in (case.library, case.compared)), f"{case.tolerance:g}")
        for case in CASES
    ]
    return INTRODUCTION + "".join(f"| {' | '.join(row)} |\n" for row in sorted(rows, key=lambda row: row[0]))


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")

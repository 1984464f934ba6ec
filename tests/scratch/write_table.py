"""Write docs/equivalence.md, the table of all proofs: python tests/scratch/write_table.py"""

from __future__ import annotations

import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "equivalence.md"
TOP = """# Twins: every concept by hand, and the proof

Each concept of `yisheng.scratch` is a few lines of tensor operations, equation and source beside them. This table says
what each was compared with, in float64 (class numbers and masks: exactly), on random input of several seeds. The
tolerance is the largest difference that counts as equal, absolute plus relative to the library's number; 0: equal to
the last bit. The tests run every line of the table and show that a difference just above the tolerance is found; they
also hold this page to be what `python tests/scratch/write_table.py` writes.

| concept | library form | what is compared | tolerance |
|---|---|---|---|
"""


def page() -> str:
    """The whole page, one line for each proof, in the order of the concepts' names."""
    from cases import CASES

    rows = [
        (case.concept, *(text.replace("|", r"\|") for text in (case.library, case.compared)), f"{case.tolerance:g}")
        for case in CASES
    ]
    return TOP + "".join(f"| {' | '.join(row)} |\n" for row in sorted(rows, key=lambda row: row[0]))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    PAGE.write_text(page(), encoding="utf-8")

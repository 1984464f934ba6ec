"""Write the list of concepts of docs/concepts.md in both languages: python -m tests.scratch.write_concept_table"""

from __future__ import annotations

import re
from pathlib import Path

from yisheng.core import registry
from yisheng.core.messages import translate, use_language

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"en": DOCS / "concepts.md", "zh": DOCS / "zh" / "concepts.md"}


def make_rows(language: str) -> str:
    """Return the rows of the table in a language: each concept, and what it computes."""
    with use_language(language):
        descriptions = [(entry.name, translate(entry.about)) for entry in registry.entries("scratch")]
    return "".join(f"| `{name}` | {text.replace('|', chr(92) + '|')} |\n" for name, text in descriptions)


def replace_rows(page: str, rows: str) -> str:
    """Return the page with other rows in its last table, which ends it."""
    return re.sub(r"(?<=\|---\|---\|\n)(\| `[a-z0-9-]+` \| .*\|\n)+\Z", lambda _: rows, page)


if __name__ == "__main__":
    for language, path in PAGES.items():
        path.write_text(replace_rows(path.read_text(encoding="utf-8"), make_rows(language)), encoding="utf-8")

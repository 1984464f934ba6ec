"""The blocks of docs/languages.md run as they are written, and what it says is finished is what the tests scan."""

from pathlib import Path

import pytest

from tests.doc_pages import run_page
from yisheng.core.messages import LANGUAGES

PAGE = Path(__file__).parents[1] / "docs" / "languages.md"


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path):
    assert "何时使用" in run_page(PAGE, tmp_path)


def test_every_language_is_listed():
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{language}` |" in text for language in LANGUAGES)

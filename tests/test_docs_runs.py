"""The blocks of docs/runs.md, docs/lr-find.md and docs/tuning.md run as they are written."""

import dataclasses
import re
from pathlib import Path

import pytest

from tests.doc_pages import run_page
from yisheng.experiments.run_folders.entry import RunEntry

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["runs", "lr-find", "tuning"])
def test_the_page_runs_from_top_to_bottom(page, tmp_path):
    assert run_page(DOCS / f"{page}.md", tmp_path)


def test_every_key_of_the_list_of_runs_is_documented():
    text = (DOCS / "runs.md").read_text(encoding="utf-8")
    assert all(re.search(rf"`{field.name}`", text) for field in dataclasses.fields(RunEntry))

"""The blocks of docs/evaluation.md run as they are written."""

import json
from pathlib import Path

import pytest

from tests.doc_pages import run_page

PAGE = Path(__file__).parents[1] / "docs" / "evaluation.md"


@pytest.mark.slow
def test_evaluation_page_runs_from_top_to_bottom(tmp_path):
    output = run_page(PAGE, tmp_path)
    assert "'clinic-b'" in output
    content = json.loads((tmp_path / "runs/0001-clinic-a/evaluations/clinic-b/evaluation.json").read_text())
    assert content["other_data"]["data"]["scored"] == 300


def test_evaluation_page_lists_every_form_of_labels():
    from yisheng.data.class_names import ABOUT_FORMS

    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{form}` |" in text for form in ABOUT_FORMS)

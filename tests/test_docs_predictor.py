"""The blocks of docs/predictor.md on networks of your own run as they are written."""

import re
from pathlib import Path

from tests.doc_pages import run_page

PAGE = Path(__file__).parents[1] / "docs" / "predictor.md"


def test_the_section_runs(tmp_path):
    (section,) = re.findall(
        r"^## Networks of your own\n(.*?)^## ", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "page.md").write_text(section, encoding="utf-8")
    (difference,) = run_page(tmp_path / "page.md", tmp_path).split()
    assert float(difference) < 1e-6
    assert (tmp_path / "net.onnx").stat().st_size > 0

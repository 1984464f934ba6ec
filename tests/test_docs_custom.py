"""The page about components of one's own runs as it is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.doc_pages import run_page

PAGE = Path(__file__).parents[1] / "docs" / "custom.md"


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path):
    paper = Image.new("L", (90, 120), 220)
    paper.paste(40, (40, 20, 50, 100))
    paper.save(tmp_path / "digit.png")
    printed = run_page(PAGE, tmp_path)
    assert "define it as tiny(spec, *, width=8)" in printed
    assert (tmp_path / "epoch-1.png").exists()
    text = PAGE.read_text(encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "YISHENG_PLUGINS"}
    command = [sys.executable, "-P", "-m", "yisheng", "report", "plugin/0001-digits-narrow"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert process.returncode == 3
    for line in process.stderr.strip().splitlines():
        assert line.removeprefix("yisheng: ").strip() in text, process.stderr

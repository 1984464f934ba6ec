"""The page docs/d2l.md: its blocks run, and its table lists every name."""

import re
from pathlib import Path

from tests.doc_pages import run_page
from yisheng import d2l

PAGE = Path(__file__).parents[2] / "docs" / "d2l.md"


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("YISHENG_D2L_FIGURES", str(tmp_path / "figures"))
    output = run_page(PAGE, tmp_path)
    assert "softmax" in output
    assert "torch.Size([3, 24, 24])" in output
    assert len(list((tmp_path / "figures").glob("*.png"))) == 4


def test_the_page_lists_every_name():
    listed = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8").partition("## Names")[2]))
    extra = {"install", "uninstall", "compat"}
    assert listed == (set(d2l.__all__) | set(d2l._PACKAGES)) - extra

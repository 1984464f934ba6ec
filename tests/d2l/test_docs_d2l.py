"""The page docs/d2l.md: its blocks run, its table lists every name, and the settings that it recommends are valid."""

import ast
import re
from pathlib import Path

import numpy as np
from PIL import Image

import yisheng
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


def read_hints():
    """Return the literal settings of each call of yisheng.train that the docstrings and the page recommend."""
    texts = [path.read_text(encoding="utf-8") for path in (PAGE, *Path(d2l.__file__).parent.rglob("*.py"))]
    calls = {" ".join(call.split()) for text in texts for call in re.findall(r"`(yisheng\.train\([^`]*\))`", text)}
    hints = {}
    for call in sorted(calls):
        hints[call] = {}
        for keyword in ast.parse(call, mode="eval").body.keywords:
            if re.fullmatch(r"'.*'|\d[\d.]*", value := ast.unparse(keyword.value)):
                hints[call][keyword.arg] = ast.literal_eval(value)
    return hints


def test_the_recommended_settings_are_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        image.save(tmp_path / "photos" / name / "1.png")
    (tmp_path / "labels.csv").write_text("file,label\nphotos/cat/1.png,cat\nphotos/dog/1.png,dog\n")
    (tmp_path / "train.csv").write_text("LotArea,SalePrice\n8450,208500\n9600,181500\n")
    hints = read_hints()
    assert len(hints) > 20
    for call, settings in hints.items():
        assert yisheng.config(**settings), call

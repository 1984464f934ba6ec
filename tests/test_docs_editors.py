"""The blocks of docs/editors.md: the Python runs, and the config is valid."""

import re
import tomllib
from pathlib import Path

from jsonschema import Draft202012Validator

from tests.doc_pages import run_page
from yisheng.core.config_schema import make_config_schema
from yisheng.core.settings import merge_settings, read_settings

PAGE = Path(__file__).parents[1] / "docs" / "editors.md"


def test_the_python_runs(tmp_path):
    assert "bf16" in run_page(PAGE, tmp_path)


def test_the_config_is_valid(tmp_path):
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    Draft202012Validator(make_config_schema()).validate(tomllib.loads(text))
    (tmp_path / "run.toml").write_text(text)
    assert merge_settings(read_settings(tmp_path / "run.toml")).config.optimizer.options["lr"] == 0.001

"""The documentation names every check, and every check whose remedy is a setting."""

import ast
import re
from pathlib import Path

import pytest

import yisheng
from yisheng.core import registry

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "doctor.md").read_text(encoding="utf-8")
KINDS = ["diagnosis.training_checks", "diagnosis.history_checks", "diagnosis.data_checks"]


@pytest.mark.parametrize("kind", KINDS)
def test_documentation_lists_every_check(kind):
    assert [name for name in registry.names(kind) if f"| `{name}` |" not in TEXT] == []


def checks_with_change() -> set[str]:
    """Return the names of the checks whose findings have settings as their remedy."""
    names = set()
    for kind in KINDS:
        for path in (Path(yisheng.__file__).parent / kind.replace(".", "/")).glob("*.py"):
            calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
            findings = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Finding"]
            names |= {
                ast.literal_eval(call.args[0])
                for call in findings
                if any(keyword.arg == "change" for keyword in call.keywords)
            }
    return names


def test_the_page_about_fix_lists_every_check_with_a_setting():
    table = (DOCS / "fix.md").read_text(encoding="utf-8").partition("| check | change |")[2].partition("\n\n")[0]
    listed = [name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])]
    assert sorted(listed) == sorted(checks_with_change())

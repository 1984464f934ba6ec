"""The documentation names every check."""

from pathlib import Path

import pytest

from yisheng.core import registry

TEXT = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["diagnosis.training_checks", "diagnosis.history_checks", "diagnosis.data_checks"])
def test_documentation_lists_every_check(kind):
    assert [name for name in registry.names(kind) if f"| `{name}` |" not in TEXT] == []

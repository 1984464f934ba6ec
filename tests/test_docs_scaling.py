"""What docs/scaling.md says runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.doc_pages import make_script

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"


@pytest.mark.slow
def test_the_page_runs_and_both_commands_train_the_same_weights(tmp_path):
    (tmp_path / "page.py").write_text(make_script(PAGE), encoding="utf-8")
    for script in ("page.py", "train.py"):
        process = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert process.returncode == 0, process.stdout + process.stderr
    runs = [path for path in (tmp_path / "runs").iterdir() if (path / "model.safetensors").exists()]
    first, second, third = sorted(runs)
    weights = [(run / "model.safetensors").read_bytes() for run in (first, second, third)]
    assert weights[0] == weights[1] != weights[2]

"""What every hand-written concept must keep."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from yisheng.core import registry

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "scratch"))  # the proofs

ENTRIES = list(registry.entries("scratch"))
SOURCES = sorted((ROOT / "src" / "yisheng" / "scratch").glob("[!_]*.py"))  # the others only help to draw
BY_THE_LIBRARY = {
    *("nn", "functional", "softmax", "log_softmax", "logsumexp", "logaddexp", "sigmoid", "logsigmoid", "tanh", "relu"),
    *("dropout", "native_dropout", "one_hot", "linear", "conv2d", "max_pool2d", "avg_pool2d", "batch_norm"),
    *("optim", "init", "cov", "std", "var", "std_mean", "var_mean", "lstsq", "xavier_uniform_", "kaiming_uniform_"),
}
"""Names of torch that do a concept's work."""

each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


@each
def test_it_says_equation_usual_form_and_when(entry: registry.Entry) -> None:
    assert {"equation", "usual", "when"} <= set(entry.meta) <= {"equation", "usual", "when", "plot", "memories"}
    for key in ("equation", "usual", "when"):
        text = entry.meta[key].strip()
        assert text, key
        assert max(map(len, text.splitlines())) <= 120, f"{key} is too wide to print"
    assert entry.meta["when"].strip().endswith("."), "when: whole sentences"


@each
def test_its_usual_form_runs(entry: registry.Entry) -> None:
    exec(compile(entry.meta["usual"].strip(), f"usual form of {entry.name}", "exec"), {})


@each
def test_its_docstring_has_all_its_parts(entry: registry.Entry) -> None:
    doc = inspect.getdoc(entry.build) or ""
    assert entry.about.endswith((".", ":")) or ":" in entry.about
    for part in ("\nArgs:\n", "\nSource: ", "\n>>> "):
        assert part in doc, f"no {part.strip()}"
    told = set(re.findall(r"^    (\w+): ", doc.split("\nArgs:\n")[1].split("\n\n")[0], re.MULTILINE))
    assert told == set(inspect.signature(entry.build).parameters), "Args: tells of other arguments than it has"
    assert all(option.help for option in entry.options.values())


@each
def test_its_file_has_its_name(entry: registry.Entry) -> None:
    assert entry.build.__module__ == f"yisheng.scratch.{entry.key}"


@each
def test_its_image_shows_something(entry: registry.Entry) -> None:
    if "plot" not in entry.meta:
        return
    figure = Figure(figsize=(4, 3), dpi=50)
    axes = figure.subplots()
    assert entry.meta["plot"](axes) is None
    assert axes.lines or axes.collections or axes.images or axes.patches
    FigureCanvasAgg(figure).draw()  # every letter is in the font


def test_every_concept_is_proven_and_every_proof_is_of_a_concept() -> None:
    from cases import CASES

    assert {case.concept for case in CASES} == {entry.name for entry in ENTRIES}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_it_is_written_by_hand(path: Path) -> None:
    """From torch's tensors and arithmetic alone: no layer, no loss, no activation of a library."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module).removesuffix(".abc"))
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
    allowed = {"torch", "yisheng.scratch"} | sys.stdlib_module_names
    assert {m for m in modules if m not in allowed and not m.startswith(("yisheng.core.", "yisheng.scratch."))} == set()
    assert used & BY_THE_LIBRARY == set()

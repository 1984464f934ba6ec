"""Properties that every from-scratch concept has."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.scratch.cases import CASES
from yisheng.core import registry
from yisheng.core.entry import Entry

ROOT = Path(__file__).parents[2]
ENTRIES = list(registry.entries("scratch"))
SOURCES = sorted((ROOT / "src" / "yisheng" / "scratch").glob("[!_]*.py"))  # private modules only draw
LIBRARY_FUNCTIONS = {
    *("nn", "functional", "softmax", "log_softmax", "logsumexp", "logaddexp", "sigmoid", "logsigmoid", "tanh", "relu"),
    *("dropout", "native_dropout", "one_hot", "linear", "conv2d", "max_pool2d", "avg_pool2d", "batch_norm"),
    *("optim", "init", "cov", "std", "var", "std_mean", "var_mean", "lstsq", "xavier_uniform_", "kaiming_uniform_"),
}
"""torch's functions that compute a concept."""

all_concepts = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


@all_concepts
def test_metadata_is_complete(entry: Entry) -> None:
    assert {"equation", "usual", "when"} <= set(entry.meta) <= {"equation", "usual", "when", "plot", "state_tensors"}
    for key in ("equation", "usual", "when"):
        text = entry.meta[key].strip()
        assert text, key
        assert max(map(len, text.splitlines())) <= 120, f"{key} is too wide to print"
    assert entry.meta["when"].strip().endswith("."), "when: complete sentences"


@all_concepts
def test_its_library_call_runs(entry: Entry) -> None:
    exec(compile(entry.meta["usual"].strip(), f"usual form of {entry.name}", "exec"), {})


@all_concepts
def test_its_docstring_is_complete(entry: Entry) -> None:
    doc = inspect.getdoc(entry.build) or ""
    assert entry.about.endswith((".", ":")) or ":" in entry.about
    for part in ("\nArgs:\n", "\nSource: ", "\n>>> "):
        assert part in doc, f"no {part.strip()}"
    documented = set(re.findall(r"^    (\w+): ", doc.split("\nArgs:\n")[1].split("\n\n")[0], re.MULTILINE))
    assert documented == set(inspect.signature(entry.build).parameters), "Args: differs from the signature"
    assert all(option.help for option in entry.options.values())


@all_concepts
def test_its_file_has_its_name(entry: Entry) -> None:
    assert entry.build.__module__ == f"yisheng.scratch.{entry.key}"


@all_concepts
def test_its_image_is_not_empty(entry: Entry) -> None:
    if "plot" not in entry.meta:
        return
    figure = Figure(figsize=(4, 3), dpi=50)
    axes = figure.subplots()
    assert entry.meta["plot"](axes) is None
    assert axes.lines or axes.collections or axes.images or axes.patches
    FigureCanvasAgg(figure).draw()  # the font has every character


def test_every_concept_has_an_equivalence_case() -> None:
    assert {case.concept for case in CASES} == {entry.name for entry in ENTRIES}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_it_uses_no_library_function(path: Path) -> None:
    """A concept uses only tensors and their arithmetic: no layer, loss or activation of a library."""
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
    assert used & LIBRARY_FUNCTIONS == set()

"""What the source says of each check: what it compares, its thresholds with their reasons, and where it is from.

`benchmarks.doctor.trust` writes a page of it, and `scripts/messages.py` puts the texts into the catalogs.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yisheng.core import registry
from yisheng.core.entry import Entry

CHECK_KINDS = ("diagnosis.training_checks", "diagnosis.history_checks", "diagnosis.data_checks")


@dataclass(frozen=True)
class Threshold:
    """A number that a check compares with.

    Args:
        name: of the constant.
        value: number, or several.
        meaning: what the source says of it; empty if the name says it.
    """

    name: str
    value: Any
    meaning: str


@dataclass(frozen=True)
class CheckText:
    """What the source says of a check.

    Args:
        description: what it compares, and why.
        thresholds: numbers that it compares with.
        source: where it is from; empty if nothing is named.
    """

    description: str
    thresholds: list[Threshold]
    source: str


def read_check(entry: Entry) -> CheckText:
    """Return what the source says of a check.

    >>> read_check(registry.find("diagnosis.training_checks", "missing-update")).description
    'Find losses that are propagated back without any update.'
    """
    doc = inspect.getdoc(entry.component) or ""
    paragraphs = [" ".join(paragraph.split()) for paragraph in doc.split("\n\n")]
    text = [p for p in paragraphs if p and not re.match(r"(Args|Source|Raises|>>>)", p)]
    source = next((p.removeprefix("Source: ") for p in paragraphs if p.startswith("Source:")), "")
    return CheckText(" ".join(text), find_thresholds(entry), source)


def list_texts() -> Iterator[tuple[Entry, str]]:
    """Yield each text that is translated, with the check that it is of."""
    for kind in CHECK_KINDS:
        for entry in registry.entries(kind):
            check = read_check(entry)
            yield entry, check.description
            yield from ((entry, threshold.meaning) for threshold in check.thresholds if threshold.meaning)


def find_thresholds(entry: Entry) -> list[Threshold]:
    """Return the thresholds of a check: constants of its file, those that it or a function of it imports, and options.

    >>> entry = registry.find("diagnosis.training_checks", "oscillation")
    >>> next(threshold.value for threshold in find_thresholds(entry) if threshold.name == "MIN_PERIODS")
    4
    """
    module = importlib.import_module(entry.component.__module__)
    thresholds = list(_constants_of(module))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("yisheng.diagnosis"):
            source = importlib.import_module(node.module)
            used = _find_used_names(source, {alias.name for alias in node.names})
            thresholds += [constant for constant in _constants_of(source) if constant.name in used]
    options = [option for option in entry.options.values() if _is_numeric(option.default)]
    return thresholds + [Threshold(option.name, option.default, option.help) for option in options]


def _find_used_names(module: Any, imported: set[str]) -> set[str]:
    """Return imported names, and all names of the module that imported functions use, directly or through others.

    >>> module = importlib.import_module("yisheng.diagnosis.history_checks._loss_history")
    >>> "MIN_GENERALIZED" in _find_used_names(module, {"judge_overfitting"}), _find_used_names(module, {"Judgment"})
    (True, {'Judgment'})
    """
    body = ast.parse(inspect.getsource(module)).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    methods = {
        node.name: node
        for parent in body
        if isinstance(parent, ast.ClassDef)
        for node in parent.body
        if isinstance(node, ast.FunctionDef)
    }
    queue, used = [name for name in imported if name in functions], set(imported)
    while queue:
        node = {**methods, **functions}.get(queue.pop())
        parts = [] if node is None else list(ast.walk(node))
        inner = {part.id for part in parts if isinstance(part, ast.Name)}
        inner |= {part.attr for part in parts if isinstance(part, ast.Attribute)}
        queue += inner - used
        used |= inner
    return used


def _constants_of(module: Any) -> Iterator[Threshold]:
    """Yield the numeric constants of a module, each with the text below its assignment."""
    body = ast.parse(inspect.getsource(module)).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.Assign):
            continue
        names = [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        value = following.value if isinstance(following, ast.Expr) else None
        text = str(value.value) if isinstance(value, ast.Constant) else ""
        for name in names:
            if name.isupper() and _is_numeric(getattr(module, name)):
                yield Threshold(name, getattr(module, name), " ".join(text.split()))


def _is_numeric(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number or (isinstance(value, tuple) and bool(value) and all(map(_is_numeric, value)))

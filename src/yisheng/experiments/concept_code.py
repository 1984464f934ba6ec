"""The code of a concept from scratch, as it is printed: it runs without the package."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator

from yisheng.core.entry import Entry

WIDTH = 100
HIDDEN_IMPORTS = {"__future__", "yisheng.core.registry"}
"""Modules that the code from scratch does not need to run."""


def extract_code(entry: Entry) -> str:
    """Return the code from scratch of a concept, with its imports, and without docstrings and plot.

    The functions of its file are in their order, each after the first sentence of its docstring as a comment.
    Functions that only the plot needs are left out.
    """
    try:
        text = inspect.getsource(sys.modules[entry.build.__module__])
    except (OSError, TypeError):  # a concept of a notebook has no file
        text = inspect.getsource(entry.build)
    lines, tree = text.splitlines(), ast.parse(text)
    defined = {name: node for node in tree.body for name in _defines(node)}
    plot = getattr(entry.meta.get("plot"), "__name__", None)
    public = {name: node for name, node in defined.items() if isinstance(node, ast.FunctionDef) and name[0] != "_"}
    statements: list[ast.stmt] = [node for name, node in public.items() if name != plot]
    for node in statements:  # the list grows while it is read, to follow indirect uses
        needs = [defined[name] for name in _uses(node) if name in defined]
        statements += [need for need in dict.fromkeys(needs) if need not in statements]
    used = {name for node in statements for name in _uses(node)}
    parts = [_lines(node, lines, entry.build.__name__) for node in sorted(statements, key=lambda node: node.lineno)]
    future = ["from __future__ import annotations\n"] if any(isinstance(n, ast.ClassDef) for n in statements) else []
    return "\n\n\n".join(["\n".join([*future, *_imports(tree, used)]), *parts]).strip("\n")


def _defines(node: ast.stmt) -> list[str]:
    """Return the names that a top-level statement defines, without imports."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _uses(node: ast.stmt) -> list[str]:
    """Return the names in a statement, without its decorators."""
    decorators = getattr(node, "decorator_list", [])
    inside = {id(name) for decorator in decorators for name in ast.walk(decorator)}
    return [name.id for name in ast.walk(node) if isinstance(name, ast.Name) and id(name) not in inside]


def _imports(tree: ast.Module, used: set[str]) -> Iterator[str]:
    """Yield the import statements of some names."""
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        aliases = [alias for alias in node.names if (alias.asname or alias.name.split(".")[0]) in used]
        module = getattr(node, "module", None)
        if aliases and module not in HIDDEN_IMPORTS:
            names = ", ".join(f"{a.name} as {a.asname}" if a.asname else a.name for a in aliases)
            yield f"from {module} import {names}" if module else f"import {names}"


def _lines(node: ast.stmt, lines: list[str], concept: str) -> str:
    """Return the lines of a definition without decorators; the first sentence of its docstring becomes a comment."""
    lines_of_node = lines[node.lineno - 1 : node.end_lineno]
    doc = ast.get_docstring(node) if isinstance(node, ast.FunctionDef | ast.ClassDef) else None
    if doc is not None:
        first = node.body[0]  # type: ignore[attr-defined]  # it has a docstring, so a body
        lines_of_node = lines[node.lineno - 1 : first.lineno - 1] + lines[first.end_lineno : node.end_lineno]
        if getattr(node, "name", "") != concept:
            sentence = " ".join(doc.split("\n\n")[0].split())
            lines_of_node = [
                *textwrap.wrap(sentence, WIDTH, initial_indent="# ", subsequent_indent="# "),
                *lines_of_node,
            ]
    return "\n".join(re.sub(r"\s+# (?:noqa|type: ignore).*$", "", line) for line in lines_of_node)

"""Explain a concept: its equation, its code from scratch, the library's call, when to use it, and an image."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yisheng.core import files, registry
from yisheng.core.errors import UsageError
from yisheng.core.paths import parse_out_path

IMAGE_FORMATS = ("pdf", "png", "svg")
WIDTH = 100
HIDDEN_IMPORTS = {"__future__", "yisheng.core.registry"}
"""Modules that the code from scratch does not need to run."""


@dataclass(frozen=True)
class Argument:
    """An argument of a concept: name, default as text (None if it is required), and description."""

    name: str
    default: str | None
    help: str


@dataclass(frozen=True, repr=False)
class Explanation:
    """The explanation of a concept; printed, it is a page of text.

    Args:
        name: registered name.
        about: one sentence.
        equation: in plain text.
        arguments: with shapes.
        by_hand: the code from scratch, which runs as printed.
        usual: the library's call, which runs too.
        when: when to use it.
        source: paper or book.
        image: whether `draw` can draw an image.

    >>> import tempfile
    >>> explanation = explain("relu")
    >>> print(explanation.equation)
    relu(x) = max(x, 0)
    derivative: 1 if x > 0, else 0
    >>> explanation.draw(Path(tempfile.mkdtemp()) / "relu.png").name
    'relu.png'
    """

    name: str
    about: str
    equation: str
    arguments: tuple[Argument, ...]
    from_scratch: str
    usual: str
    when: str
    source: str
    image: bool

    def draw(self, path: str | Path) -> Path:
        """Write the image; return its path.

        Args:
            path: file to write; its suffix selects the format: pdf, png or svg.

        Raises:
            UsageError: there is no image of this concept, or no such format.
            StorageError: the file cannot be written.
        """
        path = parse_out_path(path)
        form = path.suffix.lower().removeprefix(".")
        if not self.image:
            drawable = ", ".join(e.name for e in registry.entries("scratch") if "plot" in e.meta)
            raise UsageError(f"there is no image of {self.name}", f"leave out= out; there are images of {drawable}")
        if form not in IMAGE_FORMATS:
            raise UsageError(f"an image ends in .pdf, .png or .svg, got {path}", f"use out={self.name}.png")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        registry.find("scratch", self.name).meta["plot"](axes)
        with files.replace_file(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the character is drawn as a box
            figure.savefig(temporary, format=form, dpi=150)
        return path

    def __str__(self) -> str:
        arguments = "\n".join(
            textwrap.fill(f"{a.name}{_default(a)}: {a.help}", WIDTH - 2, subsequent_indent="    ")
            for a in self.arguments
        )
        parts = {
            "equation": self.equation,
            "arguments": arguments,
            "from scratch": self.from_scratch,
            "library": self.usual,
            "when to use it": textwrap.fill(self.when, WIDTH - 2),
            "source": textwrap.fill(self.source, WIDTH - 2),
        }
        sections = [f"{head}\n\n{textwrap.indent(text, '  ')}" for head, text in parts.items()]
        return "\n\n".join([f"{self.name}\n\n{textwrap.fill(self.about, WIDTH)}", *sections])

    __repr__ = __str__


def explain(name: str) -> Explanation:
    """Return the explanation of a concept.

    Args:
        name: its registered name, or the beginning of a single one (``l1``); `registry.names("scratch")` lists all.

    Raises:
        UsageError: there is no such concept.

    >>> print(explain("inverse-decay").from_scratch)
    from torch import Tensor
    <BLANKLINE>
    <BLANKLINE>
    def inverse_decay(lr: float | Tensor, epoch: int | Tensor, *, k: float | Tensor = 1.0) -> float | Tensor:
        return lr / (1 + k * epoch)
    """
    names = registry.names("scratch")
    completed = [concept for concept in names if concept.startswith(f"{registry.hyphenate(name)}-")]
    is_short = registry.hyphenate(name) not in names and len(completed) == 1
    entry = registry.find("scratch", completed[0] if is_short else name)
    doc = inspect.getdoc(entry.build) or ""
    help_of = registry.argument_help(doc)
    source = re.search(r"^Source: ((?:.+\n?)+)", doc, re.MULTILINE)
    return Explanation(
        name=entry.name,
        about=entry.about,
        equation=entry.meta["equation"].strip("\n"),
        arguments=tuple(
            Argument(p.name, None if p.default is p.empty else _format_default(p.default), help_of.get(p.name, ""))
            for p in inspect.signature(entry.build).parameters.values()
        ),
        from_scratch=extract_code(entry),
        usual=entry.meta["usual"].strip("\n"),
        when=" ".join(entry.meta["when"].split()),
        source=" ".join(source[1].split()) if source else "",
        image="plot" in entry.meta,
    )


def extract_code(entry: registry.Entry) -> str:
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
    return "\n\n\n".join(["\n".join(_imports(tree, used)), *parts]).strip("\n")


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


def _format_default(value: Any) -> str:
    return str(value.__name__) if callable(value) else repr(value)


def _default(argument: Argument) -> str:
    return "" if argument.default is None else f" = {argument.default}"

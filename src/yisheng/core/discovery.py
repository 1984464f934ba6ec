"""Where components are defined: the files of this package and of plugins, listed without importing them."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from yisheng.core.errors import UsageError, YishengError
from yisheng.core.messages import Message

PACKAGE = "yisheng"
DECORATED = re.compile(rb"^(@.*?)^(?:def|class)[ ]+([A-Za-z_][A-Za-z0-9_]*)", re.MULTILINE | re.DOTALL)
"""Decorators at the beginning of a line, and the name of what they decorate."""


@dataclass(frozen=True)
class Definition:
    """Where a name is registered.

    Args:
        name: with hyphens.
        module: the module that defines it.
        facts: names of what `register` is given there; None if they cannot be told without importing the module.
    """

    name: str
    module: str
    facts: frozenset[str] | None

    def may_have(self, fact: str) -> bool:
        """Return whether the component may be registered with a fact."""
        return self.facts is None or fact in self.facts


def plugins() -> tuple[str, ...]:
    """Return the packages that add components: those in ``YISHENG_PLUGINS``, and entry points of the group yisheng."""
    names = [name.strip() for name in os.environ.get("YISHENG_PLUGINS", "").split(",") if name.strip()]
    return tuple(dict.fromkeys([*names, *_entry_points()]))


def list_modules(kind: str) -> Mapping[str, list[str]]:
    """Return registered name -> modules that define it, from the syntax trees of the kind's files.

    Raises:
        UsageError: a plugin cannot be imported, or a file is not Python.
    """
    return _list_modules(kind, plugins())


def list_definitions(kind: str) -> tuple[Definition, ...]:
    """Return what the kind's files register, from their syntax trees.

    Raises:
        UsageError: a plugin cannot be imported, or a file is not Python.
    """
    return _list_definitions(kind, plugins())


def kind_of_module(module: str) -> str:
    """Return the kind of a module: its package's path inside this package or inside a plugin.

    Raises:
        UsageError: it is in neither.

    >>> kind_of_module("yisheng.optim.schedules.cosine")
    'optim.schedules'
    """
    for package in (PACKAGE, *plugins()):
        if module.startswith(package + "."):
            return module[len(package) + 1 :].rpartition(".")[0]
    raise UsageError(
        Message("cannot tell the kind of a component in {module}", module=module),
        Message('name it, as in @register(kind="models"), or list its package in YISHENG_PLUGINS'),
    )


def import_component(module: str) -> None:
    """Import a kind's file or a plugin's package.

    Raises:
        UsageError: a plugin cannot be imported, for whatever reason.
    """
    try:
        importlib.import_module(module)
    except YishengError:
        raise
    except Exception as error:
        if module.startswith(f"{PACKAGE}."):
            raise
        raise UsageError(
            Message(
                "the plugin {module} cannot be imported: {name__}: {error}",
                module=f"{module!r}",
                name__=type(error).__name__,
                error=error,
            ),
            Message("install or fix it, or leave it out of YISHENG_PLUGINS"),
        ) from error


@functools.cache
def _entry_points() -> tuple[str, ...]:
    from importlib.metadata import entry_points

    return tuple(point.value for point in entry_points(group=PACKAGE))


@functools.cache
def _list_modules(kind: str, packages: tuple[str, ...]) -> Mapping[str, list[str]]:
    modules: dict[str, list[str]] = {}
    for definition in _list_definitions(kind, packages):
        modules.setdefault(definition.name, []).append(definition.module)
    return modules


@functools.cache
def _list_definitions(kind: str, packages: tuple[str, ...]) -> tuple[Definition, ...]:
    definitions: list[Definition] = []
    for package in (PACKAGE, *packages):
        if package != PACKAGE:
            _require_plugin(package)
        read = read_decorated if package == PACKAGE else read_file
        for folder in _folders(f"{package}.{kind}"):
            for path in sorted(folder.glob("[!_]*.py")):
                definitions += read(path, f"{package}.{kind}.{path.stem}")
    return tuple(definitions)


def _folders(package: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # a plugin need not add to every kind
        spec = None
    return [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []


def _require_plugin(package: str) -> None:
    """Import a plugin's package, so that whatever is wrong with it is reported as the plugin's error.

    It may be in the present folder, as for ``python -m``; an installed package of the same name comes first.
    """
    if all(part.isidentifier() for part in package.split(".")):
        folder = str(Path.cwd())
        sys.path.append(folder)
        try:
            import_component(package)
        finally:
            with contextlib.suppress(ValueError):  # the plugin may have changed the path, too
                sys.path.remove(folder)
    if not hasattr(sys.modules.get(package), "__path__"):
        raise UsageError(
            Message("the plugin {package} is not a package", package=f"{package!r}"),
            Message("set YISHENG_PLUGINS to names of packages, with commas"),
        )


def read_file(path: Path, module: str) -> list[Definition]:
    """Return what a file registers: its functions and classes with the decorator ``register``.

    Raises:
        UsageError: it is not Python.
    """
    try:
        body = ast.parse(path.read_bytes(), str(path)).body
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            Message("{path} is not Python: {error}", path=path, error=error),
            Message("fix it, or leave its package out of YISHENG_PLUGINS"),
        ) from None
    return [
        definition
        for node in body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for definition in _read_decorators(node, module)
    ]


def read_decorated(path: Path, module: str) -> list[Definition]:
    """Return what `read_file` returns for a file of this package, in a fifth of the time: only decorators are parsed.

    The text between is taken for code, whatever it is, so it may not have a decorator in a string at the beginning of
    a line; a test compares both for every file.
    """
    definitions: list[Definition] = []
    for match in DECORATED.finditer(path.read_bytes()):
        decorators, name = match.groups()
        if b"register" not in decorators:
            continue
        try:
            (node,) = ast.parse(decorators + b"class " + name + b": ...").body
        except (SyntaxError, ValueError):
            return read_file(path, module)
        assert isinstance(node, ast.ClassDef)
        definitions += _read_decorators(node, module)
    return definitions


def _read_decorators(node: ast.FunctionDef | ast.ClassDef, module: str) -> Iterator[Definition]:
    for decorator in filter(_is_register, node.decorator_list):
        names = _variant_names(decorator) or [node.name]
        facts = _list_facts(decorator)
        yield from (Definition(hyphenate(name), module, facts) for name in names)


def _list_facts(decorator: ast.expr) -> frozenset[str] | None:
    """Return the names of a decorator's arguments, those of its variants included; None if some cannot be told."""
    if not isinstance(decorator, ast.Call):
        return frozenset()
    facts: set[object] = {keyword.arg for keyword in decorator.keywords}
    variants = [keyword.value for keyword in decorator.keywords if keyword.arg == "variants"]
    is_literal = all(isinstance(value, ast.Dict) for value in variants)
    for node in (node for value in variants for node in ast.walk(value)):
        if isinstance(node, ast.Dict):
            facts |= {key.value if isinstance(key, ast.Constant) else None for key in node.keys}
        elif isinstance(node, ast.Call):  # a Variant, whose facts may be made elsewhere
            facts |= {keyword.arg for keyword in node.keywords}
            tables = [keyword.value for keyword in node.keywords if keyword.arg == "meta"]
            is_literal &= len(node.args) < 3 and all(isinstance(table, ast.Dict) for table in tables)
    names = frozenset(fact for fact in facts if isinstance(fact, str))
    return names if is_literal and None not in facts else None


def _is_register(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    return getattr(decorator, "id", getattr(decorator, "attr", None)) == "register"


def _variant_names(decorator: ast.expr) -> list[str]:
    """Return the keys of the argument ``variants``, if the decorator has one."""
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    tables = [keyword.value for keyword in keywords if keyword.arg == "variants"]
    keys = [key for table in tables if isinstance(table, ast.Dict) for key in table.keys]
    return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def hyphenate(name: str) -> str:
    """Return a component's name as it is written: lower case, with hyphens for underscores.

    >>> hyphenate("cross_entropy")
    'cross-entropy'
    """
    return name.strip().replace("_", "-").lower()

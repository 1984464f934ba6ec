"""Where components are defined: the files of this package and of plugins, listed without importing them."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from yisheng.core.errors import UsageError, YishengError
from yisheng.core.messages import Message

PACKAGE = "yisheng"


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
    for package in (PACKAGE, *packages):
        if package != PACKAGE:
            _require_plugin(package)
        for folder in _folders(f"{package}.{kind}"):
            for path in sorted(folder.glob("[!_]*.py")):
                for name in _registered_names(path):
                    modules.setdefault(name, []).append(f"{package}.{kind}.{path.stem}")
    return modules


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


def _registered_names(path: Path) -> Iterator[str]:
    """Yield the names under which a file's functions and classes with the decorator ``register`` are registered."""
    try:
        body = ast.parse(path.read_bytes(), str(path)).body
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            Message("{path} is not Python: {error}", path=path, error=error),
            Message("fix it, or leave its package out of YISHENG_PLUGINS"),
        ) from None
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for decorator in filter(_is_register, node.decorator_list):
                yield from map(hyphenate, _variant_names(decorator) or [node.name])


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

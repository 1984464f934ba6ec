"""Names to functions, found by themselves: a new thing is one file in its kind.

A *kind* is a sub-package (``models``, ``data.sets``, ``losses``, ...). A function or class in one of
its files becomes known under its own name (``_`` reads ``-``) by the one decorator `register`:

    # yisheng/models/tiny.py
    @register
    def tiny(spec: Spec, *, width: int = 8) -> nn.Module: ...

    $ yisheng train model=tiny width=16

The keyword-only parameters are its options: their annotations are the checks, their defaults the
defaults, their lines in the docstring the help. Files are listed by reading their syntax tree, so
nothing is imported before it is used. Another package adds to the kinds with the same layout
(``mine/models/tiny.py``), named in ``YISHENG_PLUGINS`` or by an entry point of the group ``yisheng``.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from yisheng.core.errors import UsageError, YishengError, closest

HOME = "yisheng"
PEOPLE_SAY = {
    "data.datasets": "data set",
    "models": "model",
    "init": "initialisation",
    "losses": "loss",
    "metrics": "metric",
    "optim": "optimizer",
    "optim.schedules": "schedule",
    "transforms": "scaling",
    "transforms.augment": "augmentation",
    "scratch": "concept",
    "search.samplers": "search",
    "diagnosis.training_checks": "check",
    "diagnosis.data_checks": "check of the data",
}
REQUIRED = inspect.Parameter.empty
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """One option of a registered thing: keyword, type, default (or `REQUIRED`) and one line of help."""

    name: str
    type: Any
    default: Any
    help: str


@dataclass(frozen=True)
class Entry:
    """A registered thing: call ``build`` with what its kind hands over and its options."""

    kind: str
    name: str
    build: Callable[..., Any]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name as written in JSON and Python (``log_rmse``)."""
        return self.name.replace("-", "_")

    @property
    def about(self) -> str:
        """First sentence of the docstring."""
        return (inspect.getdoc(self.build) or "").split("\n\n")[0].replace("\n", " ")

    @functools.cached_property
    def options(self) -> Mapping[str, Option]:
        """Its keyword-only parameters."""
        hints = typing.get_type_hints(_callable(self.build), include_extras=True)
        lines = argument_help(inspect.getdoc(self.build) or "")
        return MappingProxyType(
            {
                p.name: Option(p.name, hints.get(p.name, Any), p.default, lines.get(p.name, ""))
                for p in inspect.signature(self.build).parameters.values()
                if p.kind is inspect.Parameter.KEYWORD_ONLY
            }
        )


class DuplicateNameError(YishengError):
    """Two things of one kind have the same name."""


_entries: dict[tuple[str, str], Entry] = {}


@typing.overload
def register(thing: F, /) -> F: ...
@typing.overload
def register(*, kind: str | None = None, **meta: Any) -> Callable[[F], F]: ...
def register(thing: F | None = None, /, *, kind: str | None = None, **meta: Any) -> F | Callable[[F], F]:
    """Make a function or class known under its own name in the kind of its file.

    Args:
        thing: the function or class.
        kind: the kind, for code that lives elsewhere (a script, a notebook cell).
        **meta: what the kind wants to know of it; each kind's ``__init__`` lists its own.

    Raises:
        DuplicateNameError: the kind has another of that name.

    >>> @register(kind="doctest")
    ... def tiny(*, width: int = 8): ...
    >>> find("doctest", "tiny").options["width"].default
    8
    """
    if thing is None:
        return lambda thing: _remember(thing, kind, meta)
    return _remember(thing, kind, meta)


def _remember(thing: F, kind: str | None, meta: Mapping[str, Any]) -> F:
    home = kind or _kind_of(thing.__module__)
    entry = Entry(home, dashed(thing.__name__), thing, MappingProxyType(meta))
    known = _entries.get((home, entry.name))
    if known and known.build.__module__ != thing.__module__:
        raise DuplicateNameError(
            f"{home} has two things named {entry.name}: in {known.build.__module__} and in {thing.__module__}",
            "rename one of them",
        )
    _entries[home, entry.name] = entry
    return thing


def find(kind: str, name: str) -> Entry:
    """The thing of that name.

    Raises:
        UsageError: there is none; the error says what is known.
        DuplicateNameError: two files define it.
    """
    wanted = dashed(name)
    modules = _listing(kind, plugins()).get(wanted)
    if modules is not None and len(modules) > 1:  # registering the second one tells of both
        for module in modules:
            _import(module)
    if (kind, wanted) not in _entries:
        if modules is None:
            raise UsageError(f"unknown {PEOPLE_SAY.get(kind, kind)} {name!r}", closest(wanted, names(kind)))
        _import(modules[0])
    return _entries[kind, wanted]


def names(kind: str) -> list[str]:
    """Names of all things in a kind, sorted; imports none of them."""
    return sorted({*_listing(kind, plugins()), *(name for home, name in _entries if home == kind)})


def entries(kind: str) -> Iterator[Entry]:
    """All things of a kind, in order of their names."""
    return (find(kind, name) for name in names(kind))


def default(kind: str, *question: Any) -> Entry:
    """The one thing of a kind whose ``default_for(*question)`` holds.

    Raises:
        UsageError: none or several do.
    """
    fitting = [e for e in entries(kind) if "default_for" in e.meta and e.meta["default_for"](*question)]
    if len(fitting) != 1:
        which = ", ".join(e.name for e in fitting) or "none"
        raise UsageError(f"no single default among the {kind} for this data (fitting: {which})", "name one")
    return fitting[0]


def dashed(name: str) -> str:
    """Names are written with hyphens; underscores mean the same.

    >>> dashed("cross_entropy")
    'cross-entropy'
    """
    return name.strip().replace("_", "-").lower()


def plugins() -> tuple[str, ...]:
    """Packages that add to the kinds, besides this one."""
    named = [name.strip() for name in os.environ.get("YISHENG_PLUGINS", "").split(",") if name.strip()]
    return tuple(dict.fromkeys([*named, *_entry_points()]))


@functools.cache
def _entry_points() -> tuple[str, ...]:
    from importlib.metadata import entry_points

    return tuple(point.value for point in entry_points(group=HOME))


def _kind_of(module: str) -> str:
    for package in (HOME, *plugins()):
        if module.startswith(package + "."):
            return module[len(package) + 1 :].rpartition(".")[0]
    raise UsageError(
        f"cannot tell the kind of {module}", "say register(kind=...), or list its package in YISHENG_PLUGINS"
    )


@functools.cache
def _listing(kind: str, packages: tuple[str, ...]) -> Mapping[str, list[str]]:
    """Registered name -> modules that define it, from the syntax trees of the kind's files."""
    found: dict[str, list[str]] = {}
    for package in (HOME, *packages):
        if package != HOME:
            _require_plugin(package)
        for folder in _folders(f"{package}.{kind}"):
            for path in sorted(folder.glob("[!_]*.py")):
                for name in _registered_names(path):
                    found.setdefault(name, []).append(f"{package}.{kind}.{path.stem}")
    return found


def _folders(package: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # a plugin need not add to every kind
        spec = None
    return [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []


def _require_plugin(package: str) -> None:
    """Import a plugin's package: whatever goes wrong in it is told as such."""
    if all(part.isidentifier() for part in package.split(".")):
        _import(package)
    if not hasattr(sys.modules.get(package), "__path__"):
        raise UsageError(f"the plugin {package!r} is no package", "mend YISHENG_PLUGINS: names, separated by commas")


def _import(module: str) -> None:
    """Import a kind's file, or a plugin's package."""
    try:
        importlib.import_module(module)
    except YishengError:
        raise
    except Exception as error:
        if module.startswith(f"{HOME}."):
            raise
        raise UsageError(
            f"the plugin {module!r} cannot be imported: {type(error).__name__}: {error}",
            "install or mend it, or leave it out of YISHENG_PLUGINS",
        ) from error


def _registered_names(path: Path) -> Iterator[str]:
    try:
        body = ast.parse(path.read_bytes(), str(path)).body
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"{path} is not Python: {error}", "mend it, or take its package out of YISHENG_PLUGINS"
        ) from None
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and any(map(_is_register, node.decorator_list)):
            yield dashed(node.name)


def _is_register(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    return getattr(decorator, "id", getattr(decorator, "attr", None)) == "register"


def _callable(thing: Callable[..., Any]) -> Callable[..., Any]:
    return thing.__init__ if inspect.isclass(thing) else thing


def argument_help(doc: str) -> dict[str, str]:
    """The lines of a docstring's ``Args:`` section, by argument."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE)
    if not section:
        return {}
    found: dict[str, str] = {}
    current = ""
    for line in section[1].splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            current, found[start[1]] = start[1], start[2]
        elif current and line.strip():
            found[current] += " " + line.strip()
    return found

"""Names to functions, found by themselves: a new thing is one file in its room.

A *room* is a sub-package (``models``, ``data.sets``, ``losses``, ...). A function or class in one of
its files becomes known under its own name (``_`` reads ``-``) by the one decorator `register`:

    # yisheng/models/tiny.py
    @register
    def tiny(spec: Spec, *, width: int = 8) -> nn.Module: ...

    $ yisheng train model=tiny width=16

The keyword-only parameters are its options: their annotations are the checks, their defaults the
defaults, their lines in the docstring the help. Files are listed by reading their syntax tree, so
nothing is imported before it is used. Another package adds to the rooms with the same layout
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
    """A registered thing: call ``build`` with what its room hands over and its options."""

    room: str
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
    """Two things of one room have the same name."""


_entries: dict[tuple[str, str], Entry] = {}


@typing.overload
def register(thing: F, /) -> F: ...
@typing.overload
def register(*, room: str | None = None, **meta: Any) -> Callable[[F], F]: ...
def register(thing: F | None = None, /, *, room: str | None = None, **meta: Any) -> F | Callable[[F], F]:
    """Make a function or class known under its own name in the room of its file.

    Args:
        thing: the function or class.
        room: the room, for code that lives elsewhere (a script, a notebook cell).
        **meta: what the room wants to know of it; each room's ``__init__`` lists its own.

    Raises:
        DuplicateNameError: the room has another of that name.

    >>> @register(room="doctest")
    ... def tiny(*, width: int = 8): ...
    >>> find("doctest", "tiny").options["width"].default
    8
    """
    if thing is None:
        return lambda thing: _remember(thing, room, meta)
    return _remember(thing, room, meta)


def _remember(thing: F, room: str | None, meta: Mapping[str, Any]) -> F:
    home = room or _room_of(thing.__module__)
    entry = Entry(home, dashed(thing.__name__), thing, MappingProxyType(meta))
    known = _entries.get((home, entry.name))
    if known and known.build.__module__ != thing.__module__:
        raise DuplicateNameError(
            f"{home} has two things named {entry.name}: in {known.build.__module__} and in {thing.__module__}",
            "rename one of them",
        )
    _entries[home, entry.name] = entry
    return thing


def find(room: str, name: str) -> Entry:
    """The thing of that name.

    Raises:
        UsageError: there is none; the error says what is known.
        DuplicateNameError: two files define it.
    """
    wanted = dashed(name)
    modules = _listing(room, plugins()).get(wanted)
    if modules is not None and len(modules) > 1:  # registering the second one tells of both
        for module in modules:
            _import(module)
    if (room, wanted) not in _entries:
        if modules is None:
            raise UsageError(f"unknown {PEOPLE_SAY.get(room, room)} {name!r}", closest(wanted, names(room)))
        _import(modules[0])
    return _entries[room, wanted]


def names(room: str) -> list[str]:
    """Names of all things in a room, sorted; imports none of them."""
    return sorted({*_listing(room, plugins()), *(name for home, name in _entries if home == room)})


def entries(room: str) -> Iterator[Entry]:
    """All things of a room, in order of their names."""
    return (find(room, name) for name in names(room))


def default(room: str, *question: Any) -> Entry:
    """The one thing of a room whose ``default_for(*question)`` holds.

    Raises:
        UsageError: none or several do.
    """
    fitting = [e for e in entries(room) if "default_for" in e.meta and e.meta["default_for"](*question)]
    if len(fitting) != 1:
        which = ", ".join(e.name for e in fitting) or "none"
        raise UsageError(f"no single default among the {room} for this data (fitting: {which})", "name one")
    return fitting[0]


def dashed(name: str) -> str:
    """Names are written with hyphens; underscores mean the same.

    >>> dashed("cross_entropy")
    'cross-entropy'
    """
    return name.strip().replace("_", "-").lower()


def plugins() -> tuple[str, ...]:
    """Packages that add to the rooms, besides this one."""
    named = [name.strip() for name in os.environ.get("YISHENG_PLUGINS", "").split(",") if name.strip()]
    return tuple(dict.fromkeys([*named, *_entry_points()]))


@functools.cache
def _entry_points() -> tuple[str, ...]:
    from importlib.metadata import entry_points

    return tuple(point.value for point in entry_points(group=HOME))


def _room_of(module: str) -> str:
    for package in (HOME, *plugins()):
        if module.startswith(package + "."):
            return module[len(package) + 1 :].rpartition(".")[0]
    raise UsageError(
        f"cannot tell the room of {module}", "say register(room=...), or list its package in YISHENG_PLUGINS"
    )


@functools.cache
def _listing(room: str, packages: tuple[str, ...]) -> Mapping[str, list[str]]:
    """Registered name -> modules that define it, from the syntax trees of the room's files."""
    found: dict[str, list[str]] = {}
    for package in (HOME, *packages):
        if package != HOME:
            _require_plugin(package)
        for folder in _folders(f"{package}.{room}"):
            for path in sorted(folder.glob("[!_]*.py")):
                for name in _registered_names(path):
                    found.setdefault(name, []).append(f"{package}.{room}.{path.stem}")
    return found


def _folders(package: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # a plugin need not add to every room
        spec = None
    return [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []


def _require_plugin(package: str) -> None:
    """Import a plugin's package: whatever goes wrong in it is told as such."""
    if all(part.isidentifier() for part in package.split(".")):
        _import(package)
    if not hasattr(sys.modules.get(package), "__path__"):
        raise UsageError(f"the plugin {package!r} is no package", "mend YISHENG_PLUGINS: names, separated by commas")


def _import(module: str) -> None:
    """Import a room's file, or a plugin's package."""
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

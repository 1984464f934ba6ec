"""Registered components by kind and name: a new component is one file in its kind.

A *kind* is a sub-package (``models``, ``data.datasets``, ``losses``, ...). The decorator `register` makes a function or
class in one of its files known under its own name (``_`` reads ``-``):

    # yisheng/models/tiny.py
    @register
    def tiny(spec: Spec, *, width: int = 8) -> nn.Module: ...

    $ yisheng train model=tiny width=16

The keyword-only parameters are the component's options: their annotations are the checks, their defaults the defaults,
their lines in the docstring the help. Files are listed by reading their syntax tree (`yisheng.core.discovery`), so
nothing is imported before it is used. Another package adds to the kinds with the same layout
(``mine/models/tiny.py``), named in ``YISHENG_PLUGINS`` or by an entry point of the group ``yisheng``.
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from yisheng.core.discovery import hyphenate, import_component, kind_of_module, list_modules
from yisheng.core.errors import UsageError, YishengError, closest
from yisheng.core.values import validated

__all__ = [
    "KIND_LABELS",
    "REQUIRED",
    "DuplicateNameError",
    "Entry",
    "Option",
    "argument_help",
    "build",
    "default",
    "entries",
    "find",
    "hyphenate",
    "names",
    "register",
]

KIND_LABELS = {
    "data.datasets": "data set",
    "models": "model",
    "init": "initialization",
    "losses": "loss",
    "metrics": "metric",
    "optim": "optimizer",
    "optim.schedules": "schedule",
    "transforms": "scaling",
    "transforms.augment": "augmentation",
    "scratch": "concept",
    "search.samplers": "search",
    "diagnosis.training_checks": "training check",
    "diagnosis.data_checks": "data check",
}
"""What a component of each kind is called in messages."""
REQUIRED = inspect.Parameter.empty
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """One option of a component: keyword, type, default (or `REQUIRED`) and one line of help."""

    name: str
    type: Any
    default: Any
    help: str


@dataclass(frozen=True)
class Entry:
    """A registered component.

    Args:
        kind: the kind.
        name: the name, with hyphens.
        build: the function or class; called with the arguments of its kind and with its options.
        meta: what `register` was given; each kind's ``__init__`` lists its own keys.
    """

    kind: str
    name: str
    build: Callable[..., Any]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return the name as written in JSON and Python (``log_rmse``)."""
        return self.name.replace("-", "_")

    @property
    def about(self) -> str:
        """Return the first sentence of the docstring."""
        return (inspect.getdoc(self.build) or "").split("\n\n")[0].replace("\n", " ")

    @functools.cached_property
    def options(self) -> Mapping[str, Option]:
        """Return the keyword-only parameters."""
        function = self.build.__init__ if inspect.isclass(self.build) else self.build
        hints = typing.get_type_hints(function, include_extras=True)
        lines = argument_help(inspect.getdoc(self.build) or "")
        return MappingProxyType(
            {
                p.name: Option(p.name, hints.get(p.name, Any), p.default, lines.get(p.name, ""))
                for p in inspect.signature(self.build).parameters.values()
                if p.kind is inspect.Parameter.KEYWORD_ONLY
            }
        )

    def check_option(self, name: str, value: Any, key: str) -> Any:
        """Return the value of an option, converted to its type.

        Args:
            name: the option.
            value: its value, or the text of it.
            key: the config's key or the kind's label, for the error.

        Raises:
            UsageError: there is no such option, or the value is not allowed.
        """
        if name not in self.options:
            raise UsageError(f"{key}={self.name} has no option {name!r}", closest(name, self.options))
        return validated(name, self.options[name].type, value)


class DuplicateNameError(YishengError):
    """Two components of one kind have the same name."""


_entries: dict[tuple[str, str], Entry] = {}


@typing.overload
def register(component: F, /) -> F: ...
@typing.overload
def register(*, kind: str | None = None, **meta: Any) -> Callable[[F], F]: ...
def register(component: F | None = None, /, *, kind: str | None = None, **meta: Any) -> F | Callable[[F], F]:
    """Register a function or class under its own name in the kind of its file.

    Args:
        component: the function or class.
        kind: the kind, for code elsewhere (a script, a notebook cell): the path of the kind's package.
        **meta: facts about the component; each kind's ``__init__`` lists its own keys.

    Raises:
        DuplicateNameError: the kind has another component of that name.

    >>> @register(kind="doctest")
    ... def tiny(*, width: int = 8): ...
    >>> find("doctest", "tiny").options["width"].default
    8
    """
    if component is None:
        return lambda component: _add(component, kind, meta)
    return _add(component, kind, meta)


def _add(component: F, kind: str | None, meta: Mapping[str, Any]) -> F:
    kind = kind or kind_of_module(component.__module__)
    entry = Entry(kind, hyphenate(component.__name__), component, MappingProxyType(meta))
    present = _entries.get((kind, entry.name))
    if present and present.build.__module__ != component.__module__:
        raise DuplicateNameError(
            f"{kind} has two components named {entry.name}: "
            f"in {present.build.__module__} and in {component.__module__}",
            "rename one of them",
        )
    _entries[kind, entry.name] = entry
    return component


def find(kind: str, name: str) -> Entry:
    """Return the component of that name.

    Raises:
        UsageError: there is none; the error lists the known names.
        DuplicateNameError: two files define it.
    """
    key = hyphenate(name)
    modules = list_modules(kind).get(key)
    if modules is not None and len(modules) > 1:  # registering the second one raises the error
        for module in modules:
            import_component(module)
    if (kind, key) not in _entries:
        if modules is None:
            raise UsageError(f"unknown {KIND_LABELS.get(kind, kind)} {name!r}", closest(key, names(kind)))
        import_component(modules[0])
    return _entries[kind, key]


def names(kind: str) -> list[str]:
    """Return the names of all components of a kind, sorted; none of them is imported."""
    return sorted({*list_modules(kind), *(name for entry_kind, name in _entries if entry_kind == kind)})


def entries(kind: str) -> Iterator[Entry]:
    """Yield all components of a kind, in order of their names."""
    return (find(kind, name) for name in names(kind))


def default(kind: str, *arguments: Any) -> Entry:
    """Return the one component of a kind whose ``default_for(*arguments)`` holds.

    Raises:
        UsageError: none or several do.
    """
    fitting = [e for e in entries(kind) if "default_for" in e.meta and e.meta["default_for"](*arguments)]
    if len(fitting) != 1:
        candidates = ", ".join(e.name for e in fitting) or "none"
        raise UsageError(f"no single default among the {kind} for this data (fitting: {candidates})", "name one")
    return fitting[0]


def build(kind: str, name: str, *arguments: Any, **options: Any) -> Any:
    """Build a component by name with checked options.

    Args:
        kind: the kind.
        name: the registered name.
        *arguments: the arguments that all components of the kind take.
        **options: its options.

    Raises:
        UsageError: the name or an option is unknown, or a value is not allowed.
    """
    entry = find(kind, name)
    label = KIND_LABELS.get(kind, kind)
    return entry.build(*arguments, **{key: entry.check_option(key, value, label) for key, value in options.items()})


def argument_help(doc: str) -> dict[str, str]:
    """Return the lines of a docstring's ``Args:`` section, by argument."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE)
    if not section:
        return {}
    lines: dict[str, str] = {}
    argument = ""
    for line in section[1].splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            argument, lines[start[1]] = start[1], start[2]
        elif argument and line.strip():
            lines[argument] += " " + line.strip()
    return lines

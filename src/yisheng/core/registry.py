"""Registered components by kind and name: a new component is one file in its kind.

A *kind* is a sub-package (``models``, ``data.datasets``, ``losses``, ...). The decorator `register` makes a function or
class in one of its files known under its own name (``_`` reads ``-``):

    # yisheng/models/tiny.py
    @register
    def tiny(spec: Spec, *, width: int = 8) -> nn.Module: ...

    $ yisheng train model=tiny width=16

The keyword-only parameters are the component's options: their annotations are the checks, their defaults the defaults,
their lines in the docstring the help. A family of components that differ in a number is one function with named
variants (see `register`). Files are listed by reading their syntax tree (`yisheng.core.discovery`), so
nothing is imported before it is used. Another package adds to the kinds with the same layout
(``mine/models/tiny.py``), named in ``YISHENG_PLUGINS`` or by an entry point of the group ``yisheng``.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from yisheng.core.discovery import hyphenate, import_component, list_definitions, list_modules
from yisheng.core.entry import Entry, Variant
from yisheng.core.errors import UsageError, YishengError, suggest
from yisheng.core.kinds import KIND_LABELS
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally
from yisheng.core.registration import check_registration

__all__ = [
    "DuplicateNameError",
    "UnknownNameError",
    "Variant",
    "build",
    "default",
    "entries",
    "find",
    "names",
    "register",
]

F = TypeVar("F", bound=Callable[..., Any])
Variants = Mapping[str, Mapping[str, Any] | Variant]
"""The names of a family, each with the options that it fixes, or with a `Variant`."""


class DuplicateNameError(YishengError):
    """Two components of one kind have the same name."""


class UnknownNameError(UsageError):
    """No component of a kind has this name.

    Args:
        kind: the kind.
        name: the name.
    """

    def __init__(self, kind: str, name: str) -> None:
        problem = Message("unknown {kind} {name!r}", kind=KIND_LABELS.get(kind, kind), name=name)
        super().__init__(problem, suggest(hyphenate(name), names(kind)))
        self.kind = kind
        self.name = name


_entries: dict[tuple[str, str], Entry] = {}


@typing.overload
def register(component: F, /) -> F: ...
@typing.overload
def register(*, kind: str | None = None, variants: Variants | None = None, **meta: Any) -> Callable[[F], F]: ...
def register(
    component: F | None = None,
    /,
    *,
    kind: str | None = None,
    variants: Variants | None = None,
    **meta: Any,
) -> F | Callable[[F], F]:
    """Register a function or class in the kind of its file, under its own name or under those of its variants.

    Args:
        component: the function or class.
        kind: the kind, for code elsewhere (a script, a notebook cell): the path of the kind's package, as ``models`` or
            ``optim.schedules``.
        variants: the names of a family, each with the options that it fixes, or with a `Variant`. The names are
            literal strings, since they are read from the syntax tree. Each has a line in the docstring's section
            ``Variants:``, in the form of ``Args:``.
        **meta: facts about the component; each kind's ``__init__`` lists its own keys.

    Raises:
        UsageError: there is no such kind, or the component cannot be called as its kind is.
        DuplicateNameError: the kind has another component of that name.

    >>> @register(kind="models")
    ... def tiny(spec, *, width: int = 8): ...
    >>> find("models", "tiny").options["width"].default
    8
    >>> @register(kind="models", variants={"net11": {"depth": 11}, "net16": {"depth": 16}})
    ... def net(spec, *, depth: int, width: int = 8):
    ...     return spec, depth, width
    >>> list(find("models", "net16").options), build("models", "net16", "spec", width=4)
    (['width'], ('spec', 16, 4))
    >>> @register(kind="models")
    ... def narrow(width=8): ...
    Traceback (most recent call last):
    yisheng.core.errors.UsageError: the model narrow is called with (spec), but is defined as narrow(width=8)
      define it as narrow(spec, *, width=8): options come after the *
    """
    if component is None:
        return lambda component: _add(component, kind, variants, meta)
    return _add(component, kind, variants, meta)


def _add(
    component: F,
    kind: str | None,
    variants: Variants | None,
    meta: Mapping[str, Any],
) -> F:
    fixed_facts = [fixed.meta for fixed in (variants or {}).values() if isinstance(fixed, Variant)]
    kind = check_registration(component, kind, {*meta, *(fact for facts in fixed_facts for fact in facts)})
    if variants is None:
        _add_entry(Entry(kind, hyphenate(component.__name__), component, MappingProxyType(dict(meta))))
        return component
    for name, fixed in variants.items():
        variant = fixed if isinstance(fixed, Variant) else Variant(fixed)
        facts = MappingProxyType({**meta, **variant.meta})
        _add_entry(Entry(kind, hyphenate(name), component, facts, variant))
    return component


def _add_entry(entry: Entry) -> None:
    present = _entries.get((entry.kind, entry.name))
    if present and present.component.__module__ != entry.component.__module__:
        raise DuplicateNameError(
            f"{entry.kind} has two components named {entry.name}: "
            f"in {present.component.__module__} and in {entry.component.__module__}",
            "rename one of them",
        )
    _entries[entry.kind, entry.name] = entry


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
            raise UnknownNameError(kind, name)
        import_component(modules[0])
    return _entries[kind, key]


def names(kind: str) -> list[str]:
    """Return the names of all components of a kind, sorted naturally; none of them is imported."""
    return sort_naturally({*list_modules(kind), *(name for entry_kind, name in _entries if entry_kind == kind)})


def entries(kind: str, fact: str | None = None) -> Iterator[Entry]:
    """Yield the components of a kind, in order of their names.

    Args:
        kind: the kind.
        fact: only those that are registered with it; files that do not mention it are not imported.

    >>> [entry.name for entry in entries("losses", "default_for")]
    ['binary-cross-entropy', 'cross-entropy', 'mse']
    """
    if fact is None:
        return (find(kind, name) for name in names(kind))
    excluded = {d.name for d in list_definitions(kind)} - {d.name for d in list_definitions(kind) if d.may_have(fact)}
    candidates = (name for name in names(kind) if name not in excluded or (kind, name) in _entries)
    return (entry for entry in map(functools.partial(find, kind), candidates) if fact in entry.meta)


def default(kind: str, *arguments: Any) -> Entry:
    """Return the one component of a kind whose ``default_for(*arguments)`` holds.

    Raises:
        UsageError: none or several do.
    """
    fitting = [e for e in entries(kind, "default_for") if e.meta["default_for"](*arguments)]
    if len(fitting) != 1:
        candidates = ", ".join(e.name for e in fitting) or "none"
        raise UsageError(
            Message(
                "no single default among the {kind} for this data (fitting: {candidates})",
                kind=kind,
                candidates=candidates,
            ),
            Message("name one"),
        )
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

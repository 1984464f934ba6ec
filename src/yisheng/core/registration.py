"""Checks of a component when it is registered: its kind, its name, and how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from yisheng.core.discovery import kind_of_module
from yisheng.core.errors import UsageError, suggest
from yisheng.core.kinds import KIND_LABELS
from yisheng.core.messages import Message

ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "data.datasets": (),
    "models": ("spec",),
    "init": ("weight",),
    "losses": ("spec", "y"),
    "metrics": ("y", "prediction"),
    "optim": ("groups",),
    "optim.schedules": (),
    "transforms.augment": ("spec",),
}
"""What the functions of a kind are called with, before their options."""
TRANSFORM_METHODS: Final = ("fit", "apply", "invert")


def check_registration(component: Any, kind: str | None, facts: Collection[str]) -> str:
    """Return the kind of a component, if it can be registered.

    Args:
        component: what `yisheng.core.registry.register` got.
        kind: the kind that was given; None for that of the component's file.
        facts: names of what else `register` was given.

    Raises:
        UsageError: it is not a function or class, has no name, there is no such kind, or it cannot be called as its
            kind is.

    >>> def narrow(spec, *, width=4): ...
    >>> check_registration(narrow, "models", {})
    'models'
    """
    if not callable(component) or not hasattr(component, "__name__"):
        raise UsageError(
            Message("register takes a function or class, got {component}", component=f"{component!r}"),
            Message('write @register(kind="models") above its def'),
        )
    name = component.__name__
    if not name.isidentifier():
        raise UsageError(
            Message("a lambda has no name to register"),
            Message("write def name({kind})", kind=", ".join(ARGUMENTS.get(kind or "", ()))),
        )
    if kind is None:
        kind = kind_of_module(component.__module__)
        folder = f"{kind.replace('.', '/')}/"
        problem = Message(
            "{module} is in {folder}, which is not the folder of a kind", module=component.__module__, folder=folder
        )
        remedy: str = Message("move it, or use register(kind=...)")
    else:
        problem = Message("register(kind={kind}): there is no such kind", kind=f"{kind!r}")
        remedy = suggest(kind, KIND_LABELS)
    if kind not in KIND_LABELS:
        raise UsageError(problem, remedy)
    if kind in ARGUMENTS and ("fits" in facts) != ("requires" in facts):
        raise UsageError(
            Message(
                "the {label} {name} is registered with {fact} alone",
                label=KIND_LABELS[kind],
                name=name,
                fact="fits" if "fits" in facts else "requires",
            ),
            Message('give both: fits=lambda spec: spec.is_image, requires="images"'),
        )
    if kind == "transforms":
        _check_transform(component)
    elif kind in ARGUMENTS:
        _check_signature(component, f"{KIND_LABELS[kind]} {name}", ARGUMENTS[kind])
    return kind


def _check_transform(component: Any) -> None:
    missing = [method for method in TRANSFORM_METHODS if not hasattr(component, method)]
    if missing:
        raise UsageError(
            Message(
                "the scaling {name__} has no {missing}", name__=component.__name__, missing=" and no ".join(missing)
            ),
            Message(
                "a scaling is a class with the methods {TRANSFORM_METHODS}; see yisheng/transforms/__init__.py",
                TRANSFORM_METHODS=", ".join(TRANSFORM_METHODS),
            ),
        )


def _check_signature(component: Callable[..., Any], label: str, arguments: tuple[str, ...]) -> None:
    """Refuse a function that cannot be called with its kind's arguments, or whose options are not keyword-only."""
    try:
        signature = inspect.signature(component)
    except (ValueError, TypeError):  # a function written in C
        return
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    positional = [p for p in by_position if p.default is p.empty][: len(arguments)]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(positional) == len(by_position) and (len(positional) == len(arguments) or takes_any):
        return
    options = [str(p) for p in parameters if p not in positional and p.kind is not p.VAR_POSITIONAL]
    names = [*(p.name for p in positional), *arguments[len(positional) :], *(["*", *options] if options else [])]
    name, plain = component.__name__, inspect.Signature(parameters)
    definition = f"{name}({', '.join(names)})"
    remedy = Message("define it as {definition}", definition=definition)
    if options:
        remedy = Message("define it as {definition}: options come after the *", definition=definition)
    raise UsageError(
        Message(
            "the {label} is called with ({arguments}), but is defined as {name}{plain}",
            label=label,
            arguments=", ".join(arguments),
            name=name,
            plain=plain,
        ),
        remedy,
    )

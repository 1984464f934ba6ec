"""The calling convention of a user's own functions: what a function requires by position."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message


def list_required(component: Callable[..., Any], *, counted: Collection[str] = ()) -> list[str]:
    """Return the names of the positional parameters that a call must give.

    A parameter with a default is an option of the user's, so its number says nothing about how a function is called:
    ``def noise(x, std=0.1)`` takes one argument.

    Args:
        component: a function, partial, object with ``__call__``, or module (whose ``forward`` counts).
        counted: names of parameters that count although they have a default.

    >>> from functools import partial
    >>> list_required(lambda x, std=0.1: x), list_required(lambda x, y=None: x, counted=["y"])
    (['x'], ['x', 'y'])
    >>> list_required(partial(lambda optimizer, steps: optimizer, steps=10))
    ['optimizer']
    """
    return [
        parameter.name
        for parameter in _list_positional(component)
        if parameter.default is inspect.Parameter.empty or parameter.name in counted
    ]


def _list_positional(component: Callable[..., Any]) -> list[inspect.Parameter]:
    target = component
    if hasattr(component, "forward") and not inspect.isclass(component):  # a module's __call__ takes anything
        target = component.forward
    try:
        parameters = inspect.signature(target).parameters.values()
    except (ValueError, TypeError):  # a function written in C
        return []
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def build_instance(component: Any, key: str) -> Any:
    """Return an instance of a class without required parameters; anything else is returned as it is.

    Args:
        component: an object, or a class without required parameters.
        key: of the config, for the message.

    Raises:
        UsageError: the class cannot be called without arguments.

    >>> build_instance(dict, "metrics")
    {}
    """
    if not inspect.isclass(component):
        return component
    try:
        return component()
    except Exception as error:
        raise UsageError(
            Message(
                "{key}={name} is a class, and cannot be built without arguments: {error}",
                key=key,
                name=component.__name__,
                error=error,
            ),
            Message("give an object of it: {key}={name}(...)", key=key, name=component.__name__),
        ) from error

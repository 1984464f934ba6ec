"""The entry of a user's own component: its options are the parameters that the package does not fill in."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from yisheng.core.entry import REQUIRED, Entry, Option
from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message, as_message
from yisheng.core.values import validate_value


@dataclass(frozen=True)
class CustomEntry(Entry):
    """An entry of a user's own component.

    Args:
        parameters: its options; they are the parameters that the package does not fill in.
        open_ended: whether it takes any other option too (``**kwargs``).
    """

    parameters: Mapping[str, Option] = field(default_factory=dict)
    open_ended: bool = False

    @property
    def options(self) -> Mapping[str, Option]:
        """Return the parameters that are not filled in by the package."""
        return self.parameters

    @property
    def about(self) -> Message:
        """Return the first sentence of the component's docstring."""
        return as_message((inspect.getdoc(self.component) or "").split("\n\n")[0].replace("\n", " "))

    def check_option(self, name: str, value: Any, key: str) -> Any:
        """Return the value of an option; text from the shell is read as Python's literal of the parameter's type.

        Raises:
            UsageError: there is no such option, or the value does not have the annotated type.
        """
        if name not in self.parameters:
            if self.open_ended:
                return _read_literal(value)
            raise UsageError(
                Message("{key}={name} has no option {name_2}", key=key, name=self.name, name_2=f"{name!r}"),
                suggest(name, self.parameters),
            )
        annotation = self.parameters[name].type
        return _read_literal(value) if annotation is Any else validate_value(name, annotation, value)


def read_parameters(
    component: Callable[..., Any], filled: Mapping[str, Any] | None = None, *, skip: int = 0
) -> tuple[dict[str, Option], bool]:
    """Return the parameters of a callable as options, and whether it takes any others.

    Args:
        component: a class, function or partial.
        filled: names of parameters that the package fills in.
        skip: number of first parameters that the package gives by position.
    """
    try:
        signature = inspect.signature(component)
    except (ValueError, TypeError):  # a function written in C
        return {}, True
    open_ended = False
    options: dict[str, Option] = {}
    for parameter in list(signature.parameters.values())[skip:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            open_ended = True
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL or parameter.name in (filled or {}):
            continue
        else:
            default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
            options[parameter.name] = Option(parameter.name, _option_type(parameter), default, as_message(""))
    return options, open_ended


def _option_type(parameter: inspect.Parameter) -> Any:
    """Return the type of simple annotations and defaults, which text from the shell is converted to."""
    names = {"int": int, "float": float, "bool": bool, "str": str}
    annotation = names.get(parameter.annotation) if isinstance(parameter.annotation, str) else parameter.annotation
    return annotation if annotation in names.values() else Any


def _read_literal(value: Any) -> Any:
    """Return text as the Python literal that it is, else unchanged.

    >>> _read_literal("64"), _read_literal("64,32"), _read_literal("relu")
    (64, (64, 32), 'relu')
    """
    if not isinstance(value, str):
        return value
    words = {"true": True, "false": False, "none": None}
    try:
        return words[value.lower()] if value.lower() in words else ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value

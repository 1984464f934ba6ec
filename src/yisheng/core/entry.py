"""A registered component: its options, by the signature and the docstring of its function, and its facts."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from yisheng.core.errors import UsageError, suggest
from yisheng.core.help_texts import argument_help
from yisheng.core.messages import Message, as_message
from yisheng.core.values import validate_value

REQUIRED = inspect.Parameter.empty
"""The default of an option that has none."""


@dataclass(frozen=True)
class Option:
    """One option of a component: keyword, type, default (or `REQUIRED`) and one line of help."""

    name: str
    type: Any
    default: Any
    help: Message


@dataclass(frozen=True)
class Variant:
    """One name of a function that is registered under several.

    Args:
        options: options of the function that are fixed; the variant does not have them.
        choices: options that take fewer values than the function allows, with these values.
        meta: facts that hold for this variant only, in addition to those of the function.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A registered component.

    Args:
        kind: the kind.
        name: the name, with hyphens.
        component: the registered function or class.
        meta: what `register` was given; each kind's ``__init__`` lists its own keys.
        variant: what the name fixes, if the function is registered under several names.
    """

    kind: str
    name: str
    component: Callable[..., Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    variant: Variant | None = None

    @property
    def key(self) -> str:
        """Return the name as written in JSON and Python (``log_rmse``)."""
        return self.name.replace("-", "_")

    @functools.cached_property
    def build(self) -> Callable[..., Any]:
        """Return the callable: it takes the arguments of its kind and its options; a variant's are bound."""
        return functools.partial(self.component, **self.variant.options) if self.variant else self.component

    def fits(self, spec: Any) -> bool:
        """Return whether the component can be used for such data; without the fact ``fits`` it is for any."""
        return "fits" not in self.meta or bool(self.meta["fits"](spec))

    @property
    def requirement(self) -> Message:
        """Return what the data must be for this component: the fact ``requires``."""
        return as_message(self.meta["requires"])

    @property
    def about(self) -> Message:
        """Return the first sentence of the docstring, or the variant's line in its section ``Variants:``."""
        doc = inspect.getdoc(self.component) or ""
        sentence = doc.split("\n\n")[0].replace("\n", " ")
        return as_message(argument_help(doc, "Variants").get(self.name, sentence) if self.variant else sentence)

    @functools.cached_property
    def options(self) -> Mapping[str, Option]:
        """Return the keyword-only parameters that a variant does not fix."""
        function = self.component.__init__ if inspect.isclass(self.component) else self.component
        hints = typing.get_type_hints(function, include_extras=True)
        lines = argument_help(inspect.getdoc(self.component) or "")
        variant = self.variant or Variant()
        hints |= {name: typing.Literal[values] for name, values in variant.choices.items()}
        return MappingProxyType(
            {
                p.name: Option(p.name, hints.get(p.name, Any), p.default, as_message(lines.get(p.name, "")))
                for p in inspect.signature(self.component).parameters.values()
                if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in variant.options
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
            raise UsageError(
                Message("{key}={name} has no option {name_2}", key=key, name=self.name, name_2=f"{name!r}"),
                suggest(name, self.options),
            )
        return validate_value(name, self.options[name].type, value)

"""Explanations of what a config takes: components, keys and options, from what is registered."""

from __future__ import annotations

import inspect
import re
from typing import Any

from yisheng.core import registry
from yisheng.core.choice import METRICS, Choice
from yisheng.core.config import Config
from yisheng.core.entry import REQUIRED, Entry, Option
from yisheng.core.messages import Message, as_message
from yisheng.experiments.explain_names import KEY, KIND_OF_KEY, OPTION, list_literals, list_options
from yisheng.experiments.explanation import Argument, Explanation


def explain_component(key: str, name: str, facts: dict[str, Any]) -> Explanation:
    """Return the explanation of a component, from its docstring and options.

    Args:
        key: that chooses it (``loss``).
        name: its registered name.
        facts: further fields of the explanation.

    >>> explanation = explain_component("schedule", "inverse", {})
    >>> explanation.about
    'Decay inversely: 1 / (1 + k e) in epoch e, counted from 0.'
    >>> explanation.arguments[0].name, explanation.arguments[0].default
    ('k', '1.0')
    """
    entry = registry.find(KIND_OF_KEY[key], name)
    doc = inspect.getdoc(entry.component) or ""
    source = re.search(r"^Source: ((?:.+\n?)+)", doc, re.MULTILINE)
    return Explanation(
        name=entry.name,
        group=key,
        about=entry.about,
        details=_read_details(doc),
        arguments=tuple(
            Argument(o.name, None if o.default is REQUIRED else _format(o.default), _complete_help(o))
            for o in entry.options.values()
        ),
        command=_write_command(key, entry),
        source=" ".join(source[1].split()) if source else "",
        **facts,
    )


def explain_key(key: str, facts: dict[str, Any]) -> Explanation:
    """Return the explanation of a key of the config: what it is, its default, and its values.

    >>> [argument.name for argument in explain_key("precision", {}).arguments]
    ['auto', 'fp32', 'bf16', 'fp64']
    """
    info = Config.model_fields[key]
    kind = {**KIND_OF_KEY, "init_linear": "init", "init_conv": "init"}.get(key)
    if kind is not None:
        values = [Argument(entry.name, None, entry.about) for entry in registry.entries(kind)]
    else:
        default = _format(info.default)
        literals = list_literals(info.annotation)
        values = [Argument(word, None, Message("the default") if word == default else "") for word in literals]
    default = info.default[0] if isinstance(info.default, tuple) and info.default else info.default
    text = _format(default.name if isinstance(default, Choice) else default)
    return Explanation(
        name=key,
        group=KEY,
        about=Message(
            "{description} (default: {default})", description=as_message(info.description or ""), default=text
        ),
        arguments=tuple(values),
        command=f"yisheng train {key}=VALUE",
        **facts,
    )


def explain_option(name: str, facts: dict[str, Any]) -> Explanation:
    """Return the explanation of an option: the components that have it, each with its default and help.

    >>> explanation = explain_option("lr", {})
    >>> {"optimizer=adam", "optimizer=sgd"} <= {argument.name for argument in explanation.arguments}
    True
    """
    owners = list_options()[name]
    keys = list(dict.fromkeys(key for key, _ in owners))
    arguments = []
    for key, entry in owners:
        option = entry.options[name]
        default = None if option.default is REQUIRED else _format(option.default)
        arguments.append(Argument(f"{key}={entry.name}", default, _complete_help(option)))
    meanings = {entry.options[name].help for _, entry in owners}
    about = meanings.pop() if len(meanings) == 1 else Message("each component has a default and a meaning of its own.")
    program = "tune" if keys == ["search"] else "train"
    return Explanation(
        name=name,
        group=OPTION,
        about=Message("Option of {keys}: {description}", keys=", ".join(keys), description=about),
        arguments=tuple(arguments),
        command=f"yisheng {program} {owners[0][0]}={owners[0][1].name} {name}=VALUE",
        **facts,
    )


def _read_details(doc: str) -> str:
    """Return the paragraphs between the first one and the sections of a docstring."""
    details: list[str] = []
    for paragraph in doc.split("\n\n")[1:]:
        if re.match(r"(Args|Raises|Returns|Variants|Yields|Source|>>>)\b:?", paragraph) or paragraph.startswith(">>>"):
            break
        details.append(paragraph)
    return "\n\n".join(details)


def _complete_help(option: Option) -> str:
    words = list_literals(option.type)
    if not words:
        return option.help
    return Message("{description} (values: {words})", description=option.help, words=", ".join(words))


def _write_command(key: str, entry: Entry) -> str:
    if key == "search":
        return f"yisheng tune search={entry.name}"
    if key == METRICS and entry.meta.get("scalar", True):
        return f"yisheng train metrics={entry.name}\nyisheng train score={entry.name}"
    return f"yisheng train {key}={entry.name}"


def _format(value: Any) -> str:
    """Return a default as it is written on the command line."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)

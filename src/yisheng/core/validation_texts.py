"""Errors of pydantic as messages, which can be translated: by their type, with pydantic's own words in English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from yisheng.core.messages import Message, as_message, join_alternatives, message_of

PREFIX: Final = "Input should be "
RULES: Final[Mapping[str, Message]] = {
    "int_type": Message("a valid integer"),
    "int_parsing": Message("a valid integer, unable to parse string as an integer"),
    "int_from_float": Message("a valid integer, got a number with a fractional part"),
    "float_type": Message("a valid number"),
    "float_parsing": Message("a valid number, unable to parse string as a number"),
    "finite_number": Message("a finite number"),
    "bool_type": Message("a valid boolean"),
    "bool_parsing": Message("a valid boolean, unable to interpret input"),
    "string_type": Message("a valid string"),
    "list_type": Message("a valid list"),
    "tuple_type": Message("a valid tuple"),
    "dict_type": Message("a valid dictionary"),
    "model_type": Message("a valid dictionary or instance of {class_name}"),
    "dataclass_type": Message("a dictionary or an instance of {class_name}"),
    "none_required": Message("None"),
    "greater_than": Message("greater than {gt}"),
    "greater_than_equal": Message("greater than or equal to {ge}"),
    "less_than": Message("less than {lt}"),
    "less_than_equal": Message("less than or equal to {le}"),
}
"""Type of an error whose text begins with `PREFIX` -> the rest of it."""
SENTENCES: Final[Mapping[str, Message]] = {
    "missing": Message("Field required"),
    "extra_forbidden": Message("Extra inputs are not permitted"),
    "string_pattern_mismatch": Message("String should match pattern '{pattern}'"),
}
"""The same for other errors, complete."""


def describe_rule(details: Mapping[str, Any]) -> str:
    """Return what a value should be, of one of the errors that pydantic's ``ValidationError.errors()`` returns.

    >>> describe_rule({"type": "greater_than", "ctx": {"gt": 0.5}, "msg": "Input should be greater than 0.5"}).template
    'greater than {gt}'
    """
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return message_of(context["error"])
    if kind in ("literal_error", "enum"):
        names, _, last = str(context["expected"]).rpartition(" or ")
        return join_alternatives([names, last] if names else [last])
    if kind in RULES or kind in SENTENCES:
        template = RULES.get(kind) or SENTENCES[kind]
        return as_message(template.template, **{name: _format(value) for name, value in context.items()})
    return str(details["msg"]).removeprefix(PREFIX)


def describe_invalid(details: Mapping[str, Any]) -> str:
    """Return the text of one of the errors that pydantic's ``ValidationError.errors()`` returns, as a message.

    >>> import pydantic
    >>> try:
    ...     _ = pydantic.TypeAdapter(int).validate_python("a")
    ... except pydantic.ValidationError as error:
    ...     text = describe_invalid(error.errors()[0])
    >>> text
    'Input should be a valid integer, unable to parse string as an integer'
    """
    rule = describe_rule(details)
    if details["msg"].startswith(PREFIX):
        return Message("Input should be {rule}", rule=rule)
    return rule


def describe_all_invalid(errors: Iterable[Mapping[str, Any]]) -> str:
    """Return the texts of several errors, each with the place of its value."""
    text = ""
    for details in errors:
        place = ".".join(map(str, details["loc"]))
        invalid = describe_invalid(details)
        problem = Message("{place}: {problem}", place=place, problem=invalid) if place else invalid
        text = Message("{problems}; {problem}", problems=text, problem=problem) if text else problem
    return text


def _format(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

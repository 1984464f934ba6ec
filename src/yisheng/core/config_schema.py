"""The JSON schema of a config file (draft 2020-12), with which editors complete and check a config in TOML.

It describes the typed form: numbers as numbers, lists as lists. `yisheng.core.settings` also takes text for them, and
checks what a schema cannot: whether choices fit the data and one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from yisheng.core import registry
from yisheng.core.choice import AUGMENT, AUTO, IN_MEMORY, KINDS, METRICS, Choice
from yisheng.core.components import KEY_OF_KIND
from yisheng.core.config import Config
from yisheng.core.entry import Entry
from yisheng.core.settings import ALIASES

Schema = dict[str, Any]
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
REFERENCE: Final = {
    "type": "string",
    "pattern": r"^(.+\.py|in-memory|[A-Za-z_][A-Za-z0-9_.]*):[A-Za-z_][A-Za-z0-9_.]*$",
    "description": "code of your own, as file.py:Class or package.module:Class",
}
PATH: Final = {"type": "string", "pattern": r"[/\\~.]", "description": "path of a folder, zip or table"}
DURATION: Final = {"type": "string", "pattern": r"^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*[smh]?\s*$"}
ABSENT: Final = {"enum": ["none", ""]}
"""The words that mean no value, since TOML has no null."""
LIST_KINDS: Final = {AUGMENT: "transforms.augment", METRICS: METRICS}
"""Keys that take several components, with the kind of each."""


def make_config_schema() -> Schema:
    """Return the schema of a config file.

    >>> schema = make_config_schema()
    >>> schema["properties"]["epochs"]["anyOf"]
    [{'maximum': 1000000000, 'minimum': 0, 'type': 'integer'}, {'const': 'auto', 'type': 'string'}]
    >>> schema["additionalProperties"]
    False
    """
    properties: dict[str, Schema] = {}
    for key, info in Config.model_fields.items():
        if key in KINDS:
            schema = _make_choice_schema(key)
        elif key in LIST_KINDS:
            schema = _make_list_schema(key)
        else:
            schema = make_type_schema(info.rebuild_annotation(), is_duration=key == "budget")
        properties[key] = {"description": info.description or "", **schema}
    entries = [entry for kind in dict.fromkeys(KINDS.values()) for entry in registry.entries(kind)]
    for option, schema in _make_options(entries).items():
        if option in properties:  # test=FILE is an option of tables, test=0.2 a key
            key_schemas = properties[option].get("anyOf", [_drop_description(properties[option])])
            schema = {"description": properties[option]["description"], "anyOf": [*key_schemas, schema]}
        properties[option] = schema
    return {
        "$schema": DRAFT,
        "title": "Config of a Yisheng run",
        "description": "every choice of a run; an option may be given alone (lr) or in the table of its choice",
        **_make_table(properties),
    }


def make_type_schema(annotation: Any, *, is_duration: bool = False) -> Schema:
    """Return the schema of a type; of one that a file cannot hold, the schema that allows everything.

    Args:
        annotation: the type with its checks.
        is_duration: whether a time may be written as 5m.

    >>> make_type_schema(int | None)["anyOf"]
    [{'type': 'integer'}, {'enum': ['none', '']}]
    """
    from pydantic import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, TypeAdapter

    try:
        schema: Schema = _replace_null(TypeAdapter(annotation).json_schema())
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return {}
    return {"anyOf": [*schema.get("anyOf", [schema]), DURATION]} if is_duration else schema


def _replace_null(schema: Any) -> Any:
    """Replace null by the words for it, and drop the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [_replace_null(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema == {"type": "null"}:
        return dict(ABSENT)
    return {key: _replace_null(part) for key, part in schema.items() if key != "title"}


def _make_choice_schema(key: str) -> Schema:
    """Return the schema of a choice: a name, or a table of a name and options."""
    kind, default = KINDS[key], Config.model_fields[key].default
    entries = list(registry.entries(kind))
    options = _make_options(entries)
    words = [AUTO] if default == Choice(name=AUTO) else ["none"] if default is None else []
    names = [_make_name_schema([entry.name for entry in entries], words)]
    tables = [_make_table(options), *map(_make_component_table, entries)]
    if words == [AUTO]:
        tables.append(_make_table({"name": {"const": AUTO}, **options}, required=["name"]))
    if kind in KEY_OF_KIND:
        names.append(dict(REFERENCE))
        tables.append({"type": "object", "properties": {"name": dict(REFERENCE)}, "required": ["name"]})
    if key == "data":
        names += [dict(PATH), {"const": IN_MEMORY}]
        tables.append(_make_table({"name": {"anyOf": [PATH, {"const": IN_MEMORY}]}, **options}, required=["name"]))
    return {"anyOf": [*names, *tables]}


def _make_list_schema(key: str) -> Schema:
    """Return the schema of several components: names with commas, or a list of names and tables."""
    kind = LIST_KINDS[key]
    entries = list(registry.entries(kind))
    names = [entry.name for entry in entries]
    words = ["none", "", *([AUTO] if key == AUGMENT else [])]
    reference = REFERENCE["pattern"].strip("^$")
    item = f"(?:{_match_names(names)}|{reference})"
    text = {"type": "string", "pattern": rf"^\s*{item}(\s*,\s*{item})*\s*$"}
    own_table = {"type": "object", "properties": {"name": dict(REFERENCE)}, "required": ["name"]}
    items = [_make_name_schema(names, []), dict(REFERENCE), *map(_make_component_table, entries), own_table]
    return {"anyOf": [{"enum": words}, text, {"type": "array", "items": {"anyOf": items}}]}


def _make_component_table(entry: Entry) -> Schema:
    """Return the schema of a table that names one component and gives its options."""
    return _make_table({"name": _make_name_schema([entry.name], []), **_make_options([entry])}, required=["name"])


def _make_name_schema(names: Iterable[str], words: Iterable[str]) -> Schema:
    """Return the schema of registered names: for completion as they are, and with other capitals or underscores."""
    names = list(names)
    return {"anyOf": [{"enum": [*words, *names]}, {"type": "string", "pattern": f"^{_match_names(names)}$"}]}


def _match_names(names: Iterable[str]) -> str:
    """Return a regular expression of names in any writing that the registry knows.

    >>> _match_names(["vgg11-bn"])
    '(?:[vV][gG][gG]11[-_][bB][nN])'
    """
    patterns = ["".join(_match_letter(letter) for letter in name) for name in names]
    return f"(?:{'|'.join(patterns)})"


def _match_letter(letter: str) -> str:
    if letter == "-":
        return "[-_]"
    return f"[{letter}{letter.upper()}]" if letter.isalpha() else re.escape(letter)


def _make_options(entries: Iterable[Entry]) -> dict[str, Schema]:
    """Return the schema of every option of some components: any of the types that they give it."""
    types: dict[str, list[Schema]] = {}
    help_of: dict[str, str] = {}
    for entry in entries:
        for option in entry.options.values():
            schemas = types.setdefault(option.name, [])
            schema = make_type_schema(option.type)
            if schema not in schemas:
                schemas.append(schema)
            help_of.setdefault(option.name, option.help)
    return {
        name: {"description": help_of[name], **(schemas[0] if len(schemas) == 1 else {"anyOf": schemas})}
        for name, schemas in types.items()
    }


def _make_table(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """Return the schema of a table with these keys, which may be written with hyphens or by their other names."""
    patterns = {key.replace("_", "[-_]"): key for key in properties if "_" in key}
    patterns |= {alias.replace("_", "[-_]"): key for alias, key in ALIASES.items() if key in properties}
    table: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if patterns:
        table["patternProperties"] = {f"^{pattern}$": properties[key] for pattern, key in patterns.items()}
    if required:
        table["required"] = list(required)
    return table


def _drop_description(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "description"}

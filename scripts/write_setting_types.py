"""Write src/yisheng/core/setting_types.py, the types of all settings: python scripts/write_setting_types.py"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator

from yisheng.core import registry
from yisheng.core.choice import AUGMENT, AUTO, KINDS, METRICS, Choice
from yisheng.core.config import Config
from yisheng.core.kinds import KIND_LABELS
from yisheng.core.settings import ALIASES
from yisheng.core.values import takes_lists_of_numbers
from yisheng.search.build_space import NOT_SEARCHABLE

FILE = Path(__file__).parents[1] / "src" / "yisheng" / "core" / "setting_types.py"
MODULE_DOCSTRING = '''"""Types of the settings that `yisheng.train` and its siblings take as keywords.

Editors complete them, and type checkers check them.
`Settings` has every key of the config and every option of a registered component; `SearchSettings` has the same keys,
whose values may also be alternatives or a range. A type checker refuses any other keyword. The options of a component
of your own, or of a plugin's, are therefore written into a mapping: ``model={"name": Net, "width": 8}``.

This file is written by ``python scripts/write_setting_types.py`` from `yisheng.core.config.Config` and the registry.
"""
'''
IMPORTS = """
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Literal, Protocol, TypeAlias, TypedDict, TypeVar, Union

    import torch
    from torch import nn
"""
RANGE = '''

class SupportsRange(Protocol):
    """A range of numbers that a search draws from, as `yisheng.search.axes.Range`."""

    @property
    def scale(self) -> Literal["log", "uniform", "int", "logint"]:
        """Return how the numbers are spread."""

    @property
    def low(self) -> float:
        """Return the smallest number."""

    @property
    def high(self) -> float:
        """Return the largest number."""


T = TypeVar("T")
Varied: TypeAlias = Union[T, Sequence[T], str, SupportsRange]  # noqa: UP007  # a name in quotes allows no |
"""A value, a list of alternatives, or a range: an object, or text as ``log(1e-4,1)``."""
'''
KIND_ALIASES = {
    "models": ("Model", "nn.Module | Callable[..., nn.Module]"),
    "init": ("Init", "Callable[..., Any]"),
    "losses": ("Loss", "Callable[..., Any]"),
    "optim": ("Optimizer", "torch.optim.Optimizer | Callable[..., torch.optim.Optimizer]"),
    "optim.schedules": ("Schedule", "Callable[..., Any]"),
    "transforms": ("Scale", ""),
    "transforms.augment": ("Augmentation", "Callable[..., Any]"),
    "metrics": ("Metric", "Callable[..., Any]"),
}
"""Kind -> the name of its type, and what may be given in place of a registered name."""
KEY_TYPES = {
    "data": "Any",
    AUGMENT: "Augmentation | Sequence[Augmentation] | None",
    METRICS: "Metric | Sequence[Metric] | Mapping[str, Callable[..., Any]]",
    "score": 'Metric | Literal["auto", "loss"]',
    "validation": "Any",
    "test": "Any",
    "output": "str | int | None",
    "weights": "str | Path | None",
}
"""Types of keys that the annotations of the config cannot tell: they take objects, or paths besides names."""
EXTRA_NAMES = {"transforms.augment": ("none",)}
"""Words that a choice takes in addition to the names of its components."""
EXPLICIT_KEYS = ("data",)
"""Keys that all functions have as parameters of their own."""
SEARCH_PARAMETERS = ("n", "tensorboard")
"""Keys that `yisheng.tune` has as parameters of its own."""
PARAMETERS = (*SEARCH_PARAMETERS, "low", "high")
"""Those, and the ones of `yisheng.lr_find`."""
WIDTH = 120


@dataclass(frozen=True)
class Field:
    """One key: its type as text, and a line of help."""

    name: str
    type: str
    help: str


def render() -> str:
    """Return the content of the file."""
    fields = list_fields()
    common = [field for field in fields if field.name not in PARAMETERS]
    others = [field for field in fields if field.name in PARAMETERS]
    varied = [vary(field) for field in fields if field.name not in SEARCH_PARAMETERS]
    own = [Field(key, f"{alias} | None", field_help(key)) for key, alias in own_components().items()]
    types = [
        RANGE,
        *map(render_alias, KIND_ALIASES),
        render_class("CommonSettings", "The keys of `Settings` that no function has as a parameter.", common),
        render_class("Settings", "The keys of a config and the options of registered components.", others, "Common"),
        render_class("SearchSettings", "The keys of `Settings`, whose values may be alternatives or a range.", varied),
        render_class("OwnComponents", "Components of your own that a saved run is given again.", own),
    ]
    functions = [
        render_collector("gather_common_settings", "COMMON_SETTINGS", [field.name for field in common]),
        render_collector("gather_settings", "SETTINGS", [field.name for field in fields]),
        render_collector("gather_search_settings", "SEARCH_SETTINGS", [field.name for field in varied]),
        render_collector("gather_components", "OWN_COMPONENTS", [field.name for field in own]),
    ]
    return "".join([MODULE_DOCSTRING, IMPORTS, textwrap.indent("".join(types), "    "), *functions])


def vary(field: Field) -> Field:
    """Return a key as a search takes it."""
    return Field(field.name, field.type if field.name in NOT_SEARCHABLE else f"Varied[{field.type}]", "")


def list_fields() -> list[Field]:
    """Return the keys of the config in their order, then the other names of keys, then the options by name."""
    keys = [key for key in Config.model_fields if key not in EXPLICIT_KEYS]
    fields = {key: Field(key, key_type(key), field_help(key)) for key in keys}
    options = list_options()
    for name, option in options.items():
        if name not in fields:
            fields[name] = option
    for alias, key in ALIASES.items():
        known = fields.get(key)
        fields[alias] = Field(alias, known.type if known else "str", f"the same as ``{key}``")
    return list(fields.values())


def list_options() -> dict[str, Field]:
    """Return the options of all registered components; one name may be an option of several, with several types."""
    texts: dict[str, list[str]] = {}
    helps: dict[str, dict[str, list[str]]] = {}
    kinds = [(key, kind) for key, kind in KINDS.items() if kind != "init" or key == "init"]
    for key, kind in [*kinds, (AUGMENT, "transforms.augment"), ("data", "data.objects")]:
        for entry in registry.entries(kind):
            for option in entry.options.values():
                texts.setdefault(option.name, []).extend(type_texts(option.type))
                text = " ".join(option.help.split())
                helps.setdefault(option.name, {}).setdefault(text, []).append(f"{key}={entry.name}")
    return {name: Field(name, join_types(texts[name]), option_help(helps[name])) for name in sorted(texts)}


def option_help(owners_of_text: Mapping[str, list[str]]) -> str:
    """Return the help of an option, with the component that has it, or the number of them."""
    text, owners = max(owners_of_text.items(), key=lambda item: len(item[1]))
    owners = [owner for others in owners_of_text.values() for owner in others]
    shown = ", ".join(owners[:3]) + (f" and {len(owners) - 3} others" if len(owners) > 3 else "")
    text = text if text.endswith("...") else text.removesuffix(".")
    return f"{text} ({shown})" if text else shown


def field_help(key: str) -> str:
    """Return the description of a key of the config."""
    return str(Config.model_fields[key].description)


def key_type(key: str) -> str:
    """Return the type of a key of the config as text."""
    if key in KEY_TYPES:
        return KEY_TYPES[key]
    if key in KINDS:
        return KIND_ALIASES[KINDS[key]][0] + (" | None" if Config.model_fields[key].default is None else "")
    return join_types(type_texts(Config.model_fields[key].rebuild_annotation()))


def own_components() -> dict[str, str]:
    """Return the keys that take components of one's own, with their types."""
    keys = {key: KIND_ALIASES[kind][0] for key, kind in KINDS.items() if KIND_ALIASES.get(kind, ("", ""))[1]}
    return {**keys, AUGMENT: KEY_TYPES[AUGMENT].removesuffix(" | None"), METRICS: KEY_TYPES[METRICS]}


def type_texts(annotation: Any) -> list[str]:
    """Return the alternatives of an annotation as texts, as wide as `yisheng.core.values.validate_value` reads them.

    >>> type_texts(tuple[int, ...] | Path | None)
    ['int', 'Sequence[int]', 'str | Path', 'None']
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        is_text = any(isinstance(check, BeforeValidator) for check in arguments[1:])
        return [*type_texts(arguments[0]), *(["str"] if is_text else [])]
    if origin in (Union, types.UnionType):
        return [text for argument in arguments for text in type_texts(argument)]
    if origin is Literal:
        return [f"Literal[{', '.join(map(quote, arguments))}]"]
    if origin is tuple:
        element = join_types(type_texts(arguments[0]))
        return [*([element] if takes_lists_of_numbers(annotation) else []), f"Sequence[{element}]"]
    if origin is dict:
        return [f"Mapping[{', '.join(join_types(type_texts(argument)) for argument in arguments)}]"]
    if annotation is Path:
        return ["str | Path"]
    return ["None" if annotation in (None, type(None)) else getattr(annotation, "__name__", "Any")]


def quote(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def join_types(texts: Iterable[str]) -> str:
    """Return a union of types, each once, their literals as one, None last.

    >>> join_types(['Literal["a"]', "int", "None", 'Literal["b", "a"]'])
    'int | Literal["a", "b"] | None'
    """
    alternatives = dict.fromkeys(part for text in texts for part in split_union(text))
    words = [text.removeprefix("Literal[").removesuffix("]") for text in alternatives if text.startswith("Literal[")]
    plain = [text for text in alternatives if not text.startswith("Literal[") and text != "None"]
    if "float" in plain and "int" in plain:  # an int is a float to a type checker
        plain.remove("int")
    if words and "str" not in plain:
        plain.append(f"Literal[{', '.join(dict.fromkeys(', '.join(words).split(', ')))}]")
    return " | ".join([*plain, *(["None"] if "None" in alternatives else [])])


def split_union(text: str) -> list[str]:
    return text.split(" | ") if "[" not in text else [text]


def render_alias(kind: str) -> str:
    """Return the type of a choice: registered names, or any of a plugin, what is one's own, or a mapping."""
    alias, own = KIND_ALIASES[kind]
    keys = [key for key, other in KINDS.items() if other == kind]
    decided = kind == "transforms.augment" or any(Config.model_fields[key].default == Choice(name=AUTO) for key in keys)
    words = sorted({*registry.names(kind), *([AUTO] if decided else []), *EXTRA_NAMES.get(kind, ())})
    literal = f"{alias}Name: TypeAlias = Literal[{', '.join(map(quote, words))}]"
    text = " | ".join(filter(None, (f"{alias}Name", "str", own, "Mapping[str, Any]")))
    label = KIND_LABELS[kind]
    note = "an object of your own, " if own else ""
    return (
        f'\n{literal}\n{alias}: TypeAlias = "{text}"\n'
        f'"""{label.capitalize()}: its name, {note}or a mapping with ``name`` and options."""\n'
    )


def render_class(name: str, about: str, fields: Iterable[Field], base: str = "") -> str:
    """Return a typed dictionary without required keys."""
    lines = [f'"""{about}"""', ""]
    for field in fields:
        lines += [f"{field.name}: {field.type}", *render_help(field)]
    parent = f"{base}Settings" if base else "TypedDict"
    return f"\n\nclass {name}({parent}, total=False):\n" + textwrap.indent("\n".join(lines), "    ") + "\n"


def render_help(field: Field) -> list[str]:
    """Return the help as a docstring; the first letter of a word that is a value stays small."""
    if not field.help:
        return []
    text = field.help.replace('"', "'").replace("\\", "")
    text = text if text.endswith("...") else text.removesuffix(".")
    is_value = re.split(r"\W", text, maxsplit=1)[0] in (AUTO, *re.findall(r'"([\w-]+)"', field.type))
    first = text if is_value else text[0].upper() + text[1:]
    return textwrap.wrap(f'"""{first}."""', WIDTH - 8, break_on_hyphens=False)


def render_collector(name: str, constant: str, keys: Sequence[str]) -> str:
    """Return a function that returns its keywords; its parameters let an editor complete them."""
    parameters = ", ".join(f"{key}: Any = ..." for key in keys)
    return f'''
{constant}: Final = ({", ".join(map(quote, keys))},)

if TYPE_CHECKING:

    def {name}(*, {parameters}) -> dict[str, Any]: ...

else:

    def {name}(**keywords: Any) -> dict[str, Any]:
        """Return the keywords; an editor completes the parameters that are declared above."""
        return keywords

'''


def format_code(code: str) -> str:
    """Return code as ``ruff format`` writes it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FILE), "-"]
    return subprocess.run(command, input=code, capture_output=True, encoding="utf-8", check=True).stdout


if __name__ == "__main__":
    os.environ.pop("YISHENG_PLUGINS", None)
    FILE.write_text(format_code(render()), encoding="utf-8")

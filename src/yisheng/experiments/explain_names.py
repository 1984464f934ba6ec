"""What a name means to `yisheng explain`: a concept, a component, a key of the config, an option, or a value."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from yisheng.core import registry
from yisheng.core.choice import AUGMENT, KINDS, METRICS
from yisheng.core.config import Config
from yisheng.core.discovery import hyphenate
from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError
from yisheng.core.glossary import find_term, list_names, squeeze
from yisheng.core.messages import Message

CONCEPT, KEY, OPTION = "concept", "key", "option"
KIND_OF_KEY = {
    **{key: kind for key, kind in KINDS.items() if key not in ("init_linear", "init_conv")},
    AUGMENT: "transforms.augment",
    METRICS: "metrics",
    "search": "search.samplers",
}
"""Key -> the kind that it chooses from, for every kind that a setting can name."""
MAX_SUGGESTIONS = 3


@dataclass(frozen=True)
class Meaning:
    """A page of `yisheng explain`.

    Args:
        group: `CONCEPT`, `KEY`, `OPTION`, or the key of the config that chooses the component (``loss``).
        name: of the concept, key, option or component.
    """

    group: str
    name: str

    def __str__(self) -> str:
        return self.name if self.group == CONCEPT else f"{self.group}.{self.name}"


def find_meanings(name: str) -> list[Meaning]:
    """Return what a name means, the most likely first.

    Raises:
        UsageError: it means nothing; the remedy names the nearest.

    >>> [str(meaning) for meaning in find_meanings("权重衰退")]
    ['weight-decay']
    >>> [str(meaning) for meaning in find_meanings("huber")]
    ['huber-loss', 'loss.huber']
    """
    last_part = name.rpartition(".")[2].rstrip("()")  # torch.nn.ReLU
    for text in dict.fromkeys([name, last_part]):
        meanings = list(dict.fromkeys(_look_up(text))) or list(dict.fromkeys(_look_up_options(text)))
        if meanings:
            return meanings
    completed = [c for c in registry.names("scratch") if c.startswith(f"{hyphenate(name)}-")]
    if len(completed) == 1:
        return [Meaning(CONCEPT, completed[0])]
    raise UsageError(Message("unknown concept {name}", name=f"{name!r}"), _suggest(name))


def _look_up(name: str) -> Iterator[Meaning]:
    """Yield the meanings that need no import of the components."""
    squeezed = squeeze(name)
    yield from _look_up_page(name)
    term = find_term(name)
    if term is not None and term.page is not None:
        yield from _look_up_page(term.page)
    for key, kind in KIND_OF_KEY.items():
        yield from (Meaning(key, n) for n in registry.names(kind) if squeeze(n) == squeezed)
    yield from (Meaning(KEY, key) for key in Config.model_fields if squeeze(key) == squeezed)


def _look_up_page(name: str) -> Iterator[Meaning]:
    """Yield the concept of a name, or what a name with its group means, as ``loss.huber`` or ``key.epochs``."""
    squeezed = squeeze(name)
    yield from (Meaning(CONCEPT, c) for c in registry.names("scratch") if squeeze(c) == squeezed)
    group, _, tail = name.rpartition(".")
    group, squeezed = hyphenate(group).replace("-", "_"), squeeze(tail)
    if group == KEY:
        yield from (Meaning(KEY, key) for key in Config.model_fields if squeeze(key) == squeezed)
    elif group in KIND_OF_KEY:
        yield from (Meaning(group, n) for n in registry.names(KIND_OF_KEY[group]) if squeeze(n) == squeezed)
    elif group == OPTION:
        yield from (Meaning(OPTION, option) for option in list_options() if squeeze(option) == squeezed)


def _look_up_options(name: str) -> Iterator[Meaning]:
    """Yield the options of components, and the keys that take the value."""
    squeezed = squeeze(name)
    yield from (Meaning(OPTION, option) for option in list_options() if squeeze(option) == squeezed)
    for key, info in Config.model_fields.items():
        if any(squeeze(value) == squeezed for value in list_literals(info.annotation)):
            yield Meaning(KEY, key)
    for option, owners in list_options().items():
        values = {value for _, entry in owners for value in list_literals(entry.options[option].type)}
        if any(squeeze(value) == squeezed for value in values):
            yield Meaning(OPTION, option)


def list_options() -> dict[str, list[tuple[str, Entry]]]:
    """Return every option with the components that have it, each with the key that chooses it."""
    options: dict[str, list[tuple[str, Entry]]] = {}
    for key, kind in KIND_OF_KEY.items():
        for entry in registry.entries(kind):
            for option in entry.options:
                options.setdefault(option, []).append((key, entry))
    return options


def list_literals(annotation: Any) -> tuple[str, ...]:
    """Return the words that a type allows.

    >>> list_literals(Annotated[Literal["a", "b"] | int | None, "checks"])
    ('a', 'b')
    """
    if typing.get_origin(annotation) is Literal:
        return tuple(word for word in typing.get_args(annotation) if isinstance(word, str))
    parts = typing.get_args(annotation)
    parts = parts[:1] if typing.get_origin(annotation) is Annotated else parts
    return tuple(dict.fromkeys(word for part in parts for word in list_literals(part)))


def _suggest(name: str) -> str:
    """Return the remedy for an unknown name: the nearest names that have a page."""
    words = {squeeze(name): name for name in _list_all_names()}
    matches = difflib.get_close_matches(squeeze(name), words, n=MAX_SUGGESTIONS, cutoff=0.5)
    nearest = ", ".join(words[match] for match in matches)
    if nearest:
        return Message("did you mean {names}? `yisheng explain` lists all", names=nearest)
    return Message("`yisheng explain` lists all concepts")


def _list_all_names() -> Iterator[str]:
    """Yield all names that have a page; where two differ in writing only, the preferred one last."""
    yield from (name for term in list_names().values() if term.page is not None for name in term.names)
    yield from list_options()
    yield from Config.model_fields
    for kind in KIND_OF_KEY.values():
        yield from registry.names(kind)
    yield from registry.names("scratch")

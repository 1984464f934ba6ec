"""The glossary: every term of the project in English and Chinese, from ``glossary.toml``."""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType


@dataclass(frozen=True)
class Term:
    """A term of the glossary.

    Args:
        english: the term.
        chinese: the usual Chinese terms, the preferred one first.
        aliases: other names of it.
        page: what `yisheng explain` shows for it; None if the term is for translation only.
        see: further pages about it.
    """

    english: str
    chinese: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    page: str | None = None
    see: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names of the term."""
        return self.english, *self.chinese, *self.aliases


@functools.cache
def read_glossary() -> tuple[Term, ...]:
    """Return all terms, in the order of the file.

    >>> next(term.chinese for term in read_glossary() if term.english == "weight decay")
    ('权重衰减', '权重衰退')
    """
    text = resources.files("yisheng.core").joinpath("glossary.toml").read_text(encoding="utf-8")
    return tuple(
        Term(
            term["english"],
            tuple(term["chinese"]),
            tuple(term.get("aliases", ())),
            term.get("page"),
            tuple(term.get("see", ())),
        )
        for term in tomllib.loads(text)["term"]
    )


@functools.cache
def list_names() -> Mapping[str, Term]:
    """Return the term of every name, the names squeezed."""
    return MappingProxyType({squeeze(name): term for term in read_glossary() for name in term.names})


def find_term(name: str) -> Term | None:
    """Return the term of a name, or None.

    >>> find_term("CrossEntropyLoss").english, find_term("丢弃法").english
    ('cross-entropy', 'dropout')
    """
    return list_names().get(squeeze(name))


def squeeze(name: str) -> str:
    """Return a name without what may differ in writing: capitals, spaces, hyphens, underscores, dots, ``()``.

    >>> squeeze("weight-decay"), squeeze("Weight_Decay "), squeeze("ＡＤＡＭ"), squeeze("nn.ReLU()")
    ('weightdecay', 'weightdecay', 'adam', 'nnrelu')
    """
    return re.sub(r"[\s_.()\-]+", "", unicodedata.normalize("NFKC", name).casefold())

"""Explain a concept: its equation, its code from scratch, the library's call, when to use it, and an image.

What a config takes is explained, too: its components, keys, options and values.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.glossary import Term, read_glossary
from yisheng.core.help_texts import argument_help
from yisheng.experiments.concept_code import extract_code
from yisheng.experiments.explain_config import explain_component, explain_key, explain_option
from yisheng.experiments.explain_names import CONCEPT, KEY, OPTION, Meaning, find_meanings
from yisheng.experiments.explanation import Argument, Explanation

__all__ = ["Argument", "Explanation", "explain", "find_page_term"]


def explain(name: str) -> Explanation:
    """Return the explanation of a concept, or of what a config takes.

    Args:
        name: a concept (`registry.names("scratch")` lists them), a component (``resnet18``), a key (``epochs``), an
            option (``lr``), a value (``bf16``), or another name of one of them, as in the glossary: of torch
            (``CrossEntropyLoss``), Chinese (``权重衰减``), an abbreviation (``mse``). Spaces, hyphens, underscores
            and capitals do not matter. With its group it is that one only: ``loss.huber``, ``key.precision``.

    Raises:
        UsageError: there is no such name; the remedy names the nearest.

    >>> print(explain("inverse-decay").from_scratch)
    from torch import Tensor
    <BLANKLINE>
    <BLANKLINE>
    def inverse_decay(lr: float | Tensor, epoch: int | Tensor, *, k: float | Tensor = 1.0) -> float | Tensor:
        return lr / (1 + k * epoch)
    >>> explain("交叉熵").name, explain("resnet18").command, explain("bf16").name
    ('cross-entropy', 'yisheng train model=resnet18', 'precision')
    """
    meaning, *further_meanings = find_meanings(name)
    term = find_page_term(meaning)
    names = {"chinese": term.chinese, "aliases": term.aliases} if term else {}
    see = dict.fromkeys([*map(str, further_meanings), *(term.see if term else ())])
    facts: dict[str, Any] = {**names, "see": tuple(see)}
    if meaning.group == CONCEPT:
        return _explain_concept(registry.find("scratch", meaning.name), facts)
    if meaning.group == KEY:
        return explain_key(meaning.name, facts)
    if meaning.group == OPTION:
        return explain_option(meaning.name, facts)
    return explain_component(meaning.group, meaning.name, facts)


def find_page_term(meaning: Meaning) -> Term | None:
    """Return the term of the glossary whose page this is, or None.

    >>> find_page_term(Meaning(CONCEPT, "dropout")).chinese
    ('暂退法', '丢弃法')
    """
    return next((term for term in read_glossary() if term.page == str(meaning)), None)


def _explain_concept(entry: Entry, facts: dict[str, Any]) -> Explanation:
    doc = inspect.getdoc(entry.build) or ""
    help_of = argument_help(doc)
    source = re.search(r"^Source: ((?:.+\n?)+)", doc, re.MULTILINE)
    return Explanation(
        name=entry.name,
        group=CONCEPT,
        about=entry.about,
        equation=entry.meta["equation"].strip("\n"),
        arguments=tuple(
            Argument(p.name, None if p.default is p.empty else _format_default(p.default), help_of.get(p.name, ""))
            for p in inspect.signature(entry.build).parameters.values()
        ),
        from_scratch=extract_code(entry),
        usual=entry.meta["usual"].strip("\n"),
        when=" ".join(entry.meta["when"].split()),
        source=" ".join(source[1].split()) if source else "",
        image="plot" in entry.meta,
        **facts,
    )


def _format_default(value: Any) -> str:
    return str(value.__name__) if callable(value) else repr(value)

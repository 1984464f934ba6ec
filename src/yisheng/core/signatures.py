"""Signatures of functions whose keywords are listed elsewhere, for editors and notebooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any


def declare_keywords(function: Callable[..., Any], names: Iterable[str]) -> None:
    """Replace ``**keywords`` in the signature that ``inspect`` returns by the names of the keywords.

    A notebook completes the parameters of this signature, and ``help`` prints them; the function itself is unchanged.
    Their default ``...`` means that the keyword is left out.

    Args:
        function: a function with a parameter ``**keywords``.
        names: the names.

    >>> def draw(x, **style): ...
    >>> declare_keywords(draw, ["color", "width"])
    >>> inspect.signature(draw)
    <Signature (x, *, color=Ellipsis, width=Ellipsis)>
    """
    signature = inspect.signature(function)
    kinds = inspect.Parameter
    declared = [p for p in signature.parameters.values() if p.kind is not kinds.VAR_KEYWORD]
    keywords = [kinds(name, kinds.KEYWORD_ONLY, default=...) for name in names]
    function.__signature__ = signature.replace(parameters=[*declared, *keywords])  # type: ignore[attr-defined]  # read by inspect

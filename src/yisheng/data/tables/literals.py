"""How people write missing values, numbers, and yes and no."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

MISSING = (
    *("", "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "NULL", "Null", "null"),
    *("None", "none", "NONE", "nil", "?", "-", "--", "."),
)
"""Words that stand for a value that is not known. ``NA`` of a category that has no such thing is one of them: it
becomes a level of its own when categories are made into indicators."""
YES_NO = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"), ("absent", "present"), ("否", "是"))
"""Pairs whose order is known whatever the alphabet says: the first is 0."""
_MISSING = frozenset(MISSING)
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
_CODE = re.compile(r"0\d*[1-9]\d*", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[,' \u00a0\u202f]\d{3})+(?:\.\d+)?|[+-]?\d{1,3}(?:\.\d+)?", re.ASCII)
_POINT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[.' \u00a0\u202f]\d{3})+)?(?:,\d*)?", re.ASCII)
_CURRENCIES = "$€£¥₹₽₩₺฿￥"


def is_missing(text: str) -> bool:
    """Whether a word stands for a value that is not known.

    >>> is_missing("NA"), is_missing("?"), is_missing("0")
    (True, True, False)
    """
    return text.strip() in _MISSING


def is_number(text: str) -> bool:
    """Whether a text is a number as programs write it, an infinite one too.

    >>> is_number("-1.5e3"), is_number("1,234"), is_number("5_1")
    (True, False, False)
    """
    return _PLAIN.fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Whether a text of digits is a code rather than a number: the zero before it would be lost.

    >>> is_code("007"), is_code("0.5"), is_code("0")
    (True, False, False)
    """
    return _CODE.fullmatch(text) is not None


def yes_no(texts: Sequence[str]) -> tuple[str, str] | None:
    """The words for 0 and 1 as they are written, if these texts are a known pair of them.

    >>> yes_no(["Yes", "No"]), yes_no(["1", "0"]), yes_no(["red", "blue"])
    (('No', 'Yes'), ('0', '1'), None)
    """
    if len(texts) > 8:  # no, No, NO, yes, ...
        return None
    folded = {text.casefold(): text for text in texts}
    for pair in (*YES_NO, ("0", "1")):
        if set(folded) == set(pair):
            return folded[pair[0]], folded[pair[1]]
    return None


def number_form(texts: Sequence[str]) -> str | None:
    """How all of these texts write numbers, or None: they do not, or it could be read in two ways.

    The form is empty for numbers as programs write them; else its first character is the decimal mark, and behind it
    stand the percent and currency signs. A column where some values have a percent sign and others have none is no
    column of numbers: half of them would be wrong by a factor of 100.

    Args:
        texts: different values of a column, missing ones left out.

    >>> number_form(["1", "2.5"]), number_form(["$1,200.50", "$7"]), number_form(["1.234,5", "0,5"])
    ('', '.$', ',')
    >>> number_form(["12%", "7%"]), number_form(["12%", "7"]), number_form(["red"])
    ('.%', None, None)
    """
    if not texts or (len(texts) > 200 and number_form(texts[:100]) is None):  # if some are none, all are none
        return None
    if all(_PLAIN.fullmatch(text) for text in texts):
        return ""
    percent = sum("%" in text for text in texts)
    signs = sorted({char for text in texts for char in text if char in _CURRENCIES})
    if percent not in (0, len(texts)) or len(signs) > 1 or (percent and signs):
        return None
    tail = "%" * bool(percent) + "".join(signs)
    bare = [_bare(text) for text in texts]
    if any(text is None for text in bare):
        return None
    for mark, looks in ((".", _POINT), (".", _THOUSANDS), (",", _COMMA)):
        if all(looks.fullmatch(text) and any(map(str.isdigit, text)) for text in bare if text is not None):
            return mark + tail
    return None


def number_reader(form: str) -> Callable[[str], float]:
    """A function from text to number, for one `number_form`; it raises ValueError for what is none.

    >>> number_reader(".$")("($1,200.50)"), number_reader(",%")("12,5 %")
    (-1200.5, 12.5)
    """
    if not form:
        return _plain
    mark, allowed = form[0], form[1:]

    def read(text: str) -> float:
        if _PLAIN.fullmatch(text) and mark == ".":
            return float(text)
        bare = _bare(text)
        signs = {char for char in text if char in _CURRENCIES or char == "%"}
        if bare is None or not signs <= set(allowed) or not any(map(str.isdigit, bare)):
            raise ValueError(text)
        for looks in (_POINT, _THOUSANDS) if mark == "." else (_COMMA,):
            if looks.fullmatch(bare):
                others = re.sub(r"[' \u00a0\u202f]", "", bare).replace("." if mark == "," else ",", "")
                return float(others.replace(",", "."))
        raise ValueError(text)

    return read


def _plain(text: str) -> float:
    if not _PLAIN.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _bare(text: str) -> str | None:
    """A number without its percent or currency sign; (5) means -5 in accounts."""
    text = text.replace("\u2212", "-")
    negative = text.startswith("(") and text.endswith(")")
    text = text[1:-1] if negative else text
    found = re.fullmatch(rf"([+-]?)\s*[{_CURRENCIES}]?\s*([+-]?)(.*?)\s*[{_CURRENCIES}%]?", text.strip(), re.DOTALL)
    if found is None or sum(map(len, found.groups()[:2])) + negative > 1:
        return None
    return ("-" if negative else found[1] or found[2]) + found[3]

"""How people write missing values, numbers, and yes and no.

pandas reads missing values and plain numbers. It takes one decimal mark and one thousands separator for a whole file,
and knows neither percent nor currency signs, so the format of a column of numbers is inferred and parsed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

MISSING_WORDS = (
    *("", "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "NULL", "Null", "null"),
    *("None", "none", "NONE", "nil", "?", "-", "--", "."),
)
"""Words for a missing value. ``NA`` of a category that has no such thing (no garage) is one of them: it gets an
indicator of its own when categories become indicators."""
YES_NO_PAIRS = (
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("off", "on"),
    ("absent", "present"),
    ("否", "是"),
)
"""Pairs of words in the order 0, 1, which is not always that of the alphabet."""
_MISSING = frozenset(MISSING_WORDS)
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
_CODE = re.compile(r"0\d*[1-9]\d*", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[,' \u00a0\u202f]\d{3})+(?:\.\d+)?|[+-]?\d{1,3}(?:\.\d+)?", re.ASCII)
_POINT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[.' \u00a0\u202f]\d{3})+)?(?:,\d*)?", re.ASCII)
_CURRENCIES = "$€£¥₹₽₩₺฿￥"
_MAX_YES_NO_SPELLINGS = 8
"""Number of distinct texts up to which a column may be yes or no: no, No, NO, yes, ..."""
_FIRST_TEXTS = 100
"""Texts that are tried before all of them are."""


def is_missing(text: str) -> bool:
    """Return whether a word stands for a missing value.

    >>> is_missing("NA"), is_missing("?"), is_missing("0")
    (True, True, False)
    """
    return text.strip() in _MISSING


def is_number(text: str) -> bool:
    """Return whether a text is a number as programs write it, infinity included.

    >>> is_number("-1.5e3"), is_number("1,234"), is_number("5_1")
    (True, False, False)
    """
    return _PLAIN.fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Return whether a text of digits is a code such as 007: as a number it would lose its leading zeros.

    >>> is_code("007"), is_code("0.5"), is_code("0")
    (True, False, False)
    """
    return _CODE.fullmatch(text) is not None


def match_yes_no(texts: Sequence[str]) -> tuple[str, str] | None:
    """Return the words for 0 and for 1 as they are written, or None if the texts are not a pair of `YES_NO_PAIRS`.

    >>> match_yes_no(["Yes", "No"]), match_yes_no(["1", "0"]), match_yes_no(["red", "blue"])
    (('No', 'Yes'), ('0', '1'), None)
    """
    if len(texts) > _MAX_YES_NO_SPELLINGS:
        return None
    folded = {text.casefold(): text for text in texts}
    for pair in (*YES_NO_PAIRS, ("0", "1")):
        if set(folded) == set(pair):
            return folded[pair[0]], folded[pair[1]]
    return None


def infer_number_format(texts: Sequence[str]) -> str | None:
    """Return the format in which all texts are numbers, or None if there is none or several fit.

    The format is empty for numbers as programs write them. Otherwise its first character is the decimal mark, followed
    by the percent or currency sign. A column where only some values have a percent sign is not a column of numbers:
    the others would be wrong by a factor of 100.

    Args:
        texts: the distinct values of a column, missing values left out.

    >>> infer_number_format(["1", "2.5"]), infer_number_format(["$1,200.50", "$7"])
    ('', '.$')
    >>> infer_number_format(["1.234,5", "0,5"]), infer_number_format(["red"])
    (',', None)
    >>> infer_number_format(["12%", "7%"]), infer_number_format(["12%", "7"])
    ('.%', None)
    """
    # If the first texts are not numbers, the others need not be looked at.
    if not texts or (len(texts) > 2 * _FIRST_TEXTS and infer_number_format(texts[:_FIRST_TEXTS]) is None):
        return None
    if all(_PLAIN.fullmatch(text) for text in texts):
        return ""
    percent_count = sum("%" in text for text in texts)
    currencies = sorted({char for text in texts for char in text if char in _CURRENCIES})
    if percent_count not in (0, len(texts)) or len(currencies) > 1 or (percent_count and currencies):
        return None
    signs = "%" * bool(percent_count) + "".join(currencies)
    bare = [_strip_signs(text) for text in texts]
    if any(text is None for text in bare):
        return None
    for mark, pattern in ((".", _POINT), (".", _THOUSANDS), (",", _COMMA)):
        if all(pattern.fullmatch(text) and any(map(str.isdigit, text)) for text in bare if text is not None):
            return mark + signs
    return None


def make_number_parser(format: str) -> Callable[[str], float]:
    """Return the function from text to number for a format of `infer_number_format`.

    It raises ValueError for a text that is not a number of this format.

    >>> make_number_parser(".$")("($1,200.50)"), make_number_parser(",%")("12,5 %")
    (-1200.5, 12.5)
    """
    if not format:
        return _parse_plain
    mark, allowed_signs = format[0], set(format[1:])

    def parse(text: str) -> float:
        if _PLAIN.fullmatch(text) and mark == ".":
            return float(text)
        bare = _strip_signs(text)
        signs = {char for char in text if char in _CURRENCIES or char == "%"}
        if bare is None or not signs <= allowed_signs or not any(map(str.isdigit, bare)):
            raise ValueError(text)
        for pattern in (_POINT, _THOUSANDS) if mark == "." else (_COMMA,):
            if pattern.fullmatch(bare):
                digits = re.sub(r"[' \u00a0\u202f]", "", bare).replace("." if mark == "," else ",", "")
                return float(digits.replace(",", "."))
        raise ValueError(text)

    return parse


def _parse_plain(text: str) -> float:
    if not _PLAIN.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _strip_signs(text: str) -> str | None:
    """Return a number without its percent or currency sign, or None; accounts write -5 as (5)."""
    text = text.replace("\u2212", "-")
    negative = text.startswith("(") and text.endswith(")")
    text = text[1:-1] if negative else text
    match = re.fullmatch(rf"([+-]?)\s*[{_CURRENCIES}]?\s*([+-]?)(.*?)\s*[{_CURRENCIES}%]?", text.strip(), re.DOTALL)
    if match is None or sum(map(len, match.groups()[:2])) + negative > 1:
        return None
    return ("-" if negative else match[1] or match[2]) + match[3]

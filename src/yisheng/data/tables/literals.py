"""How people write missing values, numbers, and yes and no.

pandas reads missing values and plain numbers. It takes one decimal mark and one thousands separator for a whole file,
and knows neither percent nor currency signs, so the format of a column of numbers is inferred and parsed here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

from yisheng.data.tables.clock_times import CLOCK_FORMATS, make_clock_parser
from yisheng.data.tables.unicode_forms import normalize_text

MAX_EXACT = 2**53
"""Whole numbers up to it have a float of their own."""
MISSING_WORDS = (
    *("", "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "NULL", "Null", "null"),
    *("None", "none", "NONE", "nil", "?", "-", "--", "–", "—", "."),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"),
)
"""Words for a missing value. ``NA`` of a category that has no such thing (no garage) is one of them: it gets an
indicator of its own when categories become indicators."""
_GAP_TEXT = (
    "\\n (null) n.a. n.a n/d nd n.d. n.d k.a. k.a s/o .. ... … * ** ?? ??? missing unknown undefined "
    "unavailable tbd unbekannt fehlt inconnu manquant desconocido 缺失 缺 无 無 未知 暂无 空 不详 空白 未填 "
    "なし 不明 欠損 없음 н/д b.d. : 0000-00-00 0000/00/00 00/00/0000 00.00.0000"
)
GAP_WORDS = frozenset(_GAP_TEXT.split()) | {
    "0000-00-00 00:00:00",
    "not available",
    "not applicable",
    "no data",
    "keine angabe",
    "non disponible",
    "sin datos",
    "нет данных",
}
"""Words for a missing value among numbers or dates, however many there are; of categories they may be one. They are in
the form of `str.casefold`."""
YES_NO_PAIRS = (
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("off", "on"),
    ("absent", "present"),
    *(("否", "是"), ("假", "真"), ("偽", "真"), ("いいえ", "はい"), ("아니요", "예"), ("거짓", "참")),
    *(("nein", "ja"), ("falsch", "wahr"), ("nee", "ja"), ("nej", "ja"), ("onwaar", "waar")),
    *(("non", "oui"), ("faux", "vrai"), ("no", "sí"), ("no", "si"), ("no", "sì"), ("não", "sim")),
    *(("falso", "verdadero"), ("falso", "verdadeiro"), ("falso", "vero")),
    *(("нет", "да"), ("ложь", "истина"), ("nie", "tak"), ("fałsz", "prawda"), ("ne", "ano"), ("nepravda", "pravda")),
    *(("hayır", "evet"), ("yanliş", "doğru"), ("yanlış", "doğru"), ("ψευδεσ", "αληθεσ"), ("nem", "igen")),
)
"""Pairs of words in the order 0, 1, which is not always that of the alphabet; in the form of `str.casefold`."""
NO_WORDS, YES_WORDS = (frozenset(words) for words in zip(*YES_NO_PAIRS, ("0", "1"), strict=True))
_MISSING = frozenset(MISSING_WORDS)
_EXPONENT = r"(?:[eE][+-]?\d{1,9})?"
_PLAIN = re.compile(rf"[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
_INTEGER, _MAX_INTEGER = re.compile(r"[+-]?\d{1,300}", re.ASCII), 2.0**63
_CODE = re.compile(r"0\d*[1-9]\d*", re.ASCII)
THOUSANDS_MARKS = (".", ",", " ", "'", "’", "\u00a0", "\u202f", "\u2009")
"""Marks between groups of three digits, as users name them; all blanks are one, and all apostrophes."""
NO_THOUSANDS = "_"
"""In a number format: digits are not grouped."""
_CURRENCIES = "$€£¥₹₽₩₺฿¤"
_CURRENCY = f"[{re.escape(_CURRENCIES)}]"
_ZEROS = (0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0, 0x1040, 0x17E0)
"""The zeros of scripts with digits of their own: Arabic, Persian, those of India and Southeast Asia."""
_SIGNS = {
    **{zero + digit: str(digit) for zero in _ZEROS for digit in range(10)},
    **dict.fromkeys(map(ord, "\u2212\u2013\ufe63\u2010\u2011"), "-"),
    **dict.fromkeys(map(ord, "’‘ʼ＇′"), "'"),
    0xFFE1: "£",
    0xFFE5: "¥",
    0xFFE6: "₩",
    0x66B: ".",
    0x66C: ",",
}
_MAX_YES_NO_SPELLINGS = 8
"""Number of distinct texts up to which a column may be yes or no: no, No, NO, yes, ..."""
_MAX_NUMBER_LENGTH = 200
_FIRST_TEXTS = 100
"""Texts that are tried before all of them are."""


def is_missing(text: str) -> bool:
    """Return whether a word stands for a missing value.

    >>> is_missing("NA"), is_missing("?"), is_missing("0")
    (True, True, False)
    """
    return text.strip() in _MISSING


def is_gap(text: str) -> bool:
    """Return whether a word among numbers or dates stands for a missing value.

    >>> is_gap("n.d."), is_gap("缺失"), is_gap("<0.5")
    (True, True, False)
    """
    return normalize_text(text).casefold() in GAP_WORDS


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
    return _CODE.fullmatch(normalize_digits(text)) is not None


def spelling_key(text: str) -> str:
    """Return a text that is equal for all spellings of a whole number; codes such as 007 are not numbers.

    1.1 and 1.10 may be versions, so they are different.

    >>> spelling_key("1") == spelling_key("1.0"), spelling_key("007") == spelling_key("7"), spelling_key("1.10")
    (True, False, '1.10')
    """
    if not is_number(text) or is_code(text):
        return text
    if _INTEGER.fullmatch(text):
        return str(int(text))
    number = float(text)
    return str(int(number)) if number.is_integer() and abs(number) < _MAX_INTEGER else text


def match_yes_no(texts: Sequence[str]) -> tuple[str, str] | None:
    """Return the words for 0 and for 1 as they are written, or None if the texts are not a pair of `YES_NO_PAIRS`.

    >>> match_yes_no(["Yes", "No"]), match_yes_no(["1", "0"]), match_yes_no(["red", "blue"])
    (('No', 'Yes'), ('0', '1'), None)
    """
    if len(texts) > _MAX_YES_NO_SPELLINGS:
        return None
    folded = {text.casefold(): text for text in reversed(texts)}  # the first spelling of each
    for pair in (*YES_NO_PAIRS, ("0", "1")):
        if set(folded) == set(pair):
            return folded[pair[0]], folded[pair[1]]
    return None


def normalize_digits(text: str) -> str:
    r"""Return a number with the digits and signs of ASCII: those of all scripts are read, and any minus and apostrophe.

    >>> normalize_digits("\u2212\u0663\u066b\u0665"), normalize_digits("１\u202f２３４")
    ('-3.5', '1 234')
    """
    if text.isascii():
        return text.strip().replace("\\", "¥")  # its code in Shift-JIS
    return normalize_text(text).translate(_SIGNS).strip()


def infer_number_format(texts: Sequence[str], prior: str = "") -> str | None:
    """Return the format in which all texts are numbers, or None if there is none.

    The format is empty for numbers as programs write them. Otherwise its first character is the decimal mark, followed
    by the thousands mark if only one is allowed, and by the percent or currency sign. A column where only some values
    have a percent sign is not a column of numbers: the others would be wrong by a factor of 100.

    Args:
        texts: the distinct values of a column, missing values left out.
        prior: the format of the file, for texts that are numbers with either decimal mark; a point by default.

    >>> infer_number_format(["1", "2.5"]), infer_number_format(["$1,200.50", "$7"])
    ('', '.$')
    >>> infer_number_format(["1.234,5", "0,5"]), infer_number_format(["red"])
    (',', None)
    >>> infer_number_format(["1.250"]), infer_number_format(["1.250"], prior=","), infer_number_format(["12%", "7"])
    ('', ',', None)
    """
    texts = list(map(normalize_digits, texts))
    # If the first texts are not numbers, the others need not be looked at.
    if not texts or (len(texts) > 2 * _FIRST_TEXTS and infer_number_format(texts[:_FIRST_TEXTS], prior) is None):
        return None
    if not prior and all(_PLAIN.fullmatch(text) for text in texts):
        return ""
    bare, signs = _strip_all_signs(texts)
    if not bare:
        return None
    decimals = [prior[0]] if len(prior) > 1 else [*prior[:1], *("." if mark == "," else "," for mark in prior[:1])]
    for decimal in decimals or (".", ","):
        form = prior if prior and decimal == prior[0] else decimal
        if _are_numbers(bare, form):
            is_plain = decimal == "." != prior[:1] and not signs and all(_PLAIN.fullmatch(text) for text in texts)
            return "" if is_plain else form + signs
    return None


def find_decimal_marks(texts: Sequence[str]) -> str:
    """Return the decimal marks with which all texts are numbers, if it makes a difference which one is meant.

    >>> find_decimal_marks(["0,375", "2"]), find_decimal_marks(["1.250", "7"]), find_decimal_marks(["1", "2"])
    (',', '.,', '')
    """
    bare, _ = _strip_all_signs(list(map(normalize_digits, texts)))
    if not bare or not any("." in text or "," in text for text in bare):
        return ""
    return "".join(mark for mark in ".," if _are_numbers(bare, mark))


def make_number_parser(format: str) -> Callable[[str], float]:
    """Return the function from text to number for a format of `infer_number_format` or `infer_clock_format`.

    It raises ValueError for a text that is not a number of this format.

    >>> make_number_parser(".$")("($1,200.50)"), make_number_parser(",%")("12,5 %"), make_number_parser("m:s")("2:05")
    (-1200.5, 12.5, 125.0)
    """
    if not format:
        return _parse_plain
    if format in CLOCK_FORMATS:
        return make_clock_parser(format)
    mark, signs = format[0], {char for char in format[1:] if char in _CURRENCIES or char == "%"}
    marks = [char for char in format[1:] if char not in signs]
    patterns = _number_patterns(mark, marks[0] if marks else "")

    table = str.maketrans({mark: ".", **dict.fromkeys(_GROUP_MARKS[mark])})

    def parse(text: str) -> float:
        text = normalize_digits(text)
        if "%" not in signs and any(pattern.fullmatch(text) for pattern in patterns):
            return float(text.translate(table))
        bare = _strip_signs(text)
        text_signs = {char for char in text if char in _CURRENCIES or char == "%"}
        if bare is None or not text_signs <= signs or ("%" in signs and "%" not in text_signs):
            raise ValueError(text)
        if _INFINITY.fullmatch(bare):
            return float(bare)
        if not any(pattern.fullmatch(bare) for pattern in patterns):
            raise ValueError(text)
        return float(bare.translate(table))

    return parse


def has_thousands(text: str, format: str) -> bool:
    """Return whether a number of some format has groups of digits.

    >>> has_thousands("1,234.5", "."), has_thousands("1234.5", ".")
    (True, False)
    """
    return any(mark in normalize_digits(text) for mark in _GROUP_MARKS[format[:1] or "."])


_SIGN = re.compile(rf"[%()]|{_CURRENCY}|[+-] |-$")
_SIGNED = re.compile(
    rf"\s*([+-]?)\s*{_CURRENCY}?\s*([+-]?)\s*(.*?)(-?)\s*(?:{_CURRENCY}|%)?(-?)\s*", re.DOTALL | re.ASCII
)
_NO_CENTS = re.compile(r"(?<=\d)([.,])-{1,2}(?!\d)")
"""The sign for no cents in 12.- and 12,--, which is not a minus."""
_ADDRESS = re.compile(r"(?:1\d\d|2[0-4]\d|25[0-5])(?:\.(?:1\d\d|2[0-4]\d|25[0-5])){3}", re.ASCII)
"""192.168.100.200, which is not a number with points between groups of three digits if all others are such, too."""
_INFINITY = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_GROUP_MARKS = {".": frozenset(", '"), ",": frozenset(". '")}


@functools.cache
def _number_patterns(mark: str, thousands: str) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of numbers, ungrouped and grouped, by decimal mark and thousands mark (any if empty)."""
    decimals = rf"(?:{re.escape(mark)}\d*)?"
    ungrouped = rf"[+-]?(?:\d+{decimals}|{re.escape(mark)}\d+){_EXPONENT}"
    if thousands == NO_THOUSANDS:
        return (re.compile(ungrouped, re.ASCII),)
    marks = re.escape(normalize_digits(f"0{thousands}0")[1:-1] or "".join(sorted(_GROUP_MARKS[mark])))
    sign = r"(?:-|\+(?!\d+ ))?"  # +49 170 123 is a telephone number
    grouped = [rf"{sign}[1-9]\d{{0,2}}([{marks}])\d{{3}}(?:\1\d{{3}})*{decimals}"]
    if mark == "." and "," in (thousands or ","):
        grouped.append(rf"[+-]?[1-9]\d?(?:,\d{{2}})+,\d{{3}}{decimals}")  # India: 12,34,567
    return tuple(re.compile(pattern, re.ASCII) for pattern in (ungrouped, *grouped))


def _are_numbers(bare: Sequence[str], form: str) -> bool:
    patterns = _number_patterns(form[0], form[1:2])
    are_addresses = all(_ADDRESS.fullmatch(text) for text in bare)
    return not are_addresses and all(
        any(pattern.fullmatch(text) for pattern in patterns) or _INFINITY.fullmatch(text) for text in bare
    )


def _strip_all_signs(texts: Sequence[str]) -> tuple[list[str], str]:
    """Return the texts without percent and currency signs, and the sign; no texts if they differ in it."""
    if not any(map(_SIGN.search, texts)):
        return list(texts), ""
    percent_count = sum("%" in text for text in texts)
    currencies = sorted({char for text in texts for char in text if char in _CURRENCIES})
    if percent_count not in (0, len(texts)) or len(currencies) > 1 or (percent_count and currencies):
        return [], ""
    bare = [text for text in map(_strip_signs, texts) if text is not None]
    return (bare, "%" * bool(percent_count) + "".join(currencies)) if len(bare) == len(texts) else ([], "")


def _parse_plain(text: str) -> float:
    text = normalize_digits(text)
    if not _PLAIN.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _strip_signs(text: str) -> str | None:
    """Return a number without its percent or currency sign, or None; accounts write -5 as (5) or 5-, and 5 as 5.-."""
    if len(text) > _MAX_NUMBER_LENGTH:
        return None
    text = _NO_CENTS.sub(r"\1", text)
    is_negative = text.startswith("(") and text.endswith(")")
    match = _SIGNED.fullmatch(text[1:-1] if is_negative else text)
    if match is None:
        return None
    signs = "-" * is_negative + "".join(match.group(1, 2, 4, 5))
    return signs + match[3] if len(signs) <= 1 else None

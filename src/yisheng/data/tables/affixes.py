"""What surrounds the numbers in a column of texts: a few units or marks, or one form that all texts have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from yisheng.core.messages import Message
from yisheng.data.tables.literals import infer_number_format, is_code

MIN_NUMBERS, MAX_AFFIXES, MAX_AFFIX_LENGTH = 10, 8, 24
"""Different numbers from which the texts around them are reported; different such texts, and their length, at most."""
_MAX_FIELD_DIGITS = 3
"""Digits up to which whole numbers with a hyphen between them are results or ranges; of codes, one has more."""
_NUMBER = re.compile(r"\d[\d.,'\u2019\u00a0\u202f ]*\d|\d", re.ASCII)
_UNSIGNED = re.compile(r"\d+(?:[.,]\d+)*|[.,]\d+", re.ASCII)
_NOTE = re.compile(r"[\[(]\w{1,3}[\])]|[\u00b9\u00b2\u00b3\u2070-\u2079*\u2020\u2021\u00a7]+$")
_PROPER_NAME = re.compile(r"(?: +[^\W\d_a-z][^\W\d_A-Z]+\.?){2,}")
"""Behind a whole number, as in 12 Main Street."""
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
_CURRENCY_TEXT = "r$ us$ hk$ nt$ a$ c$ s$ rs chf fr sfr kr dkk sek nok isk usd eur gbp cny rmb jpy inr rp rm zł kč ft"
_CURRENCIES = frozenset(_CURRENCY_TEXT.split())
"""Currencies that are written in front of a number, besides signs such as $."""
_LETTER = re.compile(r"[^\W\d_]")


def find_affixes(
    texts: Sequence[str], cover: Callable[[Sequence[object]], bool]
) -> tuple[Message, Sequence[str]] | None:
    """Return how the numbers of a column are written, and examples, if each has one of a few texts around it.

    A whole number after a word, such as shop 12, is a name, as is 12 Main Street; one with a letter, such as 12A, a
    code.

    Args:
        texts: the different texts.
        cover: function from a truth value for each text to whether nearly all rows have a true one.

    >>> reason, examples = find_affixes([f"{n} min read" for n in range(20)], any)
    >>> str(reason), examples[0]
    ('its numbers have a unit', '0 min read')
    >>> str(find_affixes([f"{n}.5{' pb'[n % 3].strip()}" for n in range(20)], any)[0])
    'its numbers have different units or marks'
    >>> find_affixes([f"shop {n}" for n in range(20)], any) is None
    True
    """
    start = _find_constant_start(texts)
    split = [_split_affixes(text.removeprefix(start)) for text in texts]
    parts = [part for part in split if part is not None]
    if len({number for number, _, _ in parts}) < MIN_NUMBERS or not cover(split):
        return None
    affixes = Counter((prefix, suffix) for _, prefix, suffix in parts)
    has_decimals = any(re.search(r"[.,]\d", number) for number, _, _ in parts)
    if len(affixes) > min(MAX_AFFIXES, len(parts) // 3) or set(affixes) == {("", "")}:
        return None
    if not has_decimals and (start or not all(_follows_number(*affix) for affix in affixes)):
        return None
    if len(affixes) == 1:
        return Message("its numbers have a unit"), texts[:3]
    first = {part[1:]: text for part, text in reversed(list(zip(split, texts, strict=True))) if part is not None}
    return Message("its numbers have different units or marks"), list(first.values())[:4]


def _find_constant_start(texts: Sequence[str]) -> str:
    """Return the beginning of all texts up to their number if it has a digit of its own: np.float64(1.5)."""
    low, high = min(texts), max(texts)
    length = next((n for n, (first, last) in enumerate(zip(low, high, strict=False)) if first != last), len(low))
    start = re.sub(r"[\d.,+-]*$", "", low[:length])
    return start if re.search(r"[^\W\d_].*\d", start) else ""


def _split_affixes(text: str) -> tuple[str, str, str] | None:
    """Return the only number of a text, and the texts around it in lower case; None if there is no such."""
    bare = _NOTE.sub(lambda match: "" if match.start() == 0 else "*", text.strip())
    numbers = list(_NUMBER.finditer(bare))
    if len(numbers) != 1 or len(bare) - len(numbers[0][0]) > MAX_AFFIX_LENGTH:
        return None
    number = numbers[0][0].strip()
    if number.isdigit() and _PROPER_NAME.fullmatch(bare[numbers[0].end() :]):
        return None
    prefix, suffix = bare[: numbers[0].start()].casefold(), bare[numbers[0].end() :].casefold()
    if prefix.endswith((".", ",")) and not prefix[:-1].strip("+- "):  # .5p
        prefix, number = prefix[:-1], f"0.{number}"
    if re.search(r"(?<![^\W\d_])[^\W\d_]$", prefix):  # E11.9 is a code
        return None
    prefix, suffix = prefix.rstrip("+- ").strip(), _ORDINAL.sub("th", suffix)
    is_letter = len(suffix.strip()) == 1 and suffix.startswith(" ")
    suffix = suffix if suffix[:1].isalpha() or is_letter else suffix.strip(" -")  # 5- is minus 5
    is_number = infer_number_format([number]) is not None and not is_code(number)
    return (number, prefix, suffix) if is_number else None


def _follows_number(prefix: str, suffix: str) -> bool:
    """Return whether a whole number between these texts is a quantity: 5 min, $5 off, 12th; not shop 5 or 12A."""
    is_name = (_LETTER.search(prefix) is not None and prefix.strip(". ") not in _CURRENCIES) or "#" in prefix
    is_code_letter = len(suffix) == 1 and suffix.isalpha()
    return not is_name and not is_code_letter


def has_common_form(texts: Sequence[str], cover: Callable[[Sequence[object]], bool]) -> bool:
    """Return whether nearly all texts are several numbers in one form: 10-5, 30+2, W 100-90, POINT (1.5 2.5).

    Codes such as A12-B3 and 555-1234 are no such.

    Args:
        texts: the different texts.
        cover: see `find_affixes`.

    >>> has_common_form(["10-5", "3-12", "6-6"], all), has_common_form(["555-1234", "556-9999"], all)
    (True, False)
    >>> has_common_form(["POINT (1.5 -2)", "POINT (3.5 4)"], all), has_common_form(["A1-B2", "A3-B4"], all)
    (True, False)
    """
    forms = Counter(_find_form(text) for text in texts)
    forms.pop("", None)
    common = {form for form, _ in forms.most_common(3)}
    return cover([_find_form(text) in common for text in texts])


def _find_form(text: str) -> str:
    """Return a text with # for each number, if it has several of them and is not a code; else an empty text."""
    numbers = _UNSIGNED.findall(text)
    form = _UNSIGNED.sub("#", text.casefold())
    form = re.sub(r"(?<![#\w)])[+-] ?(?=#)", "", form)
    if len(numbers) < 2 or re.search(r"[^\W\d_]#|#[^\W\d_]", form):
        return ""
    has_decimals = any("." in number or "," in number for number in numbers)
    has_words = any(len(word) > 1 and word != "to" for word in re.findall(r"[^\W\d_]+", form.partition("(")[0]))
    is_bracketed = re.fullmatch(r"[^\W\d_]+ ?\([^\W\d_]*#.*\)", form) is not None
    if has_decimals or is_bracketed or re.search("#['\"°]", form):
        return "" if has_words and not is_bracketed else form
    if len(numbers) > 2 or has_words or any(len(number) > _MAX_FIELD_DIGITS or is_code(number) for number in numbers):
        return ""
    return form

"""Quantities in a column of texts that no format of numbers reads: mixed units, limits, several numbers in a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.data.tables import dates
from yisheng.data.tables.affixes import find_affixes, has_common_form
from yisheng.data.tables.literals import infer_number_format, is_code

_Problem = tuple[Message, Sequence[str]]
MIN_QUANTITY_FRACTION, MIN_DISTINCT_QUANTITIES = 0.9, 10
"""Fraction of the rows that hold quantities, and different texts, from which a column of texts is reported."""
MAX_SHORT_LIST = 20
"""Different texts up to which several numbers in a value, such as 4/5, are a category like any other."""
_UNIT_TEXT = (
    "k m b t bn mn mio mrd tsd thousand million millions billion billions trillion lakh lakhs crore crores 千 "
    "万 萬 亿 億 百万 千万 元 万元 亿元 mg g kg lb lbs oz 斤 公斤 克 千克 吨 mm cm dm km mi mile miles ft in "
    "inch inches yd 米 公里 厘米 毫米 ml cl l liter litre gal m2 m² m³ sqft sqm ha ㎡ 平米 平方米 kb mb gb tb "
    "kib mib gib hz khz mhz ghz w kw mw gw kwh mwh v mv a ma c f °c °f ℃ ℉ % ‰ ° bp bps ppm ppb mph kph km/h "
    "kmh m/s cc hp ps bhp nm bar psi pa hpa kpa mpa ns us µs \" ” ″ ' ′ + us$ $us percent pp pts ㎏ ㎝ kt kn "
    "ms s sec secs second seconds min mins minute minutes h hr hrs hour hours d day days wk week weeks month "
    "months mo mos y yr yrs year years wks 秒 分 分钟 小时 天 周 个月 月 年 岁 人 次 n e o cr dr usd eur gbp cny "
    "rmb jpy inr chf kr zł $ € £ ¥ ₹ ₽"
)
_UNITS = frozenset(_UNIT_TEXT.split())
"""Units and factors, in the form of `str.casefold`."""
_LETTER_FAMILIES = ("kmbt", "ns", "ewo", "cfk", "hmsdwy", "kgt", "ml", "wk", "v", "a")
"""Letters that may be the units of one column."""
_LIMITS = "<>≤≥~≈±＜＞～"
_NUMBER = r"[+-]?(?:\d[\d.,']*|[.,]\d+)(?:e[+-]?\d+)?"
_QUANTITY = re.compile(
    rf"(?P<limit>[{_LIMITS}]=?|约|ca\.?|c\.|about|approx\.?|>=|<=)? ?(?P<prefix>[^\W\d_]{{1,4}}|[$€£¥₹₽%])? ?"
    rf"(?P<number>{_NUMBER}) ?"
    r"(?P<suffix>[^\W\d_]{1,9}[²³2]?|°[CFNSEW]?|° [NSEW]|[^\W\d_]{1,3}/[^\W\d_]{1,2}|"
    r"[%‰$€£¥₹₽℃℉㎡㎏㎝\"”″'′+]|(?:US)?\$|\$US)?\.?",
    re.IGNORECASE,
)
_SEPARATORS = r" ?(?:±|\+/-|\+-|/|x|×|\*|;|\||:|,|·|'|′) ?"
_SEVERAL = re.compile(
    rf"{_NUMBER}[%°]? ?\({_NUMBER}%?\)|{_NUMBER} ?[\[(]{_NUMBER} ?(?:[,;–-]|to) ?{_NUMBER}[\])]"
    rf"|[\[({{]?{_NUMBER}(?:{_SEPARATORS}{_NUMBER})+[\])}}]?[\"”″']?"
    rf"|[NSEW]? ?\d+(?:[.,]\d+)?° ?\d+(?:[.,]\d+)?[′'’] ?(?:\d+(?:[.,]\d+)?(?:[″\"”]|'')? ?)?[NSEWO]?"
    rf"|{_NUMBER} ?(?:x|×|\*|·) ?10 ?(?:\^|\*\*)? ?[+-]?[\d⁰¹²³⁴⁵⁶⁷⁸⁹⁻−]+|[+-]?\d+[.,]?\d*D[+-]?\d{{1,3}}",
    re.IGNORECASE,
)
_COMPOUND = re.compile(rf"{_NUMBER} ?([^\W\d_]{{1,9}}|[\"”″'′])[ ,]*", re.IGNORECASE)
_NOTATIONS = (
    (re.compile(r"0x[0-9a-f]+", re.ASCII | re.IGNORECASE), Message("its numbers are hexadecimal")),
    (re.compile(r"[+-]?\d+(?:_\d+)+(?:\.\d+)?", re.ASCII), Message("its numbers have _ between their digits")),
    (re.compile(r"(?:[01]\d|2[0-3])[0-5]\d", re.ASCII), Message("its numbers may be times of day, hours and minutes")),
)
"""Numbers that are written in another way."""
_STRUCTURE = re.compile(r"[\[({].*[\])}]", re.DOTALL)
_SERIAL = re.compile(r"[2-6]\d{4}(?:\.\d+)?", re.ASCII)
"""The days since 1900 by which Excel holds dates, 1954 to 2091."""


def check_quantities(name: str, texts: Sequence[str], rows: np.ndarray, kind: str) -> Finding | None:
    """Return a warning about a column of texts that hold quantities which are not read as numbers, or None.

    Args:
        name: name of the column.
        texts: its different texts, or some of them.
        rows: the number of rows with each text, int64 ``(N,)``.
        kind: the kind that the column was given.
    """
    if len(texts) < MIN_DISTINCT_QUANTITIES:
        return None
    form = _find_packed_form(texts)
    if form:
        cause = Message(
            "column {name} is {kind}: all of its values may be dates like {form}, such as {text}",
            name=name,
            kind=kind,
            form=form,
            text=f"{texts[0][:40]!r}",
        )
        remedy = Message("if they are, use kinds={name}:date:{form}; else nothing is to be done", name=name, form=form)
        return Finding("packed dates", "warning", {"column": name, "format": form}, cause, remedy)
    problem = _find_problem(texts, rows)
    if problem is None:
        return None
    reason, examples = problem
    listed = ", ".join(repr(text[:40]) for text in examples)
    return Finding(
        "quantities",
        "warning",
        {"column": name, "examples": list(examples)},
        Message("column {name} is {kind}: {reason}: {listed}", name=name, kind=kind, reason=reason, listed=listed),
        Message(
            "write one plain number in each cell; if they are no quantities, use kinds={name}:{kind}",
            name=name,
            kind=kind,
        ),
    )


def _find_packed_form(texts: Sequence[str]) -> str:
    """Return the form of dates of digits alone that reads all texts, or an empty text."""
    if len({len(text) for text in texts}) > 1 or not all(text.isascii() and text.isdigit() for text in texts):
        return ""
    for form in dates.PACKED_FORMATS:
        days = dates.parse_dates(texts[:1], form) if texts else np.empty(0)
        if len(days) and not np.isnan(days).any() and not np.isnan(dates.parse_dates(texts, form)).any():
            return form
    return ""


def _find_problem(texts: Sequence[str], rows: np.ndarray) -> _Problem | None:
    """Return why the texts are not read as numbers, and examples; None if they are no quantities."""

    def cover(matches: Sequence[object]) -> bool:
        return float(rows[[bool(match) for match in matches]].sum()) >= MIN_QUANTITY_FRACTION * float(rows.sum())

    quantities = [_match_quantity(text) for text in texts]
    forms = {match: text for match, text in reversed(list(zip(quantities, texts, strict=True))) if match}
    if cover(quantities) and _are_units(list(forms)):
        if any(limit or suffix == "+" for limit, _, suffix in forms):
            return Message("its numbers have signs of comparison or approximation"), list(forms.values())[:4]
        if len(forms) > 1:
            return Message("its numbers have different units"), list(forms.values())[:4]
        return Message("its numbers have a unit"), texts[:3]
    for pattern, reason in _NOTATIONS:
        if cover([pattern.fullmatch(text) for text in texts]):
            return reason, texts[:3]
    return find_affixes(texts, cover) or (_find_composition(texts, cover) if len(texts) > MAX_SHORT_LIST else None)


def _find_composition(texts: Sequence[str], cover: Callable[[Sequence[object]], bool]) -> _Problem | None:
    """Return that each text has several numbers in one form, or is a structure of values, and examples; or None."""
    for match in (_SEVERAL.fullmatch, _is_compound):
        if cover([match(text) for text in texts]):
            return Message("each value consists of several numbers"), texts[:3]
    if cover([_STRUCTURE.fullmatch(text) for text in texts]):
        return Message("each value is a list or a structure of several values"), texts[:3]
    if has_common_form(texts, cover):
        return Message("each value consists of several numbers"), texts[:3]
    return _find_serial_dates(texts, cover)


def _find_serial_dates(texts: Sequence[str], cover: Callable[[Sequence[object]], bool]) -> _Problem | None:
    """Return that a column holds dates and the days by which Excel holds dates, or None."""
    serial = [_SERIAL.fullmatch(text) is not None for text in texts]
    if not 0 < sum(serial) < len(serial):
        return None
    read = [
        not match and dates.infer_date_format([text]) is not None for text, match in zip(texts, serial, strict=True)
    ]
    if not any(read) or not cover(np.logical_or(serial, read).tolist()):
        return None
    return (
        Message("it holds dates, and numbers that may be the days by which Excel holds dates"),
        [texts[serial.index(True)], texts[read.index(True)]],
    )


def _match_quantity(text: str) -> tuple[str, str, str] | None:
    """Return the sign of comparison, and the units prefix and suffix a number; None if the text is not a quantity."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    limit, prefix, suffix = (" ".join((match[name] or "").casefold().split()) for name in ("limit", "prefix", "suffix"))
    suffix = suffix.replace("° ", "°")
    is_padded = is_code(match["number"]) and not (suffix in _UNITS and suffix.isalpha())  # 045Y is an age
    if is_padded or infer_number_format([match["number"].lstrip("0") or "0"]) is None:
        return None
    return limit, prefix, suffix


def _is_compound(text: str) -> bool:
    """Return whether a text is several numbers with units, such as 5 ft 11 in."""
    parts = _COMPOUND.findall(text)
    return (
        len(parts) > 1 and not _COMPOUND.sub("", text).strip(" ,") and all(unit.casefold() in _UNITS for unit in parts)
    )


def _are_units(forms: Sequence[tuple[str, str, str]]) -> bool:
    """Return whether numbers with these signs and units are quantities; 12, 12A and 12B are codes."""
    prefixes, suffixes = ({unit for unit in units if unit} for units in list(zip(*forms, strict=True))[1:])
    letters = {unit for unit in suffixes | prefixes if len(unit) == 1 and unit.isascii() and unit.isalpha()}
    is_family = any(letters <= set(family) for family in _LETTER_FAMILIES)
    are_known = all(unit in _UNITS or unit.strip("°") in _UNITS for unit in suffixes | prefixes)
    has_sign = bool(prefixes or suffixes or any(limit for limit, _, _ in forms))
    leading = {unit for unit in prefixes if len(unit) == 1 and unit.isalpha()}
    are_directions = not leading or (len(leading) > 1 and leading <= set("nsewo"))
    return has_sign and are_known and is_family and are_directions

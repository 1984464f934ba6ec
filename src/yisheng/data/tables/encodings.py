"""Guess the encoding of a text file that is not UTF-8 and has no byte order mark.

Every candidate must decode the complete sample; those that do are rated by the characters that come out. A text in
Chinese, Japanese or Korean consists of frequent characters, a text in another script of the letters of one language.
Frequencies of bytes alone, as in charset-normalizer and chardet, need longer texts than the header of a table: they
take names of Chinese columns for Korean, and Spanish ones for Polish.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import numpy as np

from yisheng.data.tables._characters import (
    FREQUENT_HANGUL,
    FREQUENT_JAPANESE,
    FREQUENT_SIMPLIFIED,
    FREQUENT_TRADITIONAL,
    LANGUAGES,
    PUNCTUATION,
)

MULTIBYTE_ENCODINGS = ("gb18030", "cp950", "cp932", "cp949", "euc_jp")
"""Chinese (GBK is a part of GB18030), Chinese in traditional characters (Big5), Japanese (Shift-JIS), Korean (EUC-KR),
Japanese (EUC-JP)."""
FALLBACK_ENCODINGS = ("cp1252", "latin-1")
"""Tried last; every byte is valid in latin-1."""
OLD_ENCODINGS, _OLD_PENALTY = ("cp850", "cp852", "cp866", "iso8859_2", "iso8859_5", "mac_roman"), 0.12
"""Encodings of DOS, old Macs and standards that few files have: they must explain a text better than the others."""
_MIN_RATING = 0.35
_MULTIBYTE_BONUS = 0.4
"""A text that is not in a multibyte encoding is rarely valid in it: most words end in the middle of a character."""
_NUMBER_SIGNS, _SIGNS_RATING = frozenset("€£¥￥￡₩￦－−–’％°"), 0.7
"""Signs that may be the only characters beyond ASCII, as full-width ones may; their bytes are rarely anything else."""
_FREQUENT, _COMMON, _RARE, _EXTENSION = 1.0, 0.4, -0.2, -1.0
_UTF16_SAMPLE_BYTES, _MIN_ZERO_BYTES = 1 << 12, 4
_ODDITIES = re.compile(
    r"[A-Za-z](?=[\u0370-\u06ff])|[\u0370-\u06ff](?=[A-Za-z])|(?<=[^\W\d_])[\xa1-\xbf\u2013-\u2122](?=[^\W\d_])"
    r"|[ςךםןףץةى](?=[^\W\d_])"
)
"""Two scripts in a word, signs between letters, and the final forms of letters before others."""
_LONE_LETTER = re.compile(r"(?<!\w)[\u0370-\u06ff](?!\w)")


def guess_encodings(sample: bytes) -> tuple[str, ...]:
    """Return the encodings that a text may be in, the likeliest first.

    Args:
        sample: lines that hold bytes above 127.

    >>> guess_encodings("姓名,年龄,城市".encode("gbk"))[0], guess_encodings("größe,länge".encode("latin-1"))[0]
    ('gb18030', 'cp1252')
    >>> guess_encodings("氏名,年齢,都市".encode("shift-jis"))[0], guess_encodings("이름,나이".encode("euc-kr"))[0]
    ('cp932', 'cp949')
    """
    ratings: dict[str, float] = {}
    for encoding in MULTIBYTE_ENCODINGS:
        text = _decode(sample, encoding)
        rating = -1.0 if text is None else _rate_multibyte(text, encoding)
        if rating >= _MIN_RATING:
            ratings[encoding] = rating + _MULTIBYTE_BONUS
    for encoding in LANGUAGES:
        text = _decode(sample, encoding)
        rating = -1.0 if text is None else _rate_letters(text, encoding)
        if rating >= _MIN_RATING:
            ratings[encoding] = rating - _OLD_PENALTY * (encoding in OLD_ENCODINGS)
    ranked = sorted(ratings, key=lambda encoding: -ratings[encoding])  # stable: the first listed wins a tie
    return tuple(dict.fromkeys([*ranked, *FALLBACK_ENCODINGS]))


def guess_utf16(head: bytes) -> str:
    """Return UTF-16 or UTF-32 with its byte order if a text has zero bytes as one of them would, else empty text.

    >>> guess_utf16("a,b\\n1,2\\n".encode("utf-16-le")), guess_utf16(b"a,b\\n1,\\0\\n")
    ('utf-16-le', '')
    """
    values = np.frombuffer(head[: min(len(head) - len(head) % 4, _UTF16_SAMPLE_BYTES)], np.uint8)
    if len(values) < 4:
        return ""
    zeros = [float((values[offset::4] == 0).mean()) for offset in range(4)]
    for encoding, is_zero in (("utf-32-le", (0, 0, 1, 1)), ("utf-32-be", (1, 1, 0, 0))):
        if all(fraction > 0.9 for fraction, zero in zip(zeros, is_zero, strict=True) if zero) and min(zeros) < 0.5:
            return encoding
    low, high = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    encoding = "utf-16-le" if high > low else "utf-16-be"
    text = head[: len(head) // 2 * 2].decode(encoding, "replace")
    is_plausible = "\0" not in text and "\n" in text.replace("\r", "\n") and "\ufffd" not in text[:-1]
    is_half_zero = max(low, high) > 0.2 and min(low, high) < 0.05 and int((values == 0).sum()) >= _MIN_ZERO_BYTES
    return encoding if is_half_zero and is_plausible else ""


def find_escaped_encoding(head: bytes) -> tuple[str, ...]:
    r"""Return the encoding of ISO 2022 whose escape sequences a text has, all of them ASCII; empty if it has none.

    >>> find_escaped_encoding("東京".encode("iso2022_jp")), find_escaped_encoding("서울".encode("iso2022_kr"))
    (('iso2022_jp_2',), ('iso2022_kr',))
    """
    if not head.isascii():
        return ()
    if b"\x1b$)C" in head:
        return ("iso2022_kr",)
    return ("iso2022_jp_2",) if re.search(rb"\x1b\$[@BA(]", head) else ()


def rate_text(text: str) -> float:
    """Return how plausible the characters of a text are, from -1 to 1; 1 if all are ASCII.

    >>> rate_text("中文") > rate_text("涓枃"), rate_text("größe") > rate_text("grÃ¶ÃŸe")
    (True, True)
    """
    if text.isascii():
        return 1.0
    ratings = [_rate_multibyte(text, encoding) for encoding in MULTIBYTE_ENCODINGS]
    return max([*ratings, *(_rate_letters(text, encoding) for encoding in LANGUAGES)])


def _decode(sample: bytes, encoding: str) -> str | None:
    try:
        return sample.decode(encoding)
    except UnicodeDecodeError:
        return None


def _rate_multibyte(text: str, encoding: str) -> float:
    """Return the mean rating of the characters that are not ASCII.

    An accented letter of a Western text swallows the letter that follows it, so that a character stands within a word.
    """
    ratings = [_rate_character(char, encoding) for char in text if char > "\x7f"]
    if ratings and all(char in _NUMBER_SIGNS or "\uff01" <= char <= "\uff5e" for char in text if char > "\x7f"):
        return _SIGNS_RATING
    if not ratings or (len(set(text)) - len(set(filter(str.isascii, text))) < 2 and max(ratings) < _FREQUENT):
        return 0.0
    within_words = len(re.findall(r"[^\x00-\x7f](?=[a-z])", text))
    return float(np.mean(ratings)) - 2 * within_words / len(ratings)


def _rate_character(char: str, encoding: str) -> float:
    if "\uff01" <= char <= "\uff5e" or "\u3000" <= char <= "\u303f" or char in PUNCTUATION:
        return _COMMON
    if encoding in ("cp932", "euc_jp"):
        if "\u3041" <= char <= "\u30fe":  # hiragana and katakana
            return _FREQUENT
        if "\uff61" <= char <= "\uff9f":  # half-width katakana: any byte from A1 to DF is one
            return 0.3
        return _FREQUENT * 0.9 if char in FREQUENT_JAPANESE else _rate_ideograph(char, "euc_jp", 0xCF)
    if encoding == "cp949":
        if "\uac00" <= char <= "\ud7a3":
            is_standard = _lead_byte(char, "euc_kr") >= 0
            return _FREQUENT if char in FREQUENT_HANGUL else _COMMON if is_standard else _EXTENSION
        return -0.5
    if encoding == "cp950":
        return _FREQUENT if char in FREQUENT_TRADITIONAL else _rate_ideograph(char, "big5", 0xC6)
    return _FREQUENT if char in FREQUENT_SIMPLIFIED else _rate_ideograph(char, "gb2312", 0xD7)


def _rate_ideograph(char: str, standard: str, last_common: int) -> float:
    """Return the rating of a character by the part of a national standard that it is in; the first is common."""
    lead = _lead_byte(char, standard)
    if not "\u4e00" <= char <= "\u9fff" or lead < 0:
        return _EXTENSION
    return _COMMON if lead <= last_common else _RARE


def _lead_byte(char: str, encoding: str) -> int:
    try:
        return char.encode(encoding)[0]
    except UnicodeEncodeError:
        return -1


def _rate_letters(text: str, encoding: str) -> float:
    """Return the fraction of characters beyond ASCII that one language explains, less what its writers avoid.

    These are capitals after small letters, letters of Latin in a word of another script, and signs within words.
    """
    foreign = [char for char in text if char > "\x7f"]
    if not foreign:
        return 0.0
    letters = [char for char in foreign if char.isalpha()]
    explained = max(sum(alphabet.get(char, 0.0) for char in letters) for alphabet in LANGUAGES[encoding])
    signs = sum(char in PUNCTUATION and not char.isalpha() for char in foreign)
    oddities = sum(1.0 for _ in _ODDITIES.finditer(text))
    oddities += sum(second.isupper() and first.islower() for first, second in itertools.pairwise(text))
    oddities += 0.1 * sum(map(str.isupper, letters)) + 0.3 * len(_LONE_LETTER.findall(text))
    return (explained + signs - oddities) / len(foreign)


def collect_foreign_lines(chunks: Iterable[bytes], limit: int) -> bytes:
    """Return the lines with bytes above 127, up to about ``limit`` bytes.

    >>> collect_foreign_lines([b"a,b\\n", "ü,1\\n2,3\\n".encode()], 100)
    b'\\xc3\\xbc,1\\n'
    """
    collected, held = b"", b""
    for chunk in chunks:
        complete, newline, held = (held + chunk).replace(b"\r", b"\n").rpartition(b"\n")
        collected += b"".join(line + b"\n" for line in _foreign_lines(complete + newline))
        if len(collected) >= limit:
            break
        held = held[-limit:]
    else:
        collected += b"".join(_foreign_lines(held))
    return collected if len(collected) <= limit else collected[:limit].rpartition(b"\n")[0] or collected


def _foreign_lines(block: bytes) -> list[bytes]:
    return [] if block.isascii() else re.findall(rb"[^\n]*[\x80-\xff][^\n]*", block)

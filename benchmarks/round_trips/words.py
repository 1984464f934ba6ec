"""Words of many scripts, and the encodings that can write them."""

from __future__ import annotations

import random

SCRIPTS = {
    "ascii": "red blue green north south east west Basel Zug Bern type-A type-B",
    "simplified": "北京 上海 广州 深圳 红色 蓝色 价格 面积 城市 数量 日期 颜色",
    "traditional": "臺北 高雄 紅色 藍色 價格 面積 城市 數量 日期 顏色 臺中 樓層",
    "japanese": "東京 大阪 赤色 青色 価格 面積 都市 数量 日付 カテゴリ みどり 横浜",
    "korean": "서울 부산 빨강 파랑 가격 면적 도시 수량 날짜 색상 대구 인천",
    "western": "größe köln café señor straße über français naïve garçon año niño Zürich",
    "central": "łódź żółty město kůň größe część źródło říjen květ gęś śnieg ťuk",
    "cyrillic": "Москва Казань красный синий цена площадь город число дата цвет север юг",
    "greek": "Αθήνα τιμή πόλη χρώμα κόκκινο μπλε ημερομηνία βορράς νότος αριθμός περιοχή όνομα",
    "turkish": "İstanbul şehir fiyat kırmızı yeşil gün ağaç çiçek ölçü ışık büyük küçük",
}
ENCODINGS = {
    "utf-8": tuple(SCRIPTS),
    "utf-8-sig": tuple(SCRIPTS),
    "utf-16": tuple(SCRIPTS),
    "utf-16-le": tuple(SCRIPTS),
    "utf-16-be": tuple(SCRIPTS),
    "gbk": ("simplified", "ascii"),
    "gb18030": ("simplified", "ascii"),
    "big5": ("traditional", "ascii"),
    "shift_jis": ("japanese", "ascii"),
    "euc_kr": ("korean", "ascii"),
    "cp1252": ("western", "ascii"),
    "latin-1": ("western", "ascii"),
    "iso-8859-15": ("western", "ascii"),
    "cp1250": ("central", "ascii"),
    "cp1251": ("cyrillic", "ascii"),
    "cp1253": ("greek", "ascii"),
    "cp1254": ("turkish", "ascii"),
}
"""Encodings, and the scripts that each can write."""
ANSI = {
    "ascii": "cp1252",
    "simplified": "gbk",
    "traditional": "big5",
    "japanese": "cp932",
    "korean": "cp949",
    "western": "cp1252",
    "central": "cp1250",
    "cyrillic": "cp1251",
    "greek": "cp1253",
    "turkish": "cp1254",
}
"""The encoding that Excel on Windows writes where a language is spoken."""


def draw_words(script: str, count: int, draw: random.Random) -> list[str]:
    """Return different words of a script."""
    return draw.sample(SCRIPTS[script].split(), count)


def can_encode(text: str, encoding: str) -> bool:
    """Return whether an encoding has all characters of a text."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True

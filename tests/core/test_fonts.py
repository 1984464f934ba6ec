"""Fonts for names in any script, and a word where none has the characters."""

import logging

from yisheng.core import fonts


def test_a_script_without_a_font_is_named_once(monkeypatch, caplog):
    monkeypatch.setattr(fonts, "_list_system_fonts", tuple)
    monkeypatch.setattr(fonts, "_warned_scripts", set())
    with caplog.at_level(logging.WARNING, logger="yisheng"):
        for text in ("猫", "犬 and 猫", "plain", "é"):
            assert fonts.find_font_path(text).endswith(fonts.DEFAULT_FONT)
    (record,) = caplog.records
    assert "fonts-noto-cjk" in record.getMessage()
    assert "boxes" in record.getMessage()
    with caplog.at_level(logging.WARNING, logger="yisheng"):
        fonts.find_font_path("한국")
    assert len(caplog.records) == 2


def test_the_font_with_most_characters_is_taken(monkeypatch, caplog):
    characters = {"a.ttf": frozenset(map(ord, "猫犬")), "b.ttf": frozenset(map(ord, "猫"))}
    monkeypatch.setattr(fonts, "_list_system_fonts", lambda: tuple(characters))
    monkeypatch.setattr(fonts, "_read_characters", lambda path: characters.get(path, frozenset(range(128))))
    assert fonts.find_font_path("猫犬") == "a.ttf"
    assert fonts.find_font_path("cat").endswith(fonts.DEFAULT_FONT)
    assert not caplog.records

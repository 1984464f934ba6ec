"""The style sheet: contrast (WCAG 2.1, 1.4.3 and 1.4.11) in light and dark, and every variable defined."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from yisheng.reporting.sections.confusion import STRONG
from yisheng.reporting.svg import VARIABLES

CSS = (resources.files("yisheng.reporting") / "templates" / "style.css").read_text(encoding="utf-8")
RGB = tuple[float, float, float]


def palette(dark: bool) -> dict[str, RGB]:
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    found: dict[str, RGB] = {}
    for block in blocks[: 2 if dark else 1]:
        for name, value in re.findall(r"--([\w-]+): ([^;]+);", block):
            if value.startswith("#"):
                found[name] = tuple(int(value[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[assignment]  # three
            elif re.fullmatch(r"\d+, \d+, \d+", value):
                found[name] = tuple(map(float, value.split(", ")))  # type: ignore[assignment]  # three
    return found


def contrast(one: RGB, other: RGB) -> float:
    def luminance(colour: RGB) -> float:
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("front", ["ink", "muted", "link", "good", "doubt", "bad"])
@pytest.mark.parametrize("back", ["page", "paper", "soft"])
def test_text_can_be_read(dark: bool, front: str, back: str) -> None:
    colours = palette(dark)
    assert contrast(colours[front], colours[back]) >= 4.5


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("front", ["first", "second"])
def test_lines_can_be_seen(dark: bool, front: str) -> None:
    colours = palette(dark)
    assert contrast(colours[front], colours["paper"]) >= 3


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_counts_can_be_read_on_every_depth_of_colour(dark: bool, kind: str) -> None:
    colours = palette(dark)
    for percent in range(101):
        a = percent / 100
        back: RGB = tuple(a * c + (1 - a) * p for c, p in zip(colours[kind], colours["paper"], strict=True))  # type: ignore[assignment]  # three
        writing = colours["on-deep" if a >= STRONG else "on-pale"]
        assert contrast(writing, back) >= 4.5, (a, contrast(writing, back))


def test_every_variable_is_defined() -> None:
    used = set(re.findall(r"var\(--([\w-]+)", CSS)) - {"a"}
    defined = set(re.findall(r"--([\w-]+):", CSS))
    assert used | set(VARIABLES.values()) <= defined


def test_dark_defines_what_light_does() -> None:
    assert palette(False).keys() == palette(True).keys()
    assert all(palette(False)[name] != palette(True)[name] for name in palette(False))


def test_nothing_leaves_the_style_element() -> None:
    assert "</" not in CSS
    assert "url(" not in CSS
    assert CSS.count("{") == CSS.count("}")

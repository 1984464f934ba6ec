"""The style sheet: contrast (WCAG 2.1, 1.4.3 and 1.4.11) in light and dark, and every variable defined."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from yisheng.reporting.sections.confusion import MIN_DEEP
from yisheng.reporting.svg import VARIABLES

CSS = (resources.files("yisheng.reporting") / "templates" / "style.css").read_text(encoding="utf-8")
RGB = tuple[float, float, float]


def parse_palette(dark: bool) -> dict[str, RGB]:
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    colors: dict[str, RGB] = {}
    for block in blocks[: 2 if dark else 1]:
        for name, value in re.findall(r"--([\w-]+): ([^;]+);", block):
            if value.startswith("#"):
                colors[name] = tuple(int(value[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[assignment]  # three
            elif re.fullmatch(r"\d+, \d+, \d+", value):
                colors[name] = tuple(map(float, value.split(", ")))  # type: ignore[assignment]  # three
    return colors


def contrast(front: RGB, back: RGB) -> float:
    """Return the contrast ratio of WCAG 2.1."""

    def luminance(color: RGB) -> float:
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(front), luminance(back)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("front", ["text", "muted", "link", "good", "doubt", "bad"])
@pytest.mark.parametrize("back", ["page", "paper", "soft"])
def test_text_has_sufficient_contrast(dark: bool, front: str, back: str) -> None:
    colors = parse_palette(dark)
    assert contrast(colors[front], colors[back]) >= 4.5


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("front", ["first", "second"])
def test_lines_have_sufficient_contrast(dark: bool, front: str) -> None:
    colors = parse_palette(dark)
    assert contrast(colors[front], colors["paper"]) >= 3


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_counts_have_sufficient_contrast_at_every_color_depth(dark: bool, kind: str) -> None:
    colors = parse_palette(dark)
    for percent in range(101):
        a = percent / 100
        back: RGB = tuple(a * c + (1 - a) * p for c, p in zip(colors[kind], colors["paper"], strict=True))  # type: ignore[assignment]  # three
        text = colors["on-deep" if a >= MIN_DEEP else "on-pale"]
        assert contrast(text, back) >= 4.5, (a, contrast(text, back))


def test_all_used_variables_are_defined() -> None:
    used = set(re.findall(r"var\(--([\w-]+)", CSS)) - {"a"}
    defined = set(re.findall(r"--([\w-]+):", CSS))
    assert used | set(VARIABLES.values()) <= defined


def test_dark_and_light_define_the_same_colors() -> None:
    assert parse_palette(False).keys() == parse_palette(True).keys()
    assert all(parse_palette(False)[name] != parse_palette(True)[name] for name in parse_palette(False))


def test_style_sheet_cannot_end_the_style_element() -> None:
    assert "</" not in CSS
    assert "url(" not in CSS
    assert CSS.count("{") == CSS.count("}")

"""Helpers for tests of rendered pages: sections, figures that are not drawn, and arbitrary JSON values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from yisheng.reporting import svg

MakeRun = Callable[..., Path]
EMPTY_SVG = f'<svg xmlns="{svg.NAMESPACE}" viewBox="0 0 1 1" />'

_json_scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
JSON_VALUES = st.recursive(
    _json_scalars,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3),
)


def skip_drawing(name: str, paint: Callable[..., None], *, on_canvas: bool = False) -> str:
    """Stand in for `svg.draw_svg`: drawing takes nearly all the time of a page."""
    return EMPTY_SVG


def find_section(text: str, name: str) -> str:
    """Return the HTML of a section of a page."""
    match = re.search(rf'<section id="{name}".*?</section>', text, re.DOTALL)
    assert match, f"no section {name}"
    return match[0]


def replace_random_value(content: Any, data: st.DataObject) -> None:
    """Replace one value anywhere in nested lists and dictionaries by an arbitrary JSON value."""
    while True:
        key = data.draw(st.sampled_from(sorted(content) if isinstance(content, dict) else range(len(content))))
        if not isinstance(content[key], dict | list) or not content[key] or data.draw(st.integers(0, 3)) == 0:
            content[key] = data.draw(JSON_VALUES)
            return
        content = content[key]

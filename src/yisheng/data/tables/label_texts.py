"""Texts of labels: in the forms that the user chose, and with one spelling for each number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yisheng.data.class_names import normalize_name
from yisheng.data.tables.literals import spelling_key
from yisheng.data.tables.raw_column import RawColumn, merge_categories


def normalize_labels(raw: RawColumn, forms: Sequence[str]) -> RawColumn:
    """Return a column with its texts in some forms of `yisheng.data.class_names`; numbers only change by renaming.

    >>> import numpy as np
    >>> raw = RawColumn("y", codes=np.array([0, 1], np.int32), categories=("a", "a."))
    >>> normalize_labels(raw, ["strip-dot"]).categories
    ('a',)
    """
    if raw.numbers is not None and any(":" in form for form in forms):  # numbers can be renamed, too
        raw = raw.as_text()
    if not forms or raw.numbers is not None or raw.is_free_text:
        return raw
    assert raw.codes is not None
    names = [normalize_name(text, forms) for text in raw.categories]
    return replace(merge_categories(raw.name, raw.codes, names), ordered=raw.ordered)


def merge_spellings(raw: RawColumn) -> RawColumn:
    """Return a column of texts in which the spellings of one number (1, 1.0) are one text, the shortest of them.

    >>> import numpy as np
    >>> merge_spellings(RawColumn("y", codes=np.array([0, 1, 2], np.int32), categories=("1.0", "1", "a"))).categories
    ('1', 'a')
    """
    keys = [spelling_key(text) for text in raw.categories]
    if raw.is_free_text or len(set(keys)) == len(keys):
        return raw
    shortest: dict[str, str] = {}
    for key, text in zip(keys, raw.categories, strict=True):
        shortest[key] = min(shortest.get(key, text), text, key=len)
    assert raw.codes is not None
    return replace(merge_categories(raw.name, raw.codes, [shortest[key] for key in keys]), ordered=raw.ordered)

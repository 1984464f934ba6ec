"""Text wrapped to columns: as textwrap without wide characters, by the rules of Chinese with them."""

import textwrap

from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.text_tables import format_table, text_width
from yisheng.core.text_wrapping import NOT_AT_END, NOT_AT_START, wrap_words

WORDS = st.sampled_from(
    ["权重衰减", "（", "）", "，", "。", "lr=0.1", "weight_decay", "`yisheng train`", " ", "“训练集”", "0,1", "："]
)
CHINESE = st.lists(WORDS, min_size=1, max_size=40).map(lambda parts: "学" + "".join(parts))
LATIN = st.lists(st.text("abc-.,", min_size=1, max_size=12), min_size=1, max_size=30).map(" ".join)


@given(LATIN, st.integers(12, 60))
def test_latin_text_is_wrapped_as_by_textwrap(text, width):
    for long in (True, False):
        expected = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=long)
        assert wrap_words(text, width, break_long_words=long) == expected


@given(CHINESE, st.integers(24, 60))
def test_nothing_is_lost_and_no_line_is_too_wide(text, width):
    lines = wrap_words(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        unbreakable = not any(text_width(char) == 2 for char in line[1:-1])
        assert text_width(line) <= width or unbreakable or set(line) & (NOT_AT_START | NOT_AT_END)


@given(CHINESE, st.integers(24, 60))
def test_punctuation_is_where_it_may_be(text, width):
    lines = wrap_words(text.replace(" ", ""), width)
    assert not any(line[0] in NOT_AT_START for line in lines[1:])
    assert not any(line[-1] in NOT_AT_END for line in lines[:-1])


def test_lines_continue_at_the_indent():
    lines = wrap_words("学习率在训练过程中的变化", 14, initial_indent="- ", subsequent_indent="  ")
    assert lines == ["- 学习率在训练", "  过程中的变化"]


def test_a_long_word_is_broken_only_if_that_is_asked_for():
    text = "见 runs/0001-digits-lenet/report.html"
    assert "runs/0001-digits-lenet/report.html" in wrap_words(text, 12)
    assert max(map(text_width, wrap_words(text, 12, break_long_words=True))) <= 12


def test_columns_of_a_table_align_with_wide_characters():
    table = format_table([["准确率", "value"], ["accuracy", "值"], ["查全率", "0.5"]]).splitlines()
    starts = {text_width(line[: line.index(cell)]) for line, cell in zip(table[2:], ("值", "0.5"), strict=True)}
    assert starts == {len("accuracy") + 2}
    assert table[1] == "--------  -----"

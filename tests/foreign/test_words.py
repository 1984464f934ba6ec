"""Words that mean missing, that look alike, or that are true and false: as classes, categories and names of columns."""

import itertools

import numpy as np
import pandas as pd
import pytest

from tests.foreign.tables import MISSING, assert_value, learn, read_later, values_of
from yisheng.core.errors import DataError
from yisheng.data import tables
from yisheng.inference.inputs.read_inputs import read_inputs
from yisheng.serving.json_rows import parse_json_rows

CLASSES = "None NA NULL nan inf N/A null #N/A ? - nil . – #NUM! <NA> -nan".split()  # noqa: SIM905
PAIRS = "True/False TRUE/FALSE true/false WAHR/FALSCH Vrai/Faux 是/否 ИСТИНА/ЛОЖЬ Y/N 1/0 on/off sí/no yes/no".split()  # noqa: SIM905
DIFFERENT = "a/A ﬁ/fi ア/ｱ ß/ss 1.1/1.10 07/7 ½/0.5 е/e O/0".split()  # noqa: SIM905


@pytest.mark.parametrize("word", CLASSES)
@pytest.mark.parametrize("others", [["low", "high"], ["True", "False"], ["A1", "007"]])
def test_a_class_may_be_called_anything(tmp_path, word, others):
    data = learn(tmp_path, {"v": ["1", "2", "4"]}, y=[word, *others])
    assert set(data.spec.classes) == {word, *others}
    assert len(data.y) == 60
    named = [finding for finding in data.findings if finding.severity == "warning"]
    assert word == "inf" or any(word in finding.cause for finding in named)
    without = learn(tmp_path, {"v": ["1", "2", "4"]}, y=[word, *others], missing=[word])
    assert (set(without.spec.classes), len(without.y)) == (set(others), 40)


@pytest.mark.parametrize("word", ["NA", "None", "?", "–", "#DIV/0!", "null", "N/A"])
def test_a_word_between_numbers_of_a_target_is_missing_and_named(tmp_path, word):
    data = learn(tmp_path, {"v": ["1", "2", "4"]}, y=["1.5", "2.5", "3.75", word, "4", "5.5"], task="regression")
    assert len(data.y) == 50
    assert any(word in finding.cause for finding in data.findings if finding.severity == "warning")


@pytest.mark.parametrize("words", PAIRS)
def test_yes_and_no_are_read_in_every_language(tmp_path, words):
    yes, no = words.split("/")
    data = learn(tmp_path, {"v": [yes, no, no, ""], "w": ["1", "2", "3"]})
    assert values_of(data, "v")[:3] == [yes, no, no]
    assert set(next(column for column in data.spec.columns if column.source == "v").categories) == {yes, no}
    later = {yes: yes, no.upper(): no, "true": yes, "FALSE": no, "1": yes, "0.0": no, "maybe": MISSING}
    for text, expected in later.items():
        assert_value(read_later(tmp_path, data, "v", text), expected)
    for value, expected in ((True, 1), (False, 0), (None, np.nan), (1, 1), (0.0, 0)):
        rows = [{"v": value, "w": 1}]
        assert np.array_equal(parse_json_rows(rows, data.spec)[0][0, 0], expected, equal_nan=True)
        assert np.array_equal(read_inputs(rows, data.spec, None).x[0, 0], expected, equal_nan=True)
    labels = learn(tmp_path, {"w": ["1", "2", "3"]}, y=[yes, no])
    assert set(labels.spec.classes) == {yes, no}


@pytest.mark.parametrize("third", ["", "maybe"])
@pytest.mark.parametrize("word", ["TRUE", "true", "True"])
def test_true_keeps_its_spelling(tmp_path, word, third):
    data = learn(tmp_path, {"v": [word, third, third], "w": ["1", "2", "3"]})
    assert values_of(data, "v")[0] == word
    assert read_later(tmp_path, data, "v", word) == word
    assert read_later(tmp_path, data, "v", "tRUE") == word


SAME_LOOKS = [
    ("caf\u00e9", "cafe\u0301"),
    ("Tiê\u0301ng", "Ti\u1ebfng"),
    ("\uac00", "\u1100\u1161"),
    ("\u212b", "\u00c5"),
    ("\u2126", "\u03a9"),
    ("Ａ１", "A1"),
    ("a b", "a\u00a0b"),
    ("a b", "a\u3000b"),
    ("a b", "a\u202fb"),
    ("ab", "a\u200bb"),
    ("ab", "a\u00adb"),
    ("ab", "\ufeffab"),
    ("ab", "\u200eab\u200f"),
    ("ab", " ab\t"),
    ("a\nb", "a\r\nb"),
    ("！", "!"),
]


@pytest.mark.parametrize(("first", "second"), SAME_LOOKS)
def test_texts_that_look_alike_are_one(tmp_path, first, second):
    for trained, later in ((first, second), (second, first)):
        data = learn(tmp_path, {"v": [trained, "x", "z"]})
        value = read_later(tmp_path, data, "v", later)
        assert value is not None
        assert value == values_of(data, "v")[0]
    merged = learn(tmp_path, {"v": [first, second, "x", "z"]}, y=[first, second, "x"])
    assert len(merged.spec.classes) == 2
    assert len(next(column for column in merged.spec.columns if column.source == "v").categories) == 3
    named = learn(tmp_path, {first: ["1", "2", "4"]})
    for row in ({second: 2.0}, {first: 2.0}):
        assert read_inputs(row, named.spec, None).x[0, 0] == 2
        assert read_inputs(pd.DataFrame([row]), named.spec, None).x[0, 0] == 2
        assert parse_json_rows([row], named.spec)[0][0, 0] == 2


@pytest.mark.parametrize("texts", [*DIFFERENT, "a  b/a b"])
def test_texts_that_differ_are_two(tmp_path, texts):
    first, second = texts.split("/")
    data = learn(tmp_path, {"v": [first, second, "x"]}, y=[first, second, "x"], kinds=["v:category"])
    assert len(data.spec.classes) == 3
    assert read_later(tmp_path, data, "v", first) == first
    assert read_later(tmp_path, data, "v", second) == second


@pytest.mark.parametrize(
    "name",
    ["Price, EUR", 'the "size"', "a\nb", " a ", "größe", "价格", "a;b", "=1+1", "2020", "None", "a\tb", "'", "n#"],
)
def test_a_column_may_be_called_anything(tmp_path, name):
    data = learn(tmp_path, {name: ["1.5", "2.5", "4"], "w": ["a", "b", "c"]})
    source = next(column.source for column in data.spec.columns if column.kind == "number")
    assert_value(read_later(tmp_path, data, source, "2.5"), 2.5)
    assert parse_json_rows([{name: 2.5, "w": "a"}], data.spec)[0][0].tolist() == [2.5, 0]


def test_names_that_look_alike_are_refused_or_renamed(tmp_path):
    frame = pd.DataFrame([[1, 2, 3], [2, 3, 4]], columns=["caf\u00e9", "cafe\u0301", "y"])
    with pytest.raises(DataError, match="several columns"):
        tables.from_frame(frame, target="y")
    data = learn(tmp_path, {"caf\u00e9": ["1", "2"], "cafe\u0301": ["2", "3", "4"]})
    assert any(finding.check == "header" and finding.severity == "warning" for finding in data.findings)


def test_large_integers_are_categories_to_the_last_digit(tmp_path):
    codes = [str(2**60 + n) for n in range(4)]
    data = learn(tmp_path, {"v": codes, "w": ["1", "2", "3"]}, kinds=["v:category"])
    for number, value in itertools.product(range(4), (int, str)):
        rows = [{"v": value(codes[number]), "w": 1}, {"v": None, "w": 2}]
        assert parse_json_rows(rows, data.spec)[0][0, 0] == number
        assert read_inputs(rows[:1], data.spec, None).x[0, 0] == number

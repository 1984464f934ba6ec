"""Columns of texts: their words, and the parts of codes, as features."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.core.word_limits import MAX_FRACTION, WORD_PART, min_word_rows
from yisheng.data import tables
from yisheng.data.tables import column_builder, text_proposals
from yisheng.data.tables.raw_column import column_from_series
from yisheng.data.tables.text_parts import compute_text_parts, split_code, split_words
from yisheng.inference.rows import read_rows
from yisheng.serving.json_rows import parse_json_rows
from yisheng.transforms.codes import codes
from yisheng.transforms.columns import columns

N = 300
VOCABULARY = ("alfa", "bravo", "charlie", "delta", "echo", "Fox-trot", "golf_club", "été", "ŒUVRE", "9", "x2")
PATTERN = r"[^\W_]+"


def draw_texts(n=N, seed=0):
    """Return texts of words that are frequent to different degrees, each with a word of its own."""
    draw = np.random.default_rng(seed)
    chances = np.geomspace(0.9, 0.005, len(VOCABULARY))
    chosen = draw.random((n, len(VOCABULARY))) < chances
    return [" ".join([*np.array(VOCABULARY)[row], f"own{i * 7 % 1000}q"]) for i, row in enumerate(chosen)]


def make_frame(**columns_):
    draw = np.random.default_rng(1)
    return pd.DataFrame({"note": draw_texts(), "size": draw.random(N), **columns_, "y": draw.random(N)})


def words_of(columns_):
    return {c.text_part.removeprefix(WORD_PART) for c in columns_ if c.text_part.startswith(WORD_PART)}


@given(st.lists(st.text(st.sampled_from("abz12 -_.\né很好"), max_size=20), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_words_are_those_of_scikit_learn(texts):
    spaced = [text.replace("很", "e").replace("好", "f") for text in texts]
    vocabulary = sorted({word for text in spaced for word in split_words(text)})
    tokenize = CountVectorizer(token_pattern=PATTERN).build_analyzer()
    assert [split_words(text) for text in spaced] == [tokenize(text) for text in spaced]
    if vocabulary and all(text.strip() for text in spaced):
        raw = column_from_series("a", pd.Series(spaced, dtype=object), ())
        values = compute_text_parts(raw, [Column(word, text_part=f"{WORD_PART}{word}") for word in vocabulary])
        counter = CountVectorizer(token_pattern=PATTERN, binary=True, vocabulary=vocabulary)
        np.testing.assert_array_equal(values, counter.transform(spaced).toarray())


@pytest.mark.parametrize("transform", [columns, codes])
def test_the_words_of_the_training_part_are_those_of_scikit_learn(transform):
    data = tables.from_frame(make_frame(), target="y")
    train = np.arange(N) % 5 != 0
    fitted = transform.fit(data.x[train], columns=data.spec.columns)
    used = [column for i, column in enumerate(data.spec.columns) if i not in fitted.unused]
    texts = list(np.array(draw_texts())[train])
    min_rows = int(min_word_rows(int(train.sum())))
    counter = CountVectorizer(token_pattern=PATTERN, min_df=min_rows, max_df=MAX_FRACTION).fit(texts)
    assert words_of(used) == set(counter.vocabulary_)
    assert words_of(data.spec.columns) > words_of(used)  # more are proposed than are used


def test_rows_outside_of_the_training_part_change_nothing():
    train = np.arange(N) % 5 != 0
    outputs = []
    for other in ("alfa alfa zulu", "kilo lima"):
        frame = make_frame()
        frame.loc[~train, "note"] = [f"{other} {n}z" for n in range(int((~train).sum()))]
        data = tables.from_frame(frame, target="y")
        fitted = columns.fit(data.x[train], columns=data.spec.columns)
        outputs.append((fitted.spec(data.spec).columns, fitted))
    assert outputs[0][0] == outputs[1][0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C85", ("C", 85, "")),
        ("C23 C25 C27", ("C", 27, "")),
        ("STON/O2. 3101282", ("STON/O", 3101282, "")),
        ("B/0/P", ("B", 0, "P")),
        ("17", ("", 17, "")),
        ("12 kg (gross)", ("", 12, "kg (gross")),
        ("Owen", None),
        ("", None),
    ],
)
def test_codes_are_split(text, expected):
    assert split_code(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("很好吃 OK", ["很", "好", "吃", "很好", "好吃", "ok"]), ("東京", ["東", "京", "東京"])]
)
def test_words_without_blanks_between_them_are_characters_and_pairs(text, expected):
    assert split_words(text) == expected


def test_codes_get_beginning_number_and_ending():
    draw = np.random.default_rng(0)
    cabins = [f"{draw.choice(list('ABC'))}/{draw.integers(400)}/{draw.choice(list('PS'))}" for _ in range(N)]
    frame = pd.DataFrame({"cabin": cabins, "y": draw.random(N)})
    frame.loc[::10, "cabin"] = None
    data = tables.from_frame(frame, target="y")
    by_part = {column.text_part: (i, column) for i, column in enumerate(data.spec.columns)}
    beginning, number, ending = (by_part[part] for part in ("beginning", "number", "ending"))
    assert (beginning[1].categories, ending[1].categories) == (("A", "B", "C"), ("P", "S"))
    parts = [cabin.split("/") for cabin in cabins]
    present = np.arange(N) % 10 != 0
    np.testing.assert_array_equal(data.x[present, number[0]], np.array([float(p[1]) for p in parts])[present])
    np.testing.assert_array_equal(data.x[present, beginning[0]], np.array(["ABC".index(p[0]) for p in parts])[present])
    assert np.isnan(data.x[~present][:, [beginning[0], number[0], ending[0]]]).all()
    assert {column.source for column in data.spec.columns} == {"cabin"}


def test_the_names_of_many_categories_get_what_some_of_them_have_in_common():
    draw = np.random.default_rng(0)
    towns = [f"Town {i}{'abc'[i % 3]}" for i in range(40)]
    frame = pd.DataFrame({"town": draw.choice(towns, N), "color": draw.choice(["red", "dark red", "blue"], N)})
    frame["y"] = draw.random(N)
    features = {column.name: column for column in tables.from_frame(frame, target="y").spec.columns}
    assert {"town", "town.number", "town.ending", "color"} == set(features)  # "town" is in all: no word
    assert features["town"].kind == "category"


def test_texts_with_nothing_in_common_are_left_out():
    letters = ["".join(chr(97 + int(digit)) for digit in str(n)) for n in range(N)]
    frame = make_frame(key=[f"k{n}" for n in range(N)], code=letters)
    rows = {row["column"]: row for row in tables.describe(frame, target="y")}
    assert rows["key"]["becomes"].startswith("left out: a different text in every row")
    assert rows["code"]["kind"] == "identifier"
    assert rows["note"]["becomes"].startswith("length, number of words, ")
    summary = next(f for f in tables.from_frame(frame, target="y").findings if f.check == "columns")
    assert "of texts: note (length, number of words, " in summary.cause


def test_texts_are_read_alike_from_every_source(tmp_path):
    frame = make_frame(code=[f"C{n % 90} x" if n % 3 else None for n in range(N)])
    frame.loc[5, "note"] = None
    data = tables.from_frame(frame, target="y")
    spec = Spec.from_json(json.loads(json.dumps(data.spec.to_json())))
    assert spec == data.spec
    assert [c.text_part for c in spec.columns] == [c.text_part for c in data.spec.columns]
    frame.to_csv(tmp_path / "a.csv", index=False)
    np.testing.assert_array_equal(read_rows(tmp_path / "a.csv", spec).x, data.x)
    values = frame.astype(object).where(frame.notna(), None).to_dict("records")
    np.testing.assert_array_equal(parse_json_rows(values, spec)[0], data.x)
    one_by_one = [parse_json_rows([row], spec)[0][0] for row in values[:20]]
    np.testing.assert_array_equal(one_by_one, data.x[:20])


def test_new_texts_have_no_new_words_and_no_warning():
    spec = tables.from_frame(make_frame(), target="y").spec
    x, notes = parse_json_rows([{"note": "ALFA zulu", "size": 1.0}, {"note": None, "size": 1.0}], spec)
    by_part = dict(zip([column.text_part for column in spec.columns], x.T, strict=True))
    assert notes == ()
    assert by_part["word:alfa"].tolist() == [1, 0]
    assert by_part["length"].tolist() == [9, 0]
    assert by_part["words"].tolist() == [2, 0]


def test_the_number_of_words_is_bounded(monkeypatch):
    monkeypatch.setattr(text_proposals, "MAX_WORDS", 3)
    assert words_of(tables.from_frame(make_frame(), target="y").spec.columns) == {"alfa", "bravo", "charlie"}
    monkeypatch.setattr(text_proposals, "MAX_WORD_VALUES", 2 * N)
    assert words_of(tables.from_frame(make_frame(), target="y").spec.columns) == {"alfa", "bravo"}
    monkeypatch.setattr(text_proposals, "MAX_COUNTED_TEXTS", 100)
    assert words_of(tables.from_frame(make_frame(), target="y").spec.columns) == {"alfa", "bravo"}


def test_kinds_text_makes_features_of_a_category():
    frame = make_frame(color=["light red", "dark red", "dark blue"] * (N // 3))
    data = tables.from_frame(frame, target="y", kinds={"color": "text"})
    assert {"color has red", "color has dark", "color has blue"} < {column.name for column in data.spec.columns}
    assert all(column.kind == "yes/no" for column in data.spec.columns if column.name.startswith("color has"))


def test_many_different_texts_are_kept_as_long_as_they_are_small(tmp_path, monkeypatch):
    frame = make_frame()
    frame.to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.setattr(column_builder, "MAX_UNCHECKED_TEXTS", 50)
    assert words_of(tables.from_file(tmp_path / "a.csv", target="y").spec.columns)
    monkeypatch.setattr(column_builder, "MAX_TEXT_BYTES", 5000)
    assert not words_of(tables.from_file(tmp_path / "a.csv", target="y").spec.columns)

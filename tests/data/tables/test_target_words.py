"""Words in targets, the choice of the task, precision, and texts that look alike."""

import unicodedata

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tables.text_tables import read, write
from yisheng.data import tables
from yisheng.data.tables.inferred_column import needs_double
from yisheng.data.tables.unicode_forms import choose_spellings, normalize_text
from yisheng.inference.rows import read_rows
from yisheng.transforms.standard import standard


def table(*targets, rows=30):
    return "a,y\n" + "".join(f"{n},{targets[n % len(targets)]}\n" for n in range(rows))


def finding(data, check):
    return next((item for item in data.findings if item.check == check), None)


@pytest.mark.parametrize("word", ["None", "NA", "NULL", "nan", "null", "N/A", "?"])
def test_a_class_may_have_the_name_of_a_missing_value(tmp_path, word):
    data = read(tmp_path, table(word, "one", "two"))
    assert len(data) == 30
    assert word in data.spec.classes
    named = finding(data, "word classes")
    assert named.severity == "warning"
    assert f"{word!r} (10 rows)" in named.cause
    left_out = read(tmp_path, table(word, "one", "two"), missing=(word,))
    assert (len(left_out), left_out.spec.classes) == (20, ("one", "two"))
    frame = pd.DataFrame({"a": range(30), "y": [word, "one", "two"] * 10})
    assert word in tables.from_frame(frame, target="y").spec.classes
    assert len(tables.from_frame(frame, target="y", missing=[word])) == 20


def test_empty_cells_of_a_target_are_missing(tmp_path):
    data = read(tmp_path, table("", "one", "two"))
    assert len(data) == 20
    assert finding(data, "word classes") is None


@pytest.mark.parametrize(
    ("targets", "task"), [(("1.5", "NA", "2.25", "3.75"), "regression"), (("0", "NA", "1"), "classification")]
)
def test_words_between_numbers_are_missing_and_named(tmp_path, targets, task):
    data = read(tmp_path, table(*targets))
    assert data.spec.task == task
    assert "NA" not in data.spec.classes
    assert "'NA'" in finding(data, "missing words").cause
    assert finding(data, "missing target").severity == "warning"


def test_words_of_a_test_table_are_classes_if_training_has_them(tmp_path):
    write(tmp_path, "a,y\n1,None\n2,one\n3,NA\n", "test.csv")
    data = read(tmp_path, table("None", "one", "two"), test="test.csv")
    assert int((data.part == 2).sum()) == 2
    assert data.y[data.part == 2].tolist() == [data.spec.classes.index("None"), data.spec.classes.index("one")]


def test_words_that_the_user_calls_missing_are_so_in_every_later_table(tmp_path):
    text = "a,b,y\n" + "".join(
        f"{-999 if n % 9 == 0 else n},{['x', 'unknown', 'z'][n % 3]},{n / 2}\n" for n in range(40)
    )
    data = read(tmp_path, text, missing=("-999", "unknown"))
    assert np.isnan(data.x[0, 0])
    assert data.spec.columns[1].categories == ("x", "z")
    later = read_rows(write(tmp_path, "a,b\n-999,unknown\n5,x\n", "p.csv"), data.spec)
    assert np.isnan(later.x[0]).all()
    assert later.x[1].tolist() == [5, 0]
    assert not later.notes


@pytest.mark.parametrize(
    ("values", "rows", "task", "change"),
    [
        (range(3, 9), 120, "classification", "task=regression"),
        (range(26), 260, "regression", "task=classification"),
        ((0, 1), 20, "classification", "task=regression"),
    ],
)
def test_the_choice_between_classes_and_numbers_is_said_first(tmp_path, values, rows, task, change):
    data = read(tmp_path, table(*values, rows=rows))
    first = data.findings[0]
    assert (data.spec.task, first.check) == (task, "task")
    assert f"task={task}" in first.cause
    assert f"{len(values)} different whole numbers" in first.cause
    assert change in first.remedy
    chosen = read(tmp_path, table(*values, rows=rows), task=change.partition("=")[2])
    assert finding(chosen, "task") is None


def test_words_and_decimals_need_no_word_about_the_task(tmp_path):
    assert finding(read(tmp_path, table("a", "b")), "task") is None
    assert finding(read(tmp_path, table("0.5", "1.25", "2.5")), "task") is None


@given(st.integers(10**6, 10**12), st.integers(1, 1000))
def test_targets_keep_their_differences(offset, step):
    values = offset + step * np.arange(40)
    data = tables.from_frame(
        pd.DataFrame({"a": np.arange(40) % 7, "t": values, "y": values}), target="y", task="regression"
    )
    np.testing.assert_array_equal(data.y[:, 0], values)
    if data.x.dtype == np.float64:
        np.testing.assert_array_equal(data.x[:, 1], values)
    else:
        assert not needs_double(values.astype(np.float64))
    scale = standard.fit(data.y)
    scaled = scale.apply(torch.from_numpy(data.y)).float()
    back = scale.invert(scaled).double().numpy()
    assert np.abs(back[:, 0] - values).max() < max(
        1e-5 * values.std(), 1e-7 * values.max() * (not needs_double(values.astype(float)))
    )


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_letters_are_one(tmp_path, form):
    words = ["café", "thé", "Ａ型", "b\u00a0c"]
    spellings = [*words, *(unicodedata.normalize("NFD", word) for word in words), "A型", "b c"]
    text = "pré,y\n" + "".join(f"{spellings[n % len(spellings)]},{n / 2}\n" for n in range(60))
    data = read(tmp_path, text)
    assert sorted(data.spec.columns[0].categories) == sorted(["café", "thé", "A型", "b c"])
    later = "pré,x\n" + "".join(f"{unicodedata.normalize(form, word)},1\n" for word in words)
    header, _, rows = later.partition("\n")
    path = write(tmp_path, f"{unicodedata.normalize(form, header)}\n{rows}", "p.csv")
    read_back = read_rows(path, data.spec).x[:, 0]
    assert [data.spec.columns[0].categories[int(code)] for code in read_back] == ["café", "thé", "A型", "b c"]
    classes = read(
        tmp_path, "a,y\n" + "".join(f"{n},{spellings[n % len(spellings)]}\n" for n in range(60))
    ).spec.classes
    assert len(classes) == 4


@given(st.text(max_size=20))
def test_normalizing_twice_is_normalizing_once(text):
    once = normalize_text(text)
    assert normalize_text(once) == once
    assert set(choose_spellings([text])) == {once}

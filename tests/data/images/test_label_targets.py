"""What is learned from lists of images and from the names of folders: classes, labels or numbers, as from tables."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError, YishengError
from yisheng.core.spec import Spec
from yisheng.data import tables
from yisheng.data.images import label_files
from yisheng.data.images.file_listing import Listing
from yisheng.data.images.folder_labels import find_targets
from yisheng.data.images.label_choices import LabelChoices

COUNT = 60
AGES = [str(18 + n) for n in range(COUNT)]


def write_list(folder, rows, header=("file", "age"), separator=","):
    """Write a list of images and return its path; each row begins with a file."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerows([header] if header else [])
    writer.writerows([f"{number}.png", *row] for number, row in enumerate(rows))
    path = folder / "list.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def read(folder, columns, header=None, choices=None, separator=","):
    """Return the targets of a list with these columns by name."""
    header = ("file", *columns) if header is None else header
    path = write_list(folder, zip(*columns.values(), strict=True), header, separator)
    return label_files.read_labels(path, choices or LabelChoices()).targets


def causes(targets):
    return {finding.check: finding.cause for finding in targets.findings}


def test_many_different_numbers_are_a_regression(tmp_path):
    targets = read(tmp_path, {"age": AGES})
    assert targets.task == "regression"
    assert targets.classes == ()
    assert targets.y.dtype == np.float64
    assert targets.y[:, 0].tolist() == [float(age) for age in AGES]
    assert [column.name for column in targets.columns] == ["age"]
    (finding,) = targets.findings
    assert "task=regression: the target age has 60 different whole numbers, 18 to 77" in finding.cause
    assert "task=classification" in finding.remedy


def test_few_different_whole_numbers_are_classes_unless_the_task_says_otherwise(tmp_path):
    digits = {"digit": [str(n % 10) for n in range(COUNT)]}
    assert read(tmp_path, digits).classes == tuple("0123456789")
    assert "task=regression" in read(tmp_path, digits).findings[0].remedy
    numbers = read(tmp_path, digits, choices=LabelChoices(task="regression"))
    assert numbers.y[:, 0].tolist() == [n % 10 for n in range(COUNT)]
    with pytest.raises(DataError, match="too many for classes") as error:
        read(tmp_path, {"age": AGES}, choices=LabelChoices(task="classification"))
    assert "task=regression" in error.value.remedy


def test_several_columns_of_numbers_are_a_regression_of_several_targets(tmp_path):
    targets = read(tmp_path, {"age": AGES, "body height": [f"{1 + n / 100}" for n in range(COUNT)]})
    assert targets.task == "regression"
    assert [column.name for column in targets.columns] == ["age", "body height"]
    assert targets.y.tolist() == [[18.0 + n, 1 + n / 100] for n in range(COUNT)]
    unnamed = read(tmp_path, {"x": AGES, "y": AGES}, header=())
    assert [column.name for column in unnamed.columns] == ["column-2", "column-3"]


def test_columns_of_yes_and_no_are_labels(tmp_path):
    for no, yes in (("0", "1"), ("no", "Yes"), ("n", "y"), ("否", "是"), ("0.0", "1.0")):
        targets = read(tmp_path, {"sea": [no, yes, yes], "sun": [yes, "", no]})
        assert targets.task == "multilabel"
        assert targets.classes == ("sea", "sun")
        assert targets.y.tolist() == [[0, 1], [1, 0], [1, 0]]
    (label,) = read(tmp_path, {"sea": ["0", "1", "1"]}, choices=LabelChoices(task="multilabel")).classes
    assert label == "sea"


@pytest.mark.parametrize(
    ("columns", "problem", "remedy"),
    [
        ({"age": [*AGES[:-1], "inf"]}, "the target age is inf in row 60: not a finite number", "check target="),
        ({"age": [*AGES[:30], "old", *AGES[31:]]}, "the target age is 'old' in row 31: not a number", "check target="),
        ({"age": ["7"] * COUNT}, "the target age is 7 in every row", "target="),
        (
            {"age": AGES, "name": ["a", "b"] * 30},
            "numbers, not labels, in the column age, and words in name",
            "target=",
        ),
        ({"day": [f"2024-01-{n % 28 + 1:02d}" for n in range(COUNT)]}, "holds dates", "target="),
        ({"age": [""] * COUNT}, "lists images without labels", "add a column"),
    ],
)
def test_what_tables_refuse_is_refused(tmp_path, columns, problem, remedy):
    with pytest.raises(DataError, match=problem) as error:
        read(tmp_path, columns)
    assert remedy in error.value.remedy
    assert str(tmp_path) in error.value.problem


def test_images_without_a_number_are_left_out(tmp_path):
    ages = [*AGES[:3], "NA", "", *AGES[5:]]
    targets = read(tmp_path, {"age": ages, "height": [*AGES[:-1], ""]})
    assert np.flatnonzero(~targets.is_labeled).tolist() == [3, 4, 59]
    assert "'NA' (1 row)" in causes(targets)["missing words"]
    marked = read(tmp_path, {"age": ["-1", *AGES[1:]]}, choices=LabelChoices.parse({"missing": ("-1",)}))
    assert np.flatnonzero(~marked.is_labeled).tolist() == [0]


def test_words_such_as_none_are_classes_between_words(tmp_path):
    words = {"tag": ["None", "NA", "cat"] * 20}
    targets = read(tmp_path, words)
    assert targets.classes == ("cat", "NA", "None")
    assert targets.is_labeled.all()
    assert "NA" in causes(targets)["word classes"]
    choices = LabelChoices.parse({"missing": ("None", "NA")})
    with pytest.raises(DataError, match="the target tag is cat in every row"):
        read(tmp_path, words, choices=choices)
    targets = read(tmp_path, {"tag": ["None", "dog", "cat"] * 20}, choices=choices)
    assert targets.classes == ("cat", "dog")
    assert targets.is_labeled.tolist() == [False, True, True] * 20


def test_numbers_are_read_in_the_form_of_their_columns(tmp_path):
    columns = {"x": [f"{n},5" for n in range(COUNT)], "y": [f"1.{n:03d},25" for n in range(COUNT)]}
    targets = read(tmp_path, columns, separator=";")
    assert targets.y[:2].tolist() == [[0.5, 1000.25], [1.5, 1001.25]]
    prices = {"price": [f"{n + 1}.250" for n in range(COUNT)]}
    choices = LabelChoices.parse({"decimal": "comma"})
    assert read(tmp_path, prices, separator=";", choices=choices).y[0, 0] == 1250
    assert read(tmp_path, prices, separator=";").y[0, 0] == 1.25
    assert "number form" in causes(read(tmp_path, prices, separator=";"))
    plain = read(tmp_path, {"x": [f"{n}.250" for n in range(COUNT)], "y": AGES})
    assert (plain.y[3, 0], set(causes(plain))) == (3.25, {"task"})
    quoted = read(tmp_path, {"x": [f"{n}.250" for n in range(1, COUNT + 1)], "y": [f"{n},5" for n in range(COUNT)]})
    assert quoted.y[2].tolist() == [3250.0, 2.5]
    percent = read(tmp_path, {"share": [f"{n}.5 %" for n in range(COUNT)]})
    assert percent.y[3, 0] == 3.5


def test_large_numbers_keep_their_digits(tmp_path):
    times = [str(1_700_000_000 + n) for n in range(COUNT)]
    parts = ["train"] * 50 + ["test"] * 10
    targets = read(tmp_path, {"time": times, "split": parts})
    assert targets.y[:, 0].tolist() == list(map(float, times))


def test_the_training_part_decides_how_the_others_are_read(tmp_path):
    parts = ["train"] * 50 + ["test"] * 10
    grades = [str(n % 5) for n in range(50)]
    targets = read(tmp_path, {"grade": [*grades, *(str(n) for n in range(90, 100))], "split": parts})
    assert targets.task == "classification"  # by the grades 0 to 4 of the training part alone
    assert targets.classes == (*"01234", *map(str, range(90, 100)))
    assert targets.y[50:].tolist() == list(range(5, 15))
    numbers = [str(n) for n in range(50)]
    targets = read(tmp_path, {"age": [*numbers, *["7"] * 10], "split": parts})
    assert targets.y[50:, 0].tolist() == [7.0] * 10
    with pytest.raises(DataError, match="the target age is 'cat' in row 51: not a number"):
        read(tmp_path, {"age": [*numbers, *["cat"] * 10], "split": parts})
    comma = [f"{n},5" for n in range(50)]
    targets = read(tmp_path, {"age": [*comma, *["4.900"] * 10], "split": parts}, separator=";")
    assert targets.y[50:, 0].tolist() == [4900.0] * 10


def test_columns_are_chosen_by_name_or_number(tmp_path):
    columns = {"Price, EUR": AGES, "kind": ["a", "b"] * 30, "height": AGES}
    for target, name in ((("Price", "EUR"), "Price, EUR"), (("Price, EUR",), "Price, EUR"), (("4",), "height")):
        targets = read(tmp_path, columns, choices=LabelChoices(target=target))
        assert [column.name for column in targets.columns] == [name]
    assert read(tmp_path, columns, choices=LabelChoices(target=("kind",))).classes == ("a", "b")
    assert len(read(tmp_path, columns, choices=LabelChoices(target=("height", "Price", "EUR"))).columns) == 2
    parts = {"split": ["train"] * 50 + ["test"] * 10, "a": AGES, "b": AGES}
    (column,) = read(tmp_path, parts, choices=LabelChoices(target=("4",))).columns
    assert column.name == "b"
    with pytest.raises(UsageError, match="no such column") as error:
        read(tmp_path, columns, choices=LabelChoices(target=("hight",)))
    assert "height" in error.value.remedy
    with pytest.raises(UsageError, match="twice"):
        read(tmp_path, columns, choices=LabelChoices(target=("kind", "3")))


RUN = Spec(
    "regression",
    (3, 8, 8),
    target="x, y",
    outputs=2,
    target_columns=(Column("x", source="x", format=","), Column("y", source="y")),
)


def test_a_later_list_is_read_by_the_run(tmp_path):
    columns = {"y": ["1", "1", "1"], "note": ["a", "b", "c"], "x": ["1.250,5", "4.900", "NA"]}
    targets = read(tmp_path, columns, choices=LabelChoices(run=RUN), separator=";")
    assert targets.task == "regression"
    assert targets.y[:2].tolist() == [[1250.5, 1.0], [4900.0, 1.0]]  # by name, in the order of the run
    assert targets.is_labeled.tolist() == [True, True, False]
    by_position = read(tmp_path, {"a": ["1", "2"], "b": ["3", "4"]}, choices=LabelChoices(run=RUN))
    assert by_position.y.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    with pytest.raises(DataError, match="has 1 columns of numbers .a., the run predicts 2: x, y"):
        read(tmp_path, {"a": ["1", "2"]}, choices=LabelChoices(run=RUN))
    with pytest.raises(DataError, match="the target a is 'cat' in row 1: not a number"):
        read(tmp_path, {"a": ["cat", "2"], "b": ["3", "4"]}, choices=LabelChoices(run=RUN))


def test_numbers_of_a_later_list_are_classes_for_a_run_of_classes(tmp_path):
    run = Spec("classification", (3, 8, 8), classes=tuple("0123"))
    targets = read(tmp_path, {"digit": ["3", "1", "9", "NA"]}, choices=LabelChoices(run=run))
    assert targets.task == "classification"
    assert [targets.classes[number] for number in targets.y[:3]] == ["3", "1", "9"]
    assert targets.is_labeled.tolist() == [True, True, True, False]


def list_folders(*names, count=3):
    listing = Listing(path=Path("ages"), read=lambda indices: iter([b""] * len(indices)))
    for name in names:
        listing.folders.add(name)
        for number in range(count):
            listing.add(f"{name}/{number}.png", 1)
    return listing


def test_folders_of_numbers_are_classes_unless_the_task_is_regression():
    files, columns = find_targets(list_folders("18", "25", "3.5"), LabelChoices())
    assert files.classes == ("3.5", "18", "25")
    assert columns == ()
    (finding,) = (finding for finding in files.findings if finding.check == "task")
    assert "3 different numbers, 3.5 to 25; each is a class" in finding.cause
    assert "task=regression" in finding.remedy
    files, (column,) = find_targets(list_folders("18", "25", "3.5"), LabelChoices(task="regression"))
    assert (column.name, files.classes) == ("value", ())
    assert files.y.dtype == np.float64
    assert files.y[:, 0].tolist() == [3.5] * 3 + [18.0] * 3 + [25.0] * 3


def test_folders_of_words_and_codes_have_no_note():
    for names in (("cat", "dog"), ("007", "010"), ("1", "cat")):
        files, _ = find_targets(list_folders(*names), LabelChoices())
        assert all(finding.check != "task" for finding in files.findings)


def test_parts_of_folders_may_have_different_numbers():
    names = ("train/18", "train/25", "test/30", "test/31")
    files, _ = find_targets(list_folders(*names), LabelChoices(task="regression"))
    assert sorted(set(files.y[files.part == 2, 0].tolist())) == [30.0, 31.0]
    with pytest.raises(DataError, match="must be .* label|no label of the test rows"):
        find_targets(list_folders(*names), LabelChoices())


def test_a_regression_needs_numbers_as_names_of_folders():
    with pytest.raises(DataError, match="a number as the name of every class folder, got 'unknown'") as error:
        find_targets(list_folders("18", "25", "unknown"), LabelChoices(task="regression"))
    assert "task=regression" in error.value.remedy
    run = Spec("regression", (3, 8, 8), target="value")
    files, _ = find_targets(list_folders("18"), LabelChoices(run=run))
    assert files.y[:, 0].tolist() == [18.0] * 3


WORDS = "0 1 2 7 1.0 0.5 1,5 1.250 -3 1e3 NA None cat Cat yes no 007 12% $3 inf 2024-01-05 ５ é".split()  # noqa: SIM905
CELLS = st.sampled_from([*WORDS, "", "e\u0301"])


@given(
    st.lists(CELLS, min_size=4, max_size=40),
    st.sampled_from([None, "classification", "regression"]),
    st.integers(1, 12),
)
def test_one_column_means_what_it_means_in_a_table(tmp_path_factory, cells, task, copies):
    cells = cells * copies
    folder = tmp_path_factory.getbasetemp() / "lists"
    folder.mkdir(exist_ok=True)
    frame = pd.DataFrame({"feature": np.arange(len(cells)) % 7 + 0.5, "y": pd.Series(cells, dtype=object)})
    try:
        expected = tables.from_frame(frame, target="y", task=task)
    except YishengError as error:
        with pytest.raises(type(error)):
            read(folder, {"y": cells}, choices=LabelChoices(task=task))
        return
    targets = read(folder, {"y": cells}, choices=LabelChoices(task=task))
    assert targets.task == expected.spec.task
    assert targets.classes == expected.spec.classes
    assert targets.y[targets.is_labeled].tolist() == expected.y.tolist()
    assert [c.format for c in targets.columns] == (
        [c.format for c in expected.spec.target_columns] if expected.spec.task == "regression" else []
    )


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30), st.sampled_from([None, "regression", "multilabel"]))
def test_any_two_columns_are_read_or_refused(tmp_path_factory, rows, task):
    folder = tmp_path_factory.getbasetemp() / "lists"
    folder.mkdir(exist_ok=True)
    columns = dict(zip(("a", "b"), zip(*rows, strict=True), strict=True))
    try:
        targets = read(folder, columns, choices=LabelChoices(task=task))
    except YishengError:
        return
    assert len(targets.y) == len(targets.is_labeled) == len(rows)
    assert task is None or targets.task == task
    if targets.task == "regression":
        assert np.isfinite(targets.y).all()
        assert targets.y.shape[1] == len(targets.columns)

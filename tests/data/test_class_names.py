"""Names of classes: forms of one name, matching by name, and labels that no training row has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng import DataError, UsageError
from yisheng.data.class_names import FORMS, find_forms, find_merged, match_classes, normalize_name, parse_forms
from yisheng.data.part_labels import check_part_labels

NAMES = st.text(alphabet="aAbB.-_ '\"0１é", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("form", "name", "result"),
    [
        ("strip-dot", "<=50K.", "<=50K"),
        ("strip-dot", "猫。", "猫"),
        ("strip-dot", "...", "..."),  # nothing would be left
        ("casefold", "Straße", "strasse"),
        ("blanks", "\u3000New \u00a0 York\u200b", "New York"),
        ("separators", "golden_retriever-dog", "golden retriever dog"),
        ("unquote", "“yes”", "yes"),
        ("unquote", "'", "'"),
        ("nfkc", "ＡＢ１", "AB1"),
        ("nfkc", "e\u0301", "é"),
    ],
)
def test_forms_remove_one_difference(form, name, result):
    assert normalize_name(name, [form]) == result


@given(NAMES, st.sets(st.sampled_from(sorted(FORMS))))
def test_a_name_in_a_form_stays_as_it_is(name, forms):
    normal = normalize_name(name, forms)
    assert normal
    assert normalize_name(normal, forms) == normalize_name(normalize_name(normal, forms), forms)


@pytest.mark.parametrize(
    ("model", "rows", "forms"),
    [
        (["<=50K", ">50K"], ["<=50K.", ">50K."], ("strip-dot",)),
        (["cat", "dog"], ["Cat", "DOG"], ("casefold",)),
        (["cat", "dog"], ["'Cat.'", "'dog.'"], ("unquote", "strip-dot", "casefold")),
        (["golden retriever", "cat"], ["golden_retriever", "cat"], ("separators",)),
        (["cat", "Cat"], ["CAT"], ()),  # the form would merge two classes of the model
        (["cat", "dog"], ["ant", "bee"], ()),
    ],
)
def test_the_fewest_forms_by_which_names_match_are_suggested(model, rows, forms):
    assert find_forms(model, rows) == forms


@pytest.mark.parametrize(
    ("model", "rows", "numbers"),
    [
        (["0", "1", "10"], ["1.0", "10", "0"], (1, 2, 0)),
        (["007", "7"], ["7.0", "007", "7"], (1, 0, 1)),
        (["No", "Yes"], ["yes", "NO", "Yes"], (1, 0, 1)),
        (["no", "yes"], ["0", "1"], (-1, -1)),
        (["cat", "dog"], ["Cat", "dog"], (-1, 1)),
    ],
)
def test_numbers_and_yes_and_no_match_in_every_spelling(model, rows, numbers):
    match = match_classes(model, rows)
    assert match.numbers == numbers
    assert match.unknown == tuple(name for name, number in zip(rows, numbers, strict=True) if number < 0)


def test_unknown_forms_are_refused_with_a_suggestion():
    with pytest.raises(UsageError, match="no such form") as error:
        parse_forms("strip-dots")
    assert "strip-dot" in error.value.remedy
    assert parse_forms("none") == ()


def test_labels_can_be_renamed():
    forms = parse_forms("1:ill,casefold,0:healthy")
    assert forms == ("casefold", "1:ill", "0:healthy")
    assert [normalize_name(name, forms) for name in ("1.0", "0", "Other")] == ["ill", "healthy", "other"]


def test_names_that_differ_in_form_are_found_but_letters_are_not():
    assert find_merged(["cat", "Cat", "dog"]) == (("casefold",), (("cat", "Cat"),))
    assert find_merged(["a", "A", "b"]) == ((), ())


def check(train, test, **options):
    classes = sorted({*train, *test})
    y = np.array([classes.index(name) for name in (*train, *test)])
    part = np.repeat([0, 2], [len(train), len(test)])
    return check_part_labels("adult", classes, y, part, **options)


def test_a_test_part_without_any_training_label_is_refused_with_both_lists():
    with pytest.raises(DataError) as error:
        check(["<=50K", ">50K"], ["<=50K.", ">50K."])
    assert "training rows have '<=50K', '>50K'; test rows have '<=50K.', '>50K.'" in error.value.problem
    assert error.value.remedy.startswith("use labels=strip-dot")
    with pytest.raises(DataError) as error:
        check(["a", "b"], ["c"], has_forms=False)
    assert "labels=" not in error.value.remedy


def test_some_test_labels_without_training_rows_are_a_finding_with_counts():
    (finding,) = check(["cat", "dog"], ["cat", "ant", "ant", "bee"])
    assert finding.severity == "warning"
    assert finding.evidence["rows"] == {"ant": 2, "bee": 1}
    assert "3 validation and test rows" in finding.cause
    (finding,) = check(["cat", "dog"], ["cat", "dog."])
    assert finding.remedy.startswith("use labels=strip-dot")


def test_training_labels_that_differ_in_form_are_a_finding():
    (finding,) = check(["yes sir", "Yes sir", "no"], ["no"])
    assert finding.evidence["rows"] == {"Yes sir": 1, "yes sir": 1}
    assert "labels=casefold" in finding.remedy


def test_labels_of_several_columns_are_counted_by_column():
    y = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    with pytest.raises(DataError, match="no label of the test rows"):
        check_part_labels("photos", ["sea", "sky", "Sea"], y, np.array([0, 0, 2]))

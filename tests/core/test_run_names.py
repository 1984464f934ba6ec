"""Names and notes of runs: any script, no control characters, and folder names that every file system takes."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import UsageError
from yisheng.core.run_names import MAX_NAME_BYTES, check_notes, check_run_name, make_label
from yisheng.core.settings import merge_settings


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("baseline", "baseline"),
        (" lr 0.1, wide ", "lr-0.1-wide"),
        ("基线 (第二次)", "基线-第二次"),
        ("cafe\u0301", "caf\u00e9"),
        ("हिन्दी", "हिन्दी"),
        ("..x..", "x"),
        ("a" * MAX_NAME_BYTES, "a" * MAX_NAME_BYTES),
    ],
)
def test_names_become_labels(name, label):
    assert make_label(check_run_name(name)) == label


@pytest.mark.parametrize(
    "name",
    [
        *("", "  ", "/", "a/b", "a\\b", "..", "...", "--", "!?"),
        *("a\nb", "a\x1b[2J", "a\x00", "a\u202eb", "a\u200bb", "a\u2028b", "\ud800"),
        *("a" * (MAX_NAME_BYTES + 1), "基" * 41),
    ],
    ids=ascii,
)
def test_hostile_names_are_refused(name):
    with pytest.raises(ValueError, match="name"):
        check_run_name(name)
    if name.strip():
        with pytest.raises(UsageError, match="name must be a name"):
            merge_settings([("name", name, "command line")])


@given(st.text())
def test_labels_are_names_of_files(name):
    label = make_label(name)
    assert os.path.basename(label) == label  # noqa: PTH119  # of text that may be no path
    assert not label.startswith(".")
    assert not label.endswith((".", " "))
    assert make_label(label) == label


def test_notes_may_have_lines_but_no_control_characters():
    assert check_notes(" first\n\tsecond ") == "first\n\tsecond"
    for notes in ("\x1b[2J", "a\x00b", "x" * 10_001):
        with pytest.raises(ValueError, match="text"):
            check_notes(notes)


def test_name_and_notes_are_read_from_the_shell_and_from_none():
    config = merge_settings([("name", "a", "command line"), ("notes", "b, c", "command line")]).config
    assert (config.name, config.notes) == ("a", "b, c")
    assert merge_settings([("name", "none", "command line")]).config.name is None

"""Exit codes of the errors."""

import signal

import pytest

from yisheng.core import errors


@pytest.mark.parametrize(
    ("error_class", "code"),
    [
        (errors.YishengError, 1),
        (errors.StorageError, 1),
        (errors.UsageError, 2),
        (errors.DataError, 3),
        (errors.NonFiniteError, 4),
        (errors.MissingPartError, 5),
    ],
)
def test_exit_codes_are_as_documented(error_class, code):
    error = error_class("the problem", "the remedy")
    assert error.code == code
    assert str(error).splitlines() == ["the problem", "  the remedy"]


def test_a_signal_gives_128_plus_its_number():
    assert errors.StoppedError(signal.SIGINT, "p", "r").code == 130
    assert errors.StoppedError(signal.SIGTERM, "p", "r").code == 143

"""A block of inputs with their names and notes, and the sentence that lists what a model accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.tables.later_tables import source_names

COLOR_CHANNELS = (1, 3)
"""Numbers of channels that an image file or an image in memory can be converted to."""


@dataclass(frozen=True)
class InputBlock:
    """Inputs of a network as one array, with what a prediction says about each.

    Args:
        x: inputs ``(N, *shape)``, before the fitted transforms.
        names: of the inputs: a file, or a number.
        notes: on each input, how it was changed.
    """

    x: np.ndarray
    names: list[str]
    notes: list[tuple[str, ...]]

    @classmethod
    def from_array(cls, x: np.ndarray, notes: Sequence[str] = ()) -> InputBlock:
        """Return inputs that are named by their numbers; notes on all of them belong to the first."""
        return cls(x, [str(number) for number in range(len(x))], place_on_first(tuple(notes), len(x)))


def place_on_first(notes: tuple[str, ...], count: int) -> list[tuple[str, ...]]:
    """Return the notes of each of some inputs: notes on all of them belong to the first.

    >>> place_on_first(("a note",), 2)
    [('a note',), ()]
    """
    return [notes, *[()] * (count - 1)][:count]


def list_forms(spec: Spec) -> str:
    """Return the forms of input that a model accepts, as a remedy.

    >>> list_forms(Spec("regression", (2,)))
    'give a CSV file, a DataFrame, a row of 2 values or a list of rows, or an array (N, 2)'
    """
    sizes = ", ".join(map(str, spec.shape))
    if spec.is_image and spec.shape[0] in COLOR_CHANNELS:
        return Message(
            "give a path, a PIL image, the bytes or the open file of an image, a list of these, or an array (H, W), "
            "(H, W, 3), (N, H, W), (N, H, W, 3) or (N, {sizes})",
            sizes=sizes,
        )
    if spec.is_image:
        return Message(
            "give an array, a tensor or nested lists of the shape (N, {sizes}), or ({sizes}) for one input", sizes=sizes
        )
    if not spec.is_row:
        return Message(
            "give an array, a tensor or nested lists of the shape (N, {sizes}), or ({sizes}) for one input; or a file "
            "of them (.npy, .npz, .h5, .json)",
            sizes=sizes,
        )
    if any(column.source for column in spec.columns):
        return Message(
            "give a CSV file, a DataFrame, a dict or list of dicts by column name, or rows with the {count} columns in "
            "the order of training",
            count=len(source_names(spec)),
        )
    return Message(
        "give a CSV file, a DataFrame, a row of {count} values or a list of rows, or an array (N, {sizes})",
        count=spec.shape[0],
        sizes=sizes,
    )


def refuse(inputs: str, spec: Spec) -> NoReturn:
    """Raise the error for inputs that a model cannot take.

    Raises:
        DataError: always; its remedy lists the accepted forms.
    """
    accepted = Message("images") if spec.is_image else Message("inputs")
    raise DataError(
        Message(
            "the model takes {accepted} of shape {shape}, got {inputs}",
            accepted=accepted,
            shape=spec.shape,
            inputs=inputs,
        ),
        list_forms(spec),
    )


def describe(value: Any) -> str:
    """Return what a value is, for an error.

    >>> describe(np.zeros((2, 3))), describe([1, 2]), describe(None)
    ('an array of shape (2, 3)', 'a list of 2', 'None')
    """
    if isinstance(value, np.ndarray):
        return Message("an array of shape {shape}", shape=value.shape)
    if value is None:
        return "None"
    kind = type(value).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    return f"{article} {kind} of {len(value)}" if isinstance(value, list | tuple | dict) else f"{article} {kind}"

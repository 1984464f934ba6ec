"""Tell numbers in a loss that a gradient was cut from, such as a penalty, from those of the batch or of a schedule."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from yisheng.diagnosis.recorder.number_terms import NumberSeries, NumberTerm

MIN_VALUES, FIRST_CHANGES = 8, 4
"""Different numbers of a series, and changes between the first of them, which are those of consecutive steps."""
MAX_CHANGE = 0.1
"""Largest of the first changes relative to the range of all numbers: a function of the weights moves as slowly as they
do, and that of a batch takes another value in each step."""
MIN_RANGE = 1e-3
"""Range of the numbers relative to the largest: below that nothing changes."""
MAX_RATIO_ERROR = 1e-4
"""Error of the ratio of a number to what the program has read from a value with a gradient: of float32."""


def is_cut(series: NumberSeries) -> bool:
    """Return whether a number in the loss has lost its gradient: it is a function of the weights or of the outputs.

    >>> terms = [NumberTerm(2 + 0.01 * step, 1.0, ()) for step in (1, 2, 3, 4, 5, 10, 20, 40, 80)]
    >>> is_cut(NumberSeries("", terms)), is_cut(NumberSeries("", terms[::2] + terms[1::2]))
    (True, False)
    """
    return moves_slowly([term.value for term in series.terms]) or is_proportional(series.terms)


def moves_slowly(values: Sequence[float]) -> bool:
    """Return whether some numbers of consecutive and later steps change little at first, and much in all."""
    values = [value for value, _ in itertools.groupby(values)]
    if len(values) < MIN_VALUES:
        return False
    extent = max(values) - min(values)
    changes = [abs(second - first) for first, second in itertools.pairwise(values[: FIRST_CHANGES + 1])]
    return extent >= MIN_RANGE * max(map(abs, values)) and max(changes) <= MAX_CHANGE * extent


def is_proportional(terms: Sequence[NumberTerm]) -> bool:
    """Return whether the numbers are one that the program has read from a value with a gradient, times a factor.

    The value itself may be subtracted from the sum that it is in, so that only its gradient remains.
    """
    count = min((len(term.reads) for term in terms), default=0)
    values = [term.value for term in terms]
    if len(terms) < MIN_VALUES or max(values) - min(values) < MIN_RANGE * max(map(abs, values)):
        return False
    for index in range(count):
        reads = [term.reads[index] for term in terms]
        if any(read == 0 for read in reads) or all(
            read == term.operand for read, term in zip(reads, terms, strict=True)
        ):
            continue
        ratios = [value / read for value, read in zip(values, reads, strict=True)]
        if max(ratios) - min(ratios) <= MAX_RATIO_ERROR * abs(ratios[0]):
            return True
    return False

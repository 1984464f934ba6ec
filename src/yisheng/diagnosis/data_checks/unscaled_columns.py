"""Inputs that a network gets as they are, far from mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import join_names

MAX_STD, MAX_MEAN_IN_STDS, MAX_RATIO = 10.0, 10.0, 1e3
"""Standard deviation of all values; mean of a column in its standard deviations; largest over smallest standard
deviation of the columns."""
MAX_NAMES = 3
"""Columns that the sentence names."""


@register(cost="cheap", fits=lambda spec: spec.is_numeric, raw=True)
def unscaled_columns(sample: Sample) -> Iterator[Finding]:
    """Find inputs with large values, or columns of very different scales. A program may scale them later: a note.

    Args:
        sample: its training rows.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.3.
    """
    rows = sample.draw_rows("train", 1000)
    x = np.asarray(sample.x[rows], np.float64)
    finite = x[np.isfinite(x)]
    if len(rows) < 2 or not finite.size:
        return
    problem, evidence = "", {"mean": float(finite.mean()), "std": float(finite.std())}
    if sample.spec.is_row:
        problem = _compare_columns(sample, x, evidence)
    if not problem and finite.std() > MAX_STD:
        largest = np.abs(finite).max()
        problem = Message(
            "the standard deviation of the inputs is {std} (values up to {largest})",
            std=f"{finite.std():.3g}",
            largest=f"{largest:.3g}",
        )
    if problem:
        yield Finding(
            "unscaled-columns",
            "note",
            evidence,
            Message("the inputs are not scaled: {problem}", problem=problem),
            Message(
                "unless your program does, subtract the mean and divide by the standard deviation of the training rows",
            ),
        )


def _compare_columns(sample: Sample, x: np.ndarray, evidence: dict[str, float]) -> str:
    """Return what is wrong with the scales of the columns, and add it to the evidence; empty if nothing is."""
    means, stds = np.nanmean(x, 0, where=np.isfinite(x)), np.nanstd(x, 0, where=np.isfinite(x))
    varying = np.flatnonzero(stds > 0)
    if len(varying) < 2:
        return ""
    ratio = float(stds[varying].max() / stds[varying].min())
    evidence["ratio of columns"] = ratio
    if ratio > MAX_RATIO and stds.max() > 1:
        largest, smallest = varying[stds[varying].argmax()], varying[stds[varying].argmin()]
        return Message(
            "the standard deviation of {column_name} is {ratio} times that of {column_name_2}",
            column_name=sample.column_name(largest),
            ratio=f"{ratio:.3g}",
            column_name_2=sample.column_name(smallest),
        )
    distant = varying[np.abs(means[varying]) > MAX_MEAN_IN_STDS * stds[varying]]
    names = [sample.column_name(number) for number in distant]
    return (
        Message("the mean of {names} is far from zero", names=join_names(names, MAX_NAMES))
        if len(distant) > len(varying) / 2
        else ""
    )

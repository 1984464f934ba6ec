"""Inputs that a network sees in evaluation next to those of training: what has been changed in one of them only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.input_views import (
    Candidate,
    list_channel_orders,
    list_layouts,
    to_channels,
    view_channels,
    view_layout,
)
from yisheng.diagnosis.row_distance import find_match
from yisheng.diagnosis.series_rates import MIN_SAMPLES, find_rate_change
from yisheng.diagnosis.wrapped_bytes import find_wrapped_rows

CHECK = "evaluated-inputs"
MIN_ROWS, MAX_ROWS = 64, 256
"""Rows of each side without which distributions are not known, and those that are compared."""
MAX_PATTERN_CORRELATION, MIN_RELIABILITY = 0.2, 0.8
"""Correlation of the mean row of training with that of evaluation, and that of the mean rows of two halves of one of
them. Flips and crops of training leave the symmetric part of a pattern, which is then the stronger one."""
MIN_PATTERN_STD, MIN_PATTERN_RATIO = 0.3, 0.5
"""Standard deviation of the values of a mean row relative to that of the values at one place, and relative to that of
the other side."""
MIN_PATTERN_VALUES = 16
"""Values of a row, below which a mean row is not a pattern."""
MIN_SERIES_VALUES, MIN_NEIGHBORS, MAX_NEIGHBORS, MAX_STD_RATIO = 8, 0.6, 0.15, 1.5
"""Values of a series, correlation of neighboring ones in evaluation and in training, and ratio of the standard
deviations: noise that leaves so little of the correlation doubles the standard deviation."""


@dataclass(frozen=True)
class Difference:
    """What differs between the inputs of training and those of evaluation.

    Args:
        description: of the inputs of evaluation.
        remedy: what to do.
        evidence: numbers.
    """

    description: str
    remedy: str
    evidence: dict[str, float] = field(default_factory=dict)


def find_changed_inputs(case: Case) -> Iterator[Finding]:
    """Yield how the inputs of evaluation have been changed, compared with those of training.

    Rows of every recorded batch and of the first evaluation are compared. Places of the program that evaluate training
    rows are left out, and all others must differ: robustness, for example, is measured on changed rows on purpose.

    Args:
        case: the training.
    """
    rows = join_samples([record.sample for record in case.records if record.sample is not None])
    prepared = [_prepare(sample) for sample in case.evaluated.samples.list_samples()]
    samples = [sample for sample in prepared if sample is not None]
    if rows is None or len(rows) < MIN_ROWS or not samples:
        return
    is_trained = [_has_equal_row(rows, sample) for sample in samples]
    if not all(is_trained):
        samples = [sample for sample, is_same in zip(samples, is_trained, strict=True) if not is_same]
    differences = []
    for sample in samples:
        difference = compare_rows(rows, sample)
        if difference is None:
            return
        differences.append(difference)
    first = differences[0]
    yield Finding(
        CHECK,
        "error",
        {"rows of training": len(rows), "rows of evaluation": len(samples[0]), **first.evidence},
        Message("the inputs of evaluation differ from those of training: {description}", description=first.description),
        first.remedy,
        source=case.sources.get("evaluation", ""),
    )


def join_samples(samples: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Return up to `MAX_ROWS` rows of the first sample's shape, evenly distributed; None if they are not numbers."""
    matching = [sample for sample in samples if sample.shape[1:] == samples[0].shape[1:]]
    return _prepare(torch.cat(matching)) if matching else None


def compare_rows(rows: torch.Tensor, evaluated: torch.Tensor) -> Difference | None:
    """Return what differs between two samples of rows, or None if nothing does that a change explains.

    Args:
        rows: of training ``(N, ...)``.
        evaluated: of evaluation ``(M, ...)``.
    """
    if min(len(rows), len(evaluated)) < MIN_ROWS or rows.shape[1:] != evaluated.shape[1:]:
        return None
    if not float(rows.std()) > 0:
        return None
    if bool((evaluated == evaluated[:1]).all()) and not bool((rows == rows[:1]).all()):
        return Difference(
            Message("all {count} rows are the same", count=len(evaluated)),
            Message(
                "look at one batch of the evaluation: rows that are standardized by themselves become zero, use the "
                "mean and standard deviation of the training rows"
            ),
        )
    for find in (_find_channel_order, _find_layout, _find_rate, _find_wraps, _find_shuffled_series, _find_pattern):
        difference = find(rows, evaluated)
        if difference is not None:
            return difference
    return None


def _find_channel_order(rows: torch.Tensor, evaluated: torch.Tensor) -> Difference | None:
    a, b = (part if part.ndim == 2 else to_channels(part) for part in (rows, evaluated))
    if a is None or b is None:
        return None
    candidates = list(list_channel_orders(a, b))
    views = [view if a.ndim == 2 else view_channels(view) for view in (a, b, *(c.change(b) for c in candidates))]
    return _match(
        views,
        candidates,
        Message("read the rows of both parts by the same code: one order of the columns or channels (PIL reads RGB, "
                "OpenCV BGR)"),
    )  # fmt: skip


def _find_layout(rows: torch.Tensor, evaluated: torch.Tensor) -> Difference | None:
    a, b = to_channels(rows), to_channels(evaluated)
    if a is None or b is None:
        return None
    candidates = list(list_layouts(a, b))
    views = [view_layout(part) for part in (a, b, *(candidate.change(b) for candidate in candidates))]
    return _match(views, candidates, Message("read and transform the rows of both parts by the same code"))


def _match(views: Sequence[torch.Tensor], candidates: Sequence[Candidate], remedy: str) -> Difference | None:
    match = find_match(views[0], views[1:]) if candidates else None
    if match is None:
        return None
    evidence = {"distance": match.distance, "distance after the inverse change": match.remaining}
    return Difference(candidates[match.number].description, remedy, evidence)


def _find_rate(rows: torch.Tensor, evaluated: torch.Tensor) -> Difference | None:
    if rows.ndim == 2:
        rows, evaluated = rows[:, None], evaluated[:, None]
    elif rows.ndim == 3 and rows.shape[2] < MIN_SAMPLES <= rows.shape[1]:
        rows, evaluated = rows.transpose(1, 2), evaluated.transpose(1, 2)
    change = find_rate_change(rows, evaluated) if rows.ndim == 3 else None
    if change is None:
        return None
    evidence = {"ratio": change.ratio, "distance": change.distance, "distance at that rate": change.remaining}
    return Difference(
        Message(
            "their frequencies are those of training divided by {ratio}, as with another sampling rate",
            ratio=f"{change.ratio:.2g}",
        ),
        Message("resample all recordings to one rate before the network, such as torchaudio.functional.resample"),
        evidence,
    )


def _find_wraps(rows: torch.Tensor, evaluated: torch.Tensor) -> Difference | None:
    wrapped = find_wrapped_rows(rows, evaluated)
    if wrapped is None:
        return None
    return Difference(
        Message(
            "the bytes of training wrap around: of {fraction} of its images the darkest values are the brightest ones "
            "plus something, minus 256 (in evaluation: {other})",
            fraction=f"{wrapped.fraction:.0%}",
            other=f"{wrapped.other_fraction:.0%}",
        ),
        Message("convert bytes to float before the augmentation, and clamp: (x.float() + amount).clamp(0, 255)"),
        {"fraction that wraps around": wrapped.fraction, "in evaluation": wrapped.other_fraction},
    )


def _find_shuffled_series(rows: torch.Tensor, evaluated: torch.Tensor) -> Difference | None:
    """Return that neighboring values of a series have nothing in common in training, and much in evaluation."""
    if rows.ndim != 2 or rows.shape[1] < MIN_SERIES_VALUES:
        return None
    ratio = float(rows.std()) / max(float(evaluated.std()), 1e-12)
    in_training, in_evaluation = _correlate_neighbors(rows), _correlate_neighbors(evaluated)
    if (
        abs(in_training) > MAX_NEIGHBORS
        or in_evaluation < MIN_NEIGHBORS
        or not 1 / MAX_STD_RATIO < ratio < MAX_STD_RATIO
    ):
        return None
    return Difference(
        Message(
            "neighboring values of a row have a correlation of {other}, and in training one of {correlation}: the "
            "series of training was shuffled before it was cut into windows",
            other=f"{in_evaluation:.2f}",
            correlation=f"{in_training:.2f}",
        ),
        Message("cut the windows first, in the order of time, and shuffle them afterwards (DataLoader(shuffle=True))"),
        {"correlation of neighbors": in_evaluation, "in training": in_training},
    )


def _correlate_neighbors(rows: torch.Tensor) -> float:
    """Return the mean correlation of each column with the next one."""
    z = rows - rows.mean(0)
    z = z / z.norm(dim=0).clamp(min=1e-12)
    return float((z[:, 1:] * z[:, :-1]).sum(0).mean())


def _find_pattern(rows: torch.Tensor, evaluated: torch.Tensor) -> Difference | None:
    """Return that the mean rows have nothing in common, though both are known well."""
    a, b = rows.flatten(1), evaluated.flatten(1)
    if a.shape[1] < MIN_PATTERN_VALUES:
        return None
    mean, other_mean = a.mean(0), b.mean(0)
    correlation = _correlate(mean, other_mean)
    reliability = min(_correlate(part[::2].mean(0), part[1::2].mean(0)) for part in (a, b))
    strengths = [float(part.mean(0).std()) / max(float(part.std(0).mean()), 1e-12) for part in (a, b)]
    ratio = float(mean.std()) / max(float(other_mean.std()), 1e-12)
    if correlation > MAX_PATTERN_CORRELATION or reliability < MIN_RELIABILITY or min(strengths) < MIN_PATTERN_STD:
        return None
    if not MIN_PATTERN_RATIO < ratio < 1 / MIN_PATTERN_RATIO:
        return None
    return Difference(
        Message(
            "the mean of all rows has another pattern; its correlation with that of training is {correlation}, and "
            "that of two halves of one part {reliability}",
            correlation=f"{correlation:.2f}",
            reliability=f"{reliability:.2f}",
        ),
        Message(
            "look at a few inputs of both: inverted or swapped values, another order of the axes, or bytes that wrap "
            "around (250 + 20 is 14 as uint8: convert to float and clamp)"
        ),
        {"correlation of the mean rows": correlation, "of two halves": reliability},
    )


def _correlate(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 0 else 0.0


def _prepare(sample: torch.Tensor) -> torch.Tensor | None:
    """Return rows of finite floating-point numbers or bytes as float32 on the processor, or None."""
    if not sample.is_floating_point() and sample.dtype != torch.uint8:
        return None
    rows = sample[:: -(-len(sample) // MAX_ROWS)].float().cpu()
    return rows if rows.numel() and bool(torch.isfinite(rows).all()) else None


def _has_equal_row(rows: torch.Tensor, evaluated: torch.Tensor) -> bool:
    if rows.shape[1:] != evaluated.shape[1:]:
        return False
    contents = {row.numpy().tobytes() for row in rows}
    return any(row.numpy().tobytes() in contents for row in evaluated)

"""Find an evaluation whose inputs are drawn again each time: the random transform of training changes them, too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import MIN_MATCHED, find_given_fraction, find_passed_fraction
from yisheng.diagnosis.moved_images import SEPARATE_DATASETS
from yisheng.diagnosis.recorder.course import REPORTED
from yisheng.diagnosis.recorder.input_samples import thin_rows
from yisheng.diagnosis.recorder.repeated_evaluations import RepeatedBatch
from yisheng.diagnosis.validation_rows import measure_loss

CHECK = "evaluated-inputs"
MIN_ROWS, MIN_REDRAWN = 24, 0.2
"""Rows that are compared, and the fraction of them that must be different in two evaluations: a transform that is drawn
with probability p changes 2 p (1 - p) of them."""
MAX_CHANGE = 1e-3
"""Difference of two rows relative to their size, up to which they are the same."""
MAX_RANK = 0.2
"""Mean rank of a row among those of its class, by how similar they are to its version, relative to their number: rows
that are other ones have 1/2."""
MIN_HARM, MIN_HARM_OF_GUESS = 0.15, 0.05
"""Excess of the evaluated loss over that of the rows as they are, relative to it, and relative to that of guessing."""
MIN_RIVALS = 4
"""Rows of the same class that a row is compared with; with fewer, those of all classes are."""


def find_redrawn_inputs(case: Case, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that each evaluation reads other random versions of the validation rows, with a larger loss than theirs.

    A program that also evaluates the rows as they are, or averages several versions of each row, does it on purpose,
    and so does one whose targets are as large as its inputs, from which it removes noise.

    Args:
        case: the finished training.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.

    Source: Shorten and Khoshgoftaar, "A survey on image data augmentation for deep learning", 2019; PyTorch
    documentation, torch.utils.data.random_split (the subsets have one data set).
    """
    if case.is_restored or not all(_is_pair_of_tensors(part) for part in (data, validation)):
        return
    x, y = (part.detach().cpu() for part in validation)
    if not x.is_floating_point() or y[:1].numel() >= x[:1].numel():
        return
    if not find_passed_fraction(case, data[0]) < MIN_MATCHED:
        return
    batches = [batch for batch in case.evaluated.repeats.list_batches() if batch.second is not None]
    samples = case.evaluated.samples.list_samples()
    if not batches or any(find_given_fraction(sample, validation[0]) >= MIN_MATCHED for sample in samples):
        return
    redrawn = max((_measure_redrawn(batch, thin_rows(x), y) for batch in batches), default=0.0)
    if redrawn < MIN_REDRAWN:
        return
    evaluated, unchanged = _find_last_loss(case, len(x)), measure_loss(case, validation)
    harm = evaluated - unchanged
    if not harm > max(MIN_HARM * unchanged, MIN_HARM_OF_GUESS * case.baseline_loss):  # also if one is unknown
        return
    yield Finding(
        CHECK,
        "warning",
        {"fraction redrawn": redrawn, "evaluated loss": evaluated, "loss of the rows as they are": unchanged},
        Message(
            "{fraction} of the compared validation rows are changed in another way in the next evaluation: a random "
            "transform changes them, as those of training; their loss is {evaluated}, and {unchanged} as they are",
            fraction=f"{redrawn:.0%}",
            evaluated=f"{evaluated:.3g}",
            unchanged=f"{unchanged:.3g}",
        ),
        SEPARATE_DATASETS,
        source=case.sources.get("evaluation", "") or case.sources.get("validation", ""),
    )


def _measure_redrawn(batch: RepeatedBatch, x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the fraction of rows that two evaluations read in different versions; 0 if they are not the given rows.

    Args:
        batch: of one place of the program.
        x: the given rows ``(N, ...)``, thinned out likewise.
        y: their targets ``(N, ...)``.
    """
    parts = [part.detach().cpu().float() for part in (batch.first, batch.second) if part is not None]
    rows = min(len(part) for part in parts)
    if batch.evaluated > len(x):
        return 0.0  # several versions of each row, the predictions of which are averaged
    if len(parts) < 2 or not MIN_ROWS <= rows <= len(x) or any(part.shape[1:] != x.shape[1:] for part in parts):
        return 0.0
    first, second = (part[:rows] for part in parts)
    references, targets = x[:rows].float(), y[:rows]
    if max(measure_rank(part, references, targets) for part in (first, second)) > MAX_RANK:
        return 0.0
    return min(_measure_changed(first, second), _measure_changed(first, references))


def measure_rank(rows: torch.Tensor, references: torch.Tensor, targets: torch.Tensor) -> float:
    """Return how near rows are to the references of the same number: 0 if they are the nearest ones, 1/2 at random.

    Only references with the same target are rivals if the targets are classes. Two rows are compared by the correlation
    of their values as they are, and of their sorted values, which mirrored images have in common; images also by the
    largest correlation of all places that one of them, mirrored or rotated by right angles, may be moved to.

    Args:
        rows: versions ``(n, ...)``.
        references: rows ``(n, ...)`` of which they may be versions.
        targets: of the references ``(n, ...)`` or more.

    >>> x = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    >>> measure_rank(x + 0.01, x, torch.arange(8) % 2), round(measure_rank(x.roll(2, 0), x, torch.arange(8) % 2), 1)
    (0.0, 0.6)
    """
    count = len(rows)
    labels = targets[:count].reshape(count, -1)
    is_rival = torch.ones(count, count, dtype=torch.bool)
    if labels.shape[1] == 1:
        is_equal = labels == labels.T
        is_rival = torch.where((is_equal.sum(1) > MIN_RIVALS)[:, None], is_equal, is_rival)
    is_rival &= ~torch.eye(count, dtype=torch.bool)
    ranks = [math.inf]
    a, b = _normalize(rows), _normalize(references)
    similarities = [
        a @ b.T,
        _normalize(rows.flatten(1).sort(1).values) @ _normalize(references.flatten(1).sort(1).values).T,
    ]
    if rows.ndim == 4:
        similarities.append(_correlate_images(a.view_as(rows), b.view_as(rows)))
    for similarity in similarities:
        is_nearer = (similarity > similarity.diagonal()[:, None]) & is_rival
        ranks.append(float((is_nearer.sum(1) / is_rival.sum(1).clamp(min=1)).mean()))
    return min(ranks)


def _correlate_images(images: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Return the largest correlation ``(n, n)`` of images ``(n, C, H, W)`` with others, moved, mirrored or rotated."""
    views = [references, references.flip(-1)]
    if references.shape[-1] == references.shape[-2]:
        views += [references.rot90(turns, (-2, -1)) for turns in (1, 2, 3)]
    spectra = torch.fft.rfft2(images)
    maps = []
    for part in views:
        product = torch.einsum("nchw,mchw->nmhw", spectra, torch.fft.rfft2(part).conj())
        maps.append(torch.fft.irfft2(product, s=images.shape[-2:]).flatten(2).amax(2))
    return torch.stack(maps).amax(0)


def _measure_changed(rows: torch.Tensor, references: torch.Tensor) -> float:
    """Return the fraction of rows that are different from references."""
    change = (rows - references).flatten(1).norm(dim=1)
    return float((change > MAX_CHANGE * references.flatten(1).norm(dim=1).clamp(min=1e-12)).float().mean())


def _find_last_loss(case: Case, rows: int) -> float:
    """Return the loss that was reported after the last update, or that of as many rows; NaN without one."""
    reports = case.course.series.get(REPORTED, [])
    evaluations = [series for key, series in case.course.series.items() if key != REPORTED and series[-1].rows == rows]
    for series in (reports, *evaluations):
        if series and series[-1].step == case.steps and math.isfinite(series[-1].loss):
            return series[-1].loss
    return math.nan


def _is_pair_of_tensors(pair: Any) -> bool:
    is_pair = isinstance(pair, tuple | list) and len(pair) == 2
    return is_pair and all(isinstance(part, torch.Tensor) and len(part) for part in pair)


def _normalize(rows: torch.Tensor) -> torch.Tensor:
    """Return rows of mean 0 and norm 1, ``(n, values)``."""
    rows = rows.flatten(1) - rows.flatten(1).mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)

"""Fit the out-of-distribution detector at the end of a training; see `yisheng.inference.ood`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from yisheng import transforms
from yisheng.core import nested
from yisheng.core.modes import evaluation_mode
from yisheng.core.seeds import generator
from yisheng.core.spec import Spec
from yisheng.data.batches import Batches
from yisheng.inference._ood_features import (
    FeatureSource,
    capture_features,
    choose_feature_sources,
    compute_mahalanobis_distance,
    compute_range_excess,
    find_number_columns,
    fit_whitening,
    select_numbers,
)
from yisheng.inference.ood import (
    QUANTILE_LEVELS,
    RANGE_TOLERANCE,
    THRESHOLD,
    Component,
    ComponentKind,
    OODDetector,
    compute_energy,
)

MAX_ROWS_PER_PART = 2048
MIN_ROWS = 20
"""With fewer rows no detector is fitted."""
FOLDS = 5
"""A row of a table is scored by what was fitted on the other folds."""
MIN_ROWS_FOR_EMPIRICAL_THRESHOLD = 1000
"""With fewer held-out rows the threshold is extrapolated from the tail."""
TAIL = 0.1
"""Fraction of the held-out rows that the extrapolation uses."""


def fit_ood_detector(
    model: nn.Module, spec: Spec, train: Batches, held_out: Batches, *, seed: int
) -> OODDetector | None:
    """Fit a detector of inputs that do not come from the distribution of the training data.

    For images it uses the Mahalanobis distance to the nearest class, in the means and standard deviations of the maps
    of up to three convolutions (without convolutions: of the image itself and its edges) and in the input of the last
    layer; and the energy -log Σ exp(output). For sequences, ids and other inputs it uses the same of the network, but
    not the input itself. For rows it uses the same distance in the scaled numbers, and how far a value is outside its
    column's range, as a fraction of the range. Each score is scaled by its distribution on held-out rows, and the
    largest one decides.

    Weights, modes and global random generators are unchanged.

    Args:
        model: the network with its best weights.
        spec: the contract of the raw data.
        train: batches of the training part; at most `MAX_ROWS_PER_PART` of its rows are used.
        held_out: batches of the validation part. If an image set has none, half of the training rows take its place;
            the network has seen those, so more than 1 in 200 new inputs will warn.
        seed: of the choice of rows.

    Returns:
        None if there are too few rows, or none that differ.

    Source: Lee et al., "A simple unified framework for detecting out-of-distribution samples and adversarial
    attacks", 2018, section 2; Liu et al., "Energy-based out-of-distribution detection", 2020, section 3.
    """
    fitting, calibration = _sample_rows(train, seed), _sample_rows(held_out, seed)
    if len(calibration.rows) < MIN_ROWS and not spec.is_row:
        half = len(fitting.rows) // 2
        fitting, calibration = replace(fitting, rows=fitting.rows[:half]), replace(fitting, rows=fitting.rows[half:])
    if len(fitting.rows) < MIN_ROWS:
        return None
    if spec.is_row:
        return _fit_for_rows(spec, fitting, calibration)
    return _fit_on_features(model, spec, fitting, calibration)


def _fit_on_features(model: nn.Module, spec: Spec, fitting: Batches, calibration: Batches) -> OODDetector | None:
    sources = [source for source in choose_feature_sources(model) if spec.is_image or source.kind != "image"]
    features, _, targets = _read_features(model, sources, fitting)
    held_out_features, held_out_output, _ = _read_features(model, sources, calibration)
    labels = targets if spec.task == "classification" else None
    components, scores = [], []
    for source, x in features.items():
        whitening = fit_whitening(x, labels)
        if whitening is not None:
            projection, means = whitening
            scores.append(compute_mahalanobis_distance(held_out_features[source], projection, means))
            components.append(Component(source.kind, source.layer, projection=projection, means=means))
    if spec.task == "classification" and spec.outputs > 1:
        scores.append(compute_energy(held_out_output))
        components.append(Component("energy"))
    return _calibrate(components, scores)


def _fit_for_rows(spec: Spec, fitting: Batches, calibration: Batches) -> OODDetector | None:
    """Fit on all rows; calibrate on the held-out rows, and on each fold with what was fitted on the other folds."""
    (x, raw, y), (held_out_x, held_out_raw, _) = (_read_rows(part) for part in (fitting, calibration))
    labels = y if spec.task == "classification" else None
    number_features = find_number_columns(transforms.transform_spec(fitting.scale, spec))  # type: ignore[arg-type]  # a fitted transform
    x, held_out_x = (select_numbers(values, number_features) for values in (x, held_out_x))
    range_columns = find_number_columns(spec)
    raw, held_out_raw = raw[:, range_columns], held_out_raw[:, range_columns]
    if not len(range_columns):
        return None
    low, high = _compute_ranges(raw)
    whitening = fit_whitening(x, labels) if len(number_features) else None
    distances, excesses = [], [compute_range_excess(held_out_raw, low, high, high - low)]
    if whitening is not None:
        distances.append(compute_mahalanobis_distance(held_out_x, *whitening))
    for fold in range(FOLDS):
        in_fold = torch.arange(len(x)) % FOLDS == fold
        if whitening is not None:
            fold_whitening = fit_whitening(x[~in_fold], None if labels is None else labels[~in_fold])
            distances.append(compute_mahalanobis_distance(x[in_fold], *(fold_whitening or whitening)))
        excesses.append(compute_range_excess(raw[in_fold], *_compute_ranges(raw[~in_fold]), high - low))
    components, scores = [Component("range")], [torch.cat(excesses)]
    if whitening is not None:
        projection, means = whitening
        components.append(Component("numbers", projection=projection, means=means))
        scores.append(torch.cat(distances))
    detector = _calibrate(components, scores)
    if detector is None:
        return None
    return replace(detector, range_columns=range_columns, low=low, high=high, number_features=number_features)


def _calibrate(components: Sequence[Component], scores: Sequence[torch.Tensor]) -> OODDetector | None:
    """Return the detector with the scale of each component and the quantiles of the largest score of held-out rows."""
    scaled_components, scaled_scores = [], []
    for component, score in zip(components, scores, strict=True):
        median, scale = _fit_scale(component.kind, score)
        if scale > 0:
            scaled_components.append(replace(component, median=median, scale=scale))
            scaled_scores.append((score - median) / scale)
    if not scaled_components:
        return None
    largest = torch.stack(scaled_scores).amax(0).sort().values
    quantiles = torch.tensor([float(largest.quantile(level)) for level in QUANTILE_LEVELS], dtype=torch.float64)
    quantiles[-2] = torch.maximum(quantiles[-3], _fit_threshold(largest))
    median_score = quantiles[50]
    quantiles[-1] = torch.maximum(quantiles[-1], 2 * quantiles[-2] - median_score)
    no_numbers, no_indices = torch.empty(0), torch.empty(0, dtype=torch.int64)
    return OODDetector(tuple(scaled_components), quantiles, no_indices, no_numbers, no_numbers, no_indices)


def _fit_scale(kind: ComponentKind, score: torch.Tensor) -> tuple[float, float]:
    if kind == "range":
        return 0.0, max(float(score.quantile(THRESHOLD)), RANGE_TOLERANCE)
    median = float(score.median())
    return median, float(score.quantile(THRESHOLD)) - median


def _fit_threshold(scores: torch.Tensor) -> torch.Tensor:
    """Return the score that `THRESHOLD` of the rows are below.

    With too few rows to count 1 in 200, the tenth with the largest scores is modeled by an exponential tail:
    q + b log(0.1 / 0.005), where q is the 90% quantile and b the mean excess over it.
    """
    empirical = scores.quantile(THRESHOLD, interpolation="higher")
    if len(scores) >= MIN_ROWS_FOR_EMPIRICAL_THRESHOLD:
        return empirical
    tail_start = scores.quantile(1 - TAIL)
    mean_excess = (scores[scores >= tail_start] - tail_start).mean()
    return torch.maximum(empirical, tail_start + mean_excess * torch.tensor(TAIL / (1 - THRESHOLD)).log())


def _compute_ranges(raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the smallest and largest value of each column ``(D,)``, 0 for a column without any value."""
    low = raw.nan_to_num(torch.inf, torch.inf, torch.inf).amin(0)
    high = raw.nan_to_num(-torch.inf, -torch.inf, -torch.inf).amax(0)
    is_empty = low > high
    return low.masked_fill(is_empty, 0.0), high.masked_fill(is_empty, 0.0)


def _sample_rows(part: Batches, seed: int) -> Batches:
    """Return at most `MAX_ROWS_PER_PART` random rows of a part, without augmentation."""
    order = torch.randperm(len(part.rows), generator=generator(seed, "ood"))[:MAX_ROWS_PER_PART]
    return replace(part, rows=part.rows[order.to(part.rows.device)], augment=())


def _read_rows(part: Batches) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the scaled rows (float64), the raw rows and the targets of a part, on the CPU."""
    if part.prefetcher is not None:
        part.prefetcher(part.rows)
    raw = part.x.index_select(0, part.rows).cpu()
    scaled = [nested.tensors(batch.x)[0].cpu().double() for batch in part]
    return (
        torch.cat(scaled) if scaled else raw.double(),
        raw.float(),
        part.y.index_select(0, part.rows.to(part.y.device)).cpu(),
    )


def _read_features(
    model: nn.Module, sources: Sequence[FeatureSource], part: Batches
) -> tuple[dict[FeatureSource, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return the features of a part by source, the network's output, and the targets, on the CPU."""
    features: dict[FeatureSource, list[torch.Tensor]] = {}
    outputs, targets = [], []
    with evaluation_mode(model), torch.no_grad():
        for batch in part:
            with capture_features(model, sources) as captured:
                outputs.append(nested.call(model, batch.x).cpu())
            targets.append(batch.y.cpu())
            for source, x in captured.items():
                features.setdefault(source, []).append(x.cpu())
    return {source: torch.cat(blocks) for source, blocks in features.items()}, torch.cat(outputs), torch.cat(targets)

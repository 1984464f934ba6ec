"""At the end of a training: what inputs like its data look like to the network; see `yisheng.inference.ood`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from yisheng import transforms
from yisheng.core.seeds import generator
from yisheng.core.types import Spec
from yisheng.data.batches import Batches
from yisheng.inference._ood_features import Place, distance, numbers, outside, places, watched, whitened
from yisheng.inference.ood import BEYOND, LEVEL, LEVELS, Familiar, View, What, energy

ROWS = 2048
"""Most rows of a part that are looked at."""
LEAST = 20
"""Fewest rows that anything can be said from."""
FOLDS = 5
"""Rows of a table are measured by what was fitted on the other folds."""
MANY = 1000
"""With fewer held-out rows the threshold is guessed from the tail."""


def fit(model: nn.Module, spec: Spec, train: Batches, held_out: Batches, *, seed: int) -> Familiar | None:
    """Learn what inputs like those of the training look like to a trained network.

    Of images: the Mahalanobis distance to the nearest class in the means and deviations of the maps of up to three
    convolutions (of the image itself and its edges, where there is none) and in the input of the last layer; and
    the energy -log Σ exp(output). Of rows: the same distance in the scaled numbers, and by what share of a column's
    range a value lies beyond it. The largest counts, each measured by what held-out rows reach.

    Weights, modes and global random generators are left as they were.

    Args:
        model: the network with its best weights.
        spec: the contract of the raw data.
        train: batches of the training part; at most `ROWS` of its rows are looked at.
        held_out: those of the validation part. Where an image set has none, half of the training rows take its
            place, which the network knows: then more than 1 in 200 will warn.
        seed: which rows are drawn.

    Returns:
        None where there are too few rows, or none that differ.

    Source: Lee et al., "A simple unified framework for detecting out-of-distribution samples and adversarial
    attacks", 2018, section 2; Liu et al., "Energy-based out-of-distribution detection", 2020, section 3.
    """
    fitting, measuring = _drawn(train, seed), _drawn(held_out, seed)
    if len(measuring.rows) < LEAST and spec.is_image:
        half = len(fitting.rows) // 2
        fitting, measuring = replace(fitting, rows=fitting.rows[:half]), replace(fitting, rows=fitting.rows[half:])
    if len(fitting.rows) < LEAST:
        return None
    return _of_images(model, spec, fitting, measuring) if spec.is_image else _of_rows(spec, fitting, measuring)


def _of_images(model: nn.Module, spec: Spec, fitting: Batches, measuring: Batches) -> Familiar | None:
    wanted = places(model)
    (known, _, y), (new, output, _) = (_seen(model, wanted, part) for part in (fitting, measuring))
    labels = y if spec.task == "classification" else None
    views, scores = [], []
    for place, features in known.items():
        made = whitened(features, labels)
        if made is not None:
            scores.append(distance(new[place], *made))
            views.append(View(place.what, place.layer, projection=made[0], centres=made[1]))
    if spec.task == "classification" and spec.outputs > 1:
        scores.append(energy(output))
        views.append(View("energy"))
    return _measured(views, scores)


def _of_rows(spec: Spec, fitting: Batches, measuring: Batches) -> Familiar | None:
    """Fitted on all rows; measured on the held-out ones, and on each fold by what was fitted on the others."""
    (x, raw, y), (new, new_raw, _) = (_gathered(part) for part in (fitting, measuring))
    labels = y if spec.task == "classification" else None
    picked = numbers(transforms.after(fitting.scale, spec))  # type: ignore[arg-type]  # a fitted transform
    x, new = x[:, picked], new[:, picked]
    ranged = numbers(spec)
    raw, new_raw = raw[:, ranged], new_raw[:, ranged]
    if not len(ranged):
        return None
    low, high = _ends(raw)
    made = whitened(x, labels) if len(picked) else None
    distances, ranges = [], [outside(new_raw, low, high, high - low)]
    if made is not None:
        distances.append(distance(new, *made))
    for fold in range(FOLDS):
        out = torch.arange(len(x)) % FOLDS == fold
        if made is not None:
            part = whitened(x[~out], None if labels is None else labels[~out])
            distances.append(distance(x[out], *(part or made)))
        ranges.append(outside(raw[out], *_ends(raw[~out]), high - low))
    views, scores = [View("range")], [torch.cat(ranges)]
    if made is not None:
        views.append(View("numbers", projection=made[0], centres=made[1]))
        scores.append(torch.cat(distances))
    found = _measured(views, scores)
    return None if found is None else replace(found, ranged=ranged, low=low, high=high, picked=picked)


def _measured(views: Sequence[View], scores: Sequence[torch.Tensor]) -> Familiar | None:
    """The views with their scales, and the scores of the held-out rows in the largest of them."""
    kept, units = [], []
    for view, score in zip(views, scores, strict=True):
        middle, reach = _scale(view.what, score)
        if reach > 0:
            kept.append(replace(view, middle=middle, reach=reach))
            units.append((score - middle) / reach)
    if not kept:
        return None
    largest = torch.stack(units).amax(0).sort().values
    values = torch.tensor([float(largest.quantile(level)) for level in LEVELS], dtype=torch.float64)
    threshold = _threshold(largest)
    values[-2] = torch.maximum(values[-3], threshold)
    values[-1] = torch.maximum(values[-1], 2 * values[-2] - values[50])
    none, nowhere = torch.empty(0), torch.empty(0, dtype=torch.int64)
    return Familiar(tuple(kept), values, nowhere, none, none, nowhere)


def _scale(what: What, score: torch.Tensor) -> tuple[float, float]:
    if what == "range":
        return 0.0, max(float(score.quantile(LEVEL)), BEYOND)
    middle = float(score.median())
    return middle, float(score.quantile(LEVEL)) - middle


def _threshold(scores: torch.Tensor) -> torch.Tensor:
    """The score that `LEVEL` of rows are below.

    Where there are too few to count 1 in 200, the tenth with the largest scores is taken for the exponential tail
    that it is about: q + b log(0.1 / 0.005), with q where it begins and b its mean excess.
    """
    found = scores.quantile(LEVEL, interpolation="higher")
    if len(scores) >= MANY:
        return found
    begin = scores.quantile(0.9)
    excess = (scores[scores >= begin] - begin).mean()
    return torch.maximum(found, begin + excess * torch.tensor(0.1 / (1 - LEVEL)).log())


def _ends(raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Least and largest value of each column ``(D,)``; of one without any value 0."""
    low = raw.nan_to_num(torch.inf, torch.inf, torch.inf).amin(0)
    high = raw.nan_to_num(-torch.inf, -torch.inf, -torch.inf).amax(0)
    empty = low > high
    return low.masked_fill(empty, 0.0), high.masked_fill(empty, 0.0)


def _drawn(part: Batches, seed: int) -> Batches:
    """At most `ROWS` rows of a part, by chance, as they are: no augmentation."""
    order = torch.randperm(len(part.rows), generator=generator(seed, "familiar"))[:ROWS]
    return replace(part, rows=part.rows[order.to(part.rows.device)], augment=())


def _gathered(part: Batches) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows scaled, float64, as they are in the block, and their targets, on the CPU."""
    if part.ahead is not None:
        part.ahead(part.rows)
    raw = part.x.index_select(0, part.rows).cpu()
    scaled = [batch.x.cpu().double() for batch in part]
    return (
        torch.cat(scaled) if scaled else raw.double(),
        raw.float(),
        part.y.index_select(0, part.rows.to(part.y.device)).cpu(),
    )


def _seen(
    model: nn.Module, wanted: Sequence[Place], part: Batches
) -> tuple[dict[Place, torch.Tensor], torch.Tensor, torch.Tensor]:
    """The features of a part by place, the network's output, and the targets, on the CPU."""
    features: dict[Place, list[torch.Tensor]] = {}
    outputs, targets = [], []
    with _evaluating(model), torch.no_grad():
        for batch in part:
            with watched(model, wanted) as seen:
                outputs.append(model(batch.x).cpu())
            targets.append(batch.y.cpu())
            for place, value in seen.items():
                features.setdefault(place, []).append(value.cpu())
    return {place: torch.cat(some) for place, some in features.items()}, torch.cat(outputs), torch.cat(targets)


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In eval mode, and every module in its own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode

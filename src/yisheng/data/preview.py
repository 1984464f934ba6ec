"""A preview of a data set: facts, and an image of its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.input_spec import InputSpec
from yisheng.core.messages import Message
from yisheng.data.fingerprint import fingerprint

if TYPE_CHECKING:
    from PIL import Image

Augmentation = Callable[[Any, Any, Any], tuple[Any, Any]]
"""From inputs, targets and a generator to inputs and targets of a batch."""
PARTS = ("train", "validation", "test")
AUGMENTED_COPIES = 3
"""How often each image of a before-and-after sheet is augmented."""
MIN_SHOWN_FRACTION = 0.005
"""Classes with a smaller fraction of a mixed target are not named under the image."""
_CHUNK_VALUES = 1 << 20


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return facts about a data set as plain data for JSON, without empty entries.

    Keys: ``name``, ``about``, ``task``, ``rows``, ``parts`` (rows of each official part), ``shape``,
    ``dtype``, ``target``, ``unit``, ``classes`` (rows of each), ``columns`` (kind, smallest, mean and
    largest value, number of missing values; of a table from a file: what each of its columns becomes), ``pixels``,
    ``targets``, ``findings`` (of the reader), ``source``, ``license``, ``bytes``, ``sha256``
    (see `yisheng.data.fingerprint`).

    >>> from yisheng.data.datasets.xor import xor
    >>> describe(xor(n=8))["classes"]
    [{'class': 'same', 'rows': 4}, {'class': 'different', 'rows': 4}]
    """
    spec = dataset.spec
    facts: dict[str, Any] = {"name": dataset.name, "about": dataset.about, "task": spec.task, "rows": len(dataset)}
    if dataset.part is not None:
        counts = {part: int(np.count_nonzero(dataset.part == number)) for number, part in enumerate(PARTS)}
        facts["parts"] = {part: count for part, count in counts.items() if count}
    facts |= {"shape": list(spec.shape), "dtype": str(dataset.x.dtype), "target": spec.target, "unit": spec.unit}
    if spec.classes:
        class_counts = zip(spec.classes, _count_classes(dataset), strict=True)
        facts["classes"] = [{"class": name, "rows": int(count)} for name, count in class_counts]
    table_columns = [f.evidence["columns"] for f in dataset.findings if f.check == "columns"]
    if spec.is_image:
        facts["pixels"] = _unwrap_single(_compute_ranges(dataset.x))
    elif table_columns:
        facts["columns"] = table_columns[0]
    elif spec.inputs:
        facts["inputs"] = [{"input": i.name or str(n), **_describe_input(i)} for n, i in enumerate(spec.inputs, 1)]
    elif not spec.is_row:
        facts["values"] = _compute_ranges(dataset.x.reshape(len(dataset), 1, -1))[0]
    else:
        names = [(c.name, c.kind) for c in spec.columns] or [(f"{i + 1}", "number") for i in range(spec.shape[0])]
        ranges = _compute_ranges(dataset.x)
        facts["columns"] = [{"column": n, "kind": k, **r} for (n, k), r in zip(names, ranges, strict=True)]
    if spec.task == "regression":
        ranges = _compute_ranges(dataset.y)
        targets = spec.with_outputs(len(ranges)).target_names  # outputs= of a spec may be left out
        named = [{"target": name, **r} for name, r in zip(targets, ranges, strict=True)]
        facts["targets"] = named if len(named) > 1 else ranges[0]
    facts["findings"] = [
        {"severity": f.severity, "check": f.check, "cause": f.cause, "remedy": f.remedy} for f in dataset.findings
    ]
    facts |= {"source": dataset.source, "license": dataset.license}
    facts |= {"bytes": dataset.x.nbytes + dataset.y.nbytes, "sha256": fingerprint(dataset)}
    return {key: value for key, value in facts.items() if value not in ("", [], {})}


def draw_samples(dataset: Dataset, *, n: int = 40, seed: int = 0, split: Split | None = None) -> Image.Image:
    """Draw labeled images, or charts of how the columns of a table are related to the target.

    Images are sampled evenly over the classes. A table is shown by its first twelve columns: a
    histogram by class, or a scatter plot against the target; two columns with classes make one scatter plot. An
    official test part, and with ``split`` any test part, is not shown: who has looked at it cannot trust its score.

    Args:
        dataset: the data.
        n: number of samples (images only).
        seed: of the draw.
        split: draw from its training part; default: all rows outside an official test part.

    Raises:
        UsageError: ``n`` is not from 1 to 1,000, or the data holds neither images nor rows of numbers.
    """
    rows = _visible_rows(dataset, n, split)
    if dataset.spec.is_image:
        from yisheng.data import _image_grid

        return _image_grid.draw_grid(dataset, rows, n, seed)
    if not dataset.spec.is_row:
        raise UsageError(
            Message(
                "images and rows of numbers can be drawn; {name} holds {description}",
                name=dataset.name,
                description=dataset.spec.description,
            ),
            Message("look at its facts: yisheng data info"),
        )
    from yisheng.data import _charts

    return _charts.draw_charts(dataset, rows, seed)


def draw_augmented(
    dataset: Dataset,
    augmentations: Sequence[Augmentation],
    *,
    n: int = 10,
    seed: int = 0,
    split: Split | None = None,
) -> Image.Image:
    """Draw the same images before and after augmentation, `AUGMENTED_COPIES` times each.

    If targets change too (mixup), the new targets are written under the images.

    Args:
        dataset: images.
        augmentations: in their order.
        n: number of images.
        seed: of the choice of images, and of the augmentations.
        split: draw from its training part; default: all rows outside an official test part.

    Raises:
        UsageError: the data holds no images, or ``n`` is not from 1 to 1,000.
    """
    import torch

    from yisheng.core.seeds import generator
    from yisheng.data import _image_grid

    if not dataset.spec.is_image:
        raise UsageError(
            Message(
                "only augmented images can be shown; {name} holds {description}",
                name=dataset.name,
                description=dataset.spec.description,
            ),
            Message("leave augment= out"),
        )
    rows = _image_grid.sample_evenly(dataset, _visible_rows(dataset, n, split), n, seed)
    original, y = torch.from_numpy(dataset.x[rows].copy()), torch.from_numpy(dataset.y[rows].copy())
    copies, captions = [], []
    for number in range(AUGMENTED_COPIES):
        rng = generator(seed, "show", "augment", number)
        x, targets = original, y
        for augment in augmentations:
            x, targets = augment(x, targets, rng)
        copies.append(x.numpy())
        unchanged = targets.shape == y.shape and bool((targets == y).all())
        captions.append([] if unchanged else [_describe_mixed_target(dataset, row) for row in targets.tolist()])
    return _image_grid.draw_before_after(dataset, rows, original.numpy(), copies, captions)


def _describe_mixed_target(dataset: Dataset, target: Sequence[float]) -> str:
    """Return the classes of a mixed target with their fractions, one per line, or its numbers."""
    if not dataset.spec.classes:
        return ", ".join(f"{value:.4g}" for value in target)
    fractions = sorted(zip(target, dataset.spec.classes, strict=True), key=lambda pair: -pair[0])
    return "\n".join(f"{fraction:.0%} {name}" for fraction, name in fractions if fraction >= MIN_SHOWN_FRACTION)


def _visible_rows(dataset: Dataset, n: int, split: Split | None) -> np.ndarray:
    """Return the rows outside the test part."""
    if not 1 <= n <= 1000:
        raise UsageError(
            Message("n must be from 1 to 1000 samples, got {n}", n=n), Message("use a number such as n=40")
        )
    rows = np.arange(len(dataset)) if split is None else split.train
    if split is None and dataset.part is not None and (dataset.part != 2).any():
        rows = np.flatnonzero(dataset.part != 2)
    return rows


def _count_classes(dataset: Dataset) -> np.ndarray:
    if dataset.spec.task == "multilabel":
        return np.count_nonzero(dataset.y, axis=0)
    return np.bincount(dataset.y, minlength=len(dataset.spec.classes))


def _compute_ranges(values: np.ndarray) -> list[dict[str, Any]]:
    """Return smallest, mean and largest finite value and the number of missing values, per column or channel."""
    width = values.shape[1]
    low, high, total = np.full(width, np.inf), np.full(width, -np.inf), np.zeros(width)
    count = np.zeros(width, np.int64)
    for chunk in _split_into_chunks(values):
        flat = chunk.reshape(len(chunk), width, -1).astype(np.float64)
        finite = np.isfinite(flat)
        low = np.minimum(low, flat.min(axis=(0, 2), initial=np.inf, where=finite))
        high = np.maximum(high, flat.max(axis=(0, 2), initial=-np.inf, where=finite))
        total += flat.sum(axis=(0, 2), where=finite)
        count += finite.sum(axis=(0, 2))
    missing = values.size // width - count
    return [
        {"min": _round(a), "mean": _round(t / c), "max": _round(b), "missing": int(m)}
        if c
        else {"min": None, "mean": None, "max": None, "missing": int(m)}
        for a, t, b, c, m in zip(low, total, high, count, missing, strict=True)
    ]


def _describe_input(item: InputSpec) -> dict[str, Any]:
    return {"shape": list(item.shape), "dtype": item.dtype}


def _unwrap_single(ranges: list[dict[str, Any]]) -> Any:
    return ranges[0] if len(ranges) == 1 else ranges


def _round(value: float) -> float:
    """Round to six significant digits."""
    return float(f"{value:.6g}")


def _split_into_chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    size = max(1, _CHUNK_VALUES // max(1, values[:1].size))
    for start in range(0, len(values), size):
        yield values[start : start + size]

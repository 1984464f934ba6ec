"""What is in a data set: facts, and an image to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core.errors import UsageError
from yisheng.core.types import Dataset, Split
from yisheng.data.fingerprint import fingerprint

if TYPE_CHECKING:
    from PIL import Image

Change = Callable[[Any, Any, Any], tuple[Any, Any]]
"""An augmentation: inputs, targets and a generator to inputs and targets of a batch."""
PARTS = ("train", "validation", "test")
TIMES = 3
"""How often each image of a before-and-after sheet is changed."""
_PIECE = 1 << 20


def info(dataset: Dataset) -> dict[str, Any]:
    """Facts about a data set as plain data for JSON; what it does not have is left out.

    Keys: ``name``, ``about``, ``task``, ``rows``, ``parts`` (rows of each official part), ``shape``,
    ``dtype``, ``target``, ``unit``, ``classes`` (rows of each), ``columns`` (kind, smallest, mean and
    largest value, how many are missing; of a table from a file: what each of its columns becomes), ``pixels``,
    ``targets``, ``findings`` (what was noticed while reading), ``source``, ``licence``, ``bytes``, ``sha256``
    (see `yisheng.data.fingerprint`).

    >>> from yisheng.data.datasets.xor import xor
    >>> info(xor(n=8))["classes"]
    [{'class': 'same', 'rows': 4}, {'class': 'different', 'rows': 4}]
    """
    spec = dataset.spec
    found: dict[str, Any] = {"name": dataset.name, "about": dataset.about, "task": spec.task, "rows": len(dataset)}
    if dataset.part is not None:
        counts = {part: int(np.count_nonzero(dataset.part == number)) for number, part in enumerate(PARTS)}
        found["parts"] = {part: count for part, count in counts.items() if count}
    found |= {"shape": list(spec.shape), "dtype": str(dataset.x.dtype), "target": spec.target, "unit": spec.unit}
    if spec.classes:
        of_class = zip(spec.classes, _class_counts(dataset), strict=True)
        found["classes"] = [{"class": name, "rows": int(count)} for name, count in of_class]
    read = [f.evidence["columns"] for f in dataset.findings if f.check == "columns"]
    if spec.is_image:
        found["pixels"] = _merged(_ranges(dataset.x))
    elif read:
        found["columns"] = read[0]
    else:
        names = [(c.name, c.kind) for c in spec.columns] or [(f"{i + 1}", "number") for i in range(spec.shape[0])]
        ranges = _ranges(dataset.x)
        found["columns"] = [{"column": n, "kind": k, **r} for (n, k), r in zip(names, ranges, strict=True)]
    if spec.task == "regression":
        found["targets"] = _merged(_ranges(dataset.y))
    found["findings"] = [
        {"severity": f.severity, "check": f.check, "cause": f.cause, "remedy": f.remedy} for f in dataset.findings
    ]
    found |= {"source": dataset.source, "licence": dataset.licence}
    found |= {"bytes": dataset.x.nbytes + dataset.y.nbytes, "sha256": fingerprint(dataset)}
    return {key: value for key, value in found.items() if value not in ("", [], {})}


def grid(dataset: Dataset, *, n: int = 40, seed: int = 0, split: Split | None = None) -> Image.Image:
    """An image of what there is to learn from: labelled samples, or how columns and target go together.

    Images are sampled evenly over the classes. For rows it shows each of the first twelve columns: a
    histogram by class, or the target against it; two columns with classes make one plane. An official test
    part, and with ``split`` any, is not shown: who has looked at it cannot trust its score.

    Args:
        dataset: the data.
        n: samples to show (images only).
        seed: of the draw.
        split: show its training part; without it, all rows outside an official test part are drawn from.

    Raises:
        UsageError: ``n`` is not from 1 to 1,000.
    """
    rows = _rows(dataset, n, split)
    if dataset.spec.is_image:
        from yisheng.data import _image_grid

        return _image_grid.grid(dataset, rows, n, seed)
    from yisheng.data import _charts

    return _charts.charts(dataset, rows, seed)


def before_after(
    dataset: Dataset, changes: Sequence[Change], *, n: int = 10, seed: int = 0, split: Split | None = None
) -> Image.Image:
    """The same images before and after augmentation, each changed three times.

    Where targets change too (mixup), what they became stands under the image.

    Args:
        dataset: images.
        changes: the augmentations, in their order.
        n: images to show.
        seed: of the choice of images, and of the changes.
        split: show its training part; without it, all rows outside an official test part are drawn from.

    Raises:
        UsageError: there are no images, or ``n`` is not from 1 to 1,000.
    """
    import torch

    from yisheng.core.seeds import generator
    from yisheng.data import _image_grid

    if not dataset.spec.is_image:
        raise UsageError(
            f"only augmented images can be shown; {dataset.name} holds rows of numbers", "leave augment= out"
        )
    rows = _image_grid.evenly(dataset, _rows(dataset, n, split), n, seed)
    before, y = torch.from_numpy(dataset.x[rows].copy()), torch.from_numpy(dataset.y[rows].copy())
    after, said = [], []
    for time in range(TIMES):
        draw = generator(seed, "show", "augment", time)
        x, targets = before, y
        for change in changes:
            x, targets = change(x, targets, draw)
        after.append(x.numpy())
        same = targets.shape == y.shape and bool((targets == y).all())
        said.append([] if same else [_shares(dataset, row) for row in targets.tolist()])
    return _image_grid.before_after(dataset, rows, before.numpy(), after, said)


def _shares(dataset: Dataset, target: Sequence[float]) -> str:
    """A mixed target for people, in lines: the classes with their shares, or the numbers."""
    if not dataset.spec.classes:
        return ", ".join(f"{value:.4g}" for value in target)
    there = [(share, name) for share, name in zip(target, dataset.spec.classes, strict=True) if share >= 0.005]
    return "\n".join(f"{share:.0%} {name}" for share, name in sorted(there, key=lambda pair: -pair[0]))


def _rows(dataset: Dataset, n: int, split: Split | None) -> np.ndarray:
    """The rows that may be looked at."""
    if not 1 <= n <= 1000:
        raise UsageError(f"n must be from 1 to 1000 samples, got {n}", "give n=40, say")
    rows = np.arange(len(dataset)) if split is None else split.train
    if split is None and dataset.part is not None and (dataset.part != 2).any():
        rows = np.flatnonzero(dataset.part != 2)
    return rows


def _class_counts(dataset: Dataset) -> np.ndarray:
    if dataset.spec.task == "multilabel":
        return np.count_nonzero(dataset.y, axis=0)
    return np.bincount(dataset.y, minlength=len(dataset.spec.classes))


def _ranges(values: np.ndarray) -> list[dict[str, Any]]:
    """Smallest, mean and largest finite value and number of missing values, per column or channel."""
    width = values.shape[1]
    low, high, total = np.full(width, np.inf), np.full(width, -np.inf), np.zeros(width)
    count = np.zeros(width, np.int64)
    for piece in _pieces(values):
        flat = piece.reshape(len(piece), width, -1).astype(np.float64)
        there = np.isfinite(flat)
        low = np.minimum(low, flat.min(axis=(0, 2), initial=np.inf, where=there))
        high = np.maximum(high, flat.max(axis=(0, 2), initial=-np.inf, where=there))
        total += flat.sum(axis=(0, 2), where=there)
        count += there.sum(axis=(0, 2))
    missing = values.size // width - count
    return [
        {"min": _short(a), "mean": _short(t / c), "max": _short(b), "missing": int(m)}
        if c
        else {"min": None, "mean": None, "max": None, "missing": int(m)}
        for a, t, b, c, m in zip(low, total, high, count, missing, strict=True)
    ]


def _merged(ranges: list[dict[str, Any]]) -> Any:
    """One column's facts as they are, several as a list."""
    return ranges[0] if len(ranges) == 1 else ranges


def _short(value: float) -> float:
    """Six significant digits: these are for people."""
    return float(f"{value:.6g}")


def _pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    size = max(1, _PIECE // max(1, values[:1].size))
    for start in range(0, len(values), size):
        yield values[start : start + size]

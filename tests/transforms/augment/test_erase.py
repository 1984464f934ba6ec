"""Erased boxes: number, content, area and ratio."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.transforms.augment.helpers import augment, images


@pytest.mark.parametrize("fill", ["random", "mean", "zero"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_erase_fills_one_box(fill, dtype):
    x = images(400, 2, 20, 30, dtype=dtype) // 2 + 1  # no zeros
    augmented, _ = augment("erase", x, 3, p=0.6, fill=fill)
    erased = 0
    for image, result in zip(x.numpy(), augmented.numpy(), strict=True):
        differs = (image != result).any(0)
        if not differs.any():
            continue
        erased += 1
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        box = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        inside = result[box].astype(float)
        if fill == "zero":
            assert (inside == 0).all()
        elif fill == "mean":
            expected = image.astype(float).mean((1, 2))[:, None, None]
            assert np.abs(inside - expected).max() <= (0.5 + 1e-4 if dtype == torch.uint8 else 1e-3)
        elif inside.size > 100:
            assert inside.std() > 40  # the standard deviation of uniform bytes is 73.9
    assert abs(erased - 240) < 5 * math.sqrt(400 * 0.24)


def test_erase_draws_bytes_uniformly():
    x = torch.zeros(16, 3, 32, 32, dtype=torch.uint8)
    augmented, _ = augment("erase", x, p=1.0, area=(1.0, 1.0), ratio=(1.0, 1.0))
    counts = np.bincount(augmented.numpy().ravel(), minlength=256)
    expected = x.numel() / 256
    chi = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi - 255) < 6 * math.sqrt(2 * 255)
    flat = augmented.numpy().ravel().astype(float)
    assert abs(np.corrcoef(flat[:-1], flat[1:])[0, 1]) < 0.02


def test_erased_boxes_have_the_requested_area_and_ratio():
    x = torch.full((500, 1, 50, 50), 7, dtype=torch.uint8)
    augmented, _ = augment("erase", x, p=1.0, fill="zero", area=(0.1, 0.2), ratio=(0.5, 2.0))
    hidden = (augmented == 0)[:, 0].numpy()
    heights, widths = hidden.any(2).sum(1), hidden.any(1).sum(1)
    assert (hidden.sum((1, 2)) == heights * widths).all()
    assert ((heights + 0.5) * (widths + 0.5) >= 0.1 * 2500).all()
    assert ((heights - 0.5) * (widths - 0.5) <= 0.2 * 2500).all()
    assert ((widths - 0.5) / (heights + 0.5) <= 2).all()
    assert ((widths + 0.5) / (heights - 0.5) >= 0.5).all()

"""Flips, crops and random boxes give the same as plain loops over single images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.transforms.augment.helpers import augment, generator, images
from yisheng.transforms.augment import resized_crop
from yisheng.transforms.augment._random_boxes import draw_boxes


@pytest.mark.parametrize(("name", "axis"), [("flip", -1), ("vertical_flip", -2)])
def test_flips_mirror_half_of_the_images(name, axis):
    x = images(b=2000, c=1, h=3, w=4)
    augmented, _ = augment(name, x)
    flipped = 0
    for image, result in zip(x.numpy(), augmented.numpy(), strict=True):
        mirrored = np.flip(image, axis)
        assert np.array_equal(result, image) or np.array_equal(result, mirrored)
        flipped += not np.array_equal(result, image)
    assert abs(flipped - 1000) < 5 * math.sqrt(500)
    assert torch.equal(augment(name, x, p=1.0)[0], x.flip(axis))


@pytest.mark.parametrize(("mode", "numpy_mode"), [("zeros", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize(("h", "w", "pad"), [(6, 9, 2), (5, 5, 4), (2, 3, 1), (12, 10, 4)])
def test_crop_is_a_slice_of_a_padded_image(mode, numpy_mode, h, w, pad):
    x = torch.arange(1, 1 + 300 * 2 * h * w).view(300, 2, h, w).float()  # every pixel differs
    augmented = augment("crop", x, pad=pad, mode=mode)[0].numpy()
    places = []
    for image, result in zip(x.numpy(), augmented, strict=True):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), numpy_mode)
        cut = [
            (i, j)
            for i in range(2 * pad + 1)
            for j in range(2 * pad + 1)
            if np.array_equal(padded[:, i : i + h, j : j + w], result)
        ]
        assert cut
        places += cut
    counts = np.bincount([i for i, _ in places], minlength=2 * pad + 1)
    assert counts.min() > 0
    assert len(set(places)) > min(40, (2 * pad + 1) ** 2 - 1)  # rows and columns are drawn independently


def test_crop_of_bytes_is_a_slice_at_the_drawn_place():
    x = images(b=1, c=1, h=4, w=4)
    drawn = torch.randint(5, (2, 1), generator=generator(7))
    i, j = int(drawn[0, 0]), int(drawn[1, 0])
    padded = F.pad(x, (2, 2, 2, 2))
    assert torch.equal(augment("crop", x, 7, pad=2)[0], padded[:, :, i : i + 4, j : j + 4])


def boxes_one_by_one(count, height, width, area, ratio, seed):
    """Yield the boxes of torchvision's rule, image by image, from the same draws."""
    draw = generator(seed)
    areas = area[0] + (area[1] - area[0]) * torch.rand((10, count), generator=draw, dtype=torch.float64)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = low + (high - low) * torch.rand((10, count), generator=draw, dtype=torch.float64)
    tops, lefts = (torch.rand(count, generator=draw, dtype=torch.float64) for _ in range(2))
    for b in range(count):
        for t in range(10):
            target, aspect = height * width * float(areas[t, b]), math.exp(float(ratios[t, b]))
            w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
            if 0 < w <= width and 0 < h <= height:
                yield int(float(tops[b]) * (height - h + 1)), int(float(lefts[b]) * (width - w + 1)), h, w
                break
        else:
            yield None


def center_box(height, width, ratio):
    """Return the box of torchvision's fallback."""
    h, w = height, width
    if width / height < min(ratio):
        h = round(width / min(ratio))
    elif width / height > max(ratio):
        w = round(height * max(ratio))
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize(
    ("height", "width", "area", "ratio", "min_missing"),
    [
        (32, 32, (0.08, 1.0), (3 / 4, 4 / 3), 0),
        (21, 48, (0.3, 1.0), (3 / 4, 4 / 3), 1),
        (40, 7, (0.5, 0.9), (3 / 4, 4 / 3), 64),
        (7, 40, (0.9, 1.0), (1.0, 1.0), 64),
        (24, 20, (1.0, 1.0), (1.0, 1.0), 64),
        (5, 5, (0.01, 0.3), (0.2, 5.0), 0),
        (1, 1, (0.08, 1.0), (3 / 4, 4 / 3), 0),
    ],
)
def test_resized_crop_is_the_resized_box(height, width, area, ratio, min_missing):
    """Within 0.02 of 255: grid_sample takes positions as float32 from -1 to 1."""
    x = images(64, 3, height, width)
    augmented, _ = augment("resized_crop", x, 5, area=area, ratio=ratio)
    missing = 0
    boxes = list(boxes_one_by_one(64, height, width, area, ratio, 5))
    for image, result, box in zip(x, augmented, boxes, strict=True):
        missing += box is None
        i, j, h, w = box or center_box(height, width, ratio)
        part = image[None, :, i : i + h, j : j + w].float()
        expected = F.interpolate(part, (height, width), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(result, expected, rtol=0, atol=0.02)
        # Stretching needs no antialiasing: with it the result is the same.
        antialiased = F.interpolate(part, (height, width), mode="bilinear", align_corners=False, antialias=True)[0]
        torch.testing.assert_close(expected, antialiased, rtol=0, atol=0.02)
    assert missing >= min_missing  # the fallback was tested too


@settings(max_examples=80)
@given(
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    area=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted),
    ratio=st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)).map(sorted),
    seed=st.integers(0, 2**32),
)
def test_boxes_stay_within_their_ranges(size, area, ratio, seed):
    height, width = size
    boxes = draw_boxes(50, size, tuple(area), tuple(ratio), generator(seed))
    for y, x, h, w, fits in zip(
        *(part.tolist() for part in (boxes.y, boxes.x, boxes.height, boxes.width, boxes.fits)), strict=True
    ):
        assert y >= 0
        assert y + h <= height
        assert x >= 0
        assert x + w <= width
        if fits:  # sides were rounded by half a pixel at most
            assert (h - 0.5) * (w - 0.5) <= area[1] * height * width * (1 + 1e-9)
            assert (h + 0.5) * (w + 0.5) >= area[0] * height * width * (1 - 1e-9)
            assert (w - 0.5) / (h + 0.5) <= ratio[1] * (1 + 1e-9)
            assert (w + 0.5) / max(h - 0.5, 1e-9) >= ratio[0] * (1 - 1e-9)
    expected = list(boxes_one_by_one(50, height, width, area, ratio, seed))
    assert [box is not None for box in expected] == boxes.fits.tolist()


def test_boxes_are_drawn_uniformly():
    boxes = draw_boxes(20_000, (100, 100), (0.1, 0.3), (0.5, 2.0), generator())
    fraction = (boxes.height * boxes.width).double() / 10_000
    assert bool(boxes.fits.all())
    assert abs(float(fraction.mean()) - 0.2) < 0.003
    assert abs(float((boxes.width > boxes.height).double().mean()) - 0.5) < 0.03  # as often wider as higher
    free = (100 - boxes.width).double()
    assert abs(float((boxes.x / free).mean()) - 0.5) < 0.01


def test_surroundings_of_the_box_are_not_in_the_crop(monkeypatch):
    x = torch.full((1, 1, 16, 16), 255.0)
    x[:, :, 4:8, 3:11] = 10.0
    y, x_left, height, width, fits = map(torch.tensor, ([4], [3], [4], [8], [True]))
    box = resized_crop.Boxes(y, x_left, height, width, fits)
    monkeypatch.setattr(resized_crop, "draw_boxes", lambda *_: box)
    augmented, _ = augment("resized_crop", x)
    torch.testing.assert_close(augmented, torch.full_like(augmented, 10.0), rtol=0, atol=0.02)

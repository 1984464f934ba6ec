"""Augmentations of batches give the same as plain loops over single images."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.registry import build
from yisheng.core.settings import merge_settings
from yisheng.core.types import Column, Spec
from yisheng.transforms.augment import resized_crop
from yisheng.transforms.augment._random_boxes import draw_boxes

KIND = "transforms.augment"
IMAGES = ("crop", "erase", "flip", "jitter", "resized-crop", "vertical-flip")
MOVING = ("crop", "erase", "flip", "vertical-flip")
"""Augmentations that only move values: bytes stay bytes."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_spec(shape, **fields):
    return Spec("classification", shape, **{"classes": ("a", "b", "c"), **fields})


def images(b=8, c=3, h=12, w=10, dtype=torch.uint8, seed=1):
    x = torch.randint(0, 256, (b, c, h, w), generator=generator(seed), dtype=torch.uint8)
    return x.to(dtype)


def augment(name, x, seed=0, y=None, **options):
    y = torch.arange(len(x)) % 3 if y is None else y
    return build(KIND, name, make_spec(tuple(x.shape[1:])), **options)(x, y, generator(seed))


def allowed_options(name, shape):
    """Return options that are valid for images of this shape."""
    return {"pad": min(4, min(shape[-2:]) - 1)} if name == "crop" else {}


def test_every_augmentation_is_tested():
    assert set(registry.names(KIND)) >= {*IMAGES, "mixup"}
    for entry in registry.entries(KIND):
        assert all(option.help for option in entry.options.values())
        assert "fits" in entry.meta
        assert entry.meta["requires"]


# --- all augmentations ---


@settings(max_examples=60)
@given(
    name=st.sampled_from([*IMAGES, "mixup"]),
    shape=st.tuples(*(st.integers(1, n) for n in (5, 4, 17, 17))),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
    seed=st.integers(0, 2**32),
)
def test_augmentations_keep_shape_range_and_inputs(name, shape, dtype, seed):
    x = images(*shape, dtype=dtype)
    original, y = x.clone(), torch.arange(len(x)) % 3
    augmented, targets = augment(name, x, seed, y, **allowed_options(name, shape))
    assert augmented.shape == x.shape
    assert augmented.dtype == (torch.uint8 if name in MOVING and dtype == torch.uint8 else torch.float32)
    assert float(augmented.min()) >= 0
    assert float(augmented.max()) <= 255 + 1e-3
    assert torch.equal(x, original)
    assert torch.equal(y, torch.arange(len(x)) % 3)
    if name != "mixup":
        assert torch.equal(targets, y)
    repeated, _ = augment(name, x, seed, y, **allowed_options(name, shape))
    assert torch.equal(augmented, repeated)


@pytest.mark.parametrize("name", IMAGES)
def test_bytes_and_floats_give_the_same_values(name):
    x = images()
    from_bytes, from_floats = augment(name, x)[0], augment(name, x.float())[0]
    assert torch.equal(from_bytes.float(), from_floats)
    assert from_floats.dtype == torch.float32


@pytest.mark.parametrize("name", [*IMAGES, "mixup"])
def test_another_generator_gives_another_batch(name):
    x = images(b=32)
    assert not torch.equal(augment(name, x, 0)[0].float(), augment(name, x, 1)[0].float())
    state = torch.get_rng_state()
    augment(name, x)
    assert torch.equal(state, torch.get_rng_state())  # there is no other source of randomness


@pytest.mark.parametrize("name", [*IMAGES, "mixup"])
def test_other_memory_layouts_give_the_same_values(name):
    x = images(c=3)
    plain = augment(name, x)[0]
    for layout in (x.to(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)):
        torch.testing.assert_close(augment(name, layout)[0].float(), plain.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("flip", {"p": 0.0}),
        ("vertical_flip", {"p": 0.0}),
        ("crop", {"pad": 0}),
        ("crop", {"pad": 0, "mode": "reflect"}),
        ("erase", {"p": 0.0}),
        ("jitter", {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1)}),
    ],
)
def test_options_without_effect_keep_the_inputs(name, options):
    x = images()
    augmented, _ = augment(name, x, **options)
    assert augmented.dtype == torch.uint8
    assert torch.equal(augmented, x)


@pytest.mark.parametrize("name", IMAGES)
def test_rows_are_refused(name):
    rows = Spec("classification", (4,), classes=("a", "b"))
    entry = registry.find(KIND, name)
    assert not entry.meta["fits"](rows)
    assert entry.meta["fits"](make_spec((1, 8, 8)))
    config = merge_settings([("augment", name, "command line")]).config
    with pytest.raises(UsageError, match="images"):
        config.resolve(rows, 100)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("flip", {"p": 1.1}, "p must"),
        ("crop", {"pad": 10}, "smaller than the images of 10x12"),
        ("crop", {"mode": "wrap"}, "mode"),
        ("resized_crop", {"area": (0.5, 0.1)}, "area=0.1,0.5"),
        ("resized_crop", {"area": (0.0, 0.1)}, "area"),
        ("resized_crop", {"ratio": (2.0, 1.0)}, "ratio"),
        ("jitter", {"brightness": (1.5, 0.5)}, "brightness"),
        ("jitter", {"contrast": (-1.0, 0.5)}, "contrast"),
        ("jitter", {"hue": 0.6}, "hue"),
        ("erase", {"ratio": (3.0, 0.3)}, "ratio"),
        ("erase", {"fill": "pink"}, "fill"),
        ("mixup", {"alpha": 0.0}, "alpha"),
    ],
)
def test_invalid_options_are_refused(name, options, problem):
    with pytest.raises(UsageError, match=problem):
        augment(name, images(), **options)


def test_hue_needs_three_channels():
    for c in (1, 2, 4):
        with pytest.raises(UsageError, match=f"these have {c} channel"):
            augment("jitter", images(c=c), hue=0.1)


# --- each against a plain loop ---


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


def blend(a, b, factor):
    return np.clip(factor * a + (1 - factor) * b, 0, 255)


def to_gray(image):
    weights = [0.2989, 0.587, 0.114] if len(image) == 3 else [1 / len(image)] * len(image)
    return np.tensordot(weights, image, 1)[None]


def rotate_hue(image, rotation):
    """Rotate the hue pixel by pixel with colorsys."""
    augmented = np.empty_like(image)
    for place in np.ndindex(image.shape[1:]):
        h, s, v = colorsys.rgb_to_hsv(*image[(slice(None), *place)] / 255)
        augmented[(slice(None), *place)] = 255 * np.array(colorsys.hsv_to_rgb((h + rotation) % 1, s, v))
    return augmented


PLAIN = {
    "brightness": lambda p, f: np.clip(p * f, 0, 255),
    "contrast": lambda p, f: blend(p, to_gray(p).mean(), f),
    "saturation": lambda p, f: blend(p, to_gray(p), f),
    "hue": rotate_hue,
}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_jitter_follows_the_textbook_formulas(channels, seed):
    x = images(6, channels, 7, 5)
    x[0] = 128  # no color, no contrast
    x[1, :, ::2], x[1, :, 1::2] = 0, 255
    options = {"brightness": (0.2, 2.0), "contrast": (0.0, 3.0), "saturation": (0.0, 2.5)}
    if channels == 3:
        options["hue"] = 0.5
    augmented, _ = augment("jitter", x, seed, **options)
    ranges = {k: (-v, v) if k == "hue" else v for k, v in options.items()}
    names = [n for n in ("brightness", "contrast", "saturation", "hue") if n in ranges]
    names = [n for n in names if n != "saturation" or channels > 1]
    draw = generator(seed)
    order = [names[i] for i in torch.randperm(len(names), generator=draw).tolist()]
    expected = x.double().numpy()
    for name in order:
        low, high = ranges[name]
        factors = low + (high - low) * torch.rand(len(x), generator=draw, dtype=torch.float64).numpy()
        expected = np.stack([PLAIN[name](p, f) for p, f in zip(expected, factors, strict=True)])
    np.testing.assert_allclose(augmented.numpy(), expected, rtol=0, atol=2e-2)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_each_operation_alone_is_exact(name):
    x = images(4, 3, 9, 9)
    off = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1)}
    for value in (0.0, 0.3, 0.5):
        options = {**off, name: value if name == "hue" else (2 * value, 2 * value)}
        augmented, _ = augment("jitter", x, **options)
        if name == "hue":
            rotations = torch.rand(4, generator=_after_order(), dtype=torch.float64) * 2 * value - value
            expected = np.stack([rotate_hue(p, t) for p, t in zip(x.double().numpy(), rotations.tolist(), strict=True)])
        else:
            expected = np.stack([PLAIN[name](p, 2 * value) for p in x.double().numpy()])
        np.testing.assert_allclose(augmented.numpy(), expected, rtol=0, atol=1e-3)


def _after_order():
    draw = generator()
    torch.randperm(1, generator=draw)
    return draw


def test_pillow_agrees_on_brightness_and_saturation():
    from PIL import Image, ImageEnhance

    x = images(1, 3, 8, 8)
    image = Image.fromarray(x[0].permute(1, 2, 0).numpy())
    for name, enhancer in (("brightness", ImageEnhance.Brightness), ("saturation", ImageEnhance.Color)):
        off = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), name: (0.6, 0.6)}
        pixels = augment("jitter", x, **off)[0][0].permute(1, 2, 0).numpy()
        expected = np.asarray(enhancer(image).enhance(0.6), np.float64)
        assert np.abs(pixels - expected).max() <= 1.5  # Pillow rounds to bytes, and rounds gray as well


def test_order_of_operations_differs_between_batches():
    x = images(2, 3)
    limits = {"brightness": (1.6, 1.6), "contrast": (1.7, 1.7), "saturation": (0.0, 0.0)}
    augmented = {augment("jitter", x, seed, **limits)[0].numpy().tobytes() for seed in range(60)}
    assert len(augmented) == 6  # factors are fixed, so only the order is random


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


def test_mixup_mixes_inputs_and_targets_in_the_same_proportion():
    x, y = images(9), torch.arange(9) % 3
    for seed in range(20):
        augmented, soft = augment("mixup", x, seed, y, alpha=1.0)
        assert soft.dtype == torch.float32
        assert soft.shape == (9, 3)
        torch.testing.assert_close(soft.sum(1), torch.ones(9))
        partner = torch.randperm(9, generator=generator(seed))
        one_hot = torch.eye(3)
        moved = (y != y[partner]).nonzero()[:, 0]
        fraction = 1.0
        if len(moved):
            fraction = float(soft[moved[0], y[moved[0]]])
            torch.testing.assert_close(soft, fraction * one_hot[y] + (1 - fraction) * one_hot[y[partner]])
            torch.testing.assert_close(
                augmented, fraction * x.float() + (1 - fraction) * x[partner].float(), atol=1e-3, rtol=0
            )


def test_mixup_weights_follow_the_beta_distribution():
    from scipy import stats

    x = torch.tensor([[0.0], [1.0]])
    for alpha in (0.2, 1.0, 4.0):
        mix = build(KIND, "mixup", Spec("regression", (1,)), alpha=alpha)
        weights = []
        for seed in range(3000):
            draw = generator(seed)
            swapped = torch.randperm(2, generator=generator(seed)).tolist() == [1, 0]
            augmented, _ = mix(x, x, draw)
            if swapped:
                weights.append(1 - float(augmented[0]))
        assert len(weights) > 1300
        assert stats.kstest(weights, "beta", args=(alpha, alpha)).pvalue > 1e-4


def test_mixup_mixes_targets_of_every_task():
    x = torch.rand(6, 4, generator=generator(2))
    numbers = torch.rand(6, 2, generator=generator(3)) * 100
    for task, y, classes in (
        ("regression", numbers, ()),
        ("multilabel", (numbers > 50).float(), ("a", "b")),
        ("classification", torch.softmax(numbers, 1), ("a", "b")),
    ):
        mix = build(KIND, "mixup", Spec(task, (4,), classes=classes), alpha=1.0)
        mixed, soft = mix(x, y, generator())
        joint, _ = mix(torch.cat([x, y], 1), y, generator())
        torch.testing.assert_close(torch.cat([mixed, soft], 1), joint)  # one weight for both
        assert soft.dtype == torch.float32


def test_mixup_keeps_a_single_row():
    x = images(1)
    augmented, soft = augment("mixup", x, y=torch.tensor([2]))
    assert torch.equal(augmented, x.float())
    assert soft.tolist() == [[0, 0, 1]]


def test_mixup_does_not_fit_categories():
    columns = (Column("age"), Column("town", "category", ("here", "there")))
    entry = registry.find(KIND, "mixup")
    assert not entry.meta["fits"](Spec("regression", (2,), columns=columns))
    assert entry.meta["fits"](Spec("regression", (2,), columns=columns[:1] * 2))
    assert entry.meta["fits"](Spec("regression", (2,)))


def test_losses_accept_the_targets_of_mixup():
    x, y = images(8), torch.arange(8) % 3
    _, soft = augment("mixup", x, y=y, alpha=1.0)
    spec = make_spec(tuple(x.shape[1:]))
    loss = registry.find("losses", "cross-entropy").build(spec, y.numpy())
    output = torch.randn(8, 3, generator=generator())
    torch.testing.assert_close(loss(output, soft), -(soft * output.log_softmax(1)).sum(1))

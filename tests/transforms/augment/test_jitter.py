"""Jitter gives the same as the textbook formulas, image by image."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from tests.transforms.augment.helpers import augment, generator, images


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

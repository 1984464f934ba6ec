"""The stand-in's transforms against Pillow, NumPy and colorsys."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from yisheng.core.errors import UsageError
from yisheng.d2l.vision import color, functional, random_transforms
from yisheng.d2l.vision import transforms as T

SIDES = st.integers(1, 40)


def make_pixels(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def make_image(height, width, seed=0):
    return Image.fromarray(make_pixels(height, width, seed=seed))


def to_planes(image):
    """Return a PIL image as bytes (C, H, W)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1"])
def test_to_tensor_scales_bytes(mode):
    image = make_image(5, 7).convert(mode)
    expected = np.asarray(image).astype(np.float64)
    expected = expected / (1 if mode == "1" else 255)
    expected = expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1)
    tensor = T.ToTensor()(image)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize(("mode", "dtype"), [("I", torch.int32), ("F", torch.float32), ("I;16", torch.int16)])
def test_to_tensor_keeps_other_numbers(mode, dtype):
    image = Image.new(mode, (3, 2), 300)
    tensor = T.ToTensor()(image)
    assert (tensor.dtype, tuple(tensor.shape)) == (dtype, (1, 2, 3))
    assert (tensor == 300).all()


def test_to_tensor_of_arrays():
    pixels = make_pixels(4, 6)
    assert torch.equal(T.ToTensor()(pixels), T.ToTensor()(Image.fromarray(pixels)))
    assert T.ToTensor()(pixels[..., 0]).shape == (1, 4, 6)
    floats = np.full((2, 3, 1), 7.5)
    assert T.ToTensor()(floats).tolist() == [[[7.5] * 3] * 2]
    with pytest.raises(UsageError, match="PIL image or an array"):
        T.ToTensor()(torch.ones(3, 2, 2))


def test_normalize():
    tensor = torch.rand(2, 3, 4, 5)
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    expected = (tensor.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    before = tensor.clone()
    np.testing.assert_allclose(T.Normalize(mean, std)(tensor).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(tensor, before)
    T.Normalize(mean, std, inplace=True)(tensor)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match=r"floating-point numbers.*\n.*ToTensor"):
        T.Normalize(mean, std)(make_image(4, 4))
    with pytest.raises(UsageError, match="is 0"):
        T.Normalize([0.0], [0.0])(torch.rand(1, 2, 2))


@given(height=SIDES, width=SIDES, size=SIDES)
def test_resize_by_the_shorter_side(height, width, size):
    resized = T.Resize(size)(make_image(height, width))
    expected = (size, int(size * max(height, width) / min(height, width)))
    assert sorted((resized.height, resized.width)) == sorted(expected)
    assert (resized.width >= resized.height) == (width >= height) or size == expected[1]


@given(height=SIDES, width=SIDES, new=st.tuples(SIDES, SIDES))
def test_resize_is_that_of_pillow(height, width, new):
    image = make_image(height, width)
    reference = image.resize(new[::-1], Image.Resampling.BILINEAR)
    assert np.array_equal(np.array(T.Resize(new)(image)), np.array(reference))
    difference = T.Resize(new)(to_planes(image)).int() - to_planes(reference).int()
    assert difference.abs().max() <= 1
    floats = T.Resize(new)(to_planes(image) / 255) * 255
    assert (floats - to_planes(reference)).abs().max() <= 1.01


def test_resize_options():
    image = make_image(20, 40)
    assert T.Resize(10, max_size=15)(image).size == (15, 7)
    assert T.Resize([10])(image).size == (20, 10)
    nearest = T.Resize((5, 5), T.InterpolationMode.NEAREST)(image)
    assert np.array_equal(np.array(nearest), np.array(image.resize((5, 5), Image.Resampling.NEAREST)))
    assert np.array_equal(np.array(T.Resize((5, 5), 0)(image)), np.array(nearest))
    batch = torch.rand(2, 2, 3, 20, 40)
    assert T.Resize(10)(batch).shape == (2, 2, 3, 10, 20)
    for size in (0, -1, (1, 2, 3), (2.5, 1)):
        with pytest.raises(UsageError, match="positive numbers"):
            T.Resize(size)
    with pytest.raises(UsageError, match="max_size"):
        T.Resize(10, max_size=10)(image)
    with pytest.raises(UsageError, match="lanczos"):
        T.Resize(10, T.InterpolationMode.LANCZOS)(batch)
    with pytest.raises(UsageError, match="PIL image or a tensor"):
        T.Resize(10)("cat.png")


@given(height=SIDES, width=SIDES, size=st.tuples(SIDES, SIDES))
def test_center_crop_against_numpy(height, width, size):
    pixels = make_pixels(height, width)
    rows, columns = (max(new - old, 0) for new, old in zip(size, pixels.shape, strict=False))
    padded = np.pad(pixels, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)))
    top, column = (round((old - new) / 2) for old, new in zip(padded.shape, size, strict=False))
    expected = padded[top : top + size[0], column : column + size[1]]
    assert np.array_equal(np.array(T.CenterCrop(size)(Image.fromarray(pixels))), expected)
    tensor = T.CenterCrop(size)(torch.from_numpy(pixels).permute(2, 0, 1))
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize(("transform", "axis"), [(T.RandomHorizontalFlip, 1), (T.RandomVerticalFlip, 0)])
def test_flips(transform, axis):
    image = make_image(6, 9)
    flipped = np.flip(np.array(image), axis)
    assert np.array_equal(np.array(transform(p=1)(image)), flipped)
    assert torch.equal(transform(p=1)(to_planes(image)), to_planes(Image.fromarray(flipped.copy())))
    assert transform(p=0)(image) is image
    torch.manual_seed(0)
    count = sum(transform(p=0.3)(image) is not image for _ in range(1000))
    assert 250 < count < 350
    with pytest.raises(UsageError, match="probability"):
        transform(p=1.5)


@given(height=SIDES, width=SIDES, low=st.floats(0.05, 1), seed=st.integers(0, 99))
def test_random_rectangles_are_inside_and_of_the_drawn_size(height, width, low, seed):
    torch.manual_seed(seed)
    image = make_image(height, width)
    scale, ratio = (low, 1.0), (0.5, 2.0)
    top, column, rows, columns = T.RandomResizedCrop.get_params(image, scale, ratio)
    assert 0 <= top <= top + rows <= height
    assert 0 <= column <= column + columns <= width
    if min(rows, columns) > 10:  # else rounding to pixels changes the area and the ratio
        assert 0.45 < columns / rows < 2.2
    torch.manual_seed(seed)
    result = T.RandomResizedCrop((5, 8), scale, ratio)(image)
    box = image.crop((column, top, column + columns, top + rows))
    assert np.array_equal(np.array(result), np.array(box.resize((8, 5), Image.Resampling.BILINEAR)))


def test_random_rectangles_draw_as_documented():
    """Two uniform numbers for area and ratio, then the corner, from torch's global generator."""
    torch.manual_seed(3)
    area = 100 * 80 * torch.empty(1).uniform_(0.2, 0.5).item()
    ratio = torch.exp(torch.empty(1).uniform_(*torch.log(torch.tensor((0.9, 1.1))).tolist())).item()
    width, height = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
    top, column = (int(torch.randint(0, n, size=(1,))) for n in (100 - height + 1, 80 - width + 1))
    torch.manual_seed(3)
    assert T.RandomResizedCrop.get_params(make_image(100, 80), (0.2, 0.5), (0.9, 1.1)) == (top, column, height, width)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize(
    ("adjust", "enhance"),
    [
        (color.adjust_brightness, ImageEnhance.Brightness),
        (color.adjust_contrast, ImageEnhance.Contrast),
        (color.adjust_saturation, ImageEnhance.Color),
    ],
)
def test_colors_against_pillow(adjust, enhance, factor):
    image = make_image(12, 10)
    reference = np.array(enhance(image).enhance(factor)).astype(int)
    assert np.array_equal(np.array(adjust(image, factor)), reference)
    tensor = adjust(to_planes(image), factor).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(tensor - reference).max() <= 2
    floats = adjust(to_planes(image) / 255, factor).permute(1, 2, 0).numpy() * 255
    assert np.abs(floats - reference).max() <= 2


@given(pixel=st.tuples(*[st.integers(0, 255)] * 3), factor=st.floats(-0.5, 0.5))
def test_hue_against_colorsys(pixel, factor):
    values = [value / 255 for value in pixel]
    hue, saturation, value = colorsys.rgb_to_hsv(*values)
    expected = colorsys.hsv_to_rgb((hue + factor) % 1, saturation, value)
    moved = color.adjust_hue(torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1), factor).flatten()
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-6)


def test_hue_of_images():
    image = make_image(6, 6)
    hue = np.array(image.convert("HSV"))
    hue[..., 0] += np.int32(0.25 * 255).astype(np.uint8)
    reference = Image.merge(
        "HSV", [Image.fromarray(np.ascontiguousarray(hue[..., channel])) for channel in range(3)]
    ).convert("RGB")
    assert np.array_equal(np.array(color.adjust_hue(image, 0.25)), np.array(reference))
    gray = image.convert("L")
    assert color.adjust_hue(gray, 0.25) is gray
    difference = color.adjust_hue(to_planes(image), 0.25).int() - to_planes(color.adjust_hue(image, 0.25)).int()
    assert difference.abs().float().mean() < 4  # Pillow's hue has 256 steps
    with pytest.raises(UsageError, match=r"-0\.5 to 0\.5"):
        color.adjust_hue(image, 0.6)


def test_color_jitter_draws_from_its_ranges():
    image = make_image(8, 8)
    assert T.ColorJitter()(image) is image
    torch.manual_seed(0)
    jitter = T.ColorJitter(brightness=(0.5, 0.5))
    assert np.array_equal(np.array(jitter(image)), np.array(ImageEnhance.Brightness(image).enhance(0.5)))
    assert (jitter.brightness, T.ColorJitter(hue=0.1).hue) == ((0.5, 0.5), (-0.1, 0.1))
    assert T.ColorJitter(contrast=2).contrast == (0.0, 3)
    torch.manual_seed(1)
    order, factors = torch.randperm(4).tolist(), [torch.empty(1).uniform_(0.5, 1.5).item() for _ in range(3)]
    expected = image
    for position in [p for p in order if p < 3]:
        expected = random_transforms._ADJUSTMENTS[position](expected, factors[position])
    torch.manual_seed(1)
    assert np.array_equal(np.array(T.ColorJitter(0.5, 0.5, 0.5)(image)), np.array(expected))
    for wrong in ({"brightness": -1}, {"hue": 0.7}, {"contrast": (2, 1)}):
        with pytest.raises(UsageError):
            T.ColorJitter(**wrong)


def test_transforms_print_their_arguments():
    text = repr(T.Compose([T.Resize(8), T.CenterCrop(4), T.RandomHorizontalFlip(), T.ColorJitter(0.1), T.ToTensor()]))
    for part in (
        "Resize(size=8",
        "CenterCrop(size=(4, 4))",
        "RandomHorizontalFlip(p=0.5)",
        "brightness=(",
        "ToTensor()",
    ):
        assert part in text


def test_crop_beyond_the_image_is_black():
    image = make_image(4, 4)
    expected = np.array(image.crop((-1, -2, 5, 3)))
    assert np.array_equal(functional.crop(to_planes(image), -2, -1, 5, 6).permute(1, 2, 0).numpy(), expected)

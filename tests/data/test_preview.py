"""Descriptions, fingerprints and previews of data sets, including unusual unit_weight."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from yisheng.core import fonts, registry
from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.findings import Finding
from yisheng.core.image_values import Drawing
from yisheng.core.spec import Spec
from yisheng.data import fingerprint as fingerprint_module
from yisheng.data import preview
from yisheng.data.fingerprint import fingerprint
from yisheng.data.preview import AUGMENTED_COPIES, describe, draw_augmented, draw_samples
from yisheng.data.split import hold_out

BUILT_IN = ("breast-cancer", "diabetes", "digits", "iris", "linear", "polynomial", "wine", "xor")
UNUSUAL_NAMES = ("猫", "собака", "日本語のとても長い名前のクラスです", "🐶", "a$b^{c$", "two\nlines", "")
rng = np.random.Generator(np.random.PCG64(5))


def make_table(y=None, x=None, names=(), **spec) -> Dataset:
    x = rng.normal(size=(60, 3)).astype(np.float32) if x is None else x
    spec = {"task": "classification", "classes": UNUSUAL_NAMES, **spec}
    y = np.arange(len(x)) % len(spec["classes"]) if y is None else y
    return Dataset("set", Spec(shape=x.shape[1:], columns=tuple(map(Column, names)), **spec), x, y)


def make_images(shape=(1, 9, 7), classes=UNUSUAL_NAMES, n=60, dtype=np.uint8) -> Dataset:
    x = rng.integers(0, 256, (n, *shape)).astype(dtype)
    return Dataset("set", Spec("classification", shape, classes), x, np.arange(n) % len(classes))


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_datasets_are_described_and_drawn(name):
    data = registry.find("data.datasets", name).build()
    facts = describe(data)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["rows"] == len(data)
    assert facts["sha256"] == fingerprint(data)
    assert facts["source"] == data.source
    image = draw_samples(data)
    assert image.mode == "RGB"
    assert 300 < image.width < 2000
    assert len(image.getcolors(1 << 20)) > 3


def test_description_of_a_table():
    x = np.array([[1, np.nan], [2, np.inf], [6, -4]], np.float32)
    data = make_table(np.array([0, 1, 1]), x, names=("a", "b"), classes=("no", "yes"), target="sick")
    facts = describe(replace(data, part=np.array([0, 0, 2], np.int8)))
    assert facts["parts"] == {"train": 2, "test": 1}
    assert facts["classes"] == [{"class": "no", "rows": 1}, {"class": "yes", "rows": 2}]
    assert facts["columns"] == [
        {"column": "a", "kind": "number", "min": 1.0, "mean": 3.0, "max": 6.0, "missing": 0},
        {"column": "b", "kind": "number", "min": -4.0, "mean": -4.0, "max": -4.0, "missing": 2},
    ]
    assert facts["target"] == "sick"
    assert "parts" not in describe(data)
    assert "unit" not in facts
    json.dumps(facts, allow_nan=False)


def test_description_of_empty_columns_labels_and_targets():
    x = np.full((4, 1), np.nan, np.float32)
    y = np.array([[0, 1], [1, 1], [0, 0], [0, 1]], np.float32)
    facts = describe(make_table(y, x, task="multilabel", classes=("a", "b")))
    assert facts["columns"] == [{"column": "1", "kind": "number", "min": None, "mean": None, "max": None, "missing": 4}]
    assert facts["classes"] == [{"class": "a", "rows": 1}, {"class": "b", "rows": 3}]
    regression = describe(make_table(y[:, :1], x, task="regression", classes=(), unit="m"))
    assert regression["targets"] == {"min": 0.0, "mean": 0.25, "max": 1.0, "missing": 0}
    assert regression["unit"] == "m"


@pytest.mark.parametrize("channels", [1, 3])
def test_description_of_images(channels, monkeypatch):
    monkeypatch.setattr(preview, "_CHUNK_VALUES", 100)
    data = make_images((channels, 5, 4))
    facts = describe(data)["pixels"]
    facts = [facts] if channels == 1 else facts
    np.testing.assert_allclose([f["mean"] for f in facts], data.x.mean(axis=(0, 2, 3)), rtol=1e-5)
    assert [f["max"] for f in facts] == data.x.max(axis=(0, 2, 3)).tolist()


def test_fingerprint_depends_on_values_not_on_their_storage(tmp_path, monkeypatch):
    data = make_table()
    expected = fingerprint(data)
    monkeypatch.setattr(fingerprint_module, "CHUNK_BYTES", 7)
    assert fingerprint(data) == expected
    assert fingerprint(replace(data, x=np.asfortranarray(data.x))) == expected
    assert fingerprint(replace(data, y=data.y.astype(">i8"))) == expected
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=data.x.shape)
    mapped[:] = data.x
    assert fingerprint(replace(data, x=mapped)) == expected
    assert fingerprint(replace(data, name="other", about="described differently")) == expected


def test_fingerprint_changes_with_every_value():
    data = make_table()
    x, y = data.x.copy(), data.y.copy()
    x[-1, -1] += 1
    y[-1] -= 1
    unit_weight = np.ones(len(x), np.float32)
    changed = [
        replace(data, x=x),
        replace(data, y=y),
        replace(data, part=np.zeros(len(x), np.int8)),
        replace(data, weight=unit_weight),
        replace(data, weight=2 * unit_weight),
        make_table(y, data.x, names=("a", "b", "c")),
        make_table(data.y, data.x.reshape(60, 3, 1, 1)),
    ]
    assert len({fingerprint(dataset) for dataset in [data, *changed]}) == len(changed) + 1


def test_fingerprint_is_the_same_on_every_machine():
    x = np.array([[1.0, -2.5], [0.0, 3.0]], np.float32)
    data = make_table(np.array([0, 1]), x, classes=("a", "b"))
    content = b"|x<f4(2, 2)" + struct.pack("<4f", 1.0, -2.5, 0.0, 3.0) + b"|y<i8(2,)" + struct.pack("<2q", 0, 1)
    content = repr(data.spec).encode() + content + b"|part|weight"
    assert fingerprint(data) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "data",
    [
        make_table(),
        make_table(names=("猫の重さ", "$x_1$", "a" * 300)),
        make_table(x=np.full((20, 2), np.nan, np.float32), classes=("a", "b")),
        make_table(
            x=np.full((20, 2), np.nan, np.float32), classes=(), task="regression", y=np.zeros((20, 1), np.float32)
        ),
        make_table(x=np.zeros((20, 1), np.float32)),
        make_table(x=np.full((20, 3), 1e30, np.float32)),
        make_table(x=np.array([[0, 1e30, -1e30]] * 5 + [[1, np.inf, 0]], np.float32), classes=("a", "b")),
        make_table(x=rng.normal(size=(60, 40)).astype(np.float32)),
        make_table(x=rng.normal(size=(60, 5)).astype(np.float32), classes=tuple(map(str, range(30)))),
        make_table(x=rng.integers(0, 9, (60, 5)).astype(np.uint8)),
        make_table(x=rng.normal(size=(1, 4)).astype(np.float32), classes=("a", "b")),
        make_table(x=rng.normal(size=(9000, 2)).astype(np.float32)),
        make_table(rng.integers(0, 2, (60, 3)).astype(np.float32), task="multilabel", classes=("a", "b", "猫")),
        make_table(np.zeros((60, 2), np.float32), task="regression", classes=(), unit="¥", target="価格"),
        make_images(),
        make_images((3, 32, 40)),
        make_images((2, 8, 8)),
        make_images((4, 8, 8)),
        make_images((3, 300, 200), n=3, classes=("a", "b")),
        make_images((1, 1, 500), n=3, classes=("a", "b")),
        make_images((1, 1, 1), n=2, classes=("a", "b")),
        make_images(classes=tuple(f"class {i}" for i in range(50))),
        make_images(dtype=np.float32),
        replace(make_images(dtype=np.float32), x=np.full((60, 1, 9, 7), np.nan, np.float32)),
        replace(make_images(), y=np.zeros(60, np.int64)),
        Dataset(
            "網",
            Spec("multilabel", (1, 8, 8), UNUSUAL_NAMES),
            make_images((1, 8, 8)).x,
            np.eye(60, 7, dtype=np.float32),
        ),
        Dataset(
            "r", Spec("regression", (1, 8, 8)), make_images((1, 8, 8)).x, rng.normal(size=(60, 2)).astype(np.float32)
        ),
    ],
    ids=lambda data: f"{data.spec.task}-{'x'.join(map(str, data.x.shape))}",
)
def test_unusual_datasets_are_described_and_drawn(data):
    for n in (1, 13):
        image = draw_samples(data, n=n, seed=3)
        assert image.mode == "RGB"
        assert 200 < image.width < 2500
        assert 100 < image.height < 2500
    json.dumps(describe(data), allow_nan=False)


def count_red_pixels(image: Image.Image) -> int:
    """Return the number of pure red pixels."""
    is_red = np.asarray(image)[:, :, 0].astype(int) - np.asarray(image)[:, :, 1] > 200
    return int(is_red.sum())


def make_red_images(n: int) -> Dataset:
    x = np.zeros((n, 3, 96, 96), np.uint8)
    x[:, 0] = 255
    return Dataset("red", Spec("classification", (3, 96, 96), ("a", "b", "c")), x, np.arange(n) % 3)


@pytest.mark.parametrize("n", [1, 2, 3, 9, 10, 11, 40])
def test_requested_number_of_images_is_drawn(n):
    assert count_red_pixels(draw_samples(make_red_images(120), n=n)) == n * 96 * 96
    regression = replace(make_red_images(120), spec=Spec("regression", (3, 96, 96)), y=np.zeros((120, 1), np.float32))
    assert count_red_pixels(draw_samples(regression, n=n)) == n * 96 * 96


def test_small_datasets_are_drawn_completely():
    assert count_red_pixels(draw_samples(make_red_images(4), n=40)) == 4 * 96 * 96


def test_pixels_are_drawn_unchanged():
    data = make_red_images(30)
    x = data.x.copy()
    x[:, :, :48] = np.array([0, 128, 7], np.uint8)[:, None, None]
    sheet = np.asarray(draw_samples(replace(data, x=x), n=1))
    rows, columns = np.nonzero((sheet == (255, 0, 0)).all(axis=2))
    top = sheet[rows.min() - 48 : rows.min(), columns.min() : columns.max() + 1]
    assert top.shape == (48, 96, 3)
    assert (top == (0, 128, 7)).all()


def test_test_part_is_never_drawn():
    data = make_red_images(60)
    x = data.x.copy()
    x[40:] = 0  # a test image would be black
    part = np.repeat(np.array([0, 2], np.int8), [40, 20])
    assert count_red_pixels(draw_samples(replace(data, x=x, part=part), n=36)) == 36 * 96 * 96
    split = hold_out(data, validation=0.2, test=0.2)
    x = data.x.copy()
    x[np.concatenate([split.test, split.validation])] = 0
    assert count_red_pixels(draw_samples(replace(data, x=x), n=30, split=split)) == 30 * 96 * 96


def test_seed_selects_the_samples():
    data = registry.find("data.datasets", "digits").build()
    assert draw_samples(data, seed=1).tobytes() == draw_samples(data, seed=1).tobytes() != draw_samples(data).tobytes()


@pytest.mark.parametrize("n", [0, -1, 1001])
def test_invalid_numbers_of_samples_are_refused(n):
    with pytest.raises(UsageError, match="n must be"):
        draw_samples(make_red_images(3), n=n)


def test_font_with_most_characters_is_found(monkeypatch, tmp_path):
    default = fonts.find_font_path("plain")
    assert default.endswith(fonts.DEFAULT_FONT)
    broken, cat_font = tmp_path / "a.ttf", tmp_path / "b.ttf"
    broken.write_bytes(b"no font")
    cat_font.write_bytes(b"a font")
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(cat_font), str(broken)])
    read_characters = fonts._read_characters.__wrapped__
    monkeypatch.setattr(
        fonts, "_read_characters", lambda p: frozenset(map(ord, "猫x")) if p == str(cat_font) else read_characters(p)
    )
    fonts._list_system_fonts.cache_clear()
    assert fonts.find_font_path("猫x") == str(cat_font)
    assert fonts.find_font_path("猫犬") == str(cat_font)  # no font has both: the one that has more
    assert fonts.find_font_path("犬") == default
    fonts._list_system_fonts.cache_clear()


def test_drawing_is_optional():
    data = make_images()
    spec = Spec("classification", (1, 9, 7), ("a", "b"), drawing=Drawing(box=7))
    assert draw_samples(replace(data, spec=spec, y=data.y % 2)).mode == "RGB"


def test_findings_are_described():
    finding = Finding("duplicates", "warning", {"count": 2}, "two are the same", "remove one")
    facts = describe(replace(make_images(), findings=(finding,)))
    assert facts["findings"] == [
        {"severity": "warning", "check": "duplicates", "cause": "two are the same", "remedy": "remove one"}
    ]
    assert "findings" not in describe(make_images())


def to_red(x, y, generator):
    x = torch.zeros_like(x)
    x[:, 0] = 255
    return x, y


@pytest.mark.parametrize("n", [1, 9, 10, 11, 25])
def test_augmented_sheet_shows_every_image_and_its_copies(n):
    white = replace(make_red_images(60), x=np.full((60, 3, 96, 96), 255, np.uint8))
    assert count_red_pixels(draw_augmented(white, [to_red], n=n)) == n * AUGMENTED_COPIES * 96 * 96
    assert count_red_pixels(draw_augmented(make_red_images(60), [], n=n)) == n * (AUGMENTED_COPIES + 1) * 96 * 96


def test_augmentations_are_applied_in_order_and_reproducible():
    data = make_images((3, 12, 12), n=30)

    def add_one(x, y, generator):
        return x + 1, y

    def multiply_by_noise(x, y, generator):
        assert x.dtype == torch.uint8
        return x * torch.rand(len(x), 1, 1, 1, generator=generator), y

    image = draw_augmented(data, [add_one, multiply_by_noise], n=6, seed=4)
    assert image.tobytes() == draw_augmented(data, [add_one, multiply_by_noise], n=6, seed=4).tobytes()
    assert image.tobytes() != draw_augmented(data, [add_one, multiply_by_noise], n=6, seed=5).tobytes()


def test_mixed_targets_are_written_under_the_images():
    def mix(x, y, generator):
        return x, torch.nn.functional.one_hot(y, 3) * 0.7 + 0.1

    original, mixed = draw_augmented(make_red_images(30), [], n=5), draw_augmented(make_red_images(30), [mix], n=5)
    assert mixed.height - original.height == AUGMENTED_COPIES * 3 * 22  # three classes, a line each
    assert preview._describe_mixed_target(make_red_images(3), [0.25, 0.0, 0.75]) == "75% c\n25% a"


@pytest.mark.parametrize(
    "data",
    [
        make_images(),
        make_images((4, 8, 8)),
        make_images((1, 1, 500), n=3, classes=("a", "b")),
        make_images((1, 1, 1), n=2, classes=("a", "b")),
        make_images(dtype=np.float32),
        replace(make_images(dtype=np.float32), x=np.full((60, 1, 9, 7), np.nan, np.float32)),
        Dataset(
            "網",
            Spec("multilabel", (1, 8, 8), UNUSUAL_NAMES),
            make_images((1, 8, 8)).x,
            np.eye(60, 7, dtype=np.float32),
        ),
        Dataset(
            "r", Spec("regression", (1, 8, 8)), make_images((1, 8, 8)).x, rng.normal(size=(60, 2)).astype(np.float32)
        ),
    ],
    ids=lambda data: f"{data.spec.task}-{'x'.join(map(str, data.x.shape))}-{data.x.dtype}",
)
def test_unusual_images_are_drawn_augmented(data):
    x = data.x.copy()

    def halve(x, y, generator):
        return x * 0.5, y * 0.5 if y.is_floating_point() else y

    image = draw_augmented(data, [halve], n=13)
    assert image.mode == "RGB"
    assert 200 < image.width < 2500
    assert np.array_equal(data.x, x, equal_nan=True)


def test_augmented_sheet_refuses_tables():
    with pytest.raises(UsageError, match="only augmented images"):
        draw_augmented(make_table(), [])
    with pytest.raises(UsageError, match="n must be"):
        draw_augmented(make_images(), [], n=0)


def test_augmented_sheet_excludes_the_test_part():
    data = make_red_images(60)
    x = data.x.copy()
    x[40:] = 0
    part = np.repeat(np.array([0, 2], np.int8), [40, 20])
    assert (
        count_red_pixels(draw_augmented(replace(data, x=x, part=part), [], n=40))
        == 40 * (AUGMENTED_COPIES + 1) * 96 * 96
    )

"""Facts, fingerprints and images of data sets, also of awkward ones."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.types import Column, Dataset, Finding, Drawing, Spec
from yisheng.data import _fonts, preview
from yisheng.data import fingerprint as hashing
from yisheng.data.fingerprint import fingerprint
from yisheng.data.preview import AUGMENTED_COPIES, describe, draw_augmented, draw_samples
from yisheng.data.split import hold_out

EMBEDDED = ("breast-cancer", "diabetes", "digits", "iris", "linear", "polynomial", "wine", "xor")
AWKWARD = ("猫", "собака", "日本語のとても長い名前のクラスです", "🐶", "a$b^{c$", "two\nlines", "")
rng = np.random.Generator(np.random.PCG64(5))


def table(y=None, x=None, names=(), **spec) -> Dataset:
    x = rng.normal(size=(60, 3)).astype(np.float32) if x is None else x
    spec = {"task": "classification", "classes": AWKWARD, **spec}
    y = np.arange(len(x)) % len(spec["classes"]) if y is None else y
    return Dataset("set", Spec(shape=x.shape[1:], columns=tuple(map(Column, names)), **spec), x, y)


def images(shape=(1, 9, 7), classes=AWKWARD, n=60, dtype=np.uint8) -> Dataset:
    x = rng.integers(0, 256, (n, *shape)).astype(dtype)
    return Dataset("set", Spec("classification", shape, classes), x, np.arange(n) % len(classes))


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets(name):
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


def test_facts():
    x = np.array([[1, np.nan], [2, np.inf], [6, -4]], np.float32)
    data = table(np.array([0, 1, 1]), x, names=("a", "b"), classes=("no", "yes"), target="sick")
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


def test_facts_of_an_empty_column_and_of_labels():
    x = np.full((4, 1), np.nan, np.float32)
    y = np.array([[0, 1], [1, 1], [0, 0], [0, 1]], np.float32)
    facts = describe(table(y, x, task="multilabel", classes=("a", "b")))
    assert facts["columns"] == [{"column": "1", "kind": "number", "min": None, "mean": None, "max": None, "missing": 4}]
    assert facts["classes"] == [{"class": "a", "rows": 1}, {"class": "b", "rows": 3}]
    regression = describe(table(y[:, :1], x, task="regression", classes=(), unit="m"))
    assert regression["targets"] == {"min": 0.0, "mean": 0.25, "max": 1.0, "missing": 0}
    assert regression["unit"] == "m"


@pytest.mark.parametrize("channels", [1, 3])
def test_facts_of_images(channels, monkeypatch):
    monkeypatch.setattr(preview, "_CHUNK_VALUES", 100)
    data = images((channels, 5, 4))
    facts = describe(data)["pixels"]
    facts = [facts] if channels == 1 else facts
    np.testing.assert_allclose([f["mean"] for f in facts], data.x.mean(axis=(0, 2, 3)), rtol=1e-5)
    assert [f["max"] for f in facts] == data.x.max(axis=(0, 2, 3)).tolist()


def test_fingerprint_is_of_the_values(tmp_path, monkeypatch):
    data = table()
    want = fingerprint(data)
    monkeypatch.setattr(hashing, "CHUNK_BYTES", 7)
    assert fingerprint(data) == want
    assert fingerprint(replace(data, x=np.asfortranarray(data.x))) == want
    assert fingerprint(replace(data, y=data.y.astype(">i8"))) == want
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=data.x.shape)
    mapped[:] = data.x
    assert fingerprint(replace(data, x=mapped)) == want
    assert fingerprint(replace(data, name="other", about="told otherwise")) == want


def test_fingerprint_sees_every_change():
    data = table()
    x, y = data.x.copy(), data.y.copy()
    x[-1, -1] += 1
    y[-1] -= 1
    ones = np.ones(len(x), np.float32)
    changed = [
        replace(data, x=x),
        replace(data, y=y),
        replace(data, part=np.zeros(len(x), np.int8)),
        replace(data, weight=ones),
        replace(data, weight=2 * ones),
        table(y, data.x, names=("a", "b", "c")),
        table(data.y, data.x.reshape(60, 3, 1, 1)),
    ]
    assert len({fingerprint(each) for each in [data, *changed]}) == len(changed) + 1


def test_fingerprint_is_the_same_on_every_machine():
    x = np.array([[1.0, -2.5], [0.0, 3.0]], np.float32)
    data = table(np.array([0, 1]), x, classes=("a", "b"))
    content = b"|x<f4(2, 2)" + struct.pack("<4f", 1.0, -2.5, 0.0, 3.0) + b"|y<i8(2,)" + struct.pack("<2q", 0, 1)
    content = repr(data.spec).encode() + content + b"|part|weight"
    assert fingerprint(data) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "data",
    [
        table(),
        table(names=("猫の重さ", "$x_1$", "a" * 300)),
        table(x=np.full((20, 2), np.nan, np.float32), classes=("a", "b")),
        table(x=np.full((20, 2), np.nan, np.float32), classes=(), task="regression", y=np.zeros((20, 1), np.float32)),
        table(x=np.zeros((20, 1), np.float32)),
        table(x=np.full((20, 3), 1e30, np.float32)),
        table(x=np.array([[0, 1e30, -1e30]] * 5 + [[1, np.inf, 0]], np.float32), classes=("a", "b")),
        table(x=rng.normal(size=(60, 40)).astype(np.float32)),
        table(x=rng.normal(size=(60, 5)).astype(np.float32), classes=tuple(map(str, range(30)))),
        table(x=rng.integers(0, 9, (60, 5)).astype(np.uint8)),
        table(x=rng.normal(size=(1, 4)).astype(np.float32), classes=("a", "b")),
        table(x=rng.normal(size=(9000, 2)).astype(np.float32)),
        table(rng.integers(0, 2, (60, 3)).astype(np.float32), task="multilabel", classes=("a", "b", "猫")),
        table(np.zeros((60, 2), np.float32), task="regression", classes=(), unit="¥", target="価格"),
        images(),
        images((3, 32, 40)),
        images((2, 8, 8)),
        images((4, 8, 8)),
        images((3, 300, 200), n=3, classes=("a", "b")),
        images((1, 1, 500), n=3, classes=("a", "b")),
        images((1, 1, 1), n=2, classes=("a", "b")),
        images(classes=tuple(f"class {i}" for i in range(50))),
        images(dtype=np.float32),
        replace(images(dtype=np.float32), x=np.full((60, 1, 9, 7), np.nan, np.float32)),
        replace(images(), y=np.zeros(60, np.int64)),
        Dataset("網", Spec("multilabel", (1, 8, 8), AWKWARD), images((1, 8, 8)).x, np.eye(60, 7, dtype=np.float32)),
        Dataset("r", Spec("regression", (1, 8, 8)), images((1, 8, 8)).x, rng.normal(size=(60, 2)).astype(np.float32)),
    ],
    ids=lambda data: f"{data.spec.task}-{'x'.join(map(str, data.x.shape))}",
)
def test_awkward_sets(data):
    for n in (1, 13):
        image = draw_samples(data, n=n, seed=3)
        assert image.mode == "RGB"
        assert 200 < image.width < 2500
        assert 100 < image.height < 2500
    json.dumps(describe(data), allow_nan=False)


def tiles_of(image: Image.Image) -> int:
    """Images on the sheet, where all pixels of the data are pure red."""
    red = np.asarray(image)[:, :, 0].astype(int) - np.asarray(image)[:, :, 1] > 200
    return int(red.sum())


def red(n: int) -> Dataset:
    x = np.zeros((n, 3, 96, 96), np.uint8)
    x[:, 0] = 255
    return Dataset("red", Spec("classification", (3, 96, 96), ("a", "b", "c")), x, np.arange(n) % 3)


@pytest.mark.parametrize("n", [1, 2, 3, 9, 10, 11, 40])
def test_as_many_images_as_asked_for(n):
    assert tiles_of(draw_samples(red(120), n=n)) == n * 96 * 96
    many = replace(red(120), spec=Spec("regression", (3, 96, 96)), y=np.zeros((120, 1), np.float32))
    assert tiles_of(draw_samples(many, n=n)) == n * 96 * 96


def test_no_more_images_than_there_are():
    assert tiles_of(draw_samples(red(4), n=40)) == 4 * 96 * 96


def test_images_are_shown_as_they_are():
    data = red(30)
    x = data.x.copy()
    x[:, :, :48] = np.array([0, 128, 7], np.uint8)[:, None, None]
    sheet = np.asarray(draw_samples(replace(data, x=x), n=1))
    rows, columns = np.nonzero((sheet == (255, 0, 0)).all(axis=2))
    top = sheet[rows.min() - 48 : rows.min(), columns.min() : columns.max() + 1]
    assert top.shape == (48, 96, 3)
    assert (top == (0, 128, 7)).all()


def test_the_test_part_is_never_shown():
    data = red(60)
    x = data.x.copy()
    x[40:] = 0  # a test image would be black
    part = np.repeat(np.array([0, 2], np.int8), [40, 20])
    assert tiles_of(draw_samples(replace(data, x=x, part=part), n=36)) == 36 * 96 * 96
    split = hold_out(data, validation=0.2, test=0.2)
    x = data.x.copy()
    x[np.concatenate([split.test, split.validation])] = 0
    assert tiles_of(draw_samples(replace(data, x=x), n=30, split=split)) == 30 * 96 * 96


def test_another_seed_shows_others():
    data = registry.find("data.datasets", "digits").build()
    assert draw_samples(data, seed=1).tobytes() == draw_samples(data, seed=1).tobytes() != draw_samples(data).tobytes()


@pytest.mark.parametrize("n", [0, -1, 1001])
def test_samples_that_cannot_be(n):
    with pytest.raises(UsageError, match="n must be"):
        draw_samples(red(3), n=n)


def test_a_font_that_has_the_letters(monkeypatch, tmp_path):
    ours = _fonts.find_font_path("plain")
    assert ours.endswith(_fonts.DEFAULT_FONT)
    broken, right = tmp_path / "a.ttf", tmp_path / "b.ttf"
    broken.write_bytes(b"no font")
    right.write_bytes(b"a font")
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(right), str(broken)])
    known = _fonts._read_characters.__wrapped__
    monkeypatch.setattr(_fonts, "_read_characters", lambda p: frozenset(map(ord, "猫x")) if p == str(right) else known(p))
    _fonts._list_system_fonts.cache_clear()
    assert _fonts.find_font_path("猫x") == str(right)
    assert _fonts.find_font_path("猫犬") == str(right)  # none has both: one that has more
    assert _fonts.find_font_path("犬") == ours
    _fonts._list_system_fonts.cache_clear()


def test_ink_is_not_needed():
    data = images()
    spec = Spec("classification", (1, 9, 7), ("a", "b"), drawing=Drawing(box=7))
    assert draw_samples(replace(data, spec=spec, y=data.y % 2)).mode == "RGB"


def test_findings_are_facts():
    found = Finding("twins", "warning", {"count": 2}, "two are the same", "remove one")
    facts = describe(replace(images(), findings=(found,)))
    assert facts["findings"] == [
        {"severity": "warning", "check": "twins", "cause": "two are the same", "remedy": "remove one"}
    ]
    assert "findings" not in describe(images())


def to_red(x, y, draw):
    x = torch.zeros_like(x)
    x[:, 0] = 255
    return x, y


@pytest.mark.parametrize("n", [1, 9, 10, 11, 25])
def test_every_image_is_shown_before_and_after(n):
    white = replace(red(60), x=np.full((60, 3, 96, 96), 255, np.uint8))
    assert tiles_of(draw_augmented(white, [to_red], n=n)) == n * AUGMENTED_COPIES * 96 * 96
    assert tiles_of(draw_augmented(red(60), [], n=n)) == n * (AUGMENTED_COPIES + 1) * 96 * 96


def test_changes_are_made_in_order_and_drawn_from_the_seed():
    data = images((3, 12, 12), n=30)

    def add_one(x, y, draw):
        return x + 1, y

    def noise(x, y, draw):
        assert x.dtype == torch.uint8
        return x * torch.rand(len(x), 1, 1, 1, generator=draw), y

    image = draw_augmented(data, [add_one, noise], n=6, seed=4)
    assert image.tobytes() == draw_augmented(data, [add_one, noise], n=6, seed=4).tobytes()
    assert image.tobytes() != draw_augmented(data, [add_one, noise], n=6, seed=5).tobytes()


def test_mixed_targets_are_told_in_more_kind():
    def mix(x, y, draw):
        return x, torch.nn.functional.one_hot(y, 3) * 0.7 + 0.1

    plain, mixed = draw_augmented(red(30), [], n=5), draw_augmented(red(30), [mix], n=5)
    assert mixed.height - plain.height == AUGMENTED_COPIES * 3 * 22  # three classes, a line each
    assert preview._describe_mixed_target(red(3), [0.25, 0.0, 0.75]) == "75% c\n25% a"


@pytest.mark.parametrize(
    "data",
    [
        images(),
        images((4, 8, 8)),
        images((1, 1, 500), n=3, classes=("a", "b")),
        images((1, 1, 1), n=2, classes=("a", "b")),
        images(dtype=np.float32),
        replace(images(dtype=np.float32), x=np.full((60, 1, 9, 7), np.nan, np.float32)),
        Dataset("網", Spec("multilabel", (1, 8, 8), AWKWARD), images((1, 8, 8)).x, np.eye(60, 7, dtype=np.float32)),
        Dataset("r", Spec("regression", (1, 8, 8)), images((1, 8, 8)).x, rng.normal(size=(60, 2)).astype(np.float32)),
    ],
    ids=lambda data: f"{data.spec.task}-{'x'.join(map(str, data.x.shape))}-{data.x.dtype}",
)
def test_awkward_images_before_and_after(data):
    before = data.x.copy()

    def halve(x, y, draw):
        return x * 0.5, y * 0.5 if y.is_floating_point() else y

    image = draw_augmented(data, [halve], n=13)
    assert image.mode == "RGB"
    assert 200 < image.width < 2500
    assert np.array_equal(data.x, before, equal_nan=True)


def test_rows_have_no_before_and_after():
    with pytest.raises(UsageError, match="only augmented images"):
        draw_augmented(table(), [])
    with pytest.raises(UsageError, match="n must be"):
        draw_augmented(images(), [], n=0)


def test_before_and_after_leave_the_test_part_alone():
    data = red(60)
    x = data.x.copy()
    x[40:] = 0
    part = np.repeat(np.array([0, 2], np.int8), [40, 20])
    assert tiles_of(draw_augmented(replace(data, x=x, part=part), [], n=40)) == 40 * (AUGMENTED_COPIES + 1) * 96 * 96

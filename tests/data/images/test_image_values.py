"""Modes, depths, ranges and formats of image files: training and prediction see the values that the files hold."""

import io
import itertools
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from tests.data.images import written_images
from yisheng.core.errors import DataError
from yisheng.core.image_values import Drawing, ImageValues, ValueRange
from yisheng.core.spec import Spec
from yisheng.data.datasets.folder import folder
from yisheng.data.images import decode, image_values
from yisheng.data.images.image_values import PLAIN, ValueFacts, decide_values
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.images import ImageFiles
from yisheng.inference.images import decode_input, read_image
from yisheng.inference.inputs.image_arrays import read_image_array
from yisheng.inference.inputs.image_items import read_image_items

HEIGHT, WIDTH = 10, 12


@dataclass(frozen=True)
class Case:
    """A format with a range of values.

    Args:
        name: of the case.
        suffix: of the files.
        draw: generator -> values as the file holds them.
        encode: values -> bytes of the file.
        black, white: what becomes 0 and 255.
        stored: type of the pixels.
        tolerance: in the units of the values, beyond the rounding of float32.
    """

    name: str
    suffix: str
    draw: object
    encode: object
    black: float
    white: float
    stored: str
    tolerance: float = 0.0


def draw_integers(low, high, dtype, shape=(HEIGHT, WIDTH)):
    """Return a function that draws whole numbers, the smallest and largest among them."""

    def draw(random):
        values = random.integers(low, high, shape, endpoint=True).astype(dtype)
        values.reshape(-1)[:2] = low, high
        return values

    return draw


def draw_floats(low, high):
    def draw(random):
        values = random.uniform(low, high, (HEIGHT, WIDTH)).astype(np.float32)
        values.reshape(-1)[:2] = low, high
        return values

    return draw


def pillow(kind, **options):
    def encode(values):
        file = io.BytesIO()
        Image.fromarray(values).save(file, kind, **options)
        return file.getvalue()

    return encode


COLOR = (HEIGHT, WIDTH, 3)
RANGES_16 = ((255, 255), (256, 1023), (1000, 1023), (1023, 1023), (4095, 4095), (10000, 16383), (65535, 65535))
"""Largest value in the files, and white."""


WRITE_BIG = partial(written_images.write_tiff, order=">")


def write_inverted(values):
    return written_images.write_tiff(np.uint16(65535) - values, photometric=0)


def spread_bytes(random):
    return draw_integers(0, 255, np.uint16)(random) * np.uint16(257)


def draw_fractions(random):
    return draw_integers(0, 255, np.uint8)(random).astype(np.float32) / np.float32(255)


def list_cases():
    for kind, encode in {
        "png": written_images.write_png,
        "tif": written_images.write_tiff,
        "bmp": pillow("BMP"),
        "gif": pillow("GIF"),
        "ppm": partial(written_images.write_netpbm, max_value=255),
        **({"webp": pillow("WEBP", lossless=True)} if features.check("webp") else {}),
    }.items():
        yield Case(f"8 bits gray {kind}", kind, draw_integers(0, 255, np.uint8), encode, 0, 255, "uint8")
        if kind != "gif":
            yield Case(f"8 bits color {kind}", kind, draw_integers(0, 255, np.uint8, COLOR), encode, 0, 255, "uint8")
    for bits in (1, 2, 4):
        high = 2**bits - 1
        encode = partial(written_images.write_png, bits=bits)
        yield Case(f"{bits} bits png", "png", draw_integers(0, high, np.uint8), encode, 0, high, "uint8")
    yield Case("8 bits tiff, big", "tif", draw_integers(0, 255, np.uint8), WRITE_BIG, 0, 255, "uint8")
    yield Case("8 bits dark", "png", draw_integers(0, 9, np.uint8), written_images.write_png, 0, 255, "uint8")
    encoders_16 = {
        "png": partial(written_images.write_png, bits=16),
        "tif": written_images.write_tiff,
        "tiff": WRITE_BIG,
    }
    for (highest, white), (kind, encode) in itertools.product(RANGES_16, encoders_16.items()):
        stored = "uint8" if white == 255 else "float32"
        draw = draw_integers(0, highest, np.uint16)
        yield Case(f"16 bits to {highest} {kind}", kind, draw, encode, 0, white, stored)
    for kind, encode in encoders_16.items():
        yield Case(f"16 bits color {kind}", kind, draw_integers(0, 4095, np.uint16, COLOR), encode, 0, 4095, "float32")
        yield Case(f"8 bits in 16 {kind}", kind, spread_bytes, encode, 0, 65535, "uint8")
    deflated = pillow("TIFF", compression="tiff_adobe_deflate")
    yield Case("16 bits compressed tiff", "tif", draw_integers(0, 65535, np.uint16), deflated, 0, 65535, "float32")
    yield Case("16 bits, white is 0", "tif", draw_integers(0, 65535, np.uint16), write_inverted, 0, 65535, "float32")
    for max_value in (1023, 65535):
        encode = partial(written_images.write_netpbm, max_value=max_value)
        for kind, shape in (("pgm", (HEIGHT, WIDTH)), ("ppm", COLOR)):
            draw = draw_integers(0, max_value, np.uint16, shape)
            yield Case(f"{max_value} {kind}", kind, draw, encode, 0, max_value, "float32", max_value / 65535)
    for low, high, dtype in (
        (-128, 127, np.int8),
        (-32768, 32767, np.int16),
        (-1024, 3071, np.int16),
        (0, 1000, np.int16),
        (-5, 5, np.int32),
        (0, 100_000, np.int32),
        (-(2**31), 2**31 - 1, np.int32),
        (0, 4095, np.uint32),
    ):
        for order, encode in (("little", written_images.write_tiff), ("big", WRITE_BIG)):
            if (dtype, order) == (np.uint32, "big"):
                continue  # refused, see below
            white = {1000: 1023, 100_000: 2**24 - 1}.get(high, high)
            draw = draw_integers(low, high, dtype)
            name = f"{np.dtype(dtype)} {low}..{high} tiff, {order}"
            yield Case(name, "tif", draw, encode, low, white, "float32")
    for low, high, black, white in (
        (0, 1, 0, 1),
        (0, 0.2, 0, 1),
        (-1, 1, -1, 1),
        (0, 255, 0, 255),
        (0, 5000, 0, 65535),
        (-1000, 3000, -1000, 3000),
        (1e-5, 1e-4, 0, 1),
        (1e6, 1e6 + 100, 1e6, 1e6 + 100),
    ):
        for kind, encode in {
            "tif": written_images.write_tiff,
            "tiff": WRITE_BIG,
            "pfm": partial(written_images.write_netpbm, max_value=1),
        }.items():
            yield Case(f"floats {low}..{high} {kind}", kind, draw_floats(low, high), encode, black, white, "float32")
    yield Case("bytes / 255 as floats", "tif", draw_fractions, written_images.write_tiff, 0, 1, "uint8")


CASES = list(list_cases())


def write_set(root, case, seed=0, parts=("",)):
    """Write two classes of three images each into each part; return the values by path."""
    random = np.random.default_rng(seed)
    values_of = {}
    for part, label, number in itertools.product(parts, ("a", "b"), range(3)):
        path = root / part / label / f"{number}.{case.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        values_of[path] = case.draw(random)
        path.write_bytes(case.encode(values_of[path]))
    return values_of


def in_file_units(x, case):
    return case.black + np.asarray(x, np.float64) / 255 * (case.white - case.black)


def channels_first(values):
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def test_there_are_enough_cases():
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_training_and_prediction_see_the_values_of_the_files(tmp_path, case):
    values_of = write_set(tmp_path / "set", case)
    dataset = folder(path=str(tmp_path / "set"))
    assert dataset.x.dtype == case.stored == dataset.spec.image_values.stored
    spec = Spec.from_json(dataset.spec.to_json())
    for row, (path, values) in enumerate(values_of.items()):
        expected = channels_first(values).astype(np.float64)
        rounding = (case.white - case.black) * 1e-6  # of float32
        assert np.abs(in_file_units(dataset.x[row], case) - expected).max() <= case.tolerance + rounding
        predicted, notes = read_image(path, spec)
        assert notes == []
        assert predicted.dtype == dataset.x.dtype
        assert np.array_equal(predicted, dataset.x[row])
        with Image.open(path) as opened:
            assert np.array_equal(read_image_items([opened], spec).x[0], dataset.x[row])
    chunks = list(ImageFiles([tmp_path / "set"], spec).chunks(Tally()))
    assert np.array_equal(np.concatenate([chunk.x for chunk in chunks]), dataset.x)


def gray_alpha(level):
    """Return a drawing of one gray level on transparency, as two channels."""
    values = np.zeros((HEIGHT, WIDTH, 2), np.uint8)
    values[2:8, 3:9] = level, 255
    return values


def write_files(root, content_of):
    for name, content in content_of.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("levels", "background"), [((0, 40), 255), ((255, 240), 0), ((0, 255), 128), ((120, 250), 0), ((128, 0), 255)]
)
@pytest.mark.parametrize("bits", [8, 16])
def test_drawings_on_transparency_stay_visible(tmp_path, levels, background, bits):
    contents = {
        f"{label}/{n}.png": written_images.write_png(
            gray_alpha(level).astype(np.uint16) * (1 if bits == 8 else 257), bits
        )
        for label, level in zip("ab", levels, strict=True)
        for n in range(2)
    }
    dataset = folder(path=str(write_files(tmp_path / "set", contents)))
    assert dataset.spec.image_values.background == background
    for row, level in enumerate(np.repeat(levels, 2)):
        expected = np.full((HEIGHT, WIDTH), background)
        expected[2:8, 3:9] = level
        assert np.abs(dataset.x[row, 0] - expected).max() <= 1
    for row, name in enumerate(sorted(contents)):
        predicted, notes = read_image(tmp_path / "set" / name, dataset.spec)
        assert np.array_equal(predicted, dataset.x[row])
        assert notes == []


def test_a_late_white_drawing_changes_the_background_of_all(tmp_path):
    contents = {f"a/{n:02}.png": written_images.write_png(np.full((HEIGHT, WIDTH), n, np.uint8)) for n in range(40)}
    contents |= {f"b/{n:02}.png": written_images.write_png(gray_alpha(255)) for n in range(3)}
    dataset = folder(path=str(write_files(tmp_path / "set", contents)))
    assert dataset.spec.image_values.background == 0
    assert dataset.x[-1].max() == 255


def test_an_opaque_alpha_channel_is_nothing_special(tmp_path):
    values = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    values[..., 0] = np.arange(WIDTH)
    contents = {f"{label}/1.png": written_images.write_png(values) for label in "ab"}
    dataset = folder(path=str(write_files(tmp_path / "set", contents)))
    assert dataset.spec.image_values == ImageValues()
    assert np.array_equal(dataset.x[0], values[..., :3].transpose(2, 0, 1))


def spec_of(*ranges, stored="float32", background=None, shape=(1, HEIGHT, WIDTH)):
    return Spec("regression", shape, image_values=ImageValues(ranges, stored, background))


UINT12 = ValueRange("uint16", 0.0, 4095.0)
FLOAT = ValueRange("float32", 0.0, 1.0)
BYTES = ValueRange()


def constant(value, dtype):
    values = np.full((HEIGHT, WIDTH), value, dtype)
    values[0, 0] = 0
    return values


@pytest.mark.parametrize(
    ("ranges", "values", "expected", "note"),
    [
        ((UINT12,), constant(255, np.uint8), 255, "it has 8 bits"),
        ((UINT12,), constant(5000, np.uint16), 5000 / 4095 * 255, "uint16 from 0 to 5000"),
        ((UINT12,), constant(2000, np.int32), 2000 / 4095 * 255, "int32 from 0 to 2000"),
        ((UINT12,), constant(0.5, np.float32), 127.5, "float32 from 0 to 0.5"),
        ((FLOAT,), constant(1.5, np.float32), 382.5, "float32 from 0 to 1.5"),
        ((FLOAT,), constant(32768, np.uint16), 127.5, "uint16 from 0 to 32768"),
        ((UINT12, FLOAT), constant(0.5, np.float32), 127.5, ""),
        ((BYTES, UINT12), constant(4095, np.uint16), 255, ""),
        ((BYTES,), constant(65535, np.uint16), 255, "uint16 from 0 to 65535"),
        ((BYTES,), constant(200, np.int32), 200, "int32 from 0 to 200"),
        ((BYTES,), constant(1, np.float32), 255, "float32 from 0 to 1"),
    ],
)
def test_other_values_are_read_with_a_note(ranges, values, expected, note):
    spec = spec_of(*ranges, stored="uint8" if ranges == (BYTES,) else "float32")
    write = written_images.write_png if values.dtype == np.uint8 else written_images.write_tiff
    for x, notes in (
        decode_input(write(values), "a", spec),
        *([] if values.dtype == np.int32 else [decode_input(pillow("TIFF")(values), "a", spec)]),
    ):
        assert abs(float(x[0, -1, -1]) - expected) <= (0.5 if x.dtype == np.uint8 else 0.01)
        assert [note in text for text in notes] == [True] * bool(note)


@pytest.mark.parametrize(
    ("ranges", "stored", "values", "problem"),
    [
        ((BYTES,), "uint8", constant(4000, np.uint16), "uint16 from 0 to 4000"),
        ((BYTES,), "uint8", constant(255, np.uint16), "uint16 from 0 to 255"),
        ((BYTES,), "uint8", constant(100, np.float32), "float32 from 0 to 100"),
        ((BYTES,), "uint8", constant(-1, np.int16), "int16 from -1 to 0"),
        ((ValueRange("uint16", 0.0, 255.0),), "uint8", constant(300, np.uint16), "uint16 from 0 to 300"),
        ((UINT12,), "float32", constant(100, np.float32), "float32 from 0 to 100"),
        ((FLOAT,), "float32", constant(4000, np.uint16), "uint16 from 0 to 4000"),
        ((FLOAT,), "float32", constant(np.nan, np.float32), "119 of its 120 values are NaN"),
        ((BYTES,), "uint8", constant(7, np.float64), "a TIFF of a kind"),
    ],
)
def test_values_in_doubt_are_refused(ranges, stored, values, problem):
    with decode.silence_pillow(), pytest.raises(DataError, match=problem):
        decode_input(written_images.write_tiff(values), "a.tif", spec_of(*ranges, stored=stored))


def test_transparent_parts_that_training_had_not_are_noted_and_blank_ones_refused():
    spec = spec_of(BYTES, stored="uint8")
    x, notes = decode_input(written_images.write_png(gray_alpha(0)), "a", spec)
    assert x[0, 0, 0] == 255
    assert "transparent parts became white" in notes[0]
    with pytest.raises(DataError, match="a is blank"):
        decode_input(written_images.write_png(gray_alpha(250)), "a", spec)


def test_a_test_part_is_read_by_the_training_part(tmp_path):
    random = np.random.default_rng(0)
    contents = {}
    for part, high in (("train", 4095), ("test", 65535)):
        for label, n in itertools.product("ab", range(2)):
            values = draw_integers(0, high, np.uint16)(random)
            contents[f"{part}/{label}/{n}.png"] = written_images.write_png(values, 16)
    dataset = folder(path=str(write_files(tmp_path / "set", contents)))
    assert dataset.spec.image_values.ranges == (UINT12,)
    assert dataset.x[dataset.part == 2].max() == pytest.approx(65535 / 4095 * 255)
    checks = {finding.check: finding.cause for finding in dataset.findings}
    assert "uint16 from 0 to 4,095 (12 bits)" in checks["image-values"]
    assert "4 images do not have the values" in checks["other-image-values"]
    assert "uint16 from 0 to 65535" in checks["other-image-values"]


def test_several_types_in_one_set_are_reported_and_read_by_their_own_range(tmp_path):
    random = np.random.default_rng(0)
    contents = {f"a/{n}.png": written_images.write_png(draw_integers(0, 255, np.uint8)(random)) for n in range(3)}
    contents |= {
        f"b/{n}.png": written_images.write_png(draw_integers(0, 4095, np.uint16)(random), 16) for n in range(2)
    }
    dataset = folder(path=str(write_files(tmp_path / "set", contents)))
    assert dataset.spec.image_values == ImageValues((BYTES, UINT12), "float32")
    assert [x.max() for x in dataset.x] == [255] * 5
    finding = next(finding for finding in dataset.findings if finding.check == "several-image-types")
    assert "3 of uint8, 2 of uint16" in finding.cause
    for row, name in enumerate(sorted(contents)):
        predicted, notes = read_image(tmp_path / "set" / name, dataset.spec)
        assert np.array_equal(predicted, dataset.x[row])
        assert notes == []


def test_images_with_nan_are_left_out(tmp_path):
    random = np.random.default_rng(0)
    contents = {
        f"{label}/{n}.tif": written_images.write_tiff(draw_floats(0, 1)(random)) for label in "ab" for n in range(2)
    }
    contents["a/nan.tif"] = written_images.write_tiff(np.full((HEIGHT, WIDTH), np.nan, np.float32))
    dataset = folder(path=str(write_files(tmp_path / "set", contents)))
    assert len(dataset) == 4
    assert "NaN" in next(finding.cause for finding in dataset.findings if finding.check == "damaged-images")


def test_blank_images_are_no_duplicates(tmp_path):
    contents = {}
    for level, label in ((0, "a"), (1, "b")):
        for n in range(4):
            values = np.full((HEIGHT, WIDTH), level * 1e-6, np.float32)
            contents[f"{label}/{n}.tif"] = written_images.write_tiff(values)
            contents[f"{label}/{n}.png"] = written_images.write_png(np.full((HEIGHT, WIDTH), 7, np.uint8))
    dataset = folder(path=str(write_files(tmp_path / "set", contents)))
    assert not {finding.check for finding in dataset.findings} & {"conflicting-labels", "duplicate-images", "leakage"}


def test_resizing_keeps_the_levels_of_floats(tmp_path):
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    contents = {f"{label}/1.tif": written_images.write_tiff(ramp) for label in "ab"}
    dataset = folder(path=str(write_files(tmp_path / "set", contents)), size=32, color="rgb")
    assert dataset.x.shape == (2, 3, 32, 32)
    assert len(np.unique(dataset.x[0, 0, 5])) == 32
    expected = ramp.reshape(64, 32, 2).mean(2)[:32] * 255
    assert np.abs(dataset.x[0, 0, :, 2:-2] - expected[:, 2:-2]).max() < 0.1
    assert np.array_equal(read_image(tmp_path / "set/a/1.tif", dataset.spec)[0], dataset.x[0])


ARRAYS = {
    "(H, W)": lambda values: values,
    "(1, H, W)": lambda values: values[None],
    "(N, H, W)": lambda values: np.stack([values, values]),
    "(N, 1, H, W)": lambda values: values[None, None],
    "(H, W, 1)": lambda values: values[..., None],
    "flat": lambda values: values.reshape(1, -1),
}


@pytest.mark.parametrize("form", ARRAYS)
@pytest.mark.parametrize(
    ("trained", "dtype", "high"), [(UINT12, np.uint16, 4095), (FLOAT, np.float32, 1.0), (UINT12, np.int64, 4095)]
)
def test_arrays_hold_the_values_of_the_files(form, trained, dtype, high):
    values = (np.linspace(0, high, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)).astype(dtype)
    x = read_image_array(ARRAYS[form](values), spec_of(trained), None).x
    assert x.dtype == np.float32
    assert np.abs(x[-1, 0] - values.astype(float) / high * 255).max() < 1e-3


def test_pixels_of_a_data_set_are_read_as_pixels():
    pixels = np.linspace(0, 255, HEIGHT * WIDTH, dtype=np.float32).reshape(1, 1, HEIGHT, WIDTH)
    for trained in (UINT12, FLOAT):
        block = read_image_array(pixels, spec_of(trained), None)
        assert np.array_equal(block.x, pixels)
        assert "read as pixels" in block.notes[0][0]


def test_drawings_are_read_from_any_values():
    spec = Spec("classification", (1, 28, 28), ("a", "b"), drawing=Drawing(20))
    drawing = np.zeros((60, 60))
    drawing[20:40, 25:35] = 1
    expected = decode_input(written_images.write_png((drawing * 255).astype(np.uint8)), "a", spec)[0]
    alpha = np.stack([np.full((60, 60), 255), drawing * 255], 2).astype(np.uint8)
    for content in (
        written_images.write_png((drawing * 4095).astype(np.uint16), 16),
        written_images.write_tiff(drawing.astype(np.float32)),
        written_images.write_png(alpha),
        written_images.write_png(alpha * np.array([0, 1], np.uint8)),
    ):
        assert np.abs(decode_input(content, "a", spec)[0].astype(int) - expected).max() <= 1


facts = st.builds(
    ValueFacts,
    st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    st.floats(-1000, 0, width=32),
    st.floats(0, 70000, width=32),
    st.sampled_from([(), (255.0,), (65535.0,), (1.0,)]),
    st.sampled_from([(), (True, False, True), (False, True, True), (True, True, True), (False, False, True)]),
)


@given(st.lists(facts, min_size=1, max_size=8), st.randoms())
def test_a_decision_does_not_depend_on_the_order_and_holds_all_values(training, random):
    values = decide_values(training)
    shuffled = list(training)
    random.shuffle(shuffled)
    assert decide_values(shuffled) == values
    range_of = {item.dtype: item for item in values.ranges}
    for item in training:
        assert range_of[item.dtype].low < range_of[item.dtype].high
        if item.dtype not in ("uint8", "uint16") or item.low >= 0:
            assert (
                item.dtype == "uint8" or range_of[item.dtype].low <= item.low <= item.high <= range_of[item.dtype].high
            )
    visible = [item.visible for item in training if item.visible]
    assert (values.background is None) == (not visible)
    assert ImageValues() == decide_values([PLAIN] * len(training))


@settings(max_examples=30)
@given(st.data())
def test_any_values_come_back_within_one_level(data):
    dtype = data.draw(st.sampled_from(["uint16", "int16", "int32", "float32"]))
    bound = {"uint16": (0, 65535), "int16": (-32768, 32767), "int32": (-(2**31), 2**31 - 1), "float32": (-1e6, 1e6)}[
        dtype
    ]
    low = data.draw(st.integers(int(bound[0]), int(bound[1]) - 1))
    high = data.draw(st.integers(low + 1, int(bound[1])))
    random = np.random.default_rng(data.draw(st.integers(0, 100)))
    images = [(low + (high - low) * random.random((4, 5))).astype(dtype) for _ in range(3)]
    contents = [written_images.write_tiff(image, data.draw(st.sampled_from("<>"))) for image in images]
    values = decide_values([decode.read_facts(content, "a") for content in contents])
    (trained,) = values.ranges
    for image, content in zip(images, contents, strict=True):
        pixels = decode.decode_image(content, "a", values=values).astype(float)
        recovered = trained.low + pixels / 255 * (trained.high - trained.low)
        assert np.abs(recovered - image).max() <= (trained.high - trained.low) * 1e-6 + 1e-9
    assert image_values.describe_values(values).startswith("the images hold")


def blend(values, white, background):
    """Return colors from 0 to 255 with their last channel as opacity, on a gray background."""
    fractions = values.astype(np.float64) / white
    alpha = fractions[..., -1:]
    return (fractions[..., :-1] * alpha + background / 255 * (1 - alpha)) * 255


def mix_inks(values, white):
    """Return CMYK as RGB from 0 to 255, as Pillow does."""
    fractions = 1 - values.astype(np.float64) / white
    return fractions[..., :3] * fractions[..., 3:] * 255


def save(mode, kind, **options):
    def encode(values):
        file = io.BytesIO()
        Image.fromarray(values).convert(mode).save(file, kind, **options)
        return file.getvalue()

    return encode


def as_pillow_reads(mode):
    return lambda values: np.asarray(Image.fromarray(values).convert(mode).convert("RGB")).astype(float)


INKS, RGB, RGBA, GRAY_ALPHA = (HEIGHT, WIDTH, 4), COLOR, (HEIGHT, WIDTH, 4), (HEIGHT, WIDTH, 2)
WRITE_16 = partial(written_images.write_png, bits=16)
WRITE_ALPHA, WRITE_ALPHA_BIG = (partial(written_images.write_tiff, extra=2, order=order) for order in "<>")
MODES = {
    "1 png": (RGB, np.uint8, save("1", "PNG"), as_pillow_reads("1")),
    "1 tiff": (RGB, np.uint8, save("1", "TIFF"), as_pillow_reads("1")),
    "1 pbm": (RGB, np.uint8, save("1", "PPM"), as_pillow_reads("1")),
    "1 bmp": (RGB, np.uint8, save("1", "BMP"), as_pillow_reads("1")),
    "palette png": (RGB, np.uint8, save("P", "PNG"), as_pillow_reads("P")),
    "palette gif": (RGB, np.uint8, save("P", "GIF"), as_pillow_reads("P")),
    "palette tiff": (RGB, np.uint8, save("P", "TIFF"), as_pillow_reads("P")),
    "YCbCr tiff": (RGB, np.uint8, save("YCbCr", "TIFF"), as_pillow_reads("YCbCr")),
    "CMYK tiff": (INKS, np.uint8, partial(written_images.write_tiff, photometric=5), partial(mix_inks, white=255)),
    "CMYK 16 tiff": (
        INKS,
        np.uint16,
        partial(written_images.write_tiff, photometric=5),
        partial(mix_inks, white=65535),
    ),
    "LA png": (GRAY_ALPHA, np.uint8, written_images.write_png, partial(blend, white=255)),
    "LA 16 png": (GRAY_ALPHA, np.uint16, WRITE_16, partial(blend, white=65535)),
    "RGBA png": (RGBA, np.uint8, written_images.write_png, partial(blend, white=255)),
    "RGBA 16 png": (RGBA, np.uint16, WRITE_16, partial(blend, white=65535)),
    "RGBA tiff": (RGBA, np.uint8, WRITE_ALPHA, partial(blend, white=255)),
    "RGBA 16 tiff": (RGBA, np.uint16, WRITE_ALPHA, partial(blend, white=65535)),
    "RGBA 16 tiff, big": (RGBA, np.uint16, WRITE_ALPHA_BIG, partial(blend, white=65535)),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes_become_color_within_one_level(tmp_path, mode):
    shape, dtype, encode, expect = MODES[mode]
    random = np.random.default_rng(0)
    draw = draw_integers(0, np.iinfo(dtype).max, dtype, shape)
    files = {f"{label}/{n}.{'png' if 'png' in mode else 'tif'}": draw(random) for label in "ab" for n in range(2)}
    write_files(tmp_path / "set", {name: encode(values) for name, values in files.items()})
    dataset = folder(path=str(tmp_path / "set"), color="rgb")
    assert dataset.x.dtype == ("float32" if dtype == np.uint16 else "uint8")
    for row, (name, values) in enumerate(files.items()):
        background = dataset.spec.image_values.background
        expected = expect(values) if background is None else expect(values, background=background)
        level = 1.0 if dtype == np.uint8 else 0.01
        assert (
            np.abs(dataset.x[row].astype(float) - expected.reshape(HEIGHT, WIDTH, -1).transpose(2, 0, 1)).max() <= level
        )
        predicted, notes = read_image(tmp_path / "set" / name, dataset.spec)
        assert np.array_equal(predicted, dataset.x[row])
        assert notes == []

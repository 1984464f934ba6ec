"""Exported files of images: any size, the pixels of the run, and instructions where a file cannot resize."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import yisheng
from tests.inference.conftest import train
from yisheng.cli import main
from yisheng.core.errors import DataError, UsageError
from yisheng.core.image_values import Drawing, ImageValues, ValueRange
from yisheng.core.spec import Spec
from yisheng.data.images.resize import resize
from yisheng.inference.export import image_inputs, onnx_file, torchscript_file, verify
from yisheng.inference.export.resizing import can_resize, resize_images
from yisheng.inference.predictor import Predictor

FITS = ("crop", "squash", "pad")
FILES = {"onnx": onnx_file, "torchscript": torchscript_file}
PAGE = Path(__file__).parents[2] / "docs" / "export.md"
side = st.integers(1, 130)


@settings(max_examples=150, deadline=None)
@given(original=st.tuples(side, side), size=st.tuples(side, side), fit=st.sampled_from(FITS), seed=st.integers(0, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_are_resized_to_the_same_bytes(channels, original, size, fit, seed):
    shape = original if channels == 1 else (*original, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    x = torch.from_numpy(pixels.reshape(*original, channels)).permute(2, 0, 1)[None]
    result = resize_images(x, size, fit)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(result, resize(pixels, size, fit).reshape(result.shape))


@settings(max_examples=40, deadline=None)
@given(original=st.tuples(side, side), size=st.tuples(side, side), fit=st.sampled_from(FITS))
def test_floats_are_resized_without_rounding(original, size, fit):
    pixels = np.random.default_rng(0).uniform(0, 255, original).astype(np.float32)
    result = resize_images(torch.from_numpy(pixels)[None, None], size, fit)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result[0, 0], resize(pixels, size, fit), rtol=1e-6, atol=1e-4)


def draw_photo(seed, size, mode="RGB"):
    """Draw a smooth scene with an edge, as photographs have them."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    photo = coarse.resize(size, Image.Resampling.BICUBIC)
    photo.paste((seed * 40 % 256, 20, 200), (size[0] // 3, 0, size[0] // 2, size[1]))
    return photo.convert(mode)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Files of many forms and sizes, none of the network's size."""
    folder = tmp_path_factory.mktemp("photos")
    draw_photo(1, (301, 200)).save(folder / "landscape.jpg", quality=90)
    draw_photo(2, (90, 160)).save(folder / "portrait.jpg", quality=90)
    draw_photo(3, (800, 620)).save(folder / "large.jpg", quality=90)
    draw_photo(4, (40, 33), "L").save(folder / "gray.jpg", quality=90)
    draw_photo(5, (20, 11)).save(folder / "small.png")
    draw_photo(6, (77, 80), "P").save(folder / "palette.png")
    draw_photo(7, (64, 64)).save(folder / "photo.webp", lossless=True)
    rotated = draw_photo(8, (120, 70))
    exif = rotated.getexif()
    exif[0x0112] = 6
    rotated.save(folder / "rotated.jpg", exif=exif, quality=90)
    transparent = draw_photo(9, (100, 70), "RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize((100, 70)))
    transparent.save(folder / "transparent.png")
    return folder


@pytest.fixture(scope="module")
def color_sets(tmp_path_factory):
    """Class folders of photographs in color and in gray."""
    root = tmp_path_factory.mktemp("sets")
    for mode in ("RGB", "L"):
        for n in range(36):
            path = root / mode / "abc"[n % 3] / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_photo(n % 3, (50 + n, 40), mode).save(path)
    return root


@pytest.fixture(scope="module")
def runs(color_sets, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    common = {"size": [24, 32], "epochs": 2, "model": "mlp", "hidden": [8], "out": out, "batch": 8}
    return {
        "crop": train(data=color_sets / "RGB", fit="crop", **common),
        "pad": train(data=color_sets / "RGB", fit="pad", **common),
        "gray": train(data=color_sets / "L", fit="squash", **common),
        "cross-validation": train(data=color_sets / "RGB", folds=2, **common),
        "digits": train(data="digits", model="mlp", hidden=[4], epochs=1, out=out),
    }


def read_pixels(path, spec):
    """Return a file's pixels at its own size ``(1, C, H, W)``, as `decode_image` does."""
    from yisheng.data.images.decode import decode_image

    pixels = decode_image(path.read_bytes(), path.name, color="rgb" if spec.shape[0] == 3 else "gray")
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)[None])


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("run", ["crop", "pad", "gray", "cross-validation"])
def test_images_of_any_size_get_the_predictions_of_the_run(runs, photos, tmp_path, run, format):
    exported = yisheng.export(runs[run], format=format, out=tmp_path / "model")
    assert exported.agreement.other_sizes < 1e-4
    assert exported.preparation is None
    assert [path.name for path in tmp_path.glob("model*")] == ["model"]
    predict, predictor = FILES[format].load(tmp_path / "model"), Predictor(runs[run])
    for path in sorted(photos.iterdir()):
        expected = predictor.predict_outputs(path)
        np.testing.assert_allclose(predict(read_pixels(path, predictor.spec)), expected, atol=1e-5, err_msg=path.name)
    pair = np.concatenate([read_pixels(photos / "large.jpg", predictor.spec)] * 2)
    assert predict(pair).shape == (2, 3)


@pytest.mark.parametrize("run", ["crop", "gray"])
def test_the_python_lines_of_the_page_predict_as_yisheng_does(runs, photos, tmp_path, run):
    yisheng.export(runs[run], out=tmp_path / "model.onnx")
    (code,) = re.findall(r"```python\n(# predict_onnx\.py.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "predict_onnx.py").write_text(code)
    predictions = {
        prediction.input: prediction.probabilities for prediction in yisheng.load(runs[run]).predict(photos.iterdir())
    }
    worst, default = 0.0, 0.0
    for path in sorted(photos.iterdir()):
        words = [sys.executable, "predict_onnx.py", "model.onnx", str(path)]
        process = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
        assert process.returncode == 0, process.stderr
        probabilities = json.loads(process.stdout)
        expected = predictions[str(path)]
        worst = max(worst, *(abs(probabilities[name] - expected[name]) for name in expected))
        resized = Image.open(path).convert("RGB" if run == "crop" else "L").resize((32, 24))
        other = yisheng.load(runs[run]).predict(resized)[0].probabilities
        default = max(default, *(abs(other[name] - expected[name]) for name in expected))
    assert worst < 1e-5
    assert default > 1e-3  # what Pillow's default resizing would do


def test_the_metadata_says_how_to_give_an_image(runs, tmp_path, capsys):
    import onnxruntime

    assert main(["export", str(runs["crop"]), f"out={tmp_path / 'a.onnx'}"]) == 0
    printed = capsys.readouterr().out
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    image = json.loads(metadata["image"])
    assert session.get_inputs()[0].shape == ["N", 3, "H", "W"] == json.loads(metadata["inputs"])[0]["shape"]
    assert image["any_size"]
    assert (image["size"], image["channels"], image["background"]) == ([24, 32], ["red", "green", "blue"], 255)
    for step in image["steps"]:
        assert step in printed


@pytest.mark.parametrize(
    ("run", "format", "resize", "words"),
    [
        ("crop", "safetensors", True, ["32x24", "cut out the center", "BILINEAR", "mean=", "standard"]),
        ("pad", "onnx", False, ["32x24", "black borders", "BILINEAR", "uint8 (N, 3, H, W)"]),
        ("gray", "torchscript", False, ["changing the ratio of sides", "gray", "(N, 1, H, W)"]),
        ("digits", "onnx", True, ["light strokes on black", "8x8"]),
    ],
)
def test_files_of_one_size_come_with_instructions(runs, tmp_path, capsys, run, format, resize, words):
    out = tmp_path / f"model.{format}"
    flags = [] if resize else ["resize=false"]
    assert main(["export", str(runs[run]), f"format={format}", f"out={out}", *flags]) == 0
    printed = capsys.readouterr().out
    text = (tmp_path / f"model.{format}.preparation.txt").read_text("utf-8")
    assert "preparation.txt" in printed
    for word in words:
        assert word in text
    assert main(["export", str(runs[run]), f"format={format}", f"out={out}", *flags]) == 2
    out.unlink()
    assert main(["export", str(runs[run]), f"format={format}", f"out={out}", *flags]) == 2  # the text is there
    assert "preparation.txt exists already" in capsys.readouterr().err
    assert not out.exists()
    assert main(["export", str(runs[run]), f"format={format}", f"out={out}", *flags, "force=true", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["preparation"].endswith("preparation.txt")
    assert facts["other_sizes"] is None
    assert not facts["image"]["any_size"]


def test_a_file_that_resizes_differently_is_refused(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "resize", lambda pixels, size, fit: np.zeros((*size, 3), np.uint8))
    with pytest.raises(DataError, match="differently from the run for images of 1x1"):
        yisheng.export(runs["crop"], out=tmp_path / "a.onnx")
    assert not list(tmp_path.glob("*a.onnx*"))


def test_resize_is_for_images(tmp_path):
    run = train(data="iris", model="linear", epochs=1, out=tmp_path / "runs")
    with pytest.raises(UsageError, match="resize=false is for images"):
        yisheng.export(run, resize=False)


def test_graphs_resize_only_images_from_files():
    assert can_resize(Spec("regression", (3, 8, 8)))
    assert not can_resize(Spec("regression", (4, 8, 8)))
    assert not can_resize(Spec("regression", (1, 8, 8), drawing=Drawing(6)))
    assert not can_resize(Spec("regression", (8,)))
    assert not can_resize(Spec("regression", (3, 8, 8, 8)))


def test_the_values_of_files_are_in_the_instructions():
    values = ImageValues((ValueRange("uint16", 0, 4095),), "float32", background=0)
    spec = Spec("regression", (1, 8, 8), image_values=values)
    facts = image_inputs.describe_images(spec, "float32", any_size=True)
    text = image_inputs.format_preparation(facts, "a.onnx", None)
    assert "uint16 files: 0 becomes 0, 4095 becomes 255" in text
    assert "the gray level 0 behind" in text
    assert "Give float32 (N, 1, H, W)" in text
    assert image_inputs.describe_images(Spec("regression", (8,)), "float32", any_size=False) is None


def test_a_jpeg_and_the_same_image_as_png_get_the_same_prediction(runs, tmp_path):
    content = io.BytesIO()
    draw_photo(3, (640, 480)).save(content, "JPEG", quality=80)
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    Image.open(content).save(tmp_path / "a.png")
    for run in ("crop", "gray"):
        predictor = Predictor(runs[run])
        outputs = [predictor.predict_outputs(tmp_path / name) for name in ("a.jpg", "a.png")]
        np.testing.assert_allclose(*outputs, atol=1e-6)

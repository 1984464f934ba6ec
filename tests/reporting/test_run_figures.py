"""Figures of runs: every kind is drawn, no text overlaps another or leaves the figure, any name has a font."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.reporting.pages import MakeRun
from yisheng.core import fonts
from yisheng.core.errors import UsageError
from yisheng.experiments.plot import KINDS, list_kinds, plot
from yisheng.reporting.run_figures.confusion import draw_confusion
from yisheng.reporting.run_figures.figure import RunFigure, measure, save_figure, shorten_to
from yisheng.reporting.run_figures.image_sheet import Tile, draw_image_sheet, to_pixels

LONG_NAMES = ("ankle boot", "a class with quite a long name", "x", "T-shirt/top", "黑色的猫和白色的狗", "собака")


def visible_texts(figure: RunFigure) -> dict[str, Any]:
    """Return the extents of all texts of a drawn figure, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    undrawn = set(find_undrawn_ticks(figure))
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in undrawn]
    labels = {f"{number} {text.get_text()}": text for number, text in enumerate(texts)}
    extents = {name: text.get_window_extent(canvas.get_renderer()) for name, text in labels.items()}
    return {name: extent for name, extent in extents.items() if extent.width > 0 and extent.height > 0}


def find_undrawn_ticks(figure: RunFigure) -> Iterator[Text]:
    """Yield the labels of ticks outside the limits: matplotlib makes such labels, and does not draw them."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


def assert_readable(figure: RunFigure) -> None:
    """Check that no text overlaps another one, and that all are within the figure."""
    extents = visible_texts(figure)
    width, height = figure.bbox.width, figure.bbox.height
    for name, extent in extents.items():
        assert min(extent.x0, extent.y0, width - extent.x1, height - extent.y1) >= -1, name
    for (first, a), (second, b) in itertools.combinations(extents.items(), 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 2 or down < 0.35 * min(a.height, b.height), f"{first!r} overlaps {second!r}"


pytestmark = pytest.mark.filterwarnings("ignore:Glyph", "ignore:Matplotlib currently does not support")


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("image", [False, True])
def test_every_figure_of_every_task_is_readable(make_run: MakeRun, task: str, image: bool) -> None:
    folder = make_run(task, classes=() if task == "regression" else LONG_NAMES, image=image)
    kinds = set(list_kinds(folder)) - {"images"}  # they need the data
    assert kinds >= {"curves", "steps", "mistakes"}
    assert ("confusion-matrix" in kinds) == ("calibration" in kinds) == (task == "classification")
    assert ("predicted" in kinds) == (task == "regression")
    for kind in kinds:
        figure = plot(folder, kind)
        assert isinstance(figure, Figure)
        assert_readable(figure)


def test_hostile_names_are_drawn_as_text(make_run: MakeRun, hostile: tuple[str, ...], tmp_path: Path) -> None:
    folder = make_run(classes=hostile)
    for kind in ("confusion-matrix", "mistakes", "curves"):
        for suffix in ("png", "svg", "pdf"):
            path = tmp_path / f"figure.{suffix}"
            plot(folder, kind, out=path)
            assert path.stat().st_size > 1000
            assert "<script" not in path.read_bytes().decode("latin-1")


@pytest.mark.parametrize("classes", [2, 3, 10, 30, 31, 100, 400])
def test_confusion_matrices_of_any_size_are_readable(classes: int) -> None:
    rng = np.random.default_rng(classes)
    matrix = rng.integers(0, 3, (classes, classes)) + 1200 * np.eye(classes, dtype=int)
    names = [f"{LONG_NAMES[n % len(LONG_NAMES)]} {n}" for n in range(classes)]
    figure = draw_confusion(matrix.tolist(), names, "run", "rows")
    assert_readable(figure)
    assert max(figure.get_size_inches()) < 12
    counts = [text for text in visible_texts(figure) if text.endswith("1,200")]
    assert bool(counts) == (classes <= 30)


@pytest.mark.parametrize("shape", [(8, 8), (100, 40, 3), (20, 300)])
@pytest.mark.parametrize("count", [1, 5, 20])
def test_image_sheets_of_any_images_are_readable(shape: tuple[int, ...], count: int) -> None:
    pixels = np.zeros(shape, np.uint8)
    tiles = [Tile(pixels, LONG_NAMES[n % 6], LONG_NAMES[n % 5], n % 2 == 0, "99% sure") for n in range(count)]
    assert_readable(draw_image_sheet(tiles, "a run with a name", "true label above", columns=9))


def test_floats_are_shown_as_images() -> None:
    assert to_pixels(np.array([[[0.0, np.nan], [1.0, 3.0]]])).tolist() == [[0, 0], [85, 255]]
    assert to_pixels(np.zeros((3, 2, 2), np.uint8)).shape == (2, 2, 3)
    assert to_pixels(np.full((5, 2, 2), 7.0)).shape == (2, 2)


def test_texts_are_cut_to_their_width() -> None:
    for text in ("short", "a long name that does not fit", "中文类别的名称很长"):
        assert measure(shorten_to(text, 9, 0.8), 9) <= 0.8
    assert shorten_to("short", 9, 2.0) == "short"


def test_chinese_names_have_a_font_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    default = fonts.find_font_path("plain")
    chinese = tmp_path / "chinese.ttf"
    chinese.write_bytes(Path(default).read_bytes())
    monkeypatch.setattr(fonts, "_list_system_fonts", lambda: (str(chinese),))
    read_characters = fonts._read_characters.__wrapped__
    monkeypatch.setattr(
        fonts, "_read_characters", lambda p: frozenset(map(ord, "猫狗 10")) if p == str(chinese) else read_characters(p)
    )
    figure = draw_confusion([[3, 1], [0, 2]], ["猫", "狗"], "run 10")
    files = {text.get_text(): text.get_fontproperties().get_file() for text in figure.findobj(Text)}
    assert files["猫"] == files["狗"] == str(chinese)
    assert files["predicted"] != str(chinese)


def test_a_notebook_shows_the_figure_twice_as_sharp(make_run: MakeRun) -> None:
    figure = plot(make_run())
    content, size = figure._repr_png_()
    assert content.startswith(b"\x89PNG")
    width = int.from_bytes(content[16:20], "big")
    assert width == pytest.approx(2 * size["width"], abs=2)


def test_a_figure_can_be_changed_and_saved_by_matplotlib(make_run: MakeRun, tmp_path: Path) -> None:
    figure = plot(make_run())
    figure.axes[0].set_title("my title")
    figure.savefig(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_files_do_not_depend_on_the_time(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    for suffix in ("png", "svg", "pdf"):
        first, second = (save_figure(plot(folder), tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
        assert first == second


def test_figures_do_not_import_pyplot(make_run: MakeRun) -> None:
    code = (
        "import sys; from pathlib import Path; from yisheng.experiments.plot import plot\n"
        "plot(Path(sys.argv[1]))._repr_png_()\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(make_run())], check=True)


def test_users_style_does_not_change_the_figures(make_run: MakeRun) -> None:
    import matplotlib

    folder = make_run()
    expected = plot(folder)._repr_png_()[0]
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert plot(folder)._repr_png_()[0] == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_an_unfinished_run_has_its_curves_only(make_run: MakeRun) -> None:
    folder = make_run()
    for name in ("evaluation.json", "scores.json", "model.json"):
        (folder / name).unlink()
    assert set(list_kinds(folder)) == {"curves", "steps"}
    assert_readable(plot(folder))
    for kind in set(KINDS) - {"curves", "steps"}:
        with pytest.raises(UsageError) as error:
            plot(folder, kind)
        assert "curves, steps" in error.value.remedy


def test_damaged_images_of_mistakes_are_left_out(make_run: MakeRun) -> None:
    folder = make_run(image=True)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    for row in evaluation["worst"]:
        row["image"] = row["image"][:60]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    assert_readable(plot(folder, "mistakes"))

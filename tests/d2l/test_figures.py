"""Figures: the curves that are drawn, and the files outside of notebooks."""

import numpy as np
import pytest
import torch
from PIL import Image

from yisheng import d2l
from yisheng.core.errors import UsageError
from yisheng.d2l import figure_files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("YISHENG_D2L_FIGURES", str(tmp_path / "figures"))
    yield tmp_path / "figures"
    figure_files.flush()
    d2l.plt.close("all")


def drawn_curves():
    """Return x and y of the curves of the current axes."""
    return [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in d2l.plt.gca().lines]


X = [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((X, [4, 5, 6]), [(X, [4, 5, 6])]),
        ((X, [[4, 5, 6], [7, 8, 9]]), [(X, [4, 5, 6]), (X, [7, 8, 9])]),
        (([X, [0, 1]], [[4, 5, 6], [7, 8]]), [(X, [4, 5, 6]), ([0, 1], [7, 8])]),
        (([4, 5, 6],), [([0, 1, 2], [4, 5, 6])]),
        (([[4, 5], [7, 8]],), [([0, 1], [4, 5]), ([0, 1], [7, 8])]),
        ((np.array(X), np.array([[4, 5, 6], [7, 8, 9]])), [(X, [4, 5, 6]), (X, [7, 8, 9])]),
        ((torch.tensor(X), [torch.tensor([4, 5, 6])]), [(X, [4, 5, 6])]),
        ((torch.tensor(X), torch.tensor([4.0, 5, 6], requires_grad=True)), [(X, [4, 5, 6])]),
        (([torch.tensor(1.0), torch.tensor(2.0)], [3, 4]), [([1, 2], [3, 4])]),
        ((range(3), range(3)), [([0, 1, 2], [0, 1, 2])]),
    ],
)
def test_plot_draws_one_or_more_curves(arguments, expected):
    d2l.plot(*arguments)
    assert drawn_curves() == expected


def test_plot_sets_labels_scales_and_legend():
    d2l.plot(X, [[1, 2, 3]] * 5, "epoch", "loss", legend=list("abcde"), xlim=[1, 2], ylim=[1, 9], yscale="log")
    axes = d2l.plt.gca()
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("epoch", "loss", "log")
    assert axes.get_xlim() == (1, 2)
    assert len(axes.get_legend().get_texts()) == len(axes.lines) == 5
    with pytest.raises(UsageError, match="got 2 for 3 curves"):
        d2l.plot([X, X], [X, X, X])


def test_each_plot_outside_a_notebook_is_a_file(folder, capsys):
    d2l.plot(X, X)
    d2l.plot(X, [1, 2, 1])
    d2l.show_images([Image.new("RGB", (4, 4))], 1, 1)
    names = ["0001-plot.png", "0002-plot.png", "0003-images.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert [line.rpartition("/")[2] for line in capsys.readouterr().err.splitlines()] == names
    assert (folder / names[0]).read_bytes().startswith(b"\x89PNG")
    assert (folder / names[0]).read_bytes() != (folder / names[1]).read_bytes()


def test_a_plot_leaves_the_curves_of_a_training_as_they_are(folder):
    animator = d2l.Animator()
    animator.add(1, 2)
    d2l.plot(X, X)
    animator.add(2, 3)
    figure_files.flush()
    assert [line.get_ydata().tolist() for line in animator.axes[0].lines] == [[2, 3]]
    assert sorted(path.name for path in folder.iterdir()) == ["0001-training.png", "0002-plot.png"]


def test_subplots_of_one_figure_share_a_file(folder):
    d2l.plt.subplot(1, 2, 1)
    d2l.plot(X, X)
    d2l.plt.subplot(1, 2, 2)
    d2l.plot(X, X)
    assert len(list(folder.iterdir())) == 1


def test_existing_files_are_kept(folder):
    folder.mkdir()
    (folder / "0007-plot.png").write_bytes(b"mine")
    d2l.plot(X, X)
    assert (folder / "0007-plot.png").read_bytes() == b"mine"
    assert (folder / "0008-plot.png").exists()


def test_a_folder_that_cannot_be_written_to_stops_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("YISHENG_D2L_FIGURES", str(tmp_path / "file" / "figures"))
    d2l.plot(X, X)
    assert "figures are not saved" in capsys.readouterr().err


def test_the_animator_draws_points_as_they_come(folder):
    animator = d2l.Animator(xlabel="epoch", xlim=[1, 3], legend=["train", "test"])
    animator.add(0.5, (0.9, None))
    animator.add(1, (torch.tensor(0.7), 0.8))
    animator.add(2, (0.6, 0.7))
    assert animator.X == [[0.5, 1, 2], [1, 2]]
    assert animator.Y[0] == pytest.approx([0.9, 0.7, 0.6])
    assert animator.Y[1] == [0.8, 0.7]
    assert [line.get_ydata().tolist() for line in animator.axes[0].lines] == animator.Y
    single = d2l.Animator()
    single.add(1, 0.5)
    assert single.Y == [[0.5]]
    figure_files.flush()
    assert [path.name for path in sorted(folder.iterdir())] == ["0001-training.png", "0002-training.png"]


def test_a_growing_figure_is_written_now_and_then_and_at_the_end(folder, monkeypatch):
    written = []
    monkeypatch.setattr(figure_files, "SECONDS_BETWEEN_FILES", 1000.0)
    save = figure_files.save
    monkeypatch.setattr(figure_files, "save", lambda figure, kind: (written.append(kind), save(figure, kind)))
    animator = d2l.Animator()
    for step in range(10):
        animator.add(step, step)
    assert len(written) == 1
    first = next(folder.iterdir()).read_bytes()
    figure_files.flush()
    assert next(folder.iterdir()).read_bytes() != first
    figure_files.flush()
    assert len(written) == 2


@pytest.mark.parametrize(
    "image",
    [
        torch.rand(5, 4),
        torch.rand(3, 5, 4),
        torch.rand(1, 5, 4),
        torch.rand(5, 4, 3),
        np.zeros((5, 4), np.uint8),
        Image.new("RGB", (4, 5)),
    ],
)
def test_show_images_of_any_layout(image):
    axes = d2l.show_images([image], 1, 2, titles=["name"])
    assert len(axes) == 2
    drawn = axes[0].images[0].get_array()
    assert drawn.shape[:2] == (5, 4)
    assert axes[0].get_title() == "name"
    assert not axes[1].images


def test_labels_have_names():
    assert d2l.get_fashion_mnist_labels(torch.arange(10))[8] == "bag"

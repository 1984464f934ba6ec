"""The book's figures: curves and grids of images."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l import figure_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("-", "m--", "g-.", "r:")
FIGURE_SIZE = (3.5, 2.5)
"""Inches."""
CHANNELS = (1, 3, 4)
"""Channels that an image may have: gray, RGB, RGBA."""


def use_svg_display() -> None:
    """Show figures as SVG in a notebook; elsewhere do nothing."""
    if figure_files.in_notebook():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")


def set_figsize(figsize: tuple[float, float] = FIGURE_SIZE) -> None:
    """Set the size of all later figures of matplotlib.

    Args:
        figsize: width and height in inches.

    >>> set_figsize((4, 3))
    >>> import matplotlib.pyplot as plt
    >>> plt.rcParams["figure.figsize"]
    [4.0, 3.0]
    """
    import matplotlib.pyplot as plt

    use_svg_display()
    plt.rcParams["figure.figsize"] = figsize


def set_axes(
    axes: Axes,
    xlabel: str | None,
    ylabel: str | None,
    xlim: Sequence[float] | None,
    ylim: Sequence[float] | None,
    xscale: str,
    yscale: str,
    legend: Sequence[str] | None,
) -> None:
    """Set labels, scales, limits and legend of axes, and draw a grid.

    Args:
        axes: what matplotlib draws into.
        xlabel: below the horizontal axis.
        ylabel: next to the vertical axis.
        xlim: first and last x.
        ylim: first and last y.
        xscale: ``linear`` or ``log``.
        yscale: ``linear`` or ``log``.
        legend: a name for each curve.
    """
    axes.set_xlabel(xlabel or "")
    axes.set_ylabel(ylabel or "")
    axes.set_xscale(xscale)
    axes.set_yscale(yscale)
    if xlim is not None and xlim[0] != xlim[1]:  # a training of one epoch has xlim=[1, 1]
        axes.set_xlim(xlim[0], xlim[1])
    if ylim is not None and ylim[0] != ylim[1]:
        axes.set_ylim(ylim[0], ylim[1])
    if legend:
        axes.legend(legend)
    axes.grid()


def plot(
    X: Any,
    Y: Any = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    legend: Sequence[str] | None = None,
    xlim: Sequence[float] | None = None,
    ylim: Sequence[float] | None = None,
    xscale: str = "linear",
    yscale: str = "linear",
    fmts: Sequence[str] = FORMATS,
    figsize: tuple[float, float] = FIGURE_SIZE,
    axes: Axes | None = None,
) -> None:
    """Draw one or more curves; outside a notebook into a PNG file whose path is printed.

    Args:
        X: the x of all curves, or a list with the x of each; without Y, the curves themselves.
        Y: one curve, or a list of curves.
        xlabel: below the horizontal axis.
        ylabel: next to the vertical axis.
        legend: a name for each curve.
        xlim: first and last x.
        ylim: first and last y.
        xscale: ``linear`` or ``log``.
        yscale: ``linear`` or ``log``.
        fmts: matplotlib's format of each curve, repeated for more curves.
        figsize: width and height in inches.
        axes: draw into these axes instead of the current ones.

    Raises:
        UsageError: the numbers of curves in X and Y differ.

    Yisheng's own: ``run.plot()`` for the curves of a training.
    """
    xs, ys = _match_curves(X, Y)
    set_figsize(figsize)
    axes = axes if axes is not None else _choose_axes(figsize)
    axes.cla()
    for x, y, fmt in zip(xs, ys, itertools.cycle(fmts), strict=False):
        values = (to_array(y),) if x is None else (to_array(x), to_array(y))
        axes.plot(*values, fmt)
    set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend)
    mark_drawn([axes])
    figure_files.save(cast("Figure", axes.figure), "plot")


def show_images(
    imgs: Any, num_rows: int, num_cols: int, titles: Sequence[str] | None = None, scale: float = 1.5
) -> np.ndarray:
    """Show images in a grid; outside a notebook in a PNG file whose path is printed.

    Args:
        imgs: tensors or arrays ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``, or PIL images.
        num_rows: rows of the grid.
        num_cols: columns of the grid.
        titles: text above each image.
        scale: inches of a cell.

    Returns:
        The axes of the grid, one after another.

    Yisheng's own: ``yisheng data show fashion-mnist``.
    """
    import matplotlib.pyplot as plt

    use_svg_display()
    figure, grid = plt.subplots(num_rows, num_cols, figsize=(num_cols * scale, num_rows * scale), squeeze=False)
    flat: np.ndarray = grid.flatten()
    for position, (axes, image) in enumerate(zip(flat, imgs, strict=False)):
        axes.imshow(_to_pixels(image))
        axes.xaxis.set_visible(False)
        axes.yaxis.set_visible(False)
        if titles is not None and position < len(titles):
            axes.set_title(titles[position])
    mark_drawn(flat)
    figure_files.save(figure, "images")
    return flat


def to_array(values: Any) -> np.ndarray:
    """Return a curve's values as an array: a tensor without its graph, and a list of tensors as numbers."""
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    if isinstance(values, list | tuple) and any(isinstance(value, torch.Tensor) for value in values):
        return np.array([float(value) for value in values])
    return np.asarray(values)


_drawn_axes: weakref.WeakSet[Axes] = weakref.WeakSet()
"""Axes of finished figures, outside of notebooks: `plot` leaves them as they are."""


def mark_drawn(axes: Iterable[Axes]) -> None:
    """Record that axes are drawn, so that the next `plot` outside of a notebook begins a new figure."""
    _drawn_axes.update(axes)


def _choose_axes(figsize: tuple[float, float]) -> Axes:
    """Return the current axes; outside a notebook those of a new figure if something is drawn in them.

    In a notebook each cell has a figure of its own.
    """
    import matplotlib.pyplot as plt

    axes = plt.gca()
    if axes in _drawn_axes and not figure_files.in_notebook():
        plt.close(axes.figure)
        axes = plt.figure(figsize=figsize).gca()
    return axes


def _match_curves(X: Any, Y: Any) -> tuple[list[Any], list[Any]]:
    """Return the x of each curve (None: its positions) and the y of each."""
    xs = _as_curves(X)
    if Y is None:
        return [None] * len(xs), xs
    ys = _as_curves(Y)
    if len(xs) == 1:
        xs = xs * len(ys)
    if len(xs) != len(ys):
        raise UsageError(
            Message(
                "plot requires the x of each curve, got {count} for {curves} curves", count=len(xs), curves=len(ys)
            ),
            Message("give one X for all curves, or a list with as many as Y has"),
        )
    return xs, ys


def _as_curves(values: Any) -> list[Any]:
    """Return a list of curves: the values themselves if they are a single one."""
    if hasattr(values, "ndim"):
        return [values] if values.ndim <= 1 else list(values)
    values = list(values)
    is_single = bool(values) and (not hasattr(values[0], "__len__") or getattr(values[0], "ndim", 1) == 0)
    return [values] if is_single else values


def _to_pixels(image: Any) -> Any:
    """Return what matplotlib draws: a PIL image as it is, anything else with its channels last."""
    if not isinstance(image, torch.Tensor | np.ndarray):
        return image
    is_tensor = isinstance(image, torch.Tensor)
    pixels = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else image
    has_planes = pixels.ndim == 3 and pixels.shape[0] in CHANNELS
    if has_planes and (is_tensor or pixels.shape[2] not in CHANNELS):
        pixels = pixels.transpose(1, 2, 0)
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels

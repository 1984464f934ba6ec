"""Curves that grow while a training runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from yisheng.d2l import figure_files
from yisheng.d2l.figures import FIGURE_SIZE, FORMATS, mark_drawn, set_axes, use_svg_display


class Animator:
    """Draw the curves of a training: live in a notebook, elsewhere in a PNG file whose path is printed.

    Args:
        xlabel: below the horizontal axis.
        ylabel: next to the vertical axis.
        legend: a name for each curve.
        xlim: first and last x.
        ylim: first and last y.
        xscale: ``linear`` or ``log``.
        yscale: ``linear`` or ``log``.
        fmts: matplotlib's format of each curve, repeated for more curves.
        nrows: rows of axes; the curves are drawn into the first axes.
        ncols: columns of axes.
        figsize: width and height in inches.

    Yisheng's own: ``yisheng.train`` draws live curves in a notebook; ``yisheng train ... watch=true`` in a browser.

    >>> animator = Animator(xlabel="epoch", xlim=[1, 2], legend=["train", "test"])
    >>> animator.add(1, (0.9, None))
    >>> animator.X, animator.Y
    ([[1], []], [[0.9], []])
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: Sequence[str] | None = None,
        xlim: Sequence[float] | None = None,
        ylim: Sequence[float] | None = None,
        xscale: str = "linear",
        yscale: str = "linear",
        fmts: Sequence[str] = FORMATS,
        nrows: int = 1,
        ncols: int = 1,
        figsize: tuple[float, float] = FIGURE_SIZE,
    ) -> None:
        import matplotlib.pyplot as plt

        use_svg_display()
        self.fig, grid = plt.subplots(nrows, ncols, figsize=figsize, squeeze=False)
        self.axes = list(grid.flatten())
        mark_drawn(self.axes)
        self.config_axes = lambda: set_axes(self.axes[0], xlabel, ylabel, xlim, ylim, xscale, yscale, legend)
        self.X: list[list[Any]] = []
        self.Y: list[list[Any]] = []
        self.fmts = fmts

    def add(self, x: Any, y: Any) -> None:
        """Add a point to each curve, and draw them.

        Args:
            x: the x of all points, or a sequence with one for each curve.
            y: the y of the only curve, or a sequence with one for each curve; None adds no point.
        """
        ys = list(y) if _is_sequence(y) else [y]
        xs = list(x) if _is_sequence(x) else [x] * len(ys)
        while len(self.X) < len(ys):
            self.X.append([])
            self.Y.append([])
        for curve, (x_value, y_value) in enumerate(zip(xs, ys, strict=False)):
            if x_value is not None and y_value is not None:
                self.X[curve].append(_to_number(x_value))
                self.Y[curve].append(_to_number(y_value))
        self._draw()

    def _draw(self) -> None:
        self.axes[0].cla()
        for x, y, fmt in zip(self.X, self.Y, itertools.cycle(self.fmts), strict=False):
            self.axes[0].plot(x, y, fmt)
        self.config_axes()
        if figure_files.in_notebook():
            from IPython.display import clear_output, display

            display(self.fig)
            clear_output(wait=True)
        else:
            figure_files.save_later(self.fig, "training")


def _is_sequence(value: Any) -> bool:
    """Return whether a value is a sequence, which a tensor of one number is not."""
    return hasattr(value, "__len__") and getattr(value, "ndim", -1) != 0


def _to_number(value: Any) -> Any:
    """Return a tensor of one element as a number, anything else as it is."""
    return value.item() if hasattr(value, "item") else value

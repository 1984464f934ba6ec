"""A board of curves, each under its own label, of the book's object-oriented edition."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from yisheng.d2l import figure_files
from yisheng.d2l.figures import FIGURE_SIZE, mark_drawn, use_svg_display
from yisheng.d2l.hyper_parameters import HyperParameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_STYLES = ("-", "--", "-.", ":")
COLORS = ("C0", "C1", "C2", "C3")


class ProgressBoard(HyperParameters):
    """Draw points as they come: live in a notebook, elsewhere in a PNG file whose path is printed.

    Args:
        xlabel: below the horizontal axis.
        ylabel: next to the vertical axis.
        xlim: first and last x.
        ylim: first and last y.
        xscale: ``linear`` or ``log``.
        yscale: ``linear`` or ``log``.
        ls: matplotlib's style of each line, repeated for more lines.
        colors: color of each line, repeated for more lines.
        fig: draw into this figure instead of a new one.
        axes: draw into these axes.
        figsize: width and height in inches.
        display: whether to draw at all; the points are kept in ``data`` in any case.

    >>> board = ProgressBoard("step", display=False)
    >>> for step in range(4):
    ...     board.draw(step, 2 * step, "loss", every_n=2)
    >>> board.data
    {'loss': [(0.5, 1.0), (2.5, 5.0)]}
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        xlim: Sequence[float] | None = None,
        ylim: Sequence[float] | None = None,
        xscale: str = "linear",
        yscale: str = "linear",
        ls: Sequence[str] = LINE_STYLES,
        colors: Sequence[str] = COLORS,
        fig: Figure | None = None,
        axes: Axes | None = None,
        figsize: tuple[float, float] = FIGURE_SIZE,
        display: bool = True,
    ) -> None:
        self.xlabel, self.ylabel, self.xlim, self.ylim = xlabel, ylabel, xlim, ylim
        self.xscale, self.yscale, self.ls, self.colors = xscale, yscale, ls, colors
        self.fig, self.axes, self.figsize, self.display = fig, axes, figsize, display
        self.data: dict[str, list[tuple[float, float]]] = {}
        self._pending: dict[str, list[tuple[float, float]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the figure: matplotlib would show the copy of a figure as another one."""
        return {**self.__dict__, "fig": None, "axes": None}

    def draw(self, x: Any, y: Any, label: str, every_n: int = 1) -> None:
        """Add a point to the line of a label; the means of every ``every_n`` points are drawn.

        Args:
            x: horizontal position.
            y: vertical position.
            label: name of the line.
            every_n: points that are averaged.
        """
        points = self._pending.setdefault(label, [])
        points.append((float(x), float(y.detach() if hasattr(y, "detach") else y)))
        if len(points) < every_n:
            return
        mean = tuple(sum(values) / len(points) for values in zip(*points, strict=True))
        self.data.setdefault(label, []).append((mean[0], mean[1]))
        points.clear()
        if self.display:
            self._draw_lines()

    def _draw_lines(self) -> None:
        import matplotlib.pyplot as plt

        if self.fig is None:
            use_svg_display()
            self.fig = plt.figure(figsize=self.figsize)
        axes = self.axes if self.axes is not None else self.fig.gca()
        mark_drawn([axes])
        axes.cla()
        styles = zip(itertools.cycle(self.ls), itertools.cycle(self.colors), strict=False)
        for (label, points), (style, color) in zip(self.data.items(), styles, strict=False):
            axes.plot(*zip(*points, strict=True), linestyle=style, color=color, label=label)
        axes.set(xlabel=self.xlabel or "", ylabel=self.ylabel or "", xscale=self.xscale, yscale=self.yscale)
        if self.xlim:
            axes.set_xlim(self.xlim[0], self.xlim[1])
        if self.ylim:
            axes.set_ylim(self.ylim[0], self.ylim[1])
        axes.legend()
        if figure_files.in_notebook():
            from IPython.display import clear_output, display

            display(self.fig)
            clear_output(wait=True)
        else:
            figure_files.save_later(self.fig, "training")

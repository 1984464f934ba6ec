"""How unlike the training data an input is: what was fitted at the end of a training, saved beside the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import nn

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.inference._ood_features import Place, distance, outside, watched

LEVEL = 0.995
"""Share of held-out rows below the threshold: 1 in 200 rows that are like the training data warns all the same."""
LEVELS = (*(n / 100 for n in range(100)), LEVEL, 1.0)
"""Shares of held-out rows, for which the scores are kept."""
BEYOND = 0.1
"""A number beyond the range of the training part by less than this share of the range never warns by itself."""
What = Literal["maps", "head", "image", "energy", "numbers", "range"]
PLACES = ("maps", "head", "image")


@dataclass(frozen=True)
class View:
    """One way to look at an input, and how far from usual it may be.

    Args:
        what: the ``maps`` of a layer, the input of the ``head``, the ``image`` itself, the network's ``energy``, a
            row's ``numbers``, or their ``range``.
        layer: name of the module; empty for what is none.
        middle: median score of the held-out rows.
        reach: from it to the score that `LEVEL` of them are below.
        projection: ``(F, P)``, whitens the features; empty for energy and range.
        centres: ``(K, P)``, the means of the classes, or of all rows, after it.
    """

    what: What
    layer: str = ""
    middle: float = 0.0
    reach: float = 1.0
    projection: torch.Tensor = field(default_factory=lambda: torch.empty(0, 0))
    centres: torch.Tensor = field(default_factory=lambda: torch.empty(0, 0))

    @property
    def place(self) -> Place | None:
        """Where its features are taken in the network."""
        return Place(self.what, self.layer) if self.what in PLACES else None  # type: ignore[arg-type]  # asked


@dataclass(frozen=True)
class Familiar:
    """What inputs like the training data look like to a network; it holds no row of them.

    Args:
        views: the ways to look; an input is as unlike as the one says that it is most unlike to.
        values: score of the held-out rows for each of `LEVELS`, ascending.
        ranged: which columns of the raw rows are numbers ``(R,)``; empty for images.
        low: their least values in the training part ``(R,)``.
        high: their largest.
        picked: which of the scaled features are numbers; empty for images.
    """

    views: tuple[View, ...]
    values: torch.Tensor
    ranged: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    picked: torch.Tensor

    def look(self, model: nn.Module, scaled: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network gives, and how unlike the training data each input is, in one forward pass.

        Args:
            model: the network, in eval mode; two threads must not look at the same time.
            scaled: inputs as the network takes them ``(B, ...)``.
            raw: the same as they came.

        Returns:
            its output ``(B, O)``, and for each input the share of held-out rows that were less unlike, float64
            ``(B,)``: above `LEVEL` it should warn.

        Raises:
            DataError: this was fitted on another network.
        """
        with watched(model, [view.place for view in self.views if view.place is not None]) as seen:
            output: torch.Tensor = model(scaled)
        score = torch.stack(list(self._scores(seen, output, scaled, raw))).nan_to_num(torch.inf).amax(0)
        return output, _interpolated(score, self.values, torch.tensor(LEVELS, dtype=torch.float64))

    def _scores(
        self, seen: Mapping[Place, torch.Tensor], output: torch.Tensor, scaled: torch.Tensor, raw: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        """Each view's scores ``(B,)``: 0 is usual, 1 is where `LEVEL` of the held-out rows are below."""
        for view in self.views:
            if view.what == "energy":
                found = energy(output)
            elif view.what == "range":
                found = outside(raw[:, self.ranged], self.low, self.high, self.high - self.low)
            else:
                features = scaled.index_select(1, self.picked) if view.place is None else seen.get(view.place)
                if features is None or features.shape[1] != len(view.projection):
                    raise DataError(
                        f"what tells unlike inputs does not fit the network at its {view.layer or view.what}",
                        "take the folder from where it was whole",
                    )
                found = distance(features, view.projection, view.centres)
            yield (found - view.middle) / view.reach

    def reasons(self, raw: torch.Tensor, spec: Spec) -> list[list[str]]:
        """For each row the columns that are beyond what training saw; empty lists for images.

        Args:
            raw: rows ``(B, D)`` as they came.
            spec: the contract of the raw data.
        """
        if not len(self.low):
            return [[] for _ in raw]
        names = [column.name for column in spec.columns] or [f"column {n + 1}" for n in range(raw.shape[1])]
        span, raw = self.high - self.low, raw[:, self.ranged]
        beyond = (raw < self.low - BEYOND * span) | (raw > self.high + BEYOND * span)
        return [[names[int(n)] for n in self.ranged[row]] for row in beyond]

    def to_bytes(self) -> bytes:
        """The tensors, as written to ``familiar.safetensors``."""
        tensors = {name: getattr(self, name) for name in ("values", "ranged", "low", "high", "picked")}
        for number, view in enumerate(self.views):
            tensors |= {f"{number}.projection": view.projection, f"{number}.centres": view.centres}
        return serialise({name: value.contiguous() for name, value in tensors.items()})

    def to_json(self) -> list[dict[str, Any]]:
        """All else, as written to ``model.json``."""
        return [{name: getattr(v, name) for name in ("what", "layer", "middle", "reach")} for v in self.views]


def read(content: bytes, about: Any, model: nn.Module, spec: Spec, inner: Spec) -> Familiar:
    """What `Familiar.to_bytes` and `Familiar.to_json` wrote, checked.

    Args:
        content: the tensors.
        about: all else.
        model: the network.
        spec: the contract of the raw data.
        inner: that of the scaled data.

    Raises:
        ValueError: the two do not fit one another, or the network; SafetensorError: the content is no safetensors.
    """
    tensors = {name: value.requires_grad_(False) for name, value in parse(content).items()}
    if not isinstance(about, list) or not 0 < len(about) <= 16:
        raise ValueError("familiar does not list its views")
    known = {name for name, _ in model.named_modules()}
    views = []
    for number, one in enumerate(about):
        view = View(**one, projection=tensors.pop(f"{number}.projection"), centres=tensors.pop(f"{number}.centres"))
        if view.what not in get_args(What) or view.layer not in known:
            raise ValueError(f"familiar looks at {view.what} {view.layer}, which there is not")
        if not (isinstance(view.middle, float) and isinstance(view.reach, float) and view.reach > 0):
            raise ValueError(f"familiar has no scale for {view.what} {view.layer}")
        if view.what not in ("energy", "range") and not (
            view.projection.ndim == view.centres.ndim == 2 and view.projection.shape[1] == view.centres.shape[1] > 0
        ):
            raise ValueError(f"familiar has no whole projection for {view.what} {view.layer}")
        views.append(view)
    found = Familiar(tuple(views), **tensors)
    if found.values.shape != (len(LEVELS),) or not (found.values.diff() >= 0).all():
        raise ValueError("familiar has no ascending scores")
    floats = [found.values, found.low, found.high, *(t for v in views for t in (v.projection, v.centres))]
    if not all(t.is_floating_point() and t.isfinite().all() for t in floats):
        raise ValueError("familiar holds values that are not finite numbers")
    for what, picked, among in (("ranges", found.ranged, spec), ("numbers", found.picked, inner)):
        most = 0 if spec.is_image else among.shape[0]
        if picked.dtype != torch.int64 or picked.ndim != 1 or not ((picked >= 0) & (picked < most)).all():
            raise ValueError(f"familiar has {what} of other columns than the data")
    if not found.low.shape == found.high.shape == found.ranged.shape:
        raise ValueError("familiar has not one range for each number")
    return found


def _interpolated(score: torch.Tensor, values: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """The level of each score, linear between those that are kept."""
    at = torch.searchsorted(values, score).clamp(1, len(values) - 1)
    low, high = values[at - 1], values[at]
    share = ((score - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    return levels[at - 1] + share * (levels[at] - levels[at - 1])


def energy(output: torch.Tensor) -> torch.Tensor:
    """-log Σ exp(output) of the outputs ``(B, O)``, float64 ``(B,)``: high where no class speaks up.

    >>> energy(torch.zeros(1, 2)).exp().tolist()
    [0.5]
    """
    return -output.double().logsumexp(1).cpu()

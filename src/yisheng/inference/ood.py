"""The out-of-distribution (OOD) detector: how unusual an input is compared with held-out rows of the training data."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as serialize_safetensors
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import DataError
from yisheng.core.input_spec import Inputs
from yisheng.core.messages import Message
from yisheng.core.run_folder import INTACT_COPY
from yisheng.core.spec import Spec
from yisheng.inference._ood_distance import NearestMean
from yisheng.inference._ood_features import (
    FeatureSource,
    capture_features,
    choose_unit,
    compare_with_range,
    select_numbers,
)

THRESHOLD = 0.995
"""Fraction of held-out rows below the threshold: 1 in 200 rows of the training distribution warns anyway."""
QUANTILE_LEVELS = (*(n / 100 for n in range(100)), THRESHOLD, 1.0)
"""Fractions of held-out rows whose scores are kept."""
RANGE_TOLERANCE = 0.1
"""A number outside the range of the training part by less than this fraction of the range never warns by itself."""
MAX_COMPONENTS = 16
ComponentKind = Literal["maps", "head", "image", "energy", "numbers", "range"]
FEATURE_KINDS = ("maps", "head", "image")
"""Kinds of components that read features from a network."""


@dataclass(frozen=True)
class Component:
    """One score of the detector, and its scale on held-out rows.

    Args:
        kind: the Mahalanobis distance in the ``maps`` of a layer, the input of the ``head``, the ``image`` itself or a
            row's ``numbers``; the network's ``energy``; or how far numbers are outside their ``range``.
        layer: name of the module; empty for kinds without one.
        median: median score of the held-out rows.
        scale: difference between it and the score that `THRESHOLD` of them are below.
        projection: ``(F, P)``, whitens the features; empty for energy and range.
        means: ``(K, P)``, the projected means of the classes, or of all rows.
    """

    kind: ComponentKind
    layer: str = ""
    median: float = 0.0
    scale: float = 1.0
    projection: torch.Tensor = field(default_factory=lambda: torch.empty(0, 0))
    means: torch.Tensor = field(default_factory=lambda: torch.empty(0, 0))

    @property
    def source(self) -> FeatureSource | None:
        """Return where its features are read in the network, or None if they are not."""
        return FeatureSource(self.kind, self.layer) if self.kind in FEATURE_KINDS else None  # type: ignore[arg-type]  # just compared

    @functools.cached_property
    def nearest_mean(self) -> NearestMean:
        """Return what its distances are computed from."""
        return NearestMean.prepare(self.projection, self.means)


@dataclass(frozen=True)
class OODDetector:
    """A fitted detector of out-of-distribution inputs; it contains no row of the training data.

    Args:
        components: the scores; the largest one, in units of its scale, decides.
        quantiles: score of the held-out rows for each of `QUANTILE_LEVELS`, ascending.
        range_columns: indices of the numeric columns in the raw rows ``(R,)``; empty for images.
        low: their smallest values in the training part ``(R,)``.
        high: their largest.
        number_features: indices of the numeric columns in the scaled rows; empty for images.
    """

    components: tuple[Component, ...]
    quantiles: torch.Tensor
    range_columns: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    number_features: torch.Tensor

    def score(self, model: nn.Module, scaled: Inputs, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the network's output and the OOD score of each input, from one forward pass.

        Args:
            model: the network, in eval mode; two threads must not call this at the same time.
            scaled: inputs as the network takes them ``(B, ...)``.
            raw: the same inputs before the transform.

        Returns:
            The output ``(B, O)``, and float64 ``(B,)``: the fraction of held-out rows that were less unusual. Above
            `THRESHOLD` the input is out of distribution.

        Raises:
            DataError: the detector was fitted on another network.
        """
        output, largest = self.compute_largest(model, scaled, raw)
        return output, self.interpolate_level(largest)

    def compute_largest(self, model: nn.Module, scaled: Inputs, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the network's output, and the largest of the components' scores of each input, float64 ``(B,)``.

        Args:
            model: see `score`.
            scaled: see `score`.
            raw: see `score`.

        Raises:
            DataError: see `score`.
        """
        sources = [component.source for component in self.components if component.source is not None]
        with capture_features(model, sources) as features:
            output: torch.Tensor = nested.call(model, scaled)
        scores = list(self._component_scores(features, output, scaled, raw))
        return output, torch.stack(scores).nan_to_num(torch.inf).amax(0)

    def interpolate_level(self, largest: torch.Tensor) -> torch.Tensor:
        """Return the quantile level of each score of `compute_largest`, linear between those that are kept."""
        row = self._level_table.index_select(0, torch.searchsorted(self.quantiles[1:-1], largest))
        start, width, level, step = row.unbind(1)
        return level + ((largest - start) / width).clamp(0, 1) * step

    @functools.cached_property
    def _level_table(self) -> torch.Tensor:
        """Return for each interval between quantiles its start, its width, its first level and its step of levels."""
        with torch.inference_mode(False):
            levels = torch.tensor(QUANTILE_LEVELS, dtype=torch.float64)
            widths = self.quantiles.diff().clamp_min(1e-12)
            return torch.stack([self.quantiles[:-1], widths, levels[:-1], levels.diff()], 1)

    @functools.cached_property
    def _bounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return low, high and unit of the raw columns up to the last one with a range; others have infinite bounds."""
        with torch.inference_mode(False):
            width = int(self.range_columns.max()) + 1
            low, high = self.low.new_full((width,), -torch.inf), self.low.new_full((width,), torch.inf)
            unit = self.low.new_ones(width)
            low[self.range_columns], high[self.range_columns] = self.low, self.high
            unit[self.range_columns] = choose_unit(self.low, self.high - self.low)
            return low, high, unit

    @functools.cached_property
    def _number_count(self) -> int | None:
        """Return the number of numeric columns if they are the first ones, else None."""
        count = len(self.number_features)
        return count if self.number_features.tolist() == list(range(count)) else None

    def _component_scores(
        self,
        features: Mapping[FeatureSource, torch.Tensor],
        output: torch.Tensor,
        scaled: Inputs,
        raw: torch.Tensor,
    ) -> Iterator[torch.Tensor]:
        """Yield each component's scores ``(B,)``: 0 is the median, `THRESHOLD` of the held-out rows are below 1."""
        for component in self.components:
            if component.kind == "energy":
                scores = compute_energy(output)
            elif component.kind == "range":
                low, high, unit = self._bounds
                scores = compare_with_range(raw[:, : len(low)], low, high, unit)
            else:
                source = component.source
                rows = nested.tensors(scaled)[0]
                x = features.get(source) if source else select_numbers(rows, self.number_features, self._number_count)
                if x is None or x.shape[1] != len(component.projection):
                    raise DataError(
                        Message(
                            "the out-of-distribution detector does not fit the network at its {layer}",
                            layer=component.layer or component.kind,
                        ),
                        INTACT_COPY,
                    )
                scores = component.nearest_mean.compute_distance(x)
            yield (scores - component.median) / component.scale

    def find_columns_out_of_range(self, raw: torch.Tensor, spec: Spec) -> list[list[str]]:
        """Return for each row the numeric columns outside their training range; empty lists for images.

        Args:
            raw: rows ``(B, D)`` before the transform.
            spec: the contract of the raw data.
        """
        if not len(self.low):
            return [[] for _ in raw]
        names = [column.name for column in spec.columns] or [f"column {n + 1}" for n in range(raw.shape[1])]
        tolerance, raw = RANGE_TOLERANCE * (self.high - self.low), raw[:, self.range_columns]
        is_outside = (raw < self.low - tolerance) | (raw > self.high + tolerance)
        return [[names[int(n)] for n in self.range_columns[row]] for row in is_outside]

    def to_bytes(self) -> bytes:
        """Return the tensors, for ``ood.safetensors``."""
        names = ("quantiles", "range_columns", "low", "high", "number_features")
        tensors = {name: getattr(self, name) for name in names}
        for index, component in enumerate(self.components):
            tensors |= {f"{index}.projection": component.projection, f"{index}.means": component.means}
        return serialize_safetensors({name: tensor.contiguous() for name, tensor in tensors.items()})

    def to_json(self) -> list[dict[str, Any]]:
        """Return everything but the tensors, for ``model.json``."""
        return [{name: getattr(c, name) for name in ("kind", "layer", "median", "scale")} for c in self.components]


def parse_ood_detector(content: bytes, components: Any, model: nn.Module, spec: Spec, inner: Spec) -> OODDetector:
    """Return the detector that `OODDetector.to_bytes` and `OODDetector.to_json` wrote, after checking it.

    Args:
        content: the tensors.
        components: what `to_json` returned.
        model: the network.
        spec: the contract of the raw data.
        inner: that of the scaled data.

    Raises:
        ValueError: the two do not fit one another, or the network.
        SafetensorError: the content is not in the safetensors format.
    """
    tensors = {name: tensor.requires_grad_(False) for name, tensor in parse_safetensors(content).items()}
    if not isinstance(components, list) or not 0 < len(components) <= MAX_COMPONENTS:
        raise ValueError("the OOD detector does not list its components")
    layers = {name for name, _ in model.named_modules()}
    parsed = []
    for index, values in enumerate(components):
        projection, means = tensors.pop(f"{index}.projection"), tensors.pop(f"{index}.means")
        component = Component(**values, projection=projection, means=means)
        _check_component(component, layers)
        parsed.append(component)
    detector = OODDetector(tuple(parsed), **tensors)
    _check_tensors(detector, spec, inner)
    return detector


def _check_component(component: Component, layers: set[str]) -> None:
    name = f"{component.kind} {component.layer}".strip()
    if component.kind not in get_args(ComponentKind) or component.layer not in layers:
        raise ValueError(f"the OOD detector reads {name}, which the network does not have")
    if not (isinstance(component.median, float) and isinstance(component.scale, float) and component.scale > 0):
        raise ValueError(f"the OOD detector has no scale for {name}")
    projection, means = component.projection, component.means
    if component.kind not in ("energy", "range") and not (
        projection.ndim == means.ndim == 2 and projection.shape[1] == means.shape[1] > 0
    ):
        raise ValueError(f"the OOD detector has no complete projection for {name}")


def _check_tensors(detector: OODDetector, spec: Spec, inner: Spec) -> None:
    if detector.quantiles.shape != (len(QUANTILE_LEVELS),) or not (detector.quantiles.diff() >= 0).all():
        raise ValueError("the OOD detector has no ascending quantiles")
    projections = [tensor for c in detector.components for tensor in (c.projection, c.means)]
    for tensor in (detector.quantiles, detector.low, detector.high, *projections):
        if not (tensor.is_floating_point() and tensor.isfinite().all()):
            raise ValueError("the OOD detector contains values that are not finite numbers")
    for name, indices, data in (
        ("ranges", detector.range_columns, spec),
        ("numbers", detector.number_features, inner),
    ):
        column_count = data.shape[0] if spec.is_row else 0
        if indices.dtype != torch.int64 or indices.ndim != 1 or not ((indices >= 0) & (indices < column_count)).all():
            raise ValueError(f"the OOD detector has {name} of columns that the data does not have")
    if not detector.low.shape == detector.high.shape == detector.range_columns.shape:
        raise ValueError("the OOD detector does not have one range for each number")


def compute_energy(output: torch.Tensor) -> torch.Tensor:
    """Compute the energy -log Σ exp(output) of outputs ``(B, O)``, float64 ``(B,)``: high if no class has evidence.

    >>> compute_energy(torch.zeros(1, 2)).exp().tolist()
    [0.5]
    """
    return -output.double().logsumexp(1).cpu()

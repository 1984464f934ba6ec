"""Mahalanobis distances to the nearest of several means, in a few operations for all rows and means."""

from __future__ import annotations

from dataclasses import dataclass

import torch

MAX_BROADCAST_ROWS, MAX_COMPARED_MEANS = 256, 16
"""Rows and means up to which all distances are one operation: a few rows cost little more than its call."""
MAX_MEAN_DISTANCE = 1e3
"""Distance of the means from their center up to which squares are subtracted: below it, double precision leaves an
error of less than 1e-8 in the square of a distance; beyond it, the differences themselves are squared."""


@dataclass(frozen=True)
class NearestMean:
    """What the distance to the nearest of K means is computed from, in double precision.

    For many rows or means, with the whitened features w and the means m around the center of the means, the distance is

        min_k |w - m_k| = sqrt(|w|² + 2 min_k (|m_k|²/2 - w·m_k)).

    Args:
        projection: ``(F, P)``, whitens the features.
        means: ``(K, P)``.
        negative_center: ``(P,)``, minus the mean of the means.
        negative_offsets: ``(K, P)``, minus the means around their center.
        half_squares: ``(K, 1)``, half the squared norms of the offsets.
        unit_weights: ``(P,)``, ones; a product with them sums rows faster than a reduction.
        is_distant: whether a mean is farther than `MAX_MEAN_DISTANCE` from the center.
    """

    projection: torch.Tensor
    means: torch.Tensor
    negative_center: torch.Tensor
    negative_offsets: torch.Tensor
    half_squares: torch.Tensor
    unit_weights: torch.Tensor
    is_distant: bool

    @classmethod
    def prepare(cls, projection: torch.Tensor, means: torch.Tensor) -> NearestMean:
        """Return what is computed once of a projection ``(F, P)`` and projected means ``(K, P)``."""
        with torch.inference_mode(False):  # such tensors could not be used in a backward pass
            projection, means = projection.double(), means.double()
            center = means.mean(0)
            squares = (means - center).square().sum(1, keepdim=True)
            is_distant = bool((squares > MAX_MEAN_DISTANCE**2).any())
            unit_weights = torch.ones_like(center)
            return cls(projection, means, -center, center - means, squares / 2, unit_weights, is_distant)

    def compute_distance(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the distance of features ``(B, F)`` to the nearest mean, float64 ``(B,)``.

        >>> axes = NearestMean.prepare(torch.eye(2), torch.tensor([[0.0, 0.0], [10.0, 0.0]]))
        >>> axes.compute_distance(torch.tensor([[3.0, 4.0], [10.0, 2.0]])).tolist()
        [5.0, 2.0]
        """
        x = x.cpu().double()
        compares_each = self.means.shape[0] <= MAX_COMPARED_MEANS
        if compares_each and x.shape[0] <= MAX_BROADCAST_ROWS:  # len() would be a constant in an exported graph
            return torch.linalg.vector_norm((x @ self.projection)[:, None] - self.means, dim=2).amin(1)
        if self.is_distant:
            whitened = x @ self.projection
            if not compares_each:
                return torch.cdist(whitened, self.means, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
            return torch.stack([torch.linalg.vector_norm(whitened - mean, dim=1) for mean in self.means]).amin(0)
        whitened = torch.addmm(self.negative_center, x, self.projection)
        nearest = torch.addmm(self.half_squares, self.negative_offsets, whitened.T).amin(0)
        return whitened.square().mv(self.unit_weights).add_(nearest, alpha=2).clamp_(min=0).sqrt_()

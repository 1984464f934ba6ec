"""Principal directions of wide features: equal to the decomposition of the whole covariance, in less time."""

from __future__ import annotations

import pytest
import torch

from yisheng.inference import _ood_features
from yisheng.inference._ood_features import MAX_PRINCIPAL_COMPONENTS, fit_whitening


def make_features(rows: int, columns: int) -> torch.Tensor:
    x = torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x * torch.linspace(0.1, 3, columns, dtype=torch.float64)


@pytest.mark.parametrize(("rows", "columns"), [(40, 300), (300, 40), (200, 200)])
@pytest.mark.parametrize("limit", [8, 1024])
def test_whitening_equals_the_whole_decomposition(
    monkeypatch: pytest.MonkeyPatch, rows: int, columns: int, limit: int
) -> None:
    x = make_features(rows, columns)
    center = x.mean(0)
    values, vectors = torch.linalg.eigh((x - center).T @ (x - center) / rows)
    monkeypatch.setattr(_ood_features, "MAX_DENSE_SIZE", limit)
    if limit == 8 and min(rows, columns) <= MAX_PRINCIPAL_COMPONENTS:
        pytest.skip("Lanczos' method needs more rows and columns than directions")
    variances, directions = _ood_features._decompose_covariance(x - center)
    count = min(MAX_PRINCIPAL_COMPONENTS, rows - 1, columns)
    torch.testing.assert_close(variances[-count:], values[-count:])
    projector = vectors[:, -count:] @ vectors[:, -count:].T
    torch.testing.assert_close(directions[:, -count:] @ directions[:, -count:].T, projector, rtol=0, atol=1e-8)


def test_many_columns_take_little_time() -> None:
    """The covariance of 20,000 columns would need 3 GB and hours."""
    projection, means = fit_whitening(make_features(60, 20_000), None)
    assert projection.shape[0] == 20_000
    assert len(means) == 1

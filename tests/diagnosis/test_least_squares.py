"""The terms of least squares are those of scikit-learn's polynomials."""

import numpy as np
import pytest
from sklearn.preprocessing import PolynomialFeatures

from yisheng.diagnosis.data_checks.least_squares import expand_columns


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 4])
def test_terms_are_those_of_scikit_learn(degree, width):
    x = np.random.default_rng(0).normal(size=(20, width))
    np.testing.assert_allclose(expand_columns(x, degree), PolynomialFeatures(degree).fit_transform(x), rtol=1e-12)

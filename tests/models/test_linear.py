from __future__ import annotations

import torch

from yisheng.core.spec import Spec
from yisheng.models.linear import linear


def test_it_is_an_affine_map_of_the_flattened_input():
    model = linear(Spec("classification", (3, 4, 5), classes=("a", "b", "c", "d"))).double()
    x = torch.randn(6, 3, 4, 5, dtype=torch.float64)
    weight, bias = model.get_parameter("output.weight"), model.get_parameter("output.bias")
    torch.testing.assert_close(model(x), torch.einsum("bchw,ochw->bo", x, weight.reshape(4, 3, 4, 5)) + bias)


def test_output_units_follow_the_spec():
    spec = Spec("classification", (7,), classes=("no", "yes"))
    assert linear(spec)(torch.zeros(2, 7)).shape == (2, 2)
    assert linear(spec.with_outputs(1))(torch.zeros(2, 7)).shape == (2, 1)
    assert linear(Spec("regression", (7,), outputs=3))(torch.zeros(2, 7)).shape == (2, 3)

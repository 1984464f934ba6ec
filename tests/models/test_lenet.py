from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.models.lenet import lenet

STYLES = ("modern", "classic")


def images(channels: int, height: int, width: int) -> Spec:
    return Spec("classification", (channels, height, width), classes=tuple("0123456789"))


def test_the_classic_style_equals_the_textbooks_network():
    model = lenet(images(1, 28, 28), style="classic")
    book = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, stride=2)),
        *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2, stride=2), nn.Flatten()),
        *(nn.Linear(16 * 5 * 5, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
    )
    assert sum(p.numel() for p in model.parameters()) == 61_706
    with torch.no_grad():
        for source, target in zip(model.parameters(), book.parameters(), strict=True):
            target.copy_(source)
        x = torch.randn(3, 1, 28, 28)
        assert torch.equal(model(x), book(x))


def test_the_classic_style_has_the_papers_sizes_on_32_x_32():
    model = lenet(images(1, 32, 32), style="classic")
    x = torch.randn(2, 1, 32, 32)
    shapes = {}
    for name, module in model.named_children():
        x = module(x)
        shapes[name] = tuple(x.shape[1:])
    assert shapes["conv1"] == (6, 28, 28)
    assert shapes["conv2"] == (16, 10, 10)
    assert shapes["flatten"] == (400,)
    assert sum(p.numel() for p in model.parameters()) == 61_706


def test_a_padded_image_gives_what_the_paper_gives():
    padded, paper = (lenet(images(1, side, side), style="classic") for side in (28, 32))
    paper.load_state_dict(padded.state_dict())
    x = torch.randn(3, 1, 28, 28)
    assert torch.allclose(padded(x), paper(nn.functional.pad(x, (2, 2, 2, 2))), atol=1e-6)


def test_pooling_before_relu_gives_the_same_values():
    x = torch.randn(4, 6, 14, 14)
    pool, relu = nn.MaxPool2d(2), nn.ReLU()
    assert torch.equal(relu(pool(x)), pool(relu(x)))


def parameter_names(style: str) -> str:
    return " ".join(name for name, _ in lenet(images(1, 28, 28), style=style).named_parameters())


def test_parameter_names_do_not_change():
    head = "linear3.weight linear3.bias linear4.weight linear4.bias output.weight output.bias"
    assert parameter_names("classic") == f"conv1.weight conv1.bias conv2.weight conv2.bias {head}"
    assert parameter_names("modern") == (
        f"conv1.weight norm1.weight norm1.bias conv2.weight norm2.weight norm2.bias {head}"
    )


@settings(max_examples=60, deadline=None)
@given(
    style=st.sampled_from(STYLES),
    channels=st.integers(1, 4),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
def test_every_size_is_accepted_or_an_error(style, channels, height, width):
    min_side = {"modern": 8, "classic": 12}[style]
    spec = images(channels, height, width)
    if min(height, width) >= min_side:
        model = lenet(spec, style=style)  # in training mode: batch norm over a single image must work too
        assert model(torch.randn(1, channels, height, width)).shape == (1, 10)
    else:
        with pytest.raises(
            UsageError, match=f"lenet style={style} needs images of at least {min_side} x {min_side}"
        ) as error:
            lenet(spec, style=style)
        assert ("style=modern" in error.value.remedy) == (min(height, width) >= 8)


def test_the_modern_style_learns_the_digits():
    """Six epochs show that it trains fast; its accuracy is in the docs."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    torch.manual_seed(0)
    order = torch.randperm(len(y))
    x = torch.from_numpy((x.reshape(-1, 1, 8, 8) - x.mean()) / x.std()).float()[order]
    y = torch.from_numpy(y)[order]
    model = lenet(images(1, 8, 8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for _ in range(6):
        for batch in torch.randperm(1400).split(35):
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
    with torch.no_grad():
        accuracy = (model.eval()(x[1400:]).argmax(1) == y[1400:]).float().mean()
    assert accuracy > 0.94

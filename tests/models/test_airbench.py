"""The network airbench for small images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.models.airbench import OUTPUT_SCALE, airbench


def images(size: int = 28, channels: int = 1) -> Spec:
    return Spec("classification", (channels, size, size), classes=tuple("0123456789"))


def test_layers_have_the_documented_shapes():
    net = airbench(images(32, 3), widths=(8, 12), depth=3)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions] == [
        (3, 16, 2),
        *((16, 8, 3), (8, 8, 3), (8, 8, 3)),
        *((8, 12, 3), (12, 12, 3), (12, 12, 3)),
    ]
    shapes: list[tuple[int, ...]] = []
    for group in (net.net.group1, net.net.group2):
        group.register_forward_hook(lambda _m, _i, output: shapes.append(tuple(output.shape)))
    net(torch.zeros(2, 3, 32, 32))
    assert shapes == [(2, 8, 15, 15), (2, 12, 7, 7)]


def test_the_first_rows_are_initialized_as_the_identity():
    torch.manual_seed(0)
    conv = airbench(images(), widths=(32,)).net.group1.conv1  # from 16 channels to 32
    x = torch.randn(2, 16, 9, 9)
    torch.testing.assert_close(conv(x)[:, :16], x)
    assert conv(x)[:, 16:].std() > 0.1


def test_in_evaluation_mode_the_mirror_image_is_averaged():
    torch.manual_seed(0)
    net = airbench(images(), widths=(8, 8), mirror=True)
    net.train()
    net(torch.randn(64, 1, 28, 28))  # gives batch norm running means
    x = torch.randn(5, 1, 28, 28)
    net.eval()
    torch.testing.assert_close(net(x), OUTPUT_SCALE * (net.net(x) + net.net(x.flip(-1))) / 2)
    torch.testing.assert_close(net(x), net(x.flip(-1)))
    net.train()
    assert not torch.equal(net(x), net(x.flip(-1)))
    plain = airbench(images(), widths=(8, 8)).eval()
    assert not torch.equal(plain(x), plain(x.flip(-1)))


@pytest.mark.parametrize("size", [2, 3, 8, 9])
def test_tiny_images_are_halved_until_one_cell_remains(size):
    assert airbench(images(size))(torch.zeros(2, 1, size, size)).shape == (2, 10)


def test_images_of_one_pixel_are_an_error():
    with pytest.raises(UsageError, match="at least 2 x 2 pixels, got 1 x 1"):
        airbench(images(1))

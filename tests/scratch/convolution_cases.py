"""Equivalence of from-scratch convolutions, their arithmetic, and the blocks of convolutional networks."""

from __future__ import annotations

import itertools

import torch
from scipy.signal import convolve2d
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from tests.scratch.case import Case, Pair, run_both
from tests.scratch.random_inputs import draw_int, draw_normal
from yisheng.scratch.convolution import convolution
from yisheng.scratch.convolution_arithmetic import convolution_arithmetic, count_multiplications, count_parameters
from yisheng.scratch.cross_correlation import cross_correlation
from yisheng.scratch.inception_block import inception_block
from yisheng.scratch.nin_block import nin_block
from yisheng.scratch.receptive_field import receptive_field
from yisheng.scratch.stride import stride
from yisheng.scratch.vgg_block import vgg_block

LAYER = "output, gradients"


def make_convolution(rng: Generator) -> Pair:
    x, w = draw_normal(rng, 1, 1, 8, 7), draw_normal(rng, 1, 1, draw_int(rng, 1, 4), draw_int(rng, 1, 4))
    return [convolution(x, w)[0, 0]], [torch.from_numpy(convolve2d(x[0, 0], w[0, 0], mode="valid"))]


def make_sizes(rng: Generator) -> Pair:
    """Compare the sizes of convolutions and poolings, and the numbers of parameters."""
    n, k = draw_int(rng, 12, 40), draw_int(rng, 1, 5)
    options = {"stride": draw_int(rng, 1, 4), "padding": draw_int(rng, 0, k // 2), "dilation": draw_int(rng, 1, 2)}
    inputs, outputs = draw_int(rng, 1, 4), draw_int(rng, 1, 4)
    layer = nn.Conv2d(inputs, outputs, k, **options)
    size = layer(torch.zeros(1, inputs, n, n)).shape[-1]
    pooled = F.max_pool2d(torch.zeros(1, 1, n, n), k, **options).shape[-1]
    scratch = [convolution_arithmetic(n, k, **options)] * 2
    scratch += [count_parameters(inputs, outputs, k), count_multiplications(inputs, outputs, k, size)]
    library = [size, pooled, sum(p.numel() for p in layer.parameters()), layer.weight.numel() * size**2]
    return [torch.tensor(scratch)], [torch.tensor(library)]


def make_stride(rng: Generator) -> Pair:
    step, padding = draw_int(rng, 1, 4), draw_int(rng, 0, 2)
    return run_both(
        lambda x, w: stride(cross_correlation(x, w, padding=padding), step=step),
        lambda x, w: F.conv2d(x, w, stride=step, padding=padding),
        draw_normal(rng, 2, 3, 9, 8),
        draw_normal(rng, 4, 3, 3, 3),
    )


def make_receptive_field(rng: Generator) -> Pair:
    """Compare with the inputs whose gradients are not zero: a network of sums, without padding."""
    layers = []
    for _ in range(draw_int(rng, 1, 4)):
        kernel = draw_int(rng, 1, 4)
        layers.append((kernel, draw_int(rng, 1, kernel)))
    x = torch.ones(1, 1, 600, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel, step in layers:
        y = F.conv1d(y, torch.ones(1, 1, kernel, dtype=torch.float64), stride=step)
    pixels = [torch.autograd.grad(y[0, 0, i], x, retain_graph=True)[0][0, 0].nonzero() for i in (0, 1)]
    size, distance = pixels[0].max() - pixels[0].min() + 1, pixels[1].min() - pixels[0].min()
    return [torch.tensor(receptive_field(layers))], [torch.stack([size, distance])]


def draw_layers(rng: Generator, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Draw weights of the shapes, and the biases of each."""
    return [p for shape in shapes for p in (draw_normal(rng, *shape), draw_normal(rng, shape[0]))]


def pair_up(parameters: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def make_vgg_block(rng: Generator) -> Pair:
    channels = [3, *[draw_int(rng, 1, 5) for _ in range(draw_int(rng, 1, 3))]]
    shapes = [(o, i, 3, 3) for i, o in itertools.pairwise(channels)]

    def library(x: Tensor, *p: Tensor) -> Tensor:
        for w, b in pair_up(p):
            x = F.relu(F.conv2d(x, w, b, padding=1))
        return F.max_pool2d(x, 2)

    return run_both(
        lambda x, *p: vgg_block(x, pair_up(p)), library, draw_normal(rng, 2, 3, 7, 6), *draw_layers(rng, *shapes)
    )


def make_nin_block(rng: Generator) -> Pair:
    step, padding, k = draw_int(rng, 1, 3), draw_int(rng, 0, 2), draw_int(rng, 1, 5)

    def library(x: Tensor, *p: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, p[0], p[1], stride=step, padding=padding))
        x = F.relu(F.conv2d(x, p[2][:, :, None, None], p[3]))
        return F.relu(F.conv2d(x, p[4][:, :, None, None], p[5]))

    return run_both(
        lambda x, *p: nin_block(x, *pair_up(p), stride=step, padding=padding),
        library,
        draw_normal(rng, 2, 3, 8, 7),
        *draw_layers(rng, (4, 3, k, k), (4, 4), (4, 4)),
    )


def make_inception_block(rng: Generator) -> Pair:
    o1, o2, o3, o4, h2, h3 = (draw_int(rng, 1, 4) for _ in range(6))
    shapes = [(o1, 3, 1, 1), (h2, 3, 1, 1), (o2, h2, 3, 3), (h3, 3, 1, 1), (o3, h3, 5, 5), (o4, 3, 1, 1)]

    def scratch(x: Tensor, *p: Tensor) -> Tensor:
        p1, p2a, p2b, p3a, p3b, p4 = pair_up(p)
        return inception_block(x, p1, (p2a, p2b), (p3a, p3b), p4)

    def library(x: Tensor, *p: Tensor) -> Tensor:
        p1, p2a, p2b, p3a, p3b, p4 = ((w, b, None, w.shape[2] // 2) for w, b in pair_up(p))

        def convolve(x: Tensor, w: Tensor, b: Tensor, _: None, padding: int) -> Tensor:
            return F.relu(F.conv2d(x, w, b, padding=padding))

        y2, y3 = convolve(convolve(x, *p2a), *p2b), convolve(convolve(x, *p3a), *p3b)
        return torch.cat([convolve(x, *p1), y2, y3, convolve(F.max_pool2d(x, 3, 1, 1), *p4)], dim=1)

    return run_both(scratch, library, draw_normal(rng, 2, 3, 6, 7), *draw_layers(rng, *shapes))


CASES = [
    Case("convolution", "scipy.signal.convolve2d", "output", 1e-13, make_convolution),
    Case("convolution-arithmetic", "torch.nn.Conv2d, max_pool2d", "sizes, parameters, multiplications", 0, make_sizes),
    Case("stride", "torch.nn.functional.conv2d", LAYER, 1e-13, make_stride),
    Case("receptive-field", "conv1d, torch.autograd.grad", "size, distance", 0, make_receptive_field),
    Case("vgg-block", "conv2d, relu, max_pool2d of torch.nn.functional", LAYER, 1e-11, make_vgg_block),
    Case("nin-block", "conv2d, relu of torch.nn.functional", LAYER, 1e-11, make_nin_block),
    Case("inception-block", "conv2d, relu, max_pool2d, torch.cat", LAYER, 1e-12, make_inception_block),
]

"""Average pooling as LeNet has it in training beside torch's own, forward and back, turn about.

python benchmarks/pooling.py [rounds=15] [batch=256]
"""

from __future__ import annotations

import statistics
import sys
import time

from yisheng.core import machine, process

process.prepare()

import torch  # noqa: E402  # only after what must be said before
from torch import nn  # noqa: E402

from yisheng.models._pool import AvgPool2d  # noqa: E402

SIZES = ((6, 28), (16, 10))
"""Channels, and rows and columns."""


def main(words: list[str]) -> None:
    """Measure and print a table."""
    options = dict(word.split("=", 1) for word in words)
    rounds, batch = int(options.get("rounds", 15)), int(options.get("batch", 256))
    print(f"{machine.describe_processor()[0]}, {machine.count_cores()} cores, torch {torch.__version__}, {rounds} rounds\n")
    print("| images | type, order | torch, ms forward + back | ours, ms | ratio of the sums (least to most) |")
    print("|---|---|---|---|---|")
    for channels, size in SIZES:
        for dtype in (torch.float32, torch.bfloat16):
            for name, order in (("usual", torch.contiguous_format), ("channels last", torch.channels_last)):
                x = torch.rand(batch, channels, size, size, dtype=dtype).contiguous(memory_format=order)
                turns = [_turn(x, number % 2 == 0) for number in range(rounds + 2)][2:]
                theirs, ours = (_medians([turn[at] for turn in turns]) for at in (0, 1))
                ratios = sorted(sum(one[1]) / sum(one[0]) for one in turns)
                ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
                what = f"{channels} x {size} x {size} | {str(dtype).removeprefix('torch.')}, {name}"
                print(f"| {what} | {theirs} | {ours} | {ratio} |", flush=True)


def _turn(x: torch.Tensor, first: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Torch's times and ours, one or the other first."""
    if first:
        return _timed(nn.AvgPool2d(2), x), _timed(AvgPool2d(), x)
    ours = _timed(AvgPool2d(), x)
    return _timed(nn.AvgPool2d(2), x), ours


def _timed(pool: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """Milliseconds of the way forward and of the way back."""
    given = x.detach().requires_grad_()
    began = time.perf_counter()
    y = pool(given)
    between = time.perf_counter()
    gradient = torch.ones_like(y)
    again = time.perf_counter()
    torch.autograd.grad(y, given, gradient)
    return 1e3 * (between - began), 1e3 * (time.perf_counter() - again)


def _medians(turns: list[tuple[float, float]]) -> str:
    return " + ".join(f"{statistics.median(times):.2f}" for times in zip(*turns, strict=True))


if __name__ == "__main__":
    main(sys.argv[1:])

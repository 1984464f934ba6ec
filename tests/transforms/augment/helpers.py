"""Batches of random images, and augmentations applied to them."""

from __future__ import annotations

import torch

from yisheng.core.registry import build
from yisheng.core.spec import Spec

KIND = "transforms.augment"
IMAGES = ("crop", "erase", "flip", "jitter", "resized-crop", "vertical-flip")
MOVING = ("crop", "erase", "flip", "vertical-flip")
"""Augmentations that only move values: bytes stay bytes."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_spec(shape, **fields):
    return Spec("classification", shape, **{"classes": ("a", "b", "c"), **fields})


def images(b=8, c=3, h=12, w=10, dtype=torch.uint8, seed=1):
    x = torch.randint(0, 256, (b, c, h, w), generator=generator(seed), dtype=torch.uint8)
    return x.to(dtype)


def augment(name, x, seed=0, y=None, **options):
    y = torch.arange(len(x)) % 3 if y is None else y
    return build(KIND, name, make_spec(tuple(x.shape[1:])), **options)(x, y, generator(seed))

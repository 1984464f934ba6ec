"""The names of torchvision that the book's chapters use, for machines where torchvision is absent or broken.

Transforms compute what torchvision documents; data sets come from the hub, and networks from `yisheng.models`.
`yisheng.d2l.install` registers this package as ``torchvision`` if ``import torchvision`` fails.
"""

from __future__ import annotations

import importlib

__version__ = "0+yisheng"
SUBMODULES = ("datasets", "models", "transforms")

__all__ = ["datasets", "models", "transforms"]  # imported on first use


def __getattr__(name: str) -> object:
    if name in SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"Yisheng's stand-in for torchvision has no {name!r}, only {', '.join(SUBMODULES)}; "
        "install torchvision for the others"
    )

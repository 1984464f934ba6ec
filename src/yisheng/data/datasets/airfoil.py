"""Noise of an aerofoil in a wind tunnel."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset

COLUMNS = ("frequency", "angle of attack", "chord length", "stream velocity", "displacement thickness", "pressure")


@register
def airfoil(*, folder: Path | None = None) -> Dataset:
    """1,503 measurements of an aerofoil in a wind tunnel: its sound pressure level in decibels from five numbers.

    Args:
        folder: where the file airfoil_self_noise.dat lies; without it it is fetched.

    Raises:
        DataError: the file is missing and cannot be fetched, or is not what it should be.

    Source: Brooks, Pope and Marcolini, Airfoil self-noise and prediction, NASA RP-1218 (1989).
    """
    from yisheng.data.datasets._table_dataset import table_set

    name = "airfoil_self_noise.dat"
    return table_set("airfoil", name, folder, columns=COLUMNS, target="pressure", task="regression", unit="decibels")

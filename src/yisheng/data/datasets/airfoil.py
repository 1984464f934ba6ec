"""Noise of an airfoil in a wind tunnel."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register

COLUMNS = ("frequency", "angle of attack", "chord length", "stream velocity", "displacement thickness", "pressure")


@register
def airfoil(*, folder: Path | None = None) -> Dataset:
    """Load 1,503 measurements of an airfoil in a wind tunnel: its sound pressure level in decibels from five numbers.

    Args:
        folder: folder with the file airfoil_self_noise.dat; by default it is downloaded.

    Raises:
        DataError: the file cannot be downloaded, or has other content.

    Source: Brooks, Pope and Marcolini, Airfoil self-noise and prediction, NASA RP-1218 (1989).
    """
    from yisheng.data.datasets._table_dataset import load_table_dataset

    name = "airfoil_self_noise.dat"
    return load_table_dataset(
        "airfoil", name, folder, columns=COLUMNS, target="pressure", task="regression", unit="decibels"
    )

"""Diabetes among Pima women."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset

COLUMNS = (
    *("pregnancies", "glucose", "blood pressure", "skin fold", "insulin", "body mass index", "pedigree", "age"),
    "healthy",
)


@register
def pima(*, folder: Path | None = None) -> Dataset:
    """759 women of the Pima, eight measures, and whether diabetes showed within five years.

    The table as a well-known PyTorch course uses it: the measures are scaled to [-1, 1] already (on all rows), and the
    label is 1 for who stayed healthy, the other way round than in the original.

    Args:
        folder: where the file diabetes.csv.gz lies; without it it is fetched.

    Raises:
        DataError: the file is missing and cannot be fetched, or is not what it should be.

    Source: Smith et al., Using the ADAP learning algorithm to forecast the onset of diabetes mellitus, Proceedings of
    the Annual Symposium on Computer Application in Medical Care (1988).
    """
    from yisheng.data.datasets._table_dataset import table_set

    return table_set("pima", "diabetes.csv.gz", folder, columns=COLUMNS, target="healthy", task="classification")

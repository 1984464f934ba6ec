"""Diabetes among Pima women."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register

COLUMNS = (
    *("pregnancies", "glucose", "blood pressure", "skin fold", "insulin", "body mass index", "pedigree", "age"),
    "healthy",
)


@register
def pima(*, folder: Path | None = None) -> Dataset:
    """Load 759 women of the Pima, eight measures, and whether diabetes appeared within five years.

    This is the table of a well-known PyTorch course: the measures are already scaled to [-1, 1] (on all rows), and the
    label is 1 for women who stayed healthy, which is the inverse of the original label.

    Args:
        folder: folder with the file diabetes.csv.gz; by default it is downloaded.

    Raises:
        DataError: the file cannot be downloaded, or has other content.

    Source: Smith et al., Using the ADAP learning algorithm to forecast the onset of diabetes mellitus, Proceedings of
    the Annual Symposium on Computer Application in Medical Care (1988).
    """
    from yisheng.data.datasets._table_dataset import load_table_dataset

    return load_table_dataset(
        "pima", "diabetes.csv.gz", folder, columns=COLUMNS, target="healthy", task="classification"
    )

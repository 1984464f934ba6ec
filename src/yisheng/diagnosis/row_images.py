"""Images of the rows that findings name, for the report."""

from __future__ import annotations

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.messages import Message
from yisheng.evaluation.png import encode_png
from yisheng.reporting.findings_schema import Cause, Findings, RowImage

MAX_IMAGES, MAX_PIXELS = 24, 1 << 17
"""Images of one finding, and pixels of an image that is stored in the run folder."""


def add_images(findings: Findings, data: Dataset) -> Findings:
    """Return findings with the images of the rows that they name, if the rows are images of bytes.

    Args:
        findings: of a run.
        data: its data set.
    """
    spec = data.spec
    if not spec.is_image or data.x.dtype != np.uint8 or int(np.prod(spec.shape)) > MAX_PIXELS:
        return findings
    causes = [cause.model_copy(update={"images": _read_images(cause, data)}) for cause in findings.findings]
    return findings.model_copy(update={"findings": causes})


def _read_images(cause: Cause, data: Dataset) -> list[RowImage]:
    return [RowImage(name=_describe_row(data, row), image=encode_png(data.x[row])) for row in cause.rows[:MAX_IMAGES]]


def _describe_row(data: Dataset, row: int) -> str:
    name = f"row {row}" if data.rows is None else data.rows[row]
    return (
        Message("{name}: {classes}", name=name, classes=data.spec.classes[int(data.y[row])])
        if data.spec.task == "classification"
        else name
    )

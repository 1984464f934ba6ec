"""The options of data in memory."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge

from yisheng.core.registry import register
from yisheng.data.objects._assemble import MemoryData
from yisheng.data.objects._read_data import read_data
from yisheng.data.objects._values import Options


@register
def in_memory(
    data: Any,
    validation: Any = None,
    test: Any = None,
    *,
    target: tuple[str, ...] | str | int | None = None,
    task: Literal["auto", "classification", "multilabel", "regression"] = "auto",
    classes: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    items: tuple[str, ...] = (),
    ids: bool | Literal["auto"] = "auto",
    sample_weight: Any = None,
    group: Any = None,
    time: Any = None,
    part: Any = None,
    id: str | None = None,
    drop: tuple[str, ...] = (),
    kinds: dict[str, str] | tuple[str, ...] = (),
    workers: Annotated[int, Ge(0)] = 0,
    max_rows: Annotated[int, Ge(1)] | None = None,
) -> MemoryData:
    """Read data in memory: arrays, a DataFrame, a torch data set or loader, a Hugging Face data set.

    Args:
        target: the column or key to predict (several, with commas, for several); of a DataFrame also a number from 1.
        task: what to learn; auto depends on the target: whole numbers, texts and bools are classes, floats are numbers.
        classes: names of the classes 0, 1, ... or of the labels.
        columns: the columns or keys to learn from; all others by default.
        items: what the positions of an item are, as in x,y,sample_weight (- is left out).
        ids: whether whole numbers are ids, which reach the network unscaled as int64; auto: those of one axis per row.
        sample_weight: a column or key, or an array with the weight of each training row.
        group: a column, or an array: equal values stay in the same part and fold.
        time: a column, or an array: the data is split in the order of time.
        part: a column, or an array that says train, validation or test for each row.
        id: a column of a DataFrame that names the rows.
        drop: columns of a DataFrame to leave out.
        kinds: kinds of columns of a DataFrame, as in Year:category.
        workers: processes that read random items; the numbers do not depend on it.
        max_rows: number of items to read of an iterable data set; an epoch has as many.
    """
    names = (str(target),) if isinstance(target, str | int) and target != "" else tuple(target or ())
    options = Options(
        target=names,
        task=None if task == "auto" else task,
        classes=classes,
        columns=columns,
        items=items,
        ids=None if ids == "auto" else ids,
        sample_weight=sample_weight,
        group=group,
        time=time,
        part=part,
        id=id or "",
        drop=drop,
        kinds=kinds,
        workers=workers,
        max_rows=max_rows,
    )
    return read_data(data, validation, test, options)

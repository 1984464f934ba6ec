"""DataLoaders of torch."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.data.objects import find_reader
from yisheng.data.objects._read_map import ROWS_PER_BATCH, read_map_style
from yisheng.data.objects._values import Options, Values, make_note, make_warning
from yisheng.data.objects.iterable_dataset import read_iterable
from yisheng.data.objects.torch_dataset import describe_dataset


def _takes(value: Any) -> bool:
    data = sys.modules.get("torch.utils.data")
    return data is not None and isinstance(value, data.DataLoader)


@register(takes=_takes)
def data_loader(loader: Any, options: Options) -> Values:
    """Read the data set of a DataLoader; its batch size becomes the run's, its ``collate_fn`` makes the batches.

    The run shuffles the rows itself, by its seed, so that it can be resumed.
    """
    from torch.utils.data import IterableDataset, Subset, SubsetRandomSampler, default_collate

    dataset, notes = loader.dataset, []
    if isinstance(loader.sampler, SubsetRandomSampler):
        dataset = Subset(dataset, list(loader.sampler.indices))
    else:
        notes += _warn_of_sampler(loader)
    collate = None if loader.batch_size is None or loader.collate_fn is default_collate else loader.collate_fn
    options = replace(options, workers=options.workers or loader.num_workers)
    batch = loader.batch_size or ROWS_PER_BATCH
    name, classes = describe_dataset(dataset)
    if isinstance(dataset, IterableDataset):
        values = read_iterable(dataset, options, name=name, collate=collate, batch=batch)
    elif collate is not None:
        values = read_map_style(dataset, options, name=name, classes=classes, collate=collate, batch=batch)
    elif (reader := find_reader(dataset)).meta.get("makes") is None:
        values = reader.build(dataset, options)
    else:  # a table of Hugging Face
        values = read_map_style(dataset, options, name=name, classes=classes)
    settings = {} if loader.batch_size is None else {"batch": int(loader.batch_size)}
    if settings:
        notes.append(
            make_note(
                Message("batch={batch}, as the DataLoader has it", batch=loader.batch_size),
                Message("give batch= for another size"),
            )
        )
    return replace(values, notes=(*values.notes, *notes), settings=settings)


def _warn_of_sampler(loader: Any) -> list[Finding]:
    from torch.utils.data import BatchSampler, IterableDataset, RandomSampler, SequentialSampler

    if isinstance(loader.dataset, IterableDataset):
        return []
    usual = isinstance(loader.sampler, RandomSampler | SequentialSampler) and (
        loader.batch_sampler is None or type(loader.batch_sampler) is BatchSampler
    )
    if usual:
        return []
    sampler = (
        loader.sampler if not isinstance(loader.sampler, RandomSampler | SequentialSampler) else loader.batch_sampler
    )
    return [
        make_warning(
            Message(
                "the DataLoader's {sampler} is not used: the run shuffles all rows itself",
                sampler=type(sampler).__name__,
            ),
            Message("give sample_weight= for rows that count more, or another data set for other rows"),
        )
    ]

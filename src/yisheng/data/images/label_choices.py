"""The user's choices about the labels of images, and the targets that come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from yisheng.core.columns import Column, Reading
from yisheng.core.findings import Finding
from yisheng.core.spec import Spec, Task
from yisheng.data.class_names import parse_forms
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions


@dataclass(frozen=True)
class LabelChoices:
    """The user's choices about the labels of images.

    Args:
        target: columns of a list to predict: names, or numbers from 1; empty for all but the file and the part.
        task: what to learn, or None to infer it.
        forms: forms of the class names; see `yisheng.data.class_names`.
        reading: how the list is read.
        run: the contract of a run that is evaluated on the images: it decides how labels are read.
    """

    target: tuple[str, ...] = ()
    task: Task | None = None
    forms: tuple[str, ...] = ()
    reading: ReadingOptions = AUTOMATIC
    run: Spec | None = None

    @staticmethod
    def parse(
        options: Mapping[str, Any], *, run: Spec | None = None, forms: Sequence[str] | None = None
    ) -> LabelChoices:
        """Return the choices among the options of a data set of images.

        Args:
            options: by name; others than those of labels are ignored.
            run: the contract of a run that is evaluated.
            forms: forms of the class names, instead of the option ``labels``.

        Raises:
            UsageError: an option's value is not allowed.

        >>> LabelChoices.parse({"task": "regression", "target": "age", "size": 32}).target
        ('age',)
        """
        target, task = options.get("target") or (), options.get("task", "auto")
        names = tuple(map(str, target)) if isinstance(target, list | tuple) else (str(target),)
        keys = ("encoding", "decimal", "thousands", "missing")
        reading = ReadingOptions.parse({key: options[key] for key in keys if key in options})
        if run is not None:
            reading = replace(reading, missing=(*reading.missing, *run.reading.missing)).with_training(run)
        return LabelChoices(
            names,
            None if task == "auto" else task,
            parse_forms(options.get("labels", ()) if forms is None else forms),
            reading,
            run,
        )


DEFAULT_CHOICES = LabelChoices()
"""The labels decide everything."""


@dataclass(frozen=True)
class LabelTargets:
    """The targets of images.

    Args:
        task: see `yisheng.core.spec.Spec`.
        y: class numbers int64 ``(N,)``, labels float32 ``(N, L)``, or numbers float64 ``(N, T)``.
        classes: names of the classes or labels.
        is_labeled: whether each image has a target, bool ``(N,)``; ``y`` has no meaning for the others.
        columns: the columns of numbers, and how they are written.
        findings: the task that was chosen, and what is unusual.
        reading: how the list was read.
        has_words: whether the words in the cells name the classes, so that ``labels=`` applies to them.
    """

    task: Task
    y: np.ndarray
    classes: tuple[str, ...]
    is_labeled: np.ndarray
    columns: tuple[Column, ...] = ()
    findings: tuple[Finding, ...] = ()
    reading: Reading = field(default_factory=Reading)
    has_words: bool = True

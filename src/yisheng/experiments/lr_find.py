"""``lr-find``: learning-rate range tests with several seeds, a suggestion, and a report that says when it misleads."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Final

from yisheng.core import files, machine
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.references import short_name
from yisheng.core.run_folder import RunFolder
from yisheng.core.seeds import isolated_generators
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.reporting import lr_find_page
from yisheng.reporting.lr_find_facts import LearningRateTest
from yisheng.search.lr_range_test import run_range_test
from yisheng.training.pretrained import load_pretrained
from yisheng.training.setup import Assembly, assemble
from yisheng.training.threads import count_useful_threads

LOW: Final = 1e-6
HIGH: Final = 10.0
STEPS: Final = 100
SEEDS: Final = 3
MIN_STEPS, MAX_STEPS = 20, 100_000
MAX_AGREEING_FACTOR: Final = 3.0
"""Seeds whose suggestions differ by a larger factor disagree."""
LAST_STEPS: Final = 0.1
"""Fraction of the steps at the end; a loss that is smallest there may fall further."""
LONG_RUN: Final = 10
"""A run of this many times the test's steps is long compared with it."""


def find_lr(
    config: Config,
    *,
    data: Dataset | None = None,
    out: Path,
    low: float = LOW,
    high: float = HIGH,
    steps: int = STEPS,
    seeds: int = SEEDS,
) -> LearningRateTest:
    """Run the range test with several seeds; write a folder with ``report.html`` and ``lr_find.json``.

    Each test begins from the weights that a training with its seed begins from, and its weights are discarded: nothing
    else changes.

    Args:
        config: of the training; its schedule is not used.
        data: the data set, if the config cannot name it.
        out: folder of runs.
        low: the first learning rate.
        high: the last one.
        steps: steps of a test.
        seeds: number of tests, with the config's seed and the following ones.

    Raises:
        UsageError: a number is not allowed, or a choice does not fit the data.
        DataError: the data cannot be read.
    """
    _require_range(low, high, steps, seeds)
    if config.epochs == 0:
        raise UsageError(Message("a range test trains, and epochs=0 trains nothing"), Message("leave epochs out"))
    config, weights = load_pretrained(config)
    data = load_dataset(config) if data is None else data
    device = machine.select_device(config.device)
    curves = []
    for seed in range(config.seed, config.seed + seeds):
        seeded = config.model_copy(update={"seed": seed})
        with isolated_generators():
            assembly = assemble(seeded, data, split_dataset(seeded, data), device, weights)
            with machine.use_threads(count_useful_threads(assembly)):
                curves.append(run_range_test(assembly, seed=seed, low=low, high=high, steps=steps))
        logger.info(
            Message("lr-find: seed {seed}, {done} of {steps} steps", seed=seed, done=len(curves[-1].lr), steps=steps)
        )
    resolved = assembly.config
    test = LearningRateTest(
        path="",
        data=data.name,
        model=short_name(resolved.model.name),
        optimizer=short_name(resolved.optimizer.name),
        batch=resolved.batch * resolved.accumulate,
        schedule=short_name(resolved.schedule.name),
        current=assembly.state.optimizer.param_groups[0]["initial_lr"],
        steps=steps,
        low=low,
        high=high,
        updates=resolved.epochs * len(assembly.train),
        curves=tuple(curves),
    )
    test = replace(test, caveats=tuple(explain_limits(test, assembly)))
    label = f"{test.model}-lr-find"
    folder = RunFolder.create(out, data.name, label, config.name, write=lambda folder: _write_result(folder, test))
    return replace(test, path=str(folder.path))


def _write_result(folder: RunFolder, test: LearningRateTest) -> None:
    files.write_json(folder.file(RunFolder.LR_FIND), test.to_json())
    files.write_file(folder.file(RunFolder.REPORT), lr_find_page.render_lr_find_page(test))


def explain_limits(test: LearningRateTest, assembly: Assembly) -> list[Message]:
    """Return sentences on when the suggestion misleads: those that apply to this test first, then those of any test.

    Sources: Smith, 2017, section 3.3; Wu, Ren, Liao and Grosse, "Understanding short-horizon bias in stochastic
    meta-optimization", 2018; Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.1.
    """
    sentences = _explain_curves(test)
    first = Message(
        "The test sees the first {steps} updates only. The rate with which the loss falls fastest at first is often "
        "not the one with which a long training ends best.",
        steps=f"{test.steps:,}",
    )
    if test.updates > LONG_RUN * test.steps:
        first = Message(
            "The test sees the first {steps} updates only. A run with this config makes {updates} updates. The rate "
            "with which the loss falls fastest at first is often not the one with which a long training ends best.",
            steps=f"{test.steps:,}",
            updates=f"{test.updates:,}",
        )
    sentences += [
        first,
        Message(
            "It holds for batches of {rows}: larger batches allow larger rates (for SGD up to about as many times).",
            rows=f"{test.batch:,}",
        ),
        Message(
            "The test ignores the schedule. With schedule={schedule} the rate is that of lr= times a factor: a "
            "schedule that decays or has a peak allows a larger lr= than a constant rate.",
            schedule=test.schedule,
        ),
        Message(
            "Each rate is reached from smaller ones, which is a warm-up: a training that begins at the suggested rate "
            "may diverge, above all with Adam or without normalization layers."
        ),
    ]
    if assembly.config.weights is not None:
        sentences.append(
            Message(
                "The weights are pretrained: a rate that lowers the training loss fastest may destroy what they know. "
                "Compare the validation scores of short runs."
            )
        )
    sentences.append(
        Message(
            "To be sure, train: yisheng tune lr=log(...) compares rates by the validation scores of complete trainings."
        )
    )
    return sentences


def _explain_curves(test: LearningRateTest) -> list[Message]:
    """Return what the losses of this test say about its suggestion."""
    sentences = []
    if test.minimum_tenth is None:
        sentences.append(
            Message(
                "The loss did not fall by 2% with any seed: nothing can be suggested. Use more steps= or a larger "
                "high=."
            )
        )
    elif test.minimum_tenth.factor > MAX_AGREEING_FACTOR:
        sentences.append(
            Message(
                "The seeds disagree: their suggestions differ by a factor of {factor}. Use more steps= or seeds=, and "
                "compare some rates by complete trainings.",
                factor=f"{test.minimum_tenth.factor:.1f}",
            )
        )
    last_rates = test.high * (test.low / test.high) ** LAST_STEPS
    if any(curve.minimum is not None and curve.minimum >= last_rates for curve in test.curves):
        sentences.append(
            Message("The loss still fell near the largest rate: use a larger high= than {high}.", high=f"{test.high:g}")
        )
    return sentences


def _require_range(low: float, high: float, steps: int, seeds: int) -> None:
    if not (0 < low < high and math.isfinite(high)):
        raise UsageError(
            Message("low={low} and high={high} are not a range of learning rates", low=f"{low:g}", high=f"{high:g}"),
            Message("use low={LOW} high={HIGH}", LOW=f"{LOW:g}", HIGH=f"{HIGH:g}"),
        )
    if not MIN_STEPS <= steps <= MAX_STEPS:
        raise UsageError(
            Message(
                "steps must be from {MIN_STEPS} to {MAX_STEPS}, got {steps}",
                MIN_STEPS=MIN_STEPS,
                MAX_STEPS=f"{MAX_STEPS:,}",
                steps=steps,
            ),
            Message("use steps={STEPS}", STEPS=STEPS),
        )
    if not 1 <= seeds <= 100:
        raise UsageError(
            Message("seeds must be from 1 to 100, got {seeds}", seeds=seeds), Message("use seeds={SEEDS}", SEEDS=SEEDS)
        )

"""Random numbers that are the same in every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import StepRecord
from yisheng.diagnosis.wording import describe_shortage

MIN_STEPS = 4
"""Recorded steps with the same random numbers: first steps of epochs that begin with the same seed are fewer."""

STATES_PER_STEP = 3
"""When the step begins, before the forward pass and before the update."""
MIN_NOISE_ROWS, MAX_NOISE_CHANGE = 4, 1e-5
"""Rows whose noise is compared, and its change relative to its standard deviation: rounding of float32."""
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if _count_equal_noise(case) >= MIN_STEPS:
        return ""
    return describe_shortage(MIN_STEPS, len(_find_drawing_steps(case)), Message("recorded steps with random numbers"))


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("fixed-batches", "overfitting", "memorization", "plateau"),
)
def repeated_seed(case: Case) -> Iterator[Finding]:
    """Find steps that draw random numbers from the same state of the generator: somebody seeds it in the loop.

    Dropout then drops the same units in every step, and noise, masks and augmentation are always the same. Of a network
    that removes noise, inputs minus targets show it.

    Args:
        case: what the random generator holds in its recorded steps.

    Source: PyTorch documentation, "Reproducibility" (torch.manual_seed, once at the beginning).
    """
    equal = _count_equal_noise(case)
    if equal >= MIN_STEPS:
        yield Finding(
            "repeated-seed",
            "error",
            {"steps with equal noise": equal, "recorded steps": len(case.records)},
            Message(
                "the difference of inputs and targets is the same in {count} recorded steps, though their rows differ: "
                "the noise is not drawn again",
                count=equal,
            ),
            Message("draw new noise in each step; call torch.manual_seed once, before the loop"),
            source=case.sources.get("forward", ""),
        )
        return
    counts = Counter(_find_drawing_steps(case))
    if not counts:
        return
    count = counts.most_common(1)[0][1]
    if count < MIN_STEPS:
        return
    yield Finding(
        "repeated-seed",
        "error",
        {"steps with equal random numbers": count, "recorded steps": len(case.records)},
        Message(
            "{count} of {total} recorded steps draw the same random numbers: torch's generator is seeded in the loop, "
            "so that dropout, noise and augmentation are the same in each step",
            count=count,
            total=sum(counts.values()),
        ),
        Message("call torch.manual_seed once, before the loop; look for it in the data set and in forward, too"),
        source=case.sources.get("forward", ""),
    )


def _find_drawing_steps(case: Case) -> list[tuple[int, ...]]:
    """Return the states of the generator in each recorded step that draws random numbers.

    If `forward` seeds it, the states before and after are equal: a dropout that is called on the processor draws all
    the same.
    """
    is_cpu = all(p.is_cpu for p in case.model.parameters())
    return [
        record.random_states
        for record in case.records
        if len(record.random_states) == STATES_PER_STEP
        and (len(set(record.random_states)) > 1 or (is_cpu and _drops_values(case, record)))
    ]


def _drops_values(case: Case, record: StepRecord) -> bool:
    modules = dict(case.model.named_modules())
    names = {layer.name for layer in record.layers if layer.training}
    return any(isinstance(modules.get(name), DROPOUTS) and getattr(modules[name], "p", 0) > 0 for name in names)


def _count_equal_noise(case: Case) -> int:
    """Return in how many recorded steps inputs minus targets are those of another step, though the rows differ."""
    noises = []
    for record in case.records:
        x = record.rows[0] if record.rows and len(record.rows) == 1 else None
        if x is None or record.targets is None or not x.is_floating_point() or len(x) < MIN_NOISE_ROWS:
            continue
        y = record.targets[: len(x)]
        if y.shape == x.shape and y.dtype == x.dtype and y.device == x.device:
            noises.append((x - y, y))
    if not noises:
        return 0
    shape = Counter(noise.shape for noise, _ in noises).most_common(1)[0][0]
    noises = [(noise, y) for noise, y in noises if noise.shape == shape]
    first, rows = noises[-1]
    limit = MAX_NOISE_CHANGE * max(float(first.std()), float(rows.abs().max()))
    if not float(first.std(0).min()) > limit:
        return 0  # no noise, or the same for all rows
    return sum(float((noise - first).abs().max()) <= limit and not torch.equal(y, rows) for noise, y in noises) + 1

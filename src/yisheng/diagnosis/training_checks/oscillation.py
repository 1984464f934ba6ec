"""A loss that oscillates to the end."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.batch_kinds import has_batch_kinds
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.policy_terms import is_policy_gradient
from yisheng.diagnosis.wording import describe_shortage

MIN_UPDATES, MAX_WINDOW = 100, 256
"""Updates that are required, and updates at the end that are examined (at most half of all)."""
MIN_PERIODS, MIN_VARIANCE_FRACTION, MIN_SWING = 4, 0.5, 0.1
"""Of a periodic loss: periods in the window, fraction of the variance in them, swing relative to the loss."""
MAX_DECREASE = 0.8
"""Median of the second half of the window over that of the first, below which the loss is still falling."""
MIN_SWINGS, MIN_SWING_FACTOR, MIN_SWING_IN_NOISE = 4, 1.5, 3.0
"""Of an irregular loss: rises followed by a fall, by which factor, and by how many times the noise."""
MIN_RARE_ROWS, MAX_RARE_CLASSES = 2.0, 10
"""Rows of the rarest of a few classes in a batch, on average, below which they may be what moves the loss."""
MAX_DISTANT_ROWS, MIN_DISTANCE = 5.0, 10.0
"""Rows in a batch, on average, whose target is so many standard deviations from the median, below which their number is
what moves the loss."""
MEDIAN_WIDTH = 7
"""Losses in the running median that swings are counted in."""
MAD_TO_STD = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    shortage = describe_shortage(MIN_UPDATES, len(_mean_losses_of_updates(case)), Message("updates with a loss"))
    if shortage:
        return shortage
    rates = [record.lr for record in case.records if record.parameters]
    if any(current > previous * (1 + 1e-9) for previous, current in itertools.pairwise(rates)):
        return Message("the learning rate rises during training, which may move the loss")
    kinds = {(r.pairing.loss, r.pairing.shape[1:]) for r in case.records if r.pairing is not None}
    if len(kinds) > 1 or any(record.depends_on_others for record in case.records):
        return Message("several losses alternate, or the loss depends on another network")
    if has_batch_kinds(case.records):
        return Message("the batches are of several kinds, and the loss depends on which one comes next")
    if is_policy_gradient(case.features):
        return Message("the loss weights log-probabilities of actions with returns, which move it")
    rare = _expected_rare_rows(case)
    if rare is not None and rare < MIN_RARE_ROWS:
        return Message(
            "a batch holds {rare} rows of the rarest class on average, and the loss moves with them", rare=f"{rare:.1f}"
        )
    distant = _expected_distant_rows(case)
    if 0 < distant < MAX_DISTANT_ROWS:
        return Message(
            "a batch holds {rows} targets far from all others on average, and the loss moves with them",
            rows=f"{distant:.1f}",
        )
    batches = [(record.inputs.mean, record.inputs.std) for record in case.records if record.inputs is not None]
    if not batches or 1 < len(set(batches)) < len(batches):
        return Message("the batches have a fixed order or were not recorded, which may move the loss")
    return ""


@register(needs=explain_skip, when="during", cause="rate", explains=("plateau",))
def oscillation(case: Case) -> Iterator[Finding]:
    """Find a loss that oscillates to the end, with a period or by large factors again and again, beyond its noise.

    One period holds half of the variance in the last half of the losses and repeats at least four times; or the
    running median rises and falls four times by half and by three times the noise around it. At a learning rate that
    does not rise and with shuffled batches, updates that are too large for the curvature do that.

    Args:
        case: its losses.

    Source: LeCun, Simard and Pearlmutter, "Automatic learning rate maximization", 1993, section 2; Cohen et al.,
    "Gradient descent on neural networks typically occurs at the edge of stability", 2021, section 3.
    """
    losses = _mean_losses_of_updates(case)
    window = losses[-min(len(losses) // 2, MAX_WINDOW) :]
    if not all(map(math.isfinite, window)):
        return
    period, swing = _find_period(window)
    swings = 0 if period else _count_swings(window)
    if (not period or (period < 3 and _batches_alternate(case))) and swings < MIN_SWINGS:
        return
    evidence = {"period": period, "swing": swing} if period else {"swings": swings}
    how = (
        Message("with a period of {period} steps, by {swing}", period=f"{period:.3g}", swing=f"{swing:.0%}")
        if period
        else Message("up and down {swings} times", swings=swings)
    )
    yield Finding(
        "oscillation",
        "warning",
        {**evidence, "loss at the end": case.final_loss, "updates": len(window)},
        Message(
            "in the last {count} updates the loss swings {how}: the learning rate is at the edge of stability",
            count=len(window),
            how=how,
        ),
        case.choose_remedy(Message("divide lr by 4"), Message("divide the learning rate by 4, or let it decay")),
        change=_quarter_lr(case),
    )


def _expected_rare_rows(case: Case) -> float | None:
    """Return the mean number of rows of the rarest class in a batch, or None if the targets are not classes or labels.

    Their number is a Poisson variable: below five it varies by half of its value and more from batch to batch.
    """
    batches = [record.targets for record in case.records if record.targets is not None]
    targets = case.collect_targets()
    if targets is None or not len(batches):
        return None
    if targets.is_floating_point() and not bool(((targets == 0) | (targets == 1)).all()):
        return None
    counts = targets.unique(return_counts=True)[1]
    return float(counts.min()) / len(batches) if 1 < len(counts) <= MAX_RARE_CLASSES else None


def _expected_distant_rows(case: Case) -> float:
    """Return the mean number of rows in a batch whose target is far from all others; 0 for classes."""
    batches = [record.targets for record in case.records if record.targets is not None]
    targets = case.collect_targets()
    if targets is None or not batches or not targets.is_floating_point():
        return 0.0
    distances = (targets - targets.median()).abs().flatten()
    deviation = MAD_TO_STD * float(distances.median())
    return float((distances > MIN_DISTANCE * deviation).sum()) / len(batches) if deviation > 0 else 0.0


def _quarter_lr(case: Case) -> dict[str, float]:
    rate = max((record.lr for record in case.records), default=0.0)
    return case.config_change(lr=float(f"{rate / 4:.2g}")) if rate else {}


def _mean_losses_of_updates(case: Case) -> list[float]:
    """Return the mean loss of each update; empty if the number of passes is not a multiple of the updates."""
    passes = round(len(case.losses) / case.steps) if case.steps else 0
    if not passes or abs(len(case.losses) - passes * case.steps) > passes:
        return []
    return [statistics.fmean(case.losses[start : start + passes]) for start in range(0, len(case.losses), passes)]


def _find_period(losses: Sequence[float]) -> tuple[float, float]:
    """Return the period with most of the variance, and the peak-to-peak swing relative to the loss; zeros if none."""
    values = torch.tensor(losses, dtype=torch.float64)
    half = len(values) // 2
    level = float(values.abs().median())
    time = torch.linspace(-1, 1, len(values), dtype=torch.float64)
    residual = values - values.mean()
    residual = residual - time * (residual @ time) / (time @ time)
    power = torch.fft.rfft(residual).abs().square()
    frequency = int(power.argmax())
    peak = power[max(0, frequency - 1) : frequency + 2].sum()
    fraction = float(peak / power.sum()) if power.any() else 0.0
    swing = 2 * math.sqrt(2) * float(residual.std()) / level if level else 0.0
    is_falling = float(values[half:].median()) < MAX_DECREASE * float(values[:half].median())
    if frequency < MIN_PERIODS or fraction < MIN_VARIANCE_FRACTION or swing < MIN_SWING or is_falling:
        return 0.0, 0.0
    return len(values) / frequency, swing


def _count_swings(losses: Sequence[float]) -> int:
    """Return how often the running median rises and falls again."""
    if min(losses) <= 0:
        return 0
    logs = [math.log(loss) for loss in losses]
    reach = MEDIAN_WIDTH // 2
    medians = [statistics.median(logs[max(0, i - reach) : i + reach + 1]) for i in range(len(logs))]
    noise = MAD_TO_STD * statistics.median(abs(log - median) for log, median in zip(logs, medians, strict=True))
    threshold = max(math.log(MIN_SWING_FACTOR), MIN_SWING_IN_NOISE * noise)
    low = high = medians[0]
    has_risen, count = False, 0
    for median in medians:
        low, high = min(low, median), max(high, median)
        if has_risen and high - median >= threshold:
            has_risen, low, count = False, median, count + 1
        elif not has_risen and median - low >= threshold:
            has_risen, high = True, median
        elif not has_risen:
            high = median
    return count


def _batches_alternate(case: Case) -> bool:
    """Return whether the batches of odd and even steps differ, which gives the loss a period of two."""
    batches = [(r.step, (r.inputs.mean, r.inputs.std)) for r in case.records if r.inputs is not None and r.step <= 5]
    for i in range(2):
        odd, even = ([values[i] for step, values in batches if step % 2 == parity] for parity in (1, 0))
        if odd and even and (min(odd) > max(even) or min(even) > max(odd)):
            return True
    return False

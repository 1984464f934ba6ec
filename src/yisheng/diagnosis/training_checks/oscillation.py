"""A loss that swings."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence

import torch

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

LEAST, WINDOW = 100, 256
"""Updates that are needed; of their last half this many at most are looked at."""
PERIODS, SHARE, WIDE, KEPT = 4, 0.5, 0.1, 0.8
"""Periods in what is looked at; share of the variance that they hold; swing relative to the loss, and what is left."""
SWINGS, TIMES, NOISE, MIDDLE = 4, 1.5, 3.0, 7
"""Rises with a fall after them; by what factor, and by how many times the noise about the middle of seven."""


def why_not(case: Case) -> str:
    """What it lacks."""
    few = describe_shortage(LEAST, len(_by_update(case)), "updates with a loss")
    if few:
        return few
    rates = [moment.lr for moment in case.records if moment.parameters]
    if any(after > before * (1 + 1e-9) for before, after in itertools.pairwise(rates)):
        return "the learning rate rises on the way, and the loss may swing with it"
    kinds = {(m.pairing.loss, m.pairing.shape[1:]) for m in case.records if m.pairing is not None}
    if len(kinds) > 1 or any(moment.depends_on_others for moment in case.records):
        return "several losses take turns, or another network has a part in it"
    given = [(moment.inputs.mean, moment.inputs.std) for moment in case.records if moment.inputs is not None]
    if not given or 1 < len(set(given)) < len(given):
        return "the batches come in a fixed order, or were not seen, and the loss may swing with them"
    return ""


@register(needs=why_not, when="during", cause="rate", explains=("plateau",))
def oscillation(case: Case) -> Iterator[Finding]:
    """The loss swings to the end, with a period or by large factors again and again, where noise would not.

    A period holds half of the variance of the last half of the losses, in four turns or more; or their running median
    rises and falls four times by more than half and by three times the noise about it. At a learning rate
    that does not rise, and with shuffled batches, that is what steps do that are longer than the curvature allows.

    Args:
        case: its losses.

    Source: LeCun, Simard and Pearlmutter, "Automatic learning rate maximization", 1993, section 2; Cohen et al.,
    "Gradient descent on neural networks typically occurs at the edge of stability", 2021, section 3.
    """
    losses = _by_update(case)
    last = losses[-min(len(losses) // 2, WINDOW) :]
    if not all(map(math.isfinite, last)):
        return
    period, swing = _period(last)
    times = 0 if period else _swings(last)
    if (not period or (period < 3 and _in_turns(case))) and times < SWINGS:
        return
    evidence = {"period": period, "swing": swing} if period else {"swings": times}
    how = f"with a period of {period:.3g} steps, by {swing:.0%}" if period else f"up and down again {times} times"
    yield Finding(
        "oscillation",
        "warning",
        {**evidence, "loss at the end": case.final_loss, "updates": len(last)},
        f"in the last {len(last)} updates the loss swings {how}: the learning rate is at the edge of what is stable",
        case.choose_remedy("divide lr by 4", "divide the learning rate by 4, or let it decay"),
        change=_lower(case),
    )


def _lower(case: Case) -> dict[str, float]:
    rate = max((moment.lr for moment in case.records), default=0.0)
    return case.config_change(lr=float(f"{rate / 4:.2g}")) if rate else {}


def _by_update(case: Case) -> list[float]:
    """The mean loss of each update; none where the passes are no multiple of the updates."""
    passes = round(len(case.losses) / case.steps) if case.steps else 0
    if not passes or abs(len(case.losses) - passes * case.steps) > passes:
        return []
    return [statistics.fmean(case.losses[at : at + passes]) for at in range(0, len(case.losses), passes)]


def _period(losses: Sequence[float]) -> tuple[float, float]:
    """The period that holds most of the variance, and the swing from end to end relative to the loss; zeros without."""
    values = torch.tensor(losses, dtype=torch.float64)
    half = len(values) // 2
    level = float(values.abs().median())
    axis = torch.linspace(-1, 1, len(values), dtype=torch.float64)
    rest = values - values.mean()
    rest = rest - axis * (rest @ axis) / (axis @ axis)
    power = torch.fft.rfft(rest).abs().square()
    most = int(power.argmax())
    share = float(power[max(0, most - 1) : most + 2].sum() / power.sum()) if power.any() else 0.0
    swing = 2 * math.sqrt(2) * float(rest.std()) / level if level else 0.0
    falling = float(values[half:].median()) < KEPT * float(values[:half].median())
    if most < PERIODS or share < SHARE or swing < WIDE or falling:
        return 0.0, 0.0
    return len(values) / most, swing


def _swings(losses: Sequence[float]) -> int:
    """How often the running median rises and falls again."""
    if min(losses) <= 0:
        return 0
    logs = [math.log(loss) for loss in losses]
    middle = [statistics.median(logs[max(0, at - MIDDLE // 2) : at + MIDDLE // 2 + 1]) for at in range(len(logs))]
    noise = 1.4826 * statistics.median(abs(one - mid) for one, mid in zip(logs, middle, strict=True))
    far = max(math.log(TIMES), NOISE * noise)
    low = high = middle[0]
    risen, count = False, 0
    for one in middle:
        low, high = min(low, one), max(high, one)
        if risen and high - one >= far:
            risen, low, count = False, one, count + 1
        elif not risen and one - low >= far:
            risen, high = True, one
        elif not risen:
            high = one
    return count


def _in_turns(case: Case) -> bool:
    """Whether the batches of odd steps differ from those of even ones, so that a period of two may be theirs."""
    given = [(m.step, m.inputs.mean, m.inputs.std) for m in case.records if m.inputs is not None and m.step <= 5]
    for of in (1, 2):
        odd, even = ([one[of] for one in given if one[0] % 2 == rest] for rest in (1, 0))
        if odd and even and (min(odd) > max(even) or min(even) > max(odd)):
            return True
    return False

"""A schedule that leads back to a high learning rate before the training ends, or has hardly begun by then."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.rate_watch import RateWatch
from yisheng.diagnosis.recorder.schedule_plans import SchedulePlan

MAX_LOWEST, MIN_LAST = 0.2, 0.5
"""Lowest and last rate relative to the highest: the rate had fallen to a fifth, and is half of the highest again."""
MAX_LOWEST_AT_PEAK, MIN_LAST_AT_PEAK = 0.1, 0.9
"""The same for a training that ends at the peak itself: no schedule is meant to, whatever the losses are."""
MIN_STEPS, MIN_STEPS_FRACTION = 10, 0.1
"""Updates before the lowest rate, and their fraction of all: a warm-up that begins in the second update is earlier."""
MIN_WINDOW, WINDOW_FRACTION = 8, 0.05
"""Losses at the lowest rate and at the end that are compared: a twentieth of all, at least eight."""
MAX_LENGTH_ERROR, MIN_UPDATES = 0.02, 20
"""A schedule is planned for as many calls as there are updates, apart from the last batch of each epoch."""
MAX_CALLS, MAX_CALLS_OF_UPDATES = 1 / 3, 0.6
"""Calls that were made, as a fraction of the planned ones: once in an epoch, or in each update of several batches."""
UPPER_QUARTILE = 0.75
"""The median at the end is above three quarters of the losses at the lowest rate: no matter of noise."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.is_finished or case.rates is None or not case.rates.highest:
        return Message("the training is not over, or its rate is not known")
    return "" if len(case.losses) >= 4 * MIN_WINDOW else Message("there are too few losses")


@register(
    needs=explain_skip,
    when="after",
    cause="rate",
    explains=("high-learning-rate", "oscillation", "plateau", "too-few-epochs", "low-learning-rate", "underfitting"),
)
def schedule_period(case: Case) -> Iterator[Finding]:
    """Find a training that ended at the peak of its rate, or at a high one after a lower loss at a low one.

    A schedule that is planned for as many calls as there are updates, and is called once in an epoch, has made a small
    part of its way at the end: the rate has neither risen nor fallen as planned. One that is stopped early is planned
    for another number.

    Args:
        case: the course of its rate, its losses, and the lengths of its schedules.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, section 3 (the weights
    to use are those at the end of a cycle, where the rate is lowest).
    """
    rates = case.rates
    assert rates is not None  # ensured by needs
    for plan in case.plans:
        if _is_planned_for_another_unit(case, plan):
            yield _describe_unfinished(case, rates, plan)
            return
    if rates.lowest > MAX_LOWEST * rates.highest or rates.last < MIN_LAST * rates.highest:
        return
    if rates.lowest_at < max(MIN_STEPS, MIN_STEPS_FRACTION * case.steps):
        return
    per_step = len(case.losses) / max(case.steps, 1)
    window = max(MIN_WINDOW, int(WINDOW_FRACTION * len(case.losses)))
    middle = int(rates.lowest_at * per_step)
    cooled = case.losses[max(0, middle - window) : middle + window]
    end = case.losses[-window:]
    if len(cooled) < MIN_WINDOW:
        return
    at_end, limit = statistics.median(end), statistics.quantiles(cooled, n=4)[2]
    is_at_peak = rates.lowest <= MAX_LOWEST_AT_PEAK * rates.highest and rates.last >= MIN_LAST_AT_PEAK * rates.highest
    if not is_at_peak and at_end <= limit:
        return
    yield Finding(
        "schedule-period",
        "warning",
        {
            "highest": rates.highest,
            "lowest": rates.lowest,
            "step": rates.lowest_at,
            "last": rates.last,
            "loss": statistics.median(cooled),
            "loss at the end": at_end,
        },
        Message(
            "the learning rate fell to {lowest} by step {step} and rose again: the training ends at {last}, with a "
            "loss of {end} after {cooled} at the lowest rate",
            lowest=f"{rates.lowest:.2g}",
            step=rates.lowest_at,
            last=f"{rates.last:.2g}",
            end=f"{at_end:.3g}",
            cooled=f"{statistics.median(cooled):.3g}",
        ),
        Message("let the schedule end with the training: T_max (or total_steps) is how often it is called in all"),
        source=case.sources.get("optimizer", ""),
    )


def _is_planned_for_another_unit(case: Case, plan: SchedulePlan) -> bool:
    """Return whether a schedule was planned for the updates, or for the batches, and called far less often."""
    if case.steps < MIN_UPDATES:
        return False
    if abs(plan.planned - case.steps) <= MAX_LENGTH_ERROR * case.steps:
        return plan.calls <= MAX_CALLS * plan.planned
    batches = len(case.losses)
    is_called_in_updates = abs(plan.calls - case.steps) <= MAX_LENGTH_ERROR * case.steps
    is_planned_for_batches = abs(plan.planned - batches) <= MAX_LENGTH_ERROR * batches
    return is_called_in_updates and is_planned_for_batches and plan.calls <= MAX_CALLS_OF_UPDATES * plan.planned


def _describe_unfinished(case: Case, rates: RateWatch, plan: SchedulePlan) -> Finding:
    message = Message(
        "the schedule {kind} is planned for {planned} calls of its step() and was called {calls} times in "
        "{updates} updates: the highest learning rate was {highest}, and that at the end {last}",
        kind=plan.kind,
        planned=f"{plan.planned:,}",
        calls=f"{plan.calls:,}",
        updates=f"{case.steps:,}",
        highest=f"{rates.highest:.2g}",
        last=f"{rates.last:.2g}",
    )
    remedy = Message(
        "call the schedule's step() after each optimizer.step(), or plan it for {calls} calls", calls=max(1, plan.calls)
    )
    if not plan.calls:
        remedy = Message("call the schedule's step() after each optimizer.step()")
    elif plan.argument:
        remedy = Message(
            "call the schedule's step() after each optimizer.step(), or plan it for {calls} calls ({argument}={calls})",
            calls=max(1, plan.calls),
            argument=plan.argument,
        )
    if plan.planned > (1 + MAX_LENGTH_ERROR) * case.steps:
        remedy = Message("plan the schedule for the {updates} updates, not for the batches", updates=case.steps)
    return Finding(
        "schedule-period",
        "warning",
        {
            "planned calls": plan.planned,
            "calls": plan.calls,
            "updates": case.steps,
            "batches": len(case.losses),
            "highest": rates.highest,
            "last": rates.last,
        },
        message,
        remedy,
        source=case.sources.get("optimizer", ""),
    )

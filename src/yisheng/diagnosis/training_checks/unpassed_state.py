"""A recurrent cell that is called for each step without the state of the step before."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.forward_pass import CutCalls
from yisheng.diagnosis.recurrent_calls import UnpassedState
from yisheng.diagnosis.wording import join_names

MAX_LEARNED_FRACTION = 0.9
"""A training that has learned more than this does not need the earlier steps."""
MIN_PASSES, MIN_RECORDED = 4, 5
"""Passes before an update from which on a loop goes over steps, and recorded updates that must have them."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if _find_stepwise_layer(case) else case.explain_missing_pass(MAX_LEARNED_FRACTION)


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "overfitting", "plateau", "missed-classes", "low-learning-rate", "memorization"),
)
def unpassed_state(case: Case) -> Iterator[Finding]:
    """Find a recurrent network that carries nothing over from one step to the next.

    A cell or a layer is called for each step with a state of zeros each time, as `cell(x[:, t])` does; or layers are
    called for each step, and the prediction depends on the last step only. Where the loop calls the network itself for
    each step, the weights of the state have a gradient of exactly zero in each update.

    Args:
        case: its network in its last state, rows of its inputs, and the gradients of the recorded updates.

    Source: PyTorch documentation, torch.nn.LSTMCell (if `(h_0, c_0)` is not provided, both default to zero).
    """
    stepwise = _find_stepwise_layer(case)
    if stepwise:
        yield _explain_loop(case, stepwise)
        return
    forward_pass = case.forward_pass
    if forward_pass is None:
        return
    if forward_pass.unpassed is not None:
        yield _explain_zeros(case, forward_pass.unpassed)
    elif forward_pass.unused_calls is not None and _reads_last_step(case, forward_pass.unused_calls.calls):
        yield _explain_unused(case, forward_pass.unused_calls)


def _find_stepwise_layer(case: Case) -> str:
    """Return the name of a layer whose state was zero in all of several passes before each update; empty without any.

    The network must take a state, as `forward(x, state=None)` does: else no loop can pass it on.
    """
    updates = [record for record in case.records if record.parameters]
    is_loop = len(updates) >= MIN_RECORDED and all(record.passes >= MIN_PASSES for record in updates)
    if not is_loop or not case.learned_less_than(MAX_LEARNED_FRACTION) or not _takes_state(case.model):
        return ""
    gradients = [{p.name: p.gradient for p in record.parameters} for record in updates]
    for name, module in case.model.named_modules():
        if not isinstance(module, nn.RNNCellBase | nn.RNNBase):
            continue
        weights = [f"{name}.{key}".removeprefix(".") for key, _ in module.named_parameters() if "weight" in key]
        states, inputs = ([key for key in weights if part in key] for part in ("weight_hh", "weight_ih"))
        has_zero_state = bool(states) and all(step.get(key) == 0.0 for step in gradients for key in states)
        if has_zero_state and all((step.get(key) or 0.0) > 0 for step in gradients for key in inputs):
            return name or type(module).__name__
    return ""


def _takes_state(model: nn.Module) -> bool:
    """Return whether a network may be called with more than its first input."""
    try:
        return len(inspect.signature(model.forward).parameters) > 1
    except (TypeError, ValueError):
        return False


def _reads_last_step(case: Case, calls: int) -> bool:
    """Return whether there is one call for each step of the sequences, and the prediction depends on the last only."""
    positions = case.read_positions
    if positions is None or positions.is_per_position:
        return False
    read = positions.influence[0]
    return len(read) == calls and bool(read[-1]) and not bool(read[:-1].any()) and bool(positions.varies.all())


def _explain_loop(case: Case, layer: str) -> Finding:
    passes = max(record.passes for record in case.records)
    return Finding(
        "unpassed-state",
        "error",
        {"layer": layer, "calls": passes, "fraction of the loss gone": case.learned_fraction},
        Message(
            "the network is called {passes} times before an update, and {layer} begins each time with a state of "
            "zeros: the weights of the state have had a gradient of exactly 0 in each recorded update",
            passes=passes,
            layer=layer,
        ),
        Message("give each call the state that the one before has returned: out, state = net(step, state)"),
        source=case.sources.get("forward", "") or case.sources.get("backward", ""),
    )


def _explain_zeros(case: Case, state: UnpassedState) -> Finding:
    return Finding(
        "unpassed-state",
        "error",
        {
            "parameters": list(state.parameters),
            "calls": state.calls,
            "fraction of the loss gone": case.learned_fraction,
        },
        Message(
            "{names}: called {calls} times in one forward pass, each time with a state of zeros: nothing is carried "
            "over from one step to the next",
            names=join_names(list(state.parameters)),
            calls=state.calls,
        ),
        Message(
            "give each call the state that the one before has returned: h, c = cell(x[:, t], (h, c)) for an LSTMCell, "
            "h = cell(x[:, t], h) for a GRUCell or RNNCell"
        )
        if state.is_cell
        else Message(
            "give each call the state that the one before has returned: out, state = rnn(step, state); or call the "
            "layer once with all steps"
        ),
        source=state.source or case.sources.get("forward", ""),
    )


def _explain_unused(case: Case, unused: CutCalls) -> Finding:
    return Finding(
        "unpassed-state",
        "warning",
        {
            "parameters": list(unused.parameters),
            "calls": unused.calls,
            "fraction of the loss gone": case.learned_fraction,
        },
        Message(
            "{names}: called for each of the {calls} steps, and the predictions depend on the last step only: what the "
            "other calls return is not used",
            names=join_names(list(unused.parameters)),
            calls=unused.calls,
        ),
        Message(
            "let each step begin with what the one before has returned: the state must be assigned in the loop, "
            "h = torch.tanh(self.layer(torch.cat([x[:, t], h], 1)))"
        ),
        source=case.sources.get("forward", ""),
    )

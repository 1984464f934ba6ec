"""A recurrent cell that is called for each step without the state of the step before."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.forward_pass import CutCalls
from yisheng.diagnosis.recurrent_calls import UnpassedState
from yisheng.diagnosis.wording import join_names

MAX_LEARNED_FRACTION = 0.9
"""A training that has learned more than this does not need the earlier steps."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return case.explain_missing_pass(MAX_LEARNED_FRACTION)


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "overfitting", "plateau", "missed-classes", "low-learning-rate", "memorization"),
)
def unpassed_state(case: Case) -> Iterator[Finding]:
    """Find a recurrent network that carries nothing over from one step to the next.

    A cell or a layer is called for each step with a state of zeros each time, as `cell(x[:, t])` does; or layers are
    called for each step, and the prediction depends on the last step only.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: PyTorch documentation, torch.nn.LSTMCell (if `(h_0, c_0)` is not provided, both default to zero).
    """
    forward_pass = case.forward_pass
    if forward_pass is None:
        return
    if forward_pass.unpassed is not None:
        yield _explain_zeros(case, forward_pass.unpassed)
    elif forward_pass.unused_calls is not None and _reads_last_step(case, forward_pass.unused_calls.calls):
        yield _explain_unused(case, forward_pass.unused_calls)


def _reads_last_step(case: Case, calls: int) -> bool:
    """Return whether there is one call for each step of the sequences, and the prediction depends on the last only."""
    positions = case.read_positions
    if positions is None or positions.is_per_position:
        return False
    read = positions.influence[0]
    return len(read) == calls and bool(read[-1]) and not bool(read[:-1].any()) and bool(positions.varies.all())


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

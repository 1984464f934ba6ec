"""What the recorded losses of a training show of their form, their inputs and the rewards of the program."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.loss_forms import LossForm, nodes_above_layers, read_form
from yisheng.diagnosis.policy_terms import PolicyTerm, find_policy_term, read_action_weights
from yisheng.diagnosis.recorder.ignored_actions import IgnoredActions, find_ignored_actions
from yisheng.diagnosis.recorder.program_values import find_finals, list_rewards
from yisheng.diagnosis.recorder.records import StepRecord
from yisheng.diagnosis.recorder.repeated_graphs import OrdinaryGraphs

MAX_ENTRIES = 64
"""Losses that are described: those of the recorded steps of 20,000 updates."""
MAX_INPUT_VALUES = 1 << 16
"""Values of inputs and targets that are compared."""
MIN_CORRELATION = 0.5
"""Correlation between the weights of a policy's log-probabilities and the program's rewards that relates them."""


@dataclass(frozen=True)
class LossFeature:
    """One recorded loss.

    Args:
        step: updates made before it.
        value: of the loss.
        form: what is unusual in its form.
        copies_input: whether its targets are the network's inputs themselves, of floating-point numbers.
        is_policy: whether it weights log-probabilities, or squares of differences, with numbers of both signs.
        weight_size: mean size of those numbers; 0 if it weights no log-probabilities.
        reward_sign: 1 if a smaller loss makes actions of larger rewards less likely, -1 if more likely; 0 if unknown.
        reward: mean of those rewards.
        finals: rewards and targets ``(K, 2)`` of the rows at which an episode ends; None if there are none.
        actions: actions of the rows that the loss does not read; None if there are none.
    """

    step: int
    value: float
    form: LossForm | None = None
    copies_input: bool = False
    is_policy: bool = False
    weight_size: float = 0.0
    reward_sign: int = 0
    reward: float = 0.0
    finals: torch.Tensor | None = None
    actions: IgnoredActions | None = None


class LossFeatures:
    """The features of the losses in the recorded steps of a training.

    Attributes:
        entries: in order.
        reads_program: whether to look at the variables of the program, which is the user's own.
    """

    def __init__(self) -> None:
        self.entries: list[LossFeature] = []
        self.reads_program = False
        self._ordinary = OrdinaryGraphs()

    @torch.no_grad()
    def add(
        self,
        nodes: Sequence[Any],
        graph_form: Hashable,
        value: Any,
        step: int,
        record: StepRecord,
        inputs: torch.Tensor | None,
        output: torch.Tensor | None = None,
    ) -> None:
        """Describe a loss before its backward pass.

        Args:
            nodes: all nodes of its graph, that of the loss first.
            graph_form: a number for the names of the nodes.
            value: of the loss.
            step: updates made before.
            record: of the step, with what the loss compares.
            inputs: of the network.
            output: of the network, if it is one tensor.
        """
        if len(self.entries) >= MAX_ENTRIES:
            return
        target = None if record.pairing is None else record.pairing.target
        form, term, weights = self._read_form(nodes, graph_form, target)
        sign, reward = _relate_rewards(term) if term is not None and self.reads_program else (0, 0.0)
        self.entries.append(
            LossFeature(
                step,
                float(value),
                form,
                _are_inputs(record.targets, inputs),
                weights is not None and bool((weights < 0).any()) and bool((weights > 0).any()),
                0.0 if weights is None else float(weights.abs().mean()),
                sign,
                reward,
                find_finals(record.targets) if self.reads_program and record.targets is not None else None,
                find_ignored_actions(nodes[0], output) if nodes and self.reads_program else None,
            )
        )

    def _read_form(
        self, nodes: Sequence[Any], graph_form: Hashable, target: torch.Tensor | None
    ) -> tuple[LossForm | None, PolicyTerm | None, torch.Tensor | None]:
        """Return what is unusual in the form of a loss, its term of a policy, and the weights of log-probabilities."""
        if not nodes or graph_form in self._ordinary:
            return None, None, None
        form, term = read_form(nodes, target), find_policy_term(nodes_above_layers(nodes[0]))
        weights = read_action_weights(nodes_above_layers(nodes[0])) if term is None else term.weights
        if form is None and weights is None:
            self._ordinary.add(graph_form)
        return form, term, weights


def _relate_rewards(term: PolicyTerm) -> tuple[int, float]:
    """Return in which direction a loss moves the probabilities of rewarded actions, and the mean reward."""
    weights = term.weights.flatten().double().cpu()
    related = [(_correlate(weights, rewards), rewards) for rewards in list_rewards(len(weights))]
    correlation, rewards = max(related, key=lambda pair: abs(pair[0]), default=(0.0, weights))
    if abs(correlation) < MIN_CORRELATION:
        return 0, 0.0
    return (1 if correlation * term.sign > 0 else -1), float(rewards.mean())


def _correlate(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the correlation of two lists of numbers; 0 if one is constant."""
    pair = torch.stack([first, second])
    return float(torch.corrcoef(pair)[0, 1]) if bool((pair.std(1) > 0).all()) else 0.0


def _are_inputs(targets: torch.Tensor | None, inputs: torch.Tensor | None) -> bool:
    """Return whether targets, or as many of them as were kept, are the inputs up to their shape."""
    if targets is None or inputs is None or not targets.is_floating_point() or not inputs.is_floating_point():
        return False
    if targets.ndim < 2 or len(inputs) < len(targets) or not 1 < targets.numel() <= MAX_INPUT_VALUES:
        return False
    rows = inputs[: len(targets)]
    if rows.numel() != targets.numel() or targets[0].numel() < 2 or targets.device != rows.device:
        return False
    # Targets of a loss that is written out are outputs minus differences: they are rounded.
    return torch.allclose(targets.reshape(-1).float(), rows.reshape(-1).float(), rtol=1e-4, atol=1e-5)

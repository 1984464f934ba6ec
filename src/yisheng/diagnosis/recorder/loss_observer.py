"""Observe the losses of a training: the value of each, and what those of the recorded steps are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from math import isfinite
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.adversaries import AdversarialSteps
from yisheng.diagnosis.loss_forms import nodes_above_layers
from yisheng.diagnosis.loss_graph import SCALING_NODES, Loss, combine_losses, graph_nodes, inverse_factor
from yisheng.diagnosis.recorder import traced
from yisheng.diagnosis.recorder.batch_order import BatchOrder
from yisheng.diagnosis.recorder.foreign_writes import ForeignWrites
from yisheng.diagnosis.recorder.gradient_hooks import GradientHooks
from yisheng.diagnosis.recorder.guard import Guard
from yisheng.diagnosis.recorder.light_loss import LightLossHook
from yisheng.diagnosis.recorder.light_steps import LightSteps
from yisheng.diagnosis.recorder.loop_habits import LoopHabits
from yisheng.diagnosis.recorder.loss_features import LossFeatures
from yisheng.diagnosis.recorder.loss_log import LossLog
from yisheng.diagnosis.recorder.loss_path import LossPath
from yisheng.diagnosis.recorder.nonfinite import explain_by_graph, explain_by_variables
from yisheng.diagnosis.recorder.pair_distances import PairObserver
from yisheng.diagnosis.recorder.program_notes import ProgramNotes
from yisheng.diagnosis.recorder.records import NonFiniteLoss, StepRecord
from yisheng.diagnosis.recorder.repeated_graphs import name_nodes
from yisheng.diagnosis.recorder.schedule import FIRST_STEPS
from yisheng.diagnosis.recorder.source_lines import find_source
from yisheng.diagnosis.recorder.step_observer import StepObserver
from yisheng.diagnosis.recorder.unknown_parameters import UnknownParameters


class LossObserver:
    """See every loss of a training.

    A loss that was followed from the network's output is known before its backward pass, with its graph. Of the others
    a hook on a gradient reads the value during the pass. In a light step it is the only hook: no output is followed.

    Args:
        model: the network.
        step: what observes a recorded step.
        writes: changes of the weights between an update and the next backward pass.
        notes: receives the line of the backward pass.
        habits: receives what happens between the backward passes of a recorded step.
        light: the counters of the training.
        guard: runs the hooks.

    Attributes:
        log: the loss of every backward pass that reached the network.
        nonfinite_loss: the first loss that was not finite.
        has_other_losses: whether losses were seen that do not reach the network.
        unknown: parameters that the loss depends on and neither network nor optimizer holds.
        batch_order: the order of the batches.
        features: what the recorded losses show of their form.
        adversaries: in which directions losses move a network on rows that another one generates.
        pairs: the distances of pairs that losses pull together and push apart.
        probe: a parameter that losses reach, whose gradient shows whether a backward pass did.
    """

    def __init__(
        self,
        model: nn.Module,
        step: StepObserver,
        writes: ForeignWrites,
        notes: ProgramNotes,
        habits: LoopHabits,
        light: LightSteps,
        guard: Guard,
    ) -> None:
        self.log = LossLog()
        self.nonfinite_loss: NonFiniteLoss | None = None
        self.has_other_losses = False
        self.unknown = UnknownParameters()
        self.batch_order = BatchOrder()
        self.features = LossFeatures()
        self.adversaries = AdversarialSteps()
        self.pairs = PairObserver(guard)
        self.probe: torch.Tensor | None = None
        self._light = light
        self._model, self._step, self._writes, self._notes = model, step, writes, notes
        self._habits = habits
        self._hooks = GradientHooks(
            self._note_untraced_loss, lambda: light.is_followed or traced.is_inside_backward(), guard
        )
        self._path = LossPath()
        self._guard = guard
        self._targets: torch.Tensor | None = None

    @property
    def backwards(self) -> int:
        """Return the number of backward passes."""
        return self._light.backwards

    @backwards.setter
    def backwards(self, passes: int) -> None:
        self._light.backwards = passes

    def begin(self) -> None:
        """Watch gradients for losses that are not followed from the network's output."""
        self._hooks.watch_ends(self._model)

    def end(self) -> None:
        """Remove the hooks, and let go of the last batch."""
        self._hooks.remove()
        self._light.arguments = ()

    def observe_own_loss(self, loss: torch.Tensor, steps: int) -> None:
        """Note a loss of our own loop, right before its backward pass.

        Args:
            loss: mean loss ``()`` of a batch or of a piece of it, with its graph.
            steps: updates made before.
        """
        value: torch.Tensor | float = loss.item() if loss.is_cpu else loss.detach()
        self._inspect(loss, value, steps)
        self.log.add(value)

    @contextlib.contextmanager
    def observing_backward(self, tensors: Any, grad_tensors: Any, steps: int) -> Iterator[None]:
        """Note what is propagated back before the pass, and whether it reached the network after it.

        Args:
            tensors: what ``torch.autograd.backward`` was given.
            grad_tensors: its gradients, if any.
            steps: updates made before.
        """
        is_tensor = isinstance(tensors, torch.Tensor)
        loss = tensors if is_tensor and tensors.numel() == 1 else combine_losses(tensors, grad_tensors)
        node = None if loss is None or loss.numel() != 1 else loss.grad_fn
        self._light.is_followed = True
        if self._step.record is not None:
            self._notes.note_source("backward", find_source)
        self.batch_order.add_loss(node, self.backwards)
        try:
            if loss is None or node is None:
                yield
                return
            value: torch.Tensor | float = loss.item() if loss.is_cpu else loss.detach()
            scale = inverse_factor(loss) if node.name() in SCALING_NODES else None
            if scale is not None:
                value = value * (scale if isinstance(value, torch.Tensor) else scale.item())
            reached = self._inspect(loss, value, steps)
            if reached is not None:
                self._path.add(loss, reached, has_factor=scale is not None)
            gradient_version = self._gradient_version() if self.has_other_losses else None
            if reached:
                self._habits.before_backward(self.probe)
            yield
            if reached:
                self._step.after_backward()
                self._habits.after_backward(self.probe, 1.0 if scale is None else 1 / float(scale))
            is_changed = not self.has_other_losses or gradient_version != self._gradient_version()
            if reached or (reached is None and is_changed):
                self.log.add(value)
                self._writes.look(len(self.log))
            else:
                self.log.add_other(value)
        finally:
            self._light.is_followed = False

    def end_step(self, record: StepRecord | None) -> None:
        """Keep what a recorded step shows of the targets, and compare its losses."""
        self.adversaries.end_step()
        if record is not None and self._targets is None:
            self._targets = record.targets

    def stop_light_steps(self) -> None:
        """Follow every loss from now on, since the hook has missed one."""
        self._path.exclude()
        self._hooks.watch_ends(self._model)

    def choose_observation(self, steps: int) -> int:
        """Choose after an update whether the next step is followed to its loss, or only the value is read.

        Args:
            steps: updates made.

        Returns:
            the number, from 1, of the next step to follow for the order of the batches; 0 if every step is to be
            followed.
        """
        parameter = self._path.parameter if steps >= FIRST_STEPS else None
        if parameter is not self._hooks.parameter:
            if parameter is None:
                self._hooks.watch_ends(self._model)
            else:
                self._hooks.watch(parameter, self._make_light_hook())
        self._light.arguments = ()
        if parameter is None:
            return 0
        passes_per_step = max(1, -(-self.backwards // max(1, steps)))
        return steps + 1 + (self.batch_order.find_next(self.backwards) - self.backwards) // passes_per_step

    def _note_untraced_loss(self, loss: torch.Tensor) -> None:
        """Note the value of a loss that was not followed from the network's output.

        It did not come from the network's `forward`, as of parts called one by one. Its graph is being consumed by
        now.
        """
        self.backwards += 1
        self._path.exclude()
        self.log.add(loss.item() if loss.is_cpu else loss.detach())
        self._writes.look(len(self.log))

    def _make_light_hook(self) -> LightLossHook:
        """Return a hook on a gradient that notes the value of the loss of a light step."""
        functions = (self._path.exclude, self._note_nonfinite)
        return LightLossHook(self._guard, self._light, self.log.values, self._writes, *functions)

    def _note_nonfinite(self, loss: torch.Tensor) -> None:
        """Explain the first loss that is infinite or NaN, within its backward pass."""
        if self.nonfinite_loss is None:
            batch = (self._light.arguments, self._targets)
            self.nonfinite_loss = explain_by_variables(loss, len(self.log.values), self._model, *batch)

    def _inspect(self, loss: Loss, value: torch.Tensor | float, steps: int) -> list[torch.Tensor] | None:
        """Look at a loss before its backward pass.

        Returns:
            the parameters of the optimizer that it reaches, or None if this step is not recorded.
        """
        self.backwards += 1
        is_recorded = self._step.record is not None
        # In the other steps reading a loss on another device would wait for it.
        is_cheap = isinstance(value, float) or is_recorded
        if self.nonfinite_loss is None and is_cheap and not isfinite(value):
            self.nonfinite_loss = explain_by_graph(loss, len(self.log) + 1, self._model)
        if not is_recorded:
            return None
        nodes = graph_nodes(loss)
        form = hash(name_nodes(nodes))
        self.adversaries.add(loss, self._step.last_output, form)
        self.pairs.watch(loss, list(nodes_above_layers(loss.grad_fn)), steps)
        reached, unheld = self._step.add_loss(loss, nodes, form, accepts_unreached=self.probe is None)
        record = self._step.record
        if reached and record is not None and record.pairing is not None:
            step = self._step
            self.features.add(nodes, form, value, steps, record, step.last_input, step.last_output)
        explained = {**self._step.names, **self._step.input_leaves}
        self.unknown.add_leaves([p for p in unheld if id(p) not in explained], steps)
        if reached and self.probe is None:
            self.probe = reached[0]
        self.has_other_losses |= not reached
        return reached

    def _gradient_version(self) -> tuple[int, int] | None:
        """Return what changes when a backward pass reaches the network."""
        gradient = None if self.probe is None else self.probe.grad
        return None if gradient is None else (id(gradient), gradient._version)

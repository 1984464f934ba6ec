"""Observe one step of a training: its inputs, layers, loss and update."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.blocked_paths import can_have_infinite_slopes, find_blocked, find_infinite_slopes
from yisheng.diagnosis.loss_graph import Loss, find_activations, leaf_tensors
from yisheng.diagnosis.loss_terms import read_terms
from yisheng.diagnosis.pairing import read_pairing
from yisheng.diagnosis.recorder.carried_gradients import CarriedGradients
from yisheng.diagnosis.recorder.counted_targets import find_counted, watch_counted
from yisheng.diagnosis.recorder.embedding_lookups import EmbeddingLookups
from yisheng.diagnosis.recorder.foreign_gradients import ForeignGradients
from yisheng.diagnosis.recorder.guard import Guard
from yisheng.diagnosis.recorder.input_samples import sample_batch
from yisheng.diagnosis.recorder.records import StepRecord
from yisheng.diagnosis.recorder.repeated_graphs import OrdinaryGraphs
from yisheng.diagnosis.recorder.small_tensors import is_dense, is_small, is_transformed
from yisheng.diagnosis.recorder.statistics import (
    MAX_SAMPLES,
    MeasuredLayer,
    describe_half_gradient,
    describe_inputs,
    keep_activation,
    measure_layer,
    read_layers,
    take_example,
    targets_of_difference,
)
from yisheng.diagnosis.recorder.trained_rows import TrainedRows, copy_rows, key_rows
from yisheng.diagnosis.recorder.unknown_parameters import find_input_leaves
from yisheng.diagnosis.recorder.updates import WeightCopies, copy_weights, measure_update

MAX_ROW_VALUES = 1 << 16
"""Values of the rows that each record keeps."""
MIN_ROWS_TO_COMPARE = 8
"""Rows of a batch that are not all the same by coincidence."""
MAX_DEFERRED_STEPS = 16
"""Recorded steps after which their statistics are computed, since what these need is kept until then."""


class StepObserver:
    """Record a step by hooks that exist only during that step.

    Args:
        model: the network.
        optimizer: what updates it.
        guard: runs the hooks.
        keeps_rows: whether each record keeps some rows, and the state of the random generator.

    Attributes:
        record: of the present step, or None if it is not recorded.
        names: names of the network's parameters by ``id``.
        parameters: the network's parameters by name, as they were when the step began.
        last_input: the first input of the network in the last recorded step.
        last_output: its last output there.
        example: the first rows of its inputs; None if they are not tensors, or large.
        ran_in_bfloat16: whether a layer computed in bfloat16.
        has_missing_gradient: whether a parameter of the optimizer had no gradient in the last recorded update.
        lookups: what notes the numbers that are looked up in embeddings; None if nothing does.
        foreign: gradients of losses for another network.
        input_leaves: tensors with gradients whose rows are inputs of the present step, by ``id``.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, guard: Guard, *, keeps_rows: bool = False
    ) -> None:
        self._keeps_rows = keeps_rows
        self.record: StepRecord | None = None
        self.parameters = dict(model.named_parameters())
        self.names = {id(p): name for name, p in self.parameters.items()}
        self.last_input: torch.Tensor | None = None
        self.last_output: torch.Tensor | None = None
        self.example: tuple[torch.Tensor, ...] | None = None
        self.ran_in_bfloat16 = self.has_missing_gradient = False
        self.lookups: EmbeddingLookups | None = None
        self._model, self._optimizer, self._guard = model, optimizer, guard
        self._layers: list[MeasuredLayer] = []
        self._deferred: list[Callable[[], None]] = []
        self._deferred_steps = 0
        self._weights_before: WeightCopies | None = None
        self._carried, self.foreign = CarriedGradients(), ForeignGradients()
        self._unblocked, self._repeated = OrdinaryGraphs(), OrdinaryGraphs()
        self._reductions: dict[Hashable, tuple[str, float]] = {}
        self._handle: Any = None
        self._handles: list[Any] = []
        self._leaves: set[int] = set()
        self.input_leaves: dict[int, torch.Tensor] = {}

    def begin(self, step: int, *, follows_update: bool) -> None:
        """Record the next step.

        Args:
            step: its number, from 1.
            follows_update: whether an update has just used the present gradients.
        """
        self.record = StepRecord(step, self._model.training)
        self.foreign.clear()
        self.input_leaves.clear()
        self._note_random_state()
        self.parameters = dict(self._model.named_parameters())
        if follows_update:
            self._carried.note_used(self.parameters)
        self._handle = self._model.register_forward_pre_hook(self._guard.protect(self._record_inputs))
        self._watch_layers()

    def end(self) -> StepRecord | None:
        """Remove the hooks and return the record of the step, or None if nothing was recorded."""
        record, self.record, self._weights_before = self.record, None, None
        has_layers = bool(self._layers)
        self._defer_layers(record)
        self._deferred_steps += 1
        if self._deferred_steps >= MAX_DEFERRED_STEPS:
            self.compute_deferred()
        self._carried.clear()
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        self._unwatch_layers()
        return record if record is not None and (record.pairing is not None or has_layers) else None

    def _watch_layers(self) -> None:
        """Record the layers of the passes that follow."""
        if not self._handles:
            for name, module in self._model.named_modules():
                if next(module.children(), None) is None:
                    hook = self._guard.protect(functools.partial(self._record_layer, name))
                    self._handles.append(module.register_forward_hook(hook))

    def _unwatch_layers(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def read_record(self) -> StepRecord | None:
        """Return the record with what was measured so far."""
        self._defer_layers(self.record)
        self.compute_deferred()
        return self.record

    def compute_deferred(self) -> None:
        """Compute what the records still lack; this waits for the device."""
        deferred, self._deferred, self._deferred_steps = self._deferred, [], 0
        for compute in deferred:
            self._guard.run(compute)

    def _defer_layers(self, record: StepRecord | None) -> None:
        layers, self._layers = self._layers, []
        if record is not None and layers:
            self._deferred.append(lambda: record.layers.extend(read_layers(layers)))

    def forget_batch(self) -> None:
        """Let go of the last inputs and outputs."""
        self.last_output = self.last_input = None

    def add_loss(
        self, loss: Loss, nodes: Sequence[Any], form: Hashable, *, accepts_unreached: bool
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Record what a loss is made of, before its backward pass.

        Args:
            loss: with its graph.
            nodes: all nodes of the graph.
            form: a number for their names.
            accepts_unreached: whether to describe a loss that reaches no parameter of the optimizer.

        Returns:
            the parameters of the optimizer that it depends on, those nearest to it first; and its other leaves.
        """
        record = self.record
        assert record is not None
        held = self.find_held()
        parameters = leaf_tensors(nodes)
        reached = [p for p in parameters if id(p) in held]
        # Two optimizers may share the parameters of one network, if every loss reaches both.
        is_shared = bool(reached) and all(id(p) in held or id(p) in self.names for p in parameters)
        record.depends_on_others |= bool(parameters) and not is_shared
        if record.pairing is None and (reached or accepts_unreached):
            self._describe_loss(record, loss, nodes, form)
            record.reached = tuple(self.names[id(p)] for p in reached if id(p) in self.names)
        if not record.carried_gradients:
            self._carried.begin(self.parameters, held)
        self._leaves = {id(p) for p in parameters}
        self.foreign.before_backward(self._leaves)
        return reached, [p for p in parameters if id(p) not in held]

    def after_backward(self) -> None:
        """Note the gradients that the last loss has left."""
        if self.record is not None:
            held = self.find_held()
            names = {name: p for name, p in self.parameters.items() if id(p) in held}
            self.foreign.after_backward(names, self._leaves)

    def before_update(self) -> None:
        """Record gradients and weights right before an update."""
        if self.record is not None:
            self.record.foreign_gradients = self.foreign.list_added(self.parameters)
            self.record.carried_gradients = self._carried.finish(self.parameters)
            self._note_random_state()
            self.record.lr = max(float(group.get("lr", 0.0)) for group in self._optimizer.param_groups)
            self._weights_before = copy_weights(self.parameters)

    def after_update(self) -> None:
        """Record what an update did."""
        record = self.record
        if record is not None and self._weights_before is not None:
            # An optimizer that calls a closure makes its backward passes within the update.
            record.carried_gradients = record.carried_gradients or self._carried.finish(self.parameters)
            update = measure_update(self._weights_before, self.parameters)
            self._deferred.append(lambda: record.parameters.extend(update.describe()))
            held = self.find_held()
            self.has_missing_gradient = any(p.grad is None and id(p) in held for p in update.trainable)

    def record_output(self, _module: nn.Module, _arguments: Any, output: Any) -> None:
        """Keep the output of the network, for the targets of a loss that is written out: a forward hook."""
        if self.record is not None and isinstance(output, torch.Tensor) and torch.is_grad_enabled():
            self.last_output = output.detach()

    def find_held(self) -> set[int]:
        """Return the ``id`` of each parameter that the optimizer holds."""
        return {id(p) for group in self._optimizer.param_groups for p in group["params"]}

    def _describe_loss(self, record: StepRecord, loss: Loss, nodes: Sequence[Any], form: Hashable) -> None:
        if form not in self._unblocked:
            record.blocked, record.infinite_slopes = find_blocked(nodes, self.names), find_infinite_slopes(nodes)
            if not record.blocked and not can_have_infinite_slopes(nodes):
                self._unblocked.add(form)
        expected = self._reductions.get(form)
        record.pairing = read_pairing(loss, expected if form in self._repeated else None)
        reduction = (record.pairing.reduction, record.pairing.factor)
        if expected == reduction:
            self._repeated.add(form)
        self._reductions[form] = reduction
        if not record.pairing.is_only_term:
            record.terms = read_terms(loss)
        self._compare_rows(record)
        activations = [keep_activation(a) for a in find_activations(nodes, self.names) if a.result.ndim > 1]
        self._deferred.append(lambda: record.activations.extend(describe() for describe in activations))
        target = record.pairing.target
        record.targets = (
            targets_of_difference(record.pairing, self.last_output) if target is None else target[:MAX_SAMPLES].clone()
        )
        if record.targets is not None:
            self._watch_counted(record, nodes)
        if self._keeps_rows:
            self._defer_rows(record, record.targets if target is None else target)

    def _watch_counted(self, record: StepRecord, nodes: Sequence[Any]) -> None:
        """Note in the backward pass which targets the program has masked."""

        def note(gradient: torch.Tensor) -> None:
            if record.targets is not None and record.targets.ndim:
                shape = (gradient.numel() // max(1, math.prod(record.targets.shape[1:])), *record.targets.shape[1:])
                counted = find_counted(gradient, shape)
                record.counted = None if counted is None else counted[: len(record.targets)]

        watch_counted(nodes, self._guard.protect, note)

    def _defer_rows(self, record: StepRecord, targets: torch.Tensor | None) -> None:
        """Keep the rows that the loss of a step is computed from, and read them later."""
        rows = copy_rows(self.last_input, targets)
        if rows is not None:
            x, y = rows

            def read() -> None:
                record.trained = TrainedRows(key_rows(x), y)

            self._deferred.append(read)

    def _record_inputs(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        record = self.record
        if record is None or not torch.is_grad_enabled():
            self._unwatch_layers()  # torch evaluates a transformer with hooks by other kernels, to other last digits
            return
        self._watch_layers()
        if not any(map(is_transformed, arguments)):
            record.training = module.training
        is_tensor = arguments and is_dense(arguments[0]) and arguments[0].numel() > 0
        if is_tensor:
            self.foreign.note_inputs(arguments)
            self.input_leaves.update((id(leaf), leaf) for leaf in find_input_leaves(arguments))
            record.passes += 1
            self.last_input = arguments[0].detach()
            self.example = take_example(arguments)
            if record.inputs is None and record.pairing is None:  # after that they are those of another loss
                record.options = tuple(value for value in arguments[1:] if isinstance(value, int | str))
                self._keep_rows(record)
                self._note_random_state()
                self._describe_inputs(record, arguments[0].detach())

    def _keep_rows(self, record: StepRecord) -> None:
        if self._keeps_rows and self.example is not None:
            is_small_enough = sum(x.numel() for x in self.example) <= MAX_ROW_VALUES
            record.rows = self.example if is_small_enough else None
        if self._keeps_rows and self.last_input is not None and self.last_input.ndim > 1:
            record.sample = sample_batch(self.last_input)

    def _compare_rows(self, record: StepRecord) -> None:
        """Note whether all rows of the last input are the same."""
        x = self.last_input
        is_single = self._keeps_rows and self.example is not None and len(self.example) == 1 and x is not None
        if x is None or not is_single or x.ndim < 2 or not x.is_cpu or x.numel() > MAX_ROW_VALUES:
            return
        if x.is_floating_point() and len(x) >= MIN_ROWS_TO_COMPARE:
            record.has_equal_rows = torch.equal(x[0], x[1]) and bool((x == x[:1]).all())

    def _note_random_state(self) -> None:
        if self._keeps_rows and self.record is not None:
            self.record.random_states += (hash(torch.get_rng_state().numpy().tobytes()),)

    def _describe_inputs(self, record: StepRecord, x: torch.Tensor) -> None:
        if not is_small(x):
            record.inputs = describe_inputs(x)
            return
        copy = x.clone()

        def describe() -> None:
            record.inputs = describe_inputs(copy)

        self._deferred.append(describe)

    def _record_layer(self, name: str, module: nn.Module, arguments: Any, output: Any) -> None:
        has_values = is_dense(output) and output.is_floating_point() and output.numel()
        if self.record is not None and has_values and torch.is_grad_enabled():
            if self.lookups is not None and isinstance(module, nn.Embedding):
                self.lookups.note_training(name, arguments)
            self._layers.append(measure_layer(name, module, output.detach()))
            self.ran_in_bfloat16 |= output.dtype == torch.bfloat16
            if output.dtype == torch.float16 and output.requires_grad:
                output.register_hook(self._guard.protect(functools.partial(_record_gradient, self.record, name)))


def _record_gradient(record: StepRecord, name: str, gradient: torch.Tensor) -> None:
    record.gradients.append(describe_half_gradient(name, gradient))

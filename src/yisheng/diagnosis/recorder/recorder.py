"""Record a training from outside: hooks on the recorded steps, next to nothing on the others.

Nothing is computed with gradients, no random number is drawn and no extra pass is made: the trained weights are the
same to the bit as without it. The recorder belongs to the thread that entered it; trainings in other threads neither
see it nor are seen by it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.initialization import have_structure
from yisheng.diagnosis.loss_graph import (
    SCALING_NODES,
    Loss,
    combine_losses,
    find_activations,
    graph_nodes,
    inverse_factor,
    layer_inputs,
    leaf_tensors,
)
from yisheng.diagnosis.pairing import read_pairing
from yisheng.diagnosis.recorder import traced
from yisheng.diagnosis.recorder.batch_order import BatchOrder
from yisheng.diagnosis.recorder.course import Course
from yisheng.diagnosis.recorder.cuts import CutFinder
from yisheng.diagnosis.recorder.evaluated import EvaluatedRows
from yisheng.diagnosis.recorder.foreign_writes import ForeignWrites
from yisheng.diagnosis.recorder.loss_calls import LossCall, describe_loss_call, output_and_target
from yisheng.diagnosis.recorder.rate_watch import RateWatch
from yisheng.diagnosis.recorder.records import NonFiniteLoss, StepRecord
from yisheng.diagnosis.recorder.source_lines import (
    Variable,
    find_call_path,
    find_direct_source,
    find_source,
    find_variable,
)
from yisheng.diagnosis.recorder.statistics import (
    MAX_SAMPLES,
    describe_activation,
    describe_half_gradient,
    describe_inputs,
    describe_layer,
    describe_update,
    find_equal_rows,
    names_with_equal_rows,
    take_example,
    targets_of_difference,
)

FIRST_STEPS, MAX_INTERVAL = 5, 320
"""Each of the first steps is recorded, then ever fewer, at last every 320th: 16 of 2,000 steps in all."""
MODE_DEPENDENT = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
)
MIN_UPDATES_TO_JUDGE = 5
"""Updates after which equal rows stay equal, and after which a parameter that never changed counts as left out."""
MAX_UNREAD_LOSSES = 512
MAX_LOSS_CALLS = 16
"""Calls of loss functions that are kept."""


class Recorder:
    """Record a training while entered; every hook is removed afterwards.

    Args:
        model: the network.
        optimizer: what updates it.
        traces: follow the network's output to the loss, for loops that are not ours. Our own loop calls
            `observe_loss` instead, which is cheaper.

    Attributes:
        records: the recorded steps.
        losses: the loss of every backward pass that reached the network.
        steps: updates made.
        begun_updates: recorded updates that have begun.
        evaluated_in_training_mode: forward passes without gradient while dropout or batch norm were in training mode.
        updated_in_evaluation_mode: updates made while the network was in evaluation mode.
        equal_rows: weights whose rows were all equal at the beginning.
        still_equal: those of them whose rows were still equal after `MIN_UPDATES_TO_JUDGE` updates.
        nonfinite_loss: the first loss that was not finite.
        has_other_losses: whether losses were seen that do not reach the network.
        unknown_parameters: parameters that the loss depends on and neither network nor optimizer holds, with their
            version and the number of updates when first seen.
        changed_before: parameters that had changed before the training was stopped and continued.
        restored_unknown: copies of unknown parameters that had not changed before it was stopped.
        loss_calls: calls of PyTorch loss functions in recorded steps, and those that torch refused.
        course: losses of evaluations, which make no updates.
        sources: lines of the user's program by what they do (``loss``, ``backward``, ``step``).
        batch_order: the order of the batches.
        ran_in_bfloat16: whether a layer computed in bfloat16.
        evaluated: inputs and predicted classes of evaluations.
        foreign_writes: changes of the weights between updates.
        rate_watch: when the learning rate vanished.
        began_trained: whether the weights had been trained before the first update.
        example: the first rows of the inputs of the last recorded step, one tensor for each argument; None if they
            are not tensors, or large.

    >>> net = nn.Linear(2, 1)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> with Recorder(net, sgd) as recorder:
    ...     for _ in range(3):
    ...         sgd.zero_grad()
    ...         torch.nn.functional.mse_loss(net(torch.ones(4, 2)), torch.ones(4, 1)).backward()
    ...         sgd.step()
    >>> recorder.steps, len(recorder.records), recorder.records[0].pairing.loss
    (3, 3, 'mse')
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, *, traces: bool = True) -> None:
        self.model, self.optimizer = model, optimizer
        self.records: list[StepRecord] = []
        self.steps = 0
        self.backwards = self.begun_updates = 0
        self.evaluated_in_training_mode = 0
        self.equal_rows = find_equal_rows(model)
        self.updated_in_evaluation_mode = 0
        self.still_equal: tuple[str, ...] = ()
        self.nonfinite_loss: NonFiniteLoss | None = None
        self.has_other_losses = False
        self.unknown_parameters: dict[int, tuple[torch.Tensor, int, int]] = {}
        self.restored_unknown: list[torch.Tensor] = []
        self._leaves: dict[int, torch.Tensor] = {}
        self.changed_before: frozenset[str] = frozenset()
        self.loss_calls: list[LossCall] = []
        self.course = Course()
        self.sources: dict[str, str] = {}
        self._optimizer_variable: Variable | None = None
        self.batch_order = BatchOrder()
        self.ran_in_bfloat16 = False
        self.evaluated = EvaluatedRows()
        self.foreign_writes = ForeignWrites(model)
        self.rate_watch = RateWatch()
        self.example: tuple[torch.Tensor, ...] | None = None
        self.began_trained = False
        self._cut_finder = CutFinder(self.sources)
        self._last_input: torch.Tensor | None = None
        self._traces = traces
        # Autograd counts the in-place changes of a tensor; comparing counts is far cheaper than comparing values.
        self._versions = {name: p._version for name, p in model.named_parameters()}
        self._mode_dependent = [
            part for part in model.modules() if isinstance(part, MODE_DEPENDENT) and getattr(part, "p", 1) > 0
        ]
        self._unread: list[torch.Tensor | float] = []
        self._values: list[float] = []
        self._other_values: list[float] = []
        self._probe: torch.Tensor | None = None
        self._output: torch.Tensor | None = None
        self._carrying: dict[str, torch.Tensor] = {}
        self._permanent_hooks: list[Any] = []
        self._step_hooks: list[Any] = []
        self._record: StepRecord | None = None
        self._weights_before: dict[str, torch.Tensor] = {}
        self._used_gradients: dict[str, tuple[int, int]] = {}
        self._names = {id(p): name for name, p in model.named_parameters()}
        self._parameters = dict(model.named_parameters())
        self._next_step = 0
        self._is_observing = False
        self._untraced_loss: weakref.ref[torch.Tensor] | None = None

    def __enter__(self) -> Recorder:
        if self._traces:
            self._optimizer_variable = find_variable(self.optimizer)
        self.began_trained = self.began_trained or (not self.steps and have_structure(self.model.parameters()))
        self._permanent_hooks = [self.optimizer.register_step_post_hook(self._after_update)]
        if self._mode_dependent:
            self._permanent_hooks.append(self.model.register_forward_pre_hook(self._note_mode))
        if self._traces:
            traced.add_listener(self)
            self._permanent_hooks.append(self.model.register_forward_hook(self._trace_output))
            self._permanent_hooks.append(self.optimizer.register_step_pre_hook(self._note_foreign_write))
            self._permanent_hooks += self._hooks_on_gradients()
        self._next_step = next_recorded_step(self.steps)
        if self.steps + 1 >= self._next_step:
            self._begin_record()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        traced.remove_listener(self)
        traced.untrace_all()
        for handle in (*self._permanent_hooks, *self._step_hooks):
            handle.remove()
        self._permanent_hooks, self._step_hooks = [], []
        self._cut_finder.stop()
        traced.end_evaluation()
        self._end_record()
        self._output = self._last_input = None

    @property
    def losses(self) -> list[float]:
        """Return the loss of every backward pass that reached the network; reading them waits for the device."""
        self._read_losses()
        return self._values or self._other_values

    @property
    def is_finished(self) -> bool:
        """Return whether the training is over: no hook of the recorder is on the network."""
        return not self._permanent_hooks

    @property
    def unchanged(self) -> frozenset[str]:
        """Return the parameters that nothing has changed; none before `MIN_UPDATES_TO_JUDGE` updates."""
        if self.backwards > 0 and self.steps < MIN_UPDATES_TO_JUDGE:
            return frozenset()
        return frozenset(name for name, _ in self.model.named_parameters()) - self.changed

    @property
    def changed(self) -> frozenset[str]:
        """Return the parameters that something has changed."""
        parameters = self.model.named_parameters()
        return self.changed_before.union(
            name for name, p in parameters if p._version != self._versions.get(name, p._version)
        )

    @property
    def unchanged_unknown(self) -> list[torch.Tensor]:
        """Return the parameters of the loss that neither network nor optimizer holds and nothing has changed."""
        unchanged = [
            p
            for p, version, step in self.unknown_parameters.values()
            if p._version == version and self.steps - step >= MIN_UPDATES_TO_JUDGE
        ]
        return [*self.restored_unknown, *unchanged]

    @property
    def current(self) -> StepRecord | None:
        """Return the unfinished record of the present step, or None if the step is not recorded."""
        return self._record

    def find_sources(self) -> dict[str, str]:
        """Return the lines of the user's program by what they do, that of the optimizer's construction included."""
        construction = "" if self._optimizer_variable is None else self._optimizer_variable.find_construction()
        return {**self.sources, **({"optimizer": construction} if construction else {})}

    def observe_loss(self, loss: torch.Tensor) -> None:
        """Note a loss of our own loop, right before its backward pass.

        Args:
            loss: mean loss ``()`` of a batch or of a piece of it, with its graph.
        """
        value: torch.Tensor | float = loss.item() if loss.is_cpu else loss.detach()
        self._inspect(loss, value)
        self._unread.append(value)

    def observe_loss_call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, error: BaseException | None
    ) -> None:
        """Note a call of a loss function on the network's output.

        Args:
            name: of the function.
            args: its positional arguments.
            kwargs: its other arguments.
            result: its result, or None if it raised.
            error: what it raised.
        """
        has_graph = torch.is_grad_enabled()
        if error is not None or (self._record is not None and has_graph and len(self.loss_calls) < MAX_LOSS_CALLS):
            call = describe_loss_call(name, args, kwargs, self._last_input, error)
            if call is not None:
                self.loss_calls.append(call)
                self._note_source("loss", call.source)
        if isinstance(result, torch.Tensor) and self._evaluates(has_graph):
            output, target = output_and_target(args, kwargs)
            self.evaluated.add_outputs(self.steps, name, output, target)
            rows = len(output) if output.ndim else 1
            mean = result.detach().mean() if result.ndim else result.detach()
            if kwargs.get("reduction") == "sum":
                mean = mean / max(1, rows)
            losses_before = len(self._values) + len(self._unread)
            loss = mean.item() if mean.is_cpu else mean
            self.course.add_batch(find_call_path(), self.steps, losses_before, loss, rows)

    def observe_validation(self, loss: float | None, score: float | None) -> None:
        """Note what the user measured on validation rows."""
        self.course.add_reported(self.steps, len(self._values) + len(self._unread), loss, score)

    def note_cut(self) -> None:
        """Note where the network's output leaves the graph, if nothing has been propagated back yet."""
        if self._record is not None and not self.backwards and torch.is_grad_enabled():
            self._note_source("cut after", find_direct_source)

    @contextlib.contextmanager
    def observing_backward(self, tensors: Any, grad_tensors: Any) -> Iterator[None]:
        """Note what is propagated back before the pass, and whether it reached the network after it.

        Args:
            tensors: what ``torch.autograd.backward`` was given.
            grad_tensors: its gradients, if any.
        """
        is_tensor = isinstance(tensors, torch.Tensor)
        loss = tensors if is_tensor and tensors.numel() == 1 else combine_losses(tensors, grad_tensors)
        node = None if loss is None or loss.numel() != 1 else loss.grad_fn
        self._is_observing = True
        if self._record is not None:
            self._note_source("backward", find_source)
        self.batch_order.add_loss(node, self.steps)
        try:
            if loss is None or node is None:
                yield
                return
            value: torch.Tensor | float = loss.item() if loss.is_cpu else loss.detach()
            scale = inverse_factor(loss) if node.name() in SCALING_NODES else None
            if scale is not None:
                value = value * (scale if isinstance(value, torch.Tensor) else scale.item())
            reached = self._inspect(loss, value)
            gradient_version = self._gradient_version() if self.has_other_losses else None
            yield
            if reached or (
                reached is None and (not self.has_other_losses or gradient_version != self._gradient_version())
            ):
                self._unread.append(value)
            elif not self._values and not self._unread:
                self._other_values.append(float(value))
        finally:
            self._is_observing = False

    def _begin_record(self) -> None:
        """Record the next step."""
        self._record = StepRecord(self.steps + 1, self.model.training)
        if self.records and self._has_missing_gradient(self.records[-1]):
            self._cut_finder.start(self.model)
        self._parameters = dict(self.model.named_parameters())
        self._step_hooks = [
            self.optimizer.register_step_pre_hook(self._before_update),
            self.model.register_forward_pre_hook(self._record_inputs),
            self.model.register_forward_hook(self._record_output),
        ]
        for name, module in self.model.named_modules():
            if next(module.children(), None) is None:
                hook = functools.partial(self._record_layer, name)
                self._step_hooks.append(module.register_forward_hook(hook))

    def _end_record(self) -> None:
        """Keep the record if it has content, and remove the hooks of the step."""
        if self._record is not None and (self._record.pairing is not None or self._record.layers):
            self.records.append(self._record)
        self._record = None
        self._weights_before.clear()
        self._carrying.clear()
        for handle in self._step_hooks:
            handle.remove()
        self._step_hooks = []

    def _note_mode(self, module: nn.Module, _: tuple[Any, ...]) -> None:
        if not torch.is_grad_enabled() and module.training and any(part.training for part in self._mode_dependent):
            self.evaluated_in_training_mode += 1
            self._note_source("evaluation", find_source)

    def _note_foreign_write(self, *_: Any) -> None:
        self.foreign_writes.look(len(self._values) + len(self._unread))
        self.rate_watch.note(self.steps + 1, self.optimizer.param_groups[0].get("lr"))

    def _trace_output(self, _module: nn.Module, arguments: Any, output: Any) -> None:
        if torch.compiler.is_compiling():
            return
        if torch.is_grad_enabled():
            traced.end_evaluation()
            traced.trace(output)
        else:
            traced.trace_evaluation(output)
            self.batch_order.note_evaluation()
            self.evaluated.add_inputs(self.steps, arguments)

    def _note_source(self, event: str, source: str | Callable[[], str]) -> None:
        """Note the line of the user's program where something happens first."""
        if self._traces and event not in self.sources:
            line = source if isinstance(source, str) else source()
            if line:
                self.sources[event] = line

    def _evaluates(self, has_graph: bool) -> bool:
        """Return whether the present pass is an evaluation: without a graph, or in evaluation mode."""
        return not has_graph or (not self.model.training and not self.updated_in_evaluation_mode)

    def _has_missing_gradient(self, record: StepRecord) -> bool:
        """Return whether a parameter of the optimizer had no gradient in a recorded step."""
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        return any(p.gradient is None and id(self._parameters.get(p.name)) in held for p in record.parameters)

    def _hooks_on_gradients(self) -> list[Any]:
        """Watch the first and the last parameter for backward passes of losses that were not traced."""
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        ends = trainable if len(trainable) < 2 else [trainable[0], trainable[-1]]
        return [p.register_post_accumulate_grad_hook(self._note_untraced_loss) for p in ends]

    def _note_untraced_loss(self, _: torch.Tensor) -> None:
        """Note the value of a loss that did not come from the network's `forward`, as of parts called one by one.

        Its graph is being consumed by now; only its value is known. It is the argument of the outermost
        `torch.autograd.backward` among the callers of this hook.
        """
        if self._is_observing or traced.is_inside_backward():
            return
        loss = outermost_propagated()
        is_noted = self._untraced_loss is not None and self._untraced_loss() is loss
        if loss is None or is_noted or loss.numel() != 1:
            return
        self._untraced_loss = weakref.ref(loss)
        self.backwards += 1
        self._unread.append(loss.item() if loss.is_cpu else loss.detach())

    def _record_inputs(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        record = self._record
        is_tensor = arguments and isinstance(arguments[0], torch.Tensor)
        if record is not None and is_tensor and torch.is_grad_enabled():
            record.training = module.training
            self._last_input = arguments[0].detach()
            self.example = take_example(arguments)
            self._note_source("forward", find_source)
            if record.inputs is None:
                record.inputs = describe_inputs(arguments[0])

    def _record_output(self, _module: nn.Module, _arguments: Any, output: Any) -> None:
        if self._record is not None and isinstance(output, torch.Tensor) and torch.is_grad_enabled():
            self._output = output.detach()

    def _record_layer(self, name: str, module: nn.Module, _arguments: Any, output: Any) -> None:
        has_values = isinstance(output, torch.Tensor) and output.is_floating_point() and output.numel()
        if self._record is not None and has_values and torch.is_grad_enabled():
            self._record.layers.append(describe_layer(name, module, output.detach()))
            self.ran_in_bfloat16 |= output.dtype == torch.bfloat16
            if output.dtype == torch.float16 and output.requires_grad:
                output.register_hook(functools.partial(_record_gradient, self._record, name))

    def _inspect(self, loss: Loss, value: torch.Tensor | float) -> bool | None:
        """Look at a loss before its backward pass.

        Returns:
            whether it reaches the network, or None if this step is not recorded.
        """
        self.backwards += 1
        is_cheap = (
            isinstance(value, float) or self._record is not None
        )  # elsewhere reading it would wait for the device
        if self.nonfinite_loss is None and is_cheap and not math.isfinite(value):
            self.nonfinite_loss = self._explain_nonfinite(loss)
        if len(self._unread) >= MAX_UNREAD_LOSSES:
            self._read_losses()
        return None if self._record is None else self._record_loss(self._record, loss)

    def _record_loss(self, record: StepRecord, loss: Loss) -> bool:
        """Record what a loss is made of and which parameters it reaches; return whether it reaches any."""
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        nodes = graph_nodes(loss)
        parameters = leaf_tensors(nodes)
        reached = [p for p in parameters if id(p) in held]
        record.depends_on_others |= len(reached) < len(parameters)
        for p in parameters:
            if id(p) not in held and id(p) not in self._names and id(p) not in self.unknown_parameters:
                # A leaf that is not a parameter may be an input of one step that a derivative is taken for.
                if isinstance(p, nn.Parameter) or id(p) in self._leaves:
                    self._add_unknown(p)
                self._leaves[id(p)] = p
        if reached and self._probe is None:
            self._probe = reached[0]
        self.has_other_losses |= not reached
        if record.pairing is None and (reached or self._probe is None):
            record.pairing = read_pairing(loss)
            record.activations = [
                describe_activation(activation)
                for activation in find_activations(nodes, self._names)
                if activation.result.ndim > 1
            ]
            record.reached = tuple(self._names[id(p)] for p in reached if id(p) in self._names)
            target = record.pairing.target
            record.targets = (
                targets_of_difference(record.pairing, self._output) if target is None else target[:MAX_SAMPLES].clone()
            )
        self._note_carried(first=not record.carried_gradients and not self._carrying)
        return bool(reached)

    def _gradient_version(self) -> tuple[int, int] | None:
        """Return what changes when a backward pass reaches the network."""
        gradient = None if self._probe is None else self._probe.grad
        return None if gradient is None else (id(gradient), gradient._version)

    def _add_unknown(self, p: torch.Tensor) -> None:
        """Note a parameter that nobody holds; it may be one that was known before the training was stopped."""
        similar = [q for q in self.restored_unknown if (q.shape, q.dtype) == (p.shape, p.dtype)]
        restored = next((q for q in similar if torch.equal(q, p.detach().cpu())), None)
        first_step = self.steps - (0 if restored is None else MIN_UPDATES_TO_JUDGE)
        self.unknown_parameters[id(p)] = (p, p._version, first_step)
        replaced = restored if restored is not None else next(iter(similar), None)
        self.restored_unknown = [q for q in self.restored_unknown if q is not replaced]

    def _explain_nonfinite(self, loss: Loss) -> NonFiniteLoss:
        compared = read_pairing(loss)
        return NonFiniteLoss(
            len(self._unread) + len(self._values) + 1,
            all(bool(torch.isfinite(x).all()) for x in layer_inputs(loss) if x.is_floating_point()),
            compared.target is None or bool(torch.isfinite(compared.target).all()),
            all(bool(torch.isfinite(p).all()) for p in self.model.parameters()),
            str(getattr(loss, "dtype", "")).removeprefix("torch."),
        )

    def _note_carried(self, *, first: bool) -> None:
        """Note gradients that an update has used and nobody has cleared, before a backward pass adds to them.

        Two networks that train against each other fill each other's gradients and clear them before their own pass:
        only gradients that are still there at the update count.
        """
        if first:
            held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
            self._carrying = {
                name: p.grad
                for name, p in self._parameters.items()
                if p.grad is not None
                and id(p) in held
                and self._used_gradients.get(name) == (id(p.grad), p.grad._version)
                and bool(p.grad.any())
            }
            return
        for name, gradient in list(self._carrying.items()):
            if self._parameters[name].grad is not gradient or not bool(gradient.any()):
                del self._carrying[name]

    def _before_update(self, *_: Any) -> None:
        self.begun_updates += 1
        if self._record is not None:
            self._note_source("step", find_source)
            self._note_carried(first=False)
            self._record.carried_gradients = tuple(self._carrying)
            self._record.lr = max(float(group.get("lr", 0.0)) for group in self.optimizer.param_groups)
            self._weights_before = {name: p.detach().clone() for name, p in self._parameters.items() if p.requires_grad}

    def _after_update(self, *_: Any) -> None:
        self.steps += 1
        self.updated_in_evaluation_mode += not self.model.training
        self.foreign_writes.note_update()
        if self._traces:
            traced.untrace_all()
        if self.steps == MIN_UPDATES_TO_JUDGE and self.equal_rows:
            self.still_equal = names_with_equal_rows(self.model, self.equal_rows)
        if self._record is not None:
            weights_after = {name: self._parameters[name] for name in self._weights_before}
            self._record.parameters = describe_update(self._weights_before, weights_after)
            self._end_record()
            self._next_step = next_recorded_step(self.steps)
        if self.steps + 1 >= self._next_step:
            self._begin_record()
            self._used_gradients = {
                name: (id(p.grad), p.grad._version) for name, p in self._parameters.items() if p.grad is not None
            }

    def _read_losses(self) -> None:
        on_device = [loss for loss in self._unread if isinstance(loss, torch.Tensor)]
        values = iter(torch.stack([loss.reshape(()).float() for loss in on_device]).tolist() if on_device else [])
        self._values += [next(values) if isinstance(loss, torch.Tensor) else loss for loss in self._unread]
        self._unread.clear()


def next_recorded_step(step: int) -> int:
    """Return the step to be recorded next after a step.

    >>> steps = [1]
    >>> while steps[-1] < 1000:
    ...     steps.append(next_recorded_step(steps[-1]))
    >>> steps
    [1, 2, 3, 4, 5, 10, 20, 40, 80, 160, 320, 640, 960, 1280]
    """
    if step < FIRST_STEPS:
        return step + 1
    if step >= MAX_INTERVAL:
        return (step // MAX_INTERVAL + 1) * MAX_INTERVAL
    return FIRST_STEPS * 2 ** (int(math.log2(step / FIRST_STEPS)) + 1)


def outermost_propagated() -> torch.Tensor | None:
    """Return the tensor that the outermost `torch.autograd.backward` among the callers propagates, or None."""
    tensor = None
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is torch.autograd.backward.__code__:
            tensors = frame.f_locals.get("tensors")
            tensors = tensors if isinstance(tensors, tuple | list) else (tensors,)
            tensor = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], torch.Tensor) else None
        frame = frame.f_back
    return tensor


def _record_gradient(record: StepRecord, name: str, gradient: torch.Tensor) -> None:
    record.gradients.append(describe_half_gradient(name, gradient))

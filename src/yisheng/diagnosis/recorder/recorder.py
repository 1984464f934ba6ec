"""Record a training from outside: hooks on the recorded steps, next to nothing on the others.

Nothing is computed with gradients, no random number is drawn and no extra pass is made: the trained weights are the
same to the bit as without it. The recorder belongs to the thread that entered it; trainings in other threads neither
see it nor are seen by it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import is_grad_enabled, nn
from torch.compiler import is_compiling

from yisheng.diagnosis.initialization import have_structure
from yisheng.diagnosis.recorder import traced
from yisheng.diagnosis.recorder.evaluations import Evaluations
from yisheng.diagnosis.recorder.foreign_writes import ForeignWrites
from yisheng.diagnosis.recorder.frozen_weights import FrozenWeights
from yisheng.diagnosis.recorder.graph_batches import GraphBatches
from yisheng.diagnosis.recorder.guard import Guard
from yisheng.diagnosis.recorder.light_steps import LightForwardHook, LightSteps, LightUpdateHook
from yisheng.diagnosis.recorder.loop_habits import LoopHabits
from yisheng.diagnosis.recorder.loss_observer import LossObserver
from yisheng.diagnosis.recorder.network_copies import SCAN_STEPS, NetworkCopies
from yisheng.diagnosis.recorder.program_notes import ProgramNotes
from yisheng.diagnosis.recorder.rate_watch import RateWatch
from yisheng.diagnosis.recorder.records import StepRecord
from yisheng.diagnosis.recorder.replicas import Replicas, find_replicas
from yisheng.diagnosis.recorder.schedule import MIN_UPDATES_TO_JUDGE, next_recorded_step
from yisheng.diagnosis.recorder.schedule_plans import SchedulePlans
from yisheng.diagnosis.recorder.small_tensors import is_transformed
from yisheng.diagnosis.recorder.source_lines import find_call_path, find_direct_source, find_source
from yisheng.diagnosis.recorder.statistics import find_equal_rows, names_with_equal_rows
from yisheng.diagnosis.recorder.step_observer import StepObserver
from yisheng.diagnosis.recorder.stopping_counters import find_stopping_counters
from yisheng.diagnosis.recorder.subset_transforms import SharedTransform, find_shared_transform

MAX_RECORDED_EVALUATIONS = 2
"""Updates in evaluation mode after which the next step is recorded."""


class Recorder:
    """Record a training while entered; every hook is removed afterwards.

    Of a loop that is not ours, the network's output is followed to the loss in the first steps and in the recorded
    ones. In the others a hook on one gradient reads the value of the loss, if the recorded steps show that this hook
    sees all losses.

    Args:
        model: the network.
        optimizer: what updates it.
        traces: follow the network's output to the loss, for loops that are not ours. Our own loop calls
            `observe_loss` instead, which is cheaper.

    Attributes:
        records: the recorded steps.
        steps: updates made.
        begun_updates: recorded updates that have begun.
        evaluated_in_training_mode: forward passes without gradient while dropout or batch norm were in training mode.
        updated_in_evaluation_mode: updates made while the network was in evaluation mode.
        equal_rows: weights whose rows were all equal at the beginning.
        still_equal: those of them whose rows were still equal after `MIN_UPDATES_TO_JUDGE` updates.
        changed_before: parameters that had changed before the training was stopped and continued.
        ran_in_bfloat16: whether a layer computed in bfloat16.
        began_trained: whether the weights had been trained before the first update.
        loss_observer: what sees the losses.
        step_observer: what observes the recorded steps.
        notes: lines of the user's program, and its calls of loss functions.
        evaluations: what was seen of evaluations.
        foreign_writes: changes of the weights between updates.
        frozen_weights: changes of frozen weights.
        habits: what the loop does with losses and gradients.
        other_networks: copies of the network that the program holds.
        shared_transform: a transform that the program has set through one of several subsets; None without any.
        guard: runs what observes, so that an error in it does not end the training.
        replicas: networks of the program that are updated with its gradients and have other weights.
        rate_watch: when the learning rate vanished.
        schedules: of the learning rate.

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
        self.begun_updates = 0
        self.evaluated_in_training_mode = self.updated_in_evaluation_mode = 0
        self.equal_rows = find_equal_rows(model)
        self.still_equal: tuple[str, ...] = ()
        self.changed_before: frozenset[str] = frozenset()
        self.ran_in_bfloat16 = self.began_trained = False
        self._light, self.guard = LightSteps(), Guard()
        self.notes = ProgramNotes(self.guard, is_active=traces)
        self.step_observer = StepObserver(model, optimizer, self.guard, keeps_rows=traces)
        self.foreign_writes, self.frozen_weights = ForeignWrites(model), FrozenWeights(model)
        self.habits = LoopHabits(optimizer, self.guard)
        self.step_observer.foreign = self.habits.foreign
        observers = (self.step_observer, self.foreign_writes, self.notes, self.habits, self._light, self.guard)
        self.loss_observer = LossObserver(model, *observers)
        self.loss_observer.features.reads_program = traces
        self.graph_batches = GraphBatches()
        self.other_networks = NetworkCopies(model, self.guard)
        self.shared_transform: SharedTransform | None = None
        self.replicas: Replicas | None = None
        self.evaluations = Evaluations(model, self.guard)
        self.step_observer.lookups = self.evaluations.lookups if traces else None
        self.rate_watch, self.schedules = RateWatch(), SchedulePlans(optimizer)
        self._traces = traces
        self._records: list[StepRecord] = []
        # Autograd counts the in-place changes of a tensor; comparing counts is far cheaper than comparing values.
        self._versions = {name: p._version for name, p in model.named_parameters()}
        self._hooks: list[Any] = []
        self._step_hooks: list[Any] = []
        self._next_step = 0

    def __enter__(self) -> Recorder:
        self.notes.begin(self.optimizer)
        self.began_trained = self.began_trained or (not self.steps and have_structure(self.model.parameters()))
        if self._traces:
            traced.add_listener(self)
            self.habits.begin()
            light, protect, after_update = self._light, self.guard.protect, self._after_update_of_loop
            update_hook = LightUpdateHook(self.guard, light, self.model, self.foreign_writes, after_update)
            self._hooks = [self.optimizer.register_step_post_hook(update_hook)]
            forward_hook = LightForwardHook(self.guard, light, self._after_forward)
            self._hooks.append(self.model.register_forward_hook(forward_hook))
            if isinstance(self.model, nn.ModuleDict | nn.ModuleList):  # it is never called, only its parts are
                self._hooks += [part.register_forward_hook(protect(self._after_part)) for part in self.model.children()]
            self.loss_observer.begin()
        else:
            self._hooks = [self.optimizer.register_step_post_hook(self.guard.protect(self._after_update))]
            if self.evaluations.depends_on_mode:
                self._hooks.append(self.model.register_forward_pre_hook(self.guard.protect(self._note_mode)))
        self._next_step, self._light.until = next_recorded_step(self.steps), 0
        if self.steps + 1 >= self._next_step:
            self._begin_record(follows_update=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        traced.remove_listener(self)
        traced.untrace_all()
        for handle in self._hooks:
            handle.remove()
        self._hooks = []
        self.other_networks.stop()
        self.foreign_writes.end()
        self.evaluations.course.ends_with_loaded_weights = self.foreign_writes.after_evaluation
        if self._traces and error is None:
            self._find_stopping_counters()
        self.habits.end()
        self.notes.end(error, trace, self.step_observer.last_input)
        traced.end_evaluation()
        self.evaluations.lookups.end_evaluation()
        self._end_record()
        self.loss_observer.end()
        self.step_observer.forget_batch()

    @property
    def steps(self) -> int:
        """Return the updates made."""
        return self._light.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._light.steps = steps

    @property
    def records(self) -> list[StepRecord]:
        """Return the recorded steps; reading them computes what is not known yet, and waits for the device."""
        self.step_observer.compute_deferred()
        return self._records

    @records.setter
    def records(self, records: list[StepRecord]) -> None:
        self._records = records

    @property
    def losses(self) -> list[float]:
        """Return the loss of every backward pass that reached the network; reading them waits for the device."""
        return self.loss_observer.log.read()

    @property
    def is_finished(self) -> bool:
        """Return whether the training is over: no hook of the recorder is on the network."""
        return not self._hooks

    @property
    def unchanged(self) -> frozenset[str]:
        """Return the parameters that nothing has changed; none before `MIN_UPDATES_TO_JUDGE` updates."""
        if self.loss_observer.backwards > 0 and self.steps < MIN_UPDATES_TO_JUDGE:
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
    def current(self) -> StepRecord | None:
        """Return the unfinished record of the present step, or None if the step is not recorded."""
        return self.step_observer.read_record()

    def is_recording(self) -> bool:
        """Return whether the layers are recorded in the present step."""
        return self.step_observer.record is not None

    def observe_loss(self, loss: torch.Tensor) -> None:
        """Note a loss of our own loop, right before its backward pass.

        Args:
            loss: mean loss ``()`` of a batch or of a piece of it, with its graph.
        """
        self.loss_observer.observe_own_loss(loss, self.steps)

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
        self.guard.run(self._note_loss_call, name, args, kwargs, result, error)

    def _note_loss_call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, error: BaseException | None
    ) -> None:
        has_graph = is_grad_enabled()
        if error is not None or (has_graph and self.step_observer.record is not None):
            self.notes.note_loss_call(name, args, kwargs, self.step_observer.last_input, error, result)
            if error is None:
                self.habits.note_loss(find_call_path(), find_source(), result)
        is_evaluation = not has_graph or (not self.model.training and not self.updated_in_evaluation_mode)
        if is_evaluation and isinstance(result, torch.Tensor):
            self.evaluations.add_loss_call(name, args, kwargs, result, self.steps, len(self.loss_observer.log))

    def observe_validation(self, loss: float | None, score: float | None) -> None:
        """Note what the user measured on validation rows."""
        self.foreign_writes.note_evaluation(self.steps)
        self.evaluations.course.add_reported(self.steps, len(self.loss_observer.log), loss, score)

    def note_cut(self) -> None:
        """Note where the network's output leaves the graph, if nothing has been propagated back yet."""
        self.guard.run(self._note_cut)

    def note_failure(self, error: Exception) -> None:
        """Note an error of the code that follows the network's output; nothing is observed from now on."""
        self.guard.note(error)

    def _note_cut(self) -> None:
        if self.step_observer.record is not None and not self.loss_observer.backwards and is_grad_enabled():
            self.notes.note_source("cut after", find_direct_source)

    def observing_backward(self, tensors: Any, grad_tensors: Any) -> contextlib.AbstractContextManager[None]:
        """Return a context that notes what is propagated back, and whether it reached the network.

        Args:
            tensors: what ``torch.autograd.backward`` was given.
            grad_tensors: its gradients, if any.
        """
        return self.guard.enclose(lambda: self.loss_observer.observing_backward(tensors, grad_tensors, self.steps))

    def _begin_record(self, *, follows_update: bool) -> None:
        """Record the next step."""
        if self.step_observer.has_missing_gradient:
            self.notes.find_cut(self.model)
        self.habits.begin_step()
        self.step_observer.begin(self.steps + 1, follows_update=follows_update)
        self._step_hooks = [self.optimizer.register_step_pre_hook(self.guard.protect(self._before_update))]
        if not self._traces:
            self._step_hooks.append(
                self.model.register_forward_hook(self.guard.protect(self.step_observer.record_output))
            )

    def _end_record(self) -> None:
        """Keep the record of the step if it has content, and remove the hooks of the step."""
        for handle in self._step_hooks:
            handle.remove()
        self._step_hooks = []
        record = self.step_observer.end()
        if record is not None:
            self._records.append(record)
        self.loss_observer.end_step(record)
        self.ran_in_bfloat16 |= self.step_observer.ran_in_bfloat16

    def _after_forward(self, module: nn.Module, arguments: Any, output: Any) -> None:
        """Follow the output of the network to the loss."""
        if any(map(is_transformed, arguments)):
            return
        has_graph, losses = is_grad_enabled(), self.loss_observer
        self._light.until = 0
        if not has_graph:
            self._note_mode(module)
            traced.trace_evaluation(output)
            losses.batch_order.note_evaluation()
            self.evaluations.rows.add_inputs(self.steps, arguments)
            self.foreign_writes.note_evaluation(self.steps)
            if self.steps:
                self.evaluations.lookups.begin_evaluation()
        else:
            if not module.training and not self.updated_in_evaluation_mode and self.steps:
                self.evaluations.rows.passes += 1  # an evaluation without no_grad()
            self.step_observer.record_output(module, arguments, output)
            self.frozen_weights.look(len(losses.log) + 1)
            if self.step_observer.record is not None:
                self.notes.note_source("forward", find_source)
                self.graph_batches.add(arguments)
            traced.end_evaluation()
            self.evaluations.lookups.end_evaluation()
            traced.trace(output)

    def _after_part(self, _module: nn.Module, _arguments: Any, output: Any) -> None:
        """Follow the output of a part of a container to the loss."""
        if is_grad_enabled() and not self._light.until and not is_compiling():
            traced.trace(output)

    def _note_mode(self, module: nn.Module, *_: Any) -> None:
        if not is_grad_enabled() and self.evaluations.is_in_training_mode(module):
            self.evaluated_in_training_mode += 1
            self.notes.note_source("evaluation", find_source)

    def _before_update(self, *_: Any) -> None:
        self.begun_updates += 1
        self.notes.note_source("step", find_source)
        self.habits.before_update()
        if self._traces and self.steps + 1 in SCAN_STEPS:
            self.other_networks.scan(self.steps, is_untrained=not self.began_trained)
            self._find_shared_transform()
            self.schedules.scan()
            self.replicas = find_replicas(self.model)
        self.step_observer.before_update()

    def _find_shared_transform(self) -> None:
        try:
            self.shared_transform = self.shared_transform or find_shared_transform()
        except Exception:  # the objects of the program may do anything when they are looked at
            return

    def _find_stopping_counters(self) -> None:
        try:
            self.evaluations.course.stopping_counters = find_stopping_counters()
        except Exception:  # the objects of the program may do anything when they are looked at
            return

    def _after_update_of_loop(self) -> None:
        """Note an update of a loop that is not ours, unless it is a light one as those before."""
        light, rate = self._light, self.optimizer.param_groups[0].get("lr")
        has_loss, light.backwards_before = light.backwards > light.backwards_before, light.backwards
        light.rate = rate
        self.rate_watch.note(self.steps + 1, rate)
        if light.until and not has_loss:
            self.loss_observer.stop_light_steps()
        self._after_update(is_light=has_loss and self.steps + 2 < light.until)

    def _after_update(self, *_: Any, is_light: bool = False) -> None:
        self.steps += 1
        if not self.model.training:
            self.updated_in_evaluation_mode += 1
            self._light.learns_in_evaluation = True
            if self.updated_in_evaluation_mode <= MAX_RECORDED_EVALUATIONS:
                self._next_step = self.steps + 1  # a copied validation loop may make it, on rows of its own
        if is_light:
            return
        if self.steps == MIN_UPDATES_TO_JUDGE and self.equal_rows:
            self.still_equal = names_with_equal_rows(self.model, self.equal_rows)
        if self.step_observer.record is not None:
            self.step_observer.after_update()
            self._end_record()
            self._next_step = next_recorded_step(self.steps)
        if self.steps + 1 >= self._next_step:
            self._begin_record(follows_update=True)
        if self._traces:
            traced.untrace_all()
            next_full_step = min(self._next_step, self.loss_observer.choose_observation(self.steps))
            self._light.until = next_full_step if next_full_step > self.steps + 1 else 0

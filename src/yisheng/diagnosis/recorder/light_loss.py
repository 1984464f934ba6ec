"""Read the value of the loss of a light step from within its backward pass."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from yisheng.diagnosis.recorder.foreign_writes import ForeignWrites
from yisheng.diagnosis.recorder.guard import Guard, ProtectedHook
from yisheng.diagnosis.recorder.light_steps import LightSteps
from yisheng.diagnosis.recorder.propagated_loss import search_callers

get_frame = sys._getframe


class LightLossHook(ProtectedHook):
    """A hook on the gradient of a parameter that every loss reaches; see `light_steps` for why it calls so little.

    Args:
        guard: notes errors.
        light: what light steps share.
        values: receives the loss of each pass.
        writes: changes of the weights between an update and the next backward pass.
        exclude: is called if the hook may see a pass several times.
        note_nonfinite: receives a loss that is infinite or NaN.
    """

    def __init__(
        self,
        guard: Guard,
        light: LightSteps,
        values: list[float],
        writes: ForeignWrites,
        exclude: Callable[[], None],
        note_nonfinite: Callable[[Tensor], None],
    ) -> None:
        super().__init__(guard, note_nonfinite)
        self._light, self._values, self._writes, self._weight = light, values, writes, writes.weight
        self._exclude = exclude
        self._depth, self._variable, self._last_id = 0, "", 0
        self._code: CodeType | None = None
        self._caller: CodeType | None = None
        self._last: weakref.ref[Tensor] | None = None

    def __call__(self, _: Tensor) -> None:
        light = self._light
        if light.is_followed or is_dynamo_compiling() or self._guard.failure:
            return
        try:
            value: Any = None
            try:
                frame = get_frame(self._depth)
                if frame.f_code is self._code:
                    caller = frame.f_back
                    if (None if caller is None else caller.f_code) is self._caller:
                        loss = frame.f_locals[self._variable]
                        value = loss.tolist() if type(loss) is Tensor else None
            except ValueError:  # there are fewer callers
                pass
            if type(value) is not float:  # it has another shape, or another caller has it
                loss = self._search(get_frame())
                if loss is None:
                    return
                value = loss.item()
            self._last_id = id(loss)
            light.backwards += 1
            self._values.append(value)
            if self._weight is not None and self._weight._version != self._writes.version:
                self._writes.look(len(self._values))
            if value - value != 0:  # it is infinite or NaN
                self._observe(loss)
            light.arguments = ()  # the memory of the batch is used again by the next one
        except Exception as error:
            self._guard.note(error)

    def _search(self, frame: FrameType) -> Tensor | None:
        """Return the loss among all callers of the hook; None if there is none, or it is noted already."""
        place, loss = search_callers(frame)
        if place is None or loss is None:
            return None
        self._depth, self._code, self._caller, self._variable, is_nested = place
        if is_nested or self._last is not None:  # such passes may reach the parameter several times
            self._exclude()
            self._code = None  # each is searched for
            is_noted = id(loss) == self._last_id if self._last is None else self._last() is loss
            self._last = weakref.ref(loss)
            return None if is_noted else loss
        return loss

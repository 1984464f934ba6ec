"""The doctor in any PyTorch training loop."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch
from torch import nn

from yisheng.core.errors import UsageError, YishengError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.alternatives import add_alternatives
from yisheng.diagnosis.augmented_rows import CHECK as CHECK_OF_AUGMENTATION
from yisheng.diagnosis.augmented_rows import find_harmful_augmentation
from yisheng.diagnosis.batch_dependence import CHECK as CHECK_OF_BATCHES
from yisheng.diagnosis.batch_dependence import find_batch_dependence
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.class_numbers import CHECK as CHECK_OF_KIND
from yisheng.diagnosis.class_numbers import find_class_numbers
from yisheng.diagnosis.course_findings import CHECKS, find_in_course
from yisheng.diagnosis.frozen_vectors import CHECK as CHECK_OF_VECTORS
from yisheng.diagnosis.frozen_vectors import find_frozen_vectors
from yisheng.diagnosis.loop_error import LoopError, explain_loop_error
from yisheng.diagnosis.moved_images import CACHED as CHECK_OF_MOVES
from yisheng.diagnosis.moved_images import find_misplaced_moves
from yisheng.diagnosis.nothing_learned import CHECK as CHECK_OF_LEARNING
from yisheng.diagnosis.nothing_learned import find_nothing_learned
from yisheng.diagnosis.ranking import Diagnosis, add_findings, diagnose, explain_failure
from yisheng.diagnosis.recomputed_scores import CHECK as CHECK_OF_SCORES
from yisheng.diagnosis.recomputed_scores import find_wrong_score
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.source_lines import find_source_of_error
from yisheng.diagnosis.redrawn_inputs import CHECK as CHECK_OF_INPUTS
from yisheng.diagnosis.redrawn_inputs import find_redrawn_inputs
from yisheng.diagnosis.refuted_labels import find_refuted_labels
from yisheng.diagnosis.regularized_line import find_overfitted_line
from yisheng.diagnosis.restart import Beginning, copy_beginning
from yisheng.diagnosis.row_checks import RowResults, examine_rows
from yisheng.diagnosis.row_findings_of_loops import select_for_loop
from yisheng.diagnosis.selected_weights import CHECK as CHECK_OF_SELECTION
from yisheng.diagnosis.selected_weights import find_reversed_selection
from yisheng.diagnosis.trailing_network import find_trailing_network
from yisheng.diagnosis.trained_network import find_label_noise
from yisheng.diagnosis.trained_validation_rows import CHECK as CHECK_OF_PARTS
from yisheng.diagnosis.trained_validation_rows import find_trained_validation_rows
from yisheng.diagnosis.training_state import preserve_random_states
from yisheng.diagnosis.transformed_rows import find_unmoved_masks
from yisheng.diagnosis.trend_of_targets import CHECK as CHECK_OF_TREND
from yisheng.diagnosis.trend_of_targets import find_unreached_targets
from yisheng.diagnosis.unreset_counter import CHECK as CHECK_OF_COUNTER
from yisheng.diagnosis.unreset_counter import find_unreset_counter
from yisheng.diagnosis.unused_rows import CHECK as CHECK_OF_ROWS
from yisheng.diagnosis.unused_rows import find_unused_rows
from yisheng.diagnosis.wording import describe_defect

CHECKS_OF_TWO_PARTS = (CHECK_OF_PARTS, CHECK_OF_ROWS, CHECK_OF_KIND, CHECK_OF_TREND, CHECK_OF_INPUTS, "label-noise")
"""Checks that compare the rows to validate on with the training rows."""
MIN_LEARNED_TO_DOUBT = 0.6
"""Fraction of the loss that must be gone before predictions that contradict a label speak against the label."""
MIN_GAIN_OVER_GUESS = 0.05
"""Fraction by which the best evaluated loss must be below that of guessing to say that something was learned."""


class doctor:  # noqa: N801  # it is used like a function: with yisheng.doctor(model, optimizer) as dr
    """Record a plain PyTorch training loop and find what is wrong with it.

    The trained weights are the same to the bit: the doctor only observes, in each of the first steps and then ever
    fewer. Losses that are computed in evaluation (without gradients, or in evaluation mode) by one of PyTorch's
    loss functions are the course of the validation; others are reported with `validation`.

    Args:
        model: the network.
        optimizer: what updates it.
        data: the training rows ``(x, y)``, a DataFrame, or another object that `yisheng.check_data` reads; they are
            checked when the diagnosis is first asked for.
        validation: rows of the validation part, likewise. A loop that draws new rows for each batch has no training
            rows: then these are given without `data`, and what compares both parts is left out.
        test: rows of the test part, likewise; it is compared with the training rows.

    Raises:
        UsageError: an argument is not a network or not an optimizer, or rows to test on are given without `data`.

    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> x, y = torch.randn(16, 2), torch.arange(16) % 2
    >>> with doctor(net, sgd) as dr:
    ...     for _ in range(5):
    ...         sgd.zero_grad()
    ...         nn.functional.cross_entropy(net(x).softmax(1), y).backward()
    ...         sgd.step()
    >>> dr.findings[0].check, dr.diagnose().findings[0].severity
    ('loss-pairing', 'error')
    >>> print(dr.diagnose().summary)
    training: 1 error; validation and data were not given
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        data: Any = None,
        validation: Any = None,
        test: Any = None,
    ) -> None:
        if not isinstance(model, nn.Module) or not isinstance(optimizer, torch.optim.Optimizer):
            raise UsageError(
                Message(
                    "the doctor requires a torch.nn.Module and a torch.optim.Optimizer, got {type_name} and {name___2}",
                    type_name=type(model).__name__,
                    name___2=type(optimizer).__name__,
                ),
                Message("write: with yisheng.doctor(model, optimizer) as dr: ..."),
            )
        if data is None and test is not None:
            raise UsageError(
                Message("rows to test on are given without the training rows"),
                Message("write: yisheng.doctor(model, optimizer, data=(x, y), validation=(xv, yv), test=(xt, yt))"),
            )
        self._recorder = Recorder(model, optimizer)
        self._data, self._validation, self._test = data, validation, test
        self._row_results: dict[bool | None, RowResults] = {}
        self._error: LoopError | None = None
        self._beginning: Beginning | None = None
        self._diagnosis: Diagnosis | None = None
        self._diagnosed_versions: tuple[int, ...] = ()

    def __enter__(self) -> doctor:
        recorder, self._diagnosis = self._recorder, None
        self._beginning = copy_beginning(recorder.model, recorder.optimizer, self._data, self._validation)
        try:
            recorder.__enter__()
        except Exception as error:  # the program may hold anything, and must not end because of it
            recorder.guard.note(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._recorder.__exit__(kind, error, trace)
        except Exception as defect:
            self._recorder.guard.note(defect)
        if isinstance(error, Exception):
            self._error = LoopError(error, find_source_of_error(trace))

    def validation(self, loss: float | None = None, score: float | None = None) -> None:
        """Report what was measured on validation rows, after any epoch; not necessary for PyTorch's loss functions.

        Args:
            loss: their mean loss, the same as in training.
            score: their score, where larger is better.

        Raises:
            UsageError: neither is given, or one is not a number.

        >>> net = nn.Linear(2, 2)
        >>> with doctor(net, torch.optim.SGD(net.parameters(), lr=0.1)) as dr:
        ...     dr.validation(loss=0.3)
        ...     dr.validation()
        Traceback (most recent call last):
        yisheng.core.errors.UsageError: validation requires a loss or a score as a number, got loss=None, score=None
          write: dr.validation(loss=0.3), or dr.validation(score=accuracy)
        """
        values = [value for value in (loss, score) if value is not None]
        try:
            numbers = [float(value) for value in values]
        except (TypeError, ValueError):
            numbers = []
        if not values or len(numbers) < len(values):
            raise UsageError(
                Message(
                    "validation requires a loss or a score as a number, got loss={loss}, score={score}",
                    loss=f"{loss!r}",
                    score=f"{score!r}",
                ),
                Message("write: dr.validation(loss=0.3), or dr.validation(score=accuracy)"),
            )
        self._diagnosis = None
        self._recorder.observe_validation(
            None if loss is None else float(loss), None if score is None else float(score)
        )

    def diagnose(self) -> Diagnosis:
        """Run all checks on what was recorded so far; this works during training, too.

        After the training the diagnosis is kept: some checks train a copy of the network.
        """
        with preserve_random_states():
            return self._diagnose()

    def _diagnose(self) -> Diagnosis:
        recorder = self._recorder
        try:
            return self._examine_once()
        except YishengError:
            raise
        except Exception as error:  # the program must not end because of it
            recorder.guard.note(error)
            return explain_failure(recorder.steps, recorder.guard.failure)

    def _examine_once(self) -> Diagnosis:
        if not self._recorder.is_finished:
            return self._examine()
        model = self._recorder.model
        versions = tuple(tensor._version for tensor in (*model.parameters(), *model.buffers()))
        if self._diagnosis is None or versions != self._diagnosed_versions:
            self._diagnosis, self._diagnosed_versions = self._examine(), versions
        return self._diagnosis

    def _examine(self) -> Diagnosis:
        case = Case.from_recorder(self._recorder)
        rows = None if self._data is None else self._examine_rows(case)
        if rows is not None:
            case = replace(case, data_rows=rows.rows or None)
        diagnosis = diagnose(case)
        if case.failure:
            return self._add_rows(diagnosis, rows)
        course, course_reason = find_in_course(case)
        missing = ["validation"] if course_reason == "not given" else []
        examined = ["training", *([] if course_reason else ["validation"])]
        unchecked: dict[str, str] = dict.fromkeys(CHECKS, course_reason) if course_reason and not missing else {}
        collect = functools.partial(_collect, unchecked)
        selection = collect(CHECK_OF_SELECTION, find_reversed_selection, case, self._validation, self._beginning)
        counter = collect(CHECK_OF_COUNTER, find_unreset_counter, case)
        findings = [*explain_loop_error(self._error, case, diagnosis), *course, *selection, *counter]
        if rows is None:
            missing.append("data")
            if self._validation is not None:
                unchecked |= dict.fromkeys(CHECKS_OF_TWO_PARTS, Message("there are no training rows to compare with"))
                has_error = any(finding.severity == "error" for finding in diagnosis.findings)
                if case.is_finished and not has_error:
                    findings += collect(CHECK_OF_SCORES, find_wrong_score, case, self._validation)
                    findings += collect(CHECK_OF_BATCHES, find_batch_dependence, case, self._validation)
        else:
            examined.append("data")
            unchecked |= rows.unchecked
            refuted = collect("label-noise", find_refuted_labels, self._recorder.model, rows, self._validation)
            row_findings = [finding for finding in rows.findings if finding not in refuted]
            findings += select_for_loop(row_findings, case, self._data)
            findings += collect(CHECK_OF_PARTS, find_trained_validation_rows, case, self._data, self._validation)
            has_learned = not case.learned_less_than(MIN_LEARNED_TO_DOUBT) and _beats_guess(case) is not False
            if case.is_finished and has_learned:
                findings += collect("label-noise", find_label_noise, self._recorder.model, rows, self._validation)
            if case.is_finished and not any(finding.severity == "error" for finding in diagnosis.findings):
                if not any(finding.check == CHECK_OF_SCORES for finding in diagnosis.findings):
                    findings += collect(CHECK_OF_SCORES, find_wrong_score, case, self._validation)
                findings += collect(CHECK_OF_KIND, find_class_numbers, case, self._data, self._validation)
                findings += collect(CHECK_OF_TREND, find_unreached_targets, case, self._data, self._validation)
                findings += collect(CHECK_OF_BATCHES, find_batch_dependence, case, self._validation)
                moved = collect(CHECK_OF_MOVES, find_misplaced_moves, case, self._data, self._validation)
                findings += moved or collect(CHECK_OF_INPUTS, find_redrawn_inputs, case, self._data, self._validation)
                if not selection:
                    findings += collect(CHECK_OF_ROWS, find_unused_rows, case, self._data, self._validation)
                findings += collect(CHECK_OF_AUGMENTATION, find_unmoved_masks, case, self._data)
            causes = {finding.check for finding in (*diagnosis.findings, *findings) if finding.severity != "note"}
            if case.is_finished and causes <= set(CHECKS):
                parts = (self._beginning, self._data, self._validation)
                reasons = collect(CHECK_OF_AUGMENTATION, find_harmful_augmentation, case, *parts)
                reasons = reasons or collect(CHECK_OF_VECTORS, find_frozen_vectors, case, *parts)
                if reasons:  # it is why the network does not generalize
                    findings = [finding for finding in findings if finding.check not in CHECKS] + reasons
                    causes.add(reasons[0].check)
            if case.is_finished and not causes:
                findings += collect("overfitting", find_overfitted_line, case, self._data, self._validation)
                causes |= {finding.check for finding in findings if finding.severity != "note"}
            if case.is_finished and not causes:
                arguments = (case, rows, self._data, self._validation, self._beginning)
                trailing = collect("underfitting", find_trailing_network, *arguments)
                checks = {finding.check for finding in trailing}
                findings = [finding for finding in findings if finding.check not in checks] + trailing
        causes = {finding.check for finding in (*diagnosis.findings, *findings) if finding.severity != "note"}
        if case.is_finished and not causes:
            findings += collect(CHECK_OF_LEARNING, find_nothing_learned, case)
        diagnosis = replace(diagnosis, examined=tuple(examined), missing=tuple(missing))
        return add_alternatives(add_findings(diagnosis, findings, unchecked), case)

    def _add_rows(self, diagnosis: Diagnosis, rows: RowResults | None) -> Diagnosis:
        """Return the diagnosis of a training that could not be watched, with the findings of its rows."""
        if rows is None:
            return replace(diagnosis, missing=("data",))
        added = add_findings(diagnosis, rows.findings, rows.unchecked)
        return replace(added, examined=("training", "data"))

    def _examine_rows(self, case: Case) -> RowResults:
        """Return the results of the checks of the rows; they are made once, and again if the network beats guessing."""
        beats_guess = _beats_guess(case)
        if beats_guess not in self._row_results:
            x, y = self._data if _is_pair(self._data) else (self._data, None)
            try:
                self._row_results[beats_guess] = examine_rows(
                    x, y, validation=self._validation, test=self._test, beats_baseline=beats_guess
                )
            except YishengError as error:
                unchecked = {"data": f"{error.problem}: {error.remedy}"}
                self._row_results[beats_guess] = RowResults(unchecked=unchecked)
        return self._row_results[beats_guess]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the causes, the most likely first; empty if nothing is wrong."""
        return self.diagnose().findings

    def __str__(self) -> str:
        return str(self.diagnose())

    def _repr_html_(self) -> str:
        return self.diagnose()._repr_html_()


def _collect(
    unchecked: dict[str, str], check: str, find: Callable[..., Iterable[Finding]], *arguments: Any
) -> list[Finding]:
    """Return the findings of a check of the trained network; an error of its own does not stop the user's program.

    The network is the user's: it may return anything, and raise anything on rows that the loop never gave it.
    """
    try:
        return list(find(*arguments))
    except Exception as error:
        unchecked[check] = describe_defect(error)
        return []


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple | list) and len(data) == 2


def _beats_guess(case: Case) -> bool | None:
    """Return whether an evaluated loss was clearly below that of guessing; None if that is unknown."""
    losses = [e.loss for series in case.course.series.values() for e in series if math.isfinite(e.loss)]
    if not losses or not case.baseline_loss > 0:
        return None
    return min(losses) < (1 - MIN_GAIN_OVER_GUESS) * case.baseline_loss

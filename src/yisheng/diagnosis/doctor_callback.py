"""The doctor at the bedside of a run: it watches the training and writes ``findings.json``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from yisheng.core import files
from yisheng.core.errors import NonFiniteError, StoppedError, YishengError
from yisheng.core.run_folder import RunFolder
from yisheng.core.types import Dataset, Finding, Split
from yisheng.diagnosis import data_findings as data_checks
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.examination import build_setup_from_assembly
from yisheng.diagnosis.experiments import ExperimentResults, run_experiments, verify_findings
from yisheng.diagnosis.ranking import Diagnosis, diagnose
from yisheng.diagnosis.recorder import saved_state
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.records import NonFiniteLoss
from yisheng.diagnosis.run_diagnosis import add_history_findings, build_findings
from yisheng.diagnosis.sample import Sample
from yisheng.reporting import run_facts
from yisheng.reporting.findings_schema import Findings
from yisheng.training.setup import Assembly

MEMORY = "watch.safetensors"
"""In the checkpoint's folder: what was seen so far."""


class DoctorCallback:
    """What the doctor sees of one training, from its first step to its last, through stops and continuations.

    Args:
        folder: of the run.
        assembly: what is trained, from where it stands.
        data: the data set; what was noticed while reading it belongs to the page.
    """

    def __init__(self, folder: Path, assembly: Assembly, data: Dataset) -> None:
        self._folder, self._data, self._kept = folder, data, -1
        self._memory = folder / RunFolder.CHECKPOINT / MEMORY
        self._watch: Recorder | None = None
        self._probes = ExperimentResults()
        self._config = assembly.config
        if assembly.config.doctor == "off":
            return
        self._sample = _sample(assembly, data)
        self._said = data_checks.run_checks(self._sample, "cheap", reported=[one.check for one in data.findings])
        state = assembly.state
        if assembly.config.doctor == "full":
            before = _read(folder) if state.step else Findings()
            self._probes = ExperimentResults(before.probes) if state.step else run_experiments(build_setup_from_assembly(assembly))
        self._watch, self._state = Recorder(state.model, state.optimizer, traces=False), state
        if state.step:
            self._recall(state.step)

    @contextlib.contextmanager
    def record_training(self) -> Iterator[None]:
        """Look at the training inside; the hooks are gone afterwards."""
        try:
            if self._watch is None:
                yield
                return
            with self._watch:
                self._state.observe_loss = self._watch.observe_loss
                yield
        except StoppedError:  # to be continued, to the last step
            if self._watch is not None:
                files.write(self._memory, saved_state.dump(self._watch))
            raise
        finally:
            if self._watch is not None:
                self._state.observe_loss = None

    def save_progress(self) -> None:
        """Write what was seen since the last time, so that it outlives this process."""
        watch = self._watch
        if watch is None or len(watch.records) == self._kept:
            return
        self._kept = len(watch.records)
        files.write(self._memory, saved_state.dump(watch))
        later = data_checks.skip_checks("trainings", data_checks.NEEDS_TRAININGS, self._data.spec)
        self._write(data_checks.merge_findings(self._page(None), [self._said, later]))

    def write_report(self, stream: TextIO, error: YishengError | None = None) -> None:
        """Write the page of a run that is over or broke off, and say its errors and warnings, one line each.

        Args:
            stream: where remarks go.
            error: what broke it off.
        """
        if self._watch is None:
            return
        course = run_facts.read(self._folder)
        seen = self._page(error)
        answers = [self._said, self._trained(course, seen, stream, error)]
        found = data_checks.fold_symptoms(add_history_findings(data_checks.merge_findings(seen, answers), course))
        self._write(found)
        known = {finding.cause for finding in self._data.findings}  # was said before training
        for one in found.findings:
            if one.severity != "note" and one.cause not in known:
                print(f"{one.severity}: {one.cause}; {one.remedy}", file=stream)

    def _trained(
        self, course: run_facts.Facts, seen: Findings, stream: TextIO, error: YishengError | None
    ) -> data_checks.CheckResults:
        """What the checks say that train small models; asked with ``doctor=full``, once for all folds."""
        fold, why_not = self._config.fold, ""
        if self._config.doctor != "full":
            why_not = data_checks.NEEDS_TRAININGS
        elif error is not None:
            why_not = "the run broke off"
        elif fold is not None and (not fold.startswith("1/") or self._config.repeat > 1):
            why_not = "asked of the first fold"
        if why_not:
            return data_checks.skip_checks("trainings", why_not, self._data.spec)
        return data_checks.run_checks(
            data_checks.add_run_results(self._sample, course, seen), "trainings", progress=data_checks.announce_checks(stream)
        )

    def _page(self, error: YishengError | None) -> Findings:
        assert self._watch is not None  # asked by the callers
        case = Case.from_recorder(self._watch, from_config=True)
        broken = isinstance(error, NonFiniteError)
        if broken:  # the loop looks at the loss before it is propagated back, so the watch has not seen it
            step = len(case.losses) + 1
            case = replace(case, losses=[*case.losses, math.nan], nonfinite_loss=case.nonfinite_loss or NonFiniteLoss(step, True, True, True))
        diagnosis = verify_findings(_asked(case), self._probes)
        if broken and error is not None:
            diagnosis = _named(diagnosis, error)
        return build_findings(diagnosis, case.records, steps=case.steps, data_findings=self._data.findings, experiments=self._probes)

    def _write(self, found: Findings) -> None:
        files.write_json(self._folder / RunFolder.FINDINGS, found.to_json())

    def _recall(self, step: int) -> None:
        assert self._watch is not None  # just made
        with contextlib.suppress(OSError):
            saved_state.load(self._watch, self._memory.read_bytes(), step)


def _sample(assembly: Assembly, data: Dataset) -> Sample:
    """The data in the parts that are trained and scored on."""
    parts = (assembly.train, assembly.validation, assembly.test)
    split = Split(*(part.rows.cpu().numpy() for part in parts))
    return Sample.from_dataset(data, split, seed=assembly.config.seed, ordered=data_checks.is_ordered(assembly.config, data))


def _read(folder: Path) -> Findings:
    return run_facts.read(folder).findings or Findings()


def _asked(case: Case) -> Diagnosis:
    """What the checks say; a defect in one of them must not cost the run that it looks at."""
    try:
        return diagnose(case)
    except Exception as error:
        return Diagnosis((), {}, {"all of them": f"because of a defect: {type(error).__name__}: {error}"})


def _named(diagnosis: Diagnosis, error: YishengError) -> Diagnosis:
    """Where numbers became non-finite the loop knows more than the watch: the rows, the layer."""

    def told(finding: Finding) -> Finding:
        if finding.check != "non-finite-loss":
            return finding
        return replace(finding, cause=error.problem, remedy=error.remedy)

    symptoms = {check: tuple(map(told, some)) for check, some in diagnosis.symptoms.items()}
    return Diagnosis(tuple(map(told, diagnosis.findings)), symptoms, diagnosis.unchecked)

"""The doctor in a run: it records the training and writes ``findings.json``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from yisheng.core import files
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import NonFiniteError, StoppedError, YishengError
from yisheng.core.findings import Finding
from yisheng.core.logging import SEVERITIES, logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.diagnosis import data_findings
from yisheng.diagnosis.alternatives import add_alternatives_to_run
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.data_checks.label_noise import estimate_random_labels
from yisheng.diagnosis.examination import build_setup_from_assembly
from yisheng.diagnosis.experiments import ExperimentResults, run_experiments, verify_findings
from yisheng.diagnosis.ranking import Diagnosis, diagnose
from yisheng.diagnosis.recorder import saved_state
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.records import NonFiniteLoss
from yisheng.diagnosis.row_images import add_images
from yisheng.diagnosis.row_margins import RowMargins
from yisheng.diagnosis.run_diagnosis import add_history_findings, build_findings
from yisheng.diagnosis.sample import HeldOutPredictions, Sample
from yisheng.diagnosis.trained_network import find_doubtful_labels, predict_validation
from yisheng.reporting import run_facts
from yisheng.reporting.findings_schema import Findings
from yisheng.training.setup import Assembly

RECORDER_FILE = "watch.safetensors"
"""The state of the recorder, in the folder of the checkpoint."""
MIN_LEARNED_TO_DOUBT = 0.1
"""Fraction of the loss that must be gone before the network's predictions speak against a label: a network that has
learned nothing contradicts labels at random, and so does one that only knows its training rows."""


class DoctorCallback:
    """The doctor of one training, from its first step to its last, across stops and continuations.

    Args:
        folder: the run folder.
        assembly: the training in its present state.
        data: the data set; what was found while reading it is part of the findings.
    """

    def __init__(self, folder: Path, assembly: Assembly, data: Dataset) -> None:
        self._folder, self._data = folder, data
        self._saved_records = -1
        self._recorder_path = folder / RunFolder.CHECKPOINT / RECORDER_FILE
        self._recorder: Recorder | None = None
        self._margins: RowMargins | None = None
        self._experiments = ExperimentResults()
        self._config = assembly.config
        if assembly.config.doctor == "off":
            return
        self._sample = _build_sample(assembly, data)
        reported = [finding.check for finding in data.findings]
        self._cheap_results = data_findings.run_checks(self._sample, "cheap", reported=reported)
        self._assembly, state = assembly, assembly.state
        if assembly.config.doctor == "full" and RowMargins.fits(assembly, len(data)):
            self._margins = RowMargins(assembly.spec, len(data))
        if assembly.config.doctor == "full" and state.step:
            self._experiments = ExperimentResults(_read_findings(folder).probes)
        elif assembly.config.doctor == "full":
            self._experiments = run_experiments(build_setup_from_assembly(assembly))
        self._recorder, self._state = Recorder(state.model, state.optimizer, traces=False), state
        if state.step:
            with contextlib.suppress(OSError):
                saved_state.load(self._recorder, self._recorder_path.read_bytes(), state.step)

    def observe(self, assembly: Assembly) -> Assembly:
        """Return the training with updates that record the margin of each row if ``doctor=full``; its bits stay."""
        return assembly if self._margins is None else self._margins.observe(assembly)

    @contextlib.contextmanager
    def record_training(self) -> Iterator[None]:
        """Record the training inside; every hook is removed afterwards."""
        recorder = self._recorder
        if recorder is None:
            yield
            return
        try:
            with recorder:
                self._state.observe_loss = recorder.observe_loss
                self._state.is_recorded = recorder.is_recording
                yield
        except StoppedError:  # the run can be resumed from its last step
            files.write_file(self._recorder_path, saved_state.dump(recorder))
            raise
        finally:
            self._state.observe_loss = self._state.is_recorded = None

    def save_progress(self) -> None:
        """Write the findings so far, and the state of the recorder for a resumed run, if there are new records."""
        recorder = self._recorder
        if recorder is None or len(recorder.records) == self._saved_records:
            return
        self._saved_records = len(recorder.records)
        files.write_file(self._recorder_path, saved_state.dump(recorder))
        skipped = data_findings.skip_checks("trainings", data_findings.NEEDS_TRAININGS, self._data.spec)
        findings = self._build_findings(recorder, None)
        self._write(data_findings.merge_findings(findings, [self._cheap_results, skipped]))

    def write_report(self, error: YishengError | None = None) -> None:
        """Write the findings of a run that has ended, and log its errors and warnings.

        Args:
            error: what ended the run early, if anything.
        """
        if self._recorder is None:
            return
        facts = run_facts.read_run_facts(self._folder)
        case = Case.from_recorder(self._recorder, from_config=True)
        findings = self._build_findings(self._recorder, error)
        predictions, classes = (None, []) if error is not None else predict_validation(self._assembly)
        findings = findings.model_copy(update={"validation_classes": classes})
        sample = data_findings.add_run_results(self._sample, facts, findings)
        if case.learned_less_than(MIN_LEARNED_TO_DOUBT) or sample.beats_baseline is False:
            predictions = network = None
        else:
            network = self._predict_rows(predictions)
        results = [
            self._cheap_results,
            data_findings.CheckResults()
            if error is not None
            else data_findings.run_checks(sample, "scored", skipped=data_findings.find_skipped(facts)),
            self._run_training_checks(replace(sample, network=network), error),
        ]
        if predictions is not None:
            results.append(find_doubtful_labels(sample, predictions, results))
        findings = data_findings.merge_findings(findings, results)
        findings = add_history_findings(findings, replace(facts, findings=findings))
        findings = add_alternatives_to_run(data_findings.fold_symptoms(findings), self._experiments, case)
        self._write(add_images(findings, self._data))
        logged_before_training = {finding.cause for finding in self._data.findings}
        for cause in findings.findings:
            if cause.severity != "note" and cause.cause not in logged_before_training:
                values = {"severity": SEVERITIES[cause.severity], "cause": cause.cause, "remedy": cause.remedy}
                logger.warning(Message("{severity}: {cause}; {remedy}", **values))

    def _predict_rows(self, validation: HeldOutPredictions | None) -> HeldOutPredictions | None:
        """Return what the network predicted for training rows before it knew them, or else for validation rows.

        In later epochs it knows some of the training rows, so the validation rows show the fraction of wrong labels.
        """
        training = None if self._margins is None else self._margins.predictions()
        if training is None or validation is None:
            return training or validation
        labels = self._data.y[validation.rows]
        return replace(training, noise=estimate_random_labels(validation.probabilities, labels))

    def _run_training_checks(self, sample: Sample, error: YishengError | None) -> data_findings.CheckResults:
        """Run the data checks that train small models if ``doctor=full``; in cross-validation for the first fold."""
        fold, reason = self._config.fold, ""
        if self._config.doctor != "full":
            reason = data_findings.NEEDS_TRAININGS
        elif error is not None:
            reason = Message("the run did not finish")
        elif fold is not None and (not fold.startswith("1/") or self._config.repeat > 1):
            reason = Message("it runs for the first fold only")
        if reason:
            return data_findings.skip_checks("trainings", reason, self._data.spec)
        return data_findings.run_checks(sample, "trainings", progress=data_findings.announce_check)

    def _build_findings(self, recorder: Recorder, error: YishengError | None) -> Findings:
        case = Case.from_recorder(recorder, from_config=True)
        if isinstance(error, NonFiniteError):
            # The loop examines the loss before its backward pass, so the recorder has not seen this one.
            nonfinite_loss = case.nonfinite_loss or NonFiniteLoss(len(case.losses) + 1, True, True, True)
            case = replace(case, losses=[*case.losses, math.nan], nonfinite_loss=nonfinite_loss)
        diagnosis = verify_findings(_diagnose_safely(case), self._experiments)
        if isinstance(error, NonFiniteError):
            diagnosis = _explain_nonfinite_loss(diagnosis, error)
        return build_findings(
            diagnosis,
            case.records,
            steps=case.steps,
            data_findings=self._data.findings,
            experiments=self._experiments,
        )

    def _write(self, findings: Findings) -> None:
        files.write_json(self._folder / RunFolder.FINDINGS, findings.to_json())


def _build_sample(assembly: Assembly, data: Dataset) -> Sample:
    """Return the data in the parts that are trained and scored on."""
    parts = (assembly.train, assembly.validation, assembly.test)
    split = Split(*(part.rows.cpu().numpy() for part in parts))
    ordered = data_findings.is_ordered(assembly.config, data)
    return Sample.from_dataset(data, split, seed=assembly.config.seed, ordered=ordered)


def _read_findings(folder: Path) -> Findings:
    return run_facts.read_run_facts(folder).findings or Findings()


def _diagnose_safely(case: Case) -> Diagnosis:
    """Run the training checks; a defect in one of them must not stop the run that it examines."""
    try:
        return diagnose(case)
    except Exception as error:
        return Diagnosis(
            (),
            {},
            {
                "all training checks": Message(
                    "because of a defect: {name__}: {error}", name__=type(error).__name__, error=error
                )
            },
        )


def _explain_nonfinite_loss(diagnosis: Diagnosis, error: YishengError) -> Diagnosis:
    """Replace the message of ``non-finite-loss`` by that of the training loop, which knows the rows and the layer."""

    def explain(finding: Finding) -> Finding:
        if finding.check != "non-finite-loss":
            return finding
        return replace(finding, cause=error.problem, remedy=error.remedy)

    symptoms = {check: tuple(map(explain, findings)) for check, findings in diagnosis.symptoms.items()}
    return Diagnosis(tuple(map(explain, diagnosis.findings)), symptoms, diagnosis.unchecked)

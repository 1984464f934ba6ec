"""Other causes that remain possible behind a finding, and the experiment that would distinguish each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from yisheng.core import registry
from yisheng.core.findings import Alternative
from yisheng.core.messages import Message
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.experiments import (
    HIGHER_LRS,
    LOWER_LRS,
    MIN_GAIN,
    ONE_BATCH,
    ONE_BATCH_START,
    STANDARDIZED_INPUTS,
    UNCHANGED,
    ExperimentResults,
)
from yisheng.diagnosis.ranking import DATA, Diagnosis
from yisheng.reporting.findings_schema import Alternative as StoredAlternative
from yisheng.reporting.findings_schema import Findings

MAX_ALTERNATIVES = 2
"""Other causes that are listed: the second and the third."""
MAX_STD, MAX_RARE_FRACTION = 3.0, 0.1
"""Standard deviation of inputs or targets that may do harm; fraction of the rarest class that may move the loss."""
FITS_ONE_BATCH = 0.5
"""Loss of one batch at best, relative to that at first, of a network that is large enough."""


@dataclass(frozen=True)
class Candidate:
    """A cause that may be behind a finding.

    Args:
        check: the check that finds it; if it has been made, the cause is no longer open. Empty if there is none.
        cause: as a clause.
        experiment: what to try, and which outcome shows the cause.
        changes: the experiments of ``doctor=full`` that decide, by their names.
        applies: whether the recorded training allows it.
    """

    check: str
    cause: str
    experiment: str
    changes: tuple[str, ...] = ()
    applies: Callable[[Case], bool] = lambda _: True


def _has_unscaled_inputs(case: Case) -> bool:
    batch = next((record.inputs for record in case.records if record.inputs is not None), None)
    return batch is not None and (batch.std > MAX_STD or abs(batch.mean) > MAX_STD)


def _has_unscaled_targets(case: Case) -> bool:
    targets = case.collect_targets()
    is_regression = case.pairing is not None and case.pairing.loss in REGRESSION_LOSSES
    return is_regression and targets is not None and len(targets) > 1 and float(targets.double().std()) > MAX_STD


def _has_rare_class(case: Case) -> bool:
    targets = case.collect_targets()
    if targets is None or targets.is_floating_point() or not len(targets):
        return False
    counts = targets.unique(return_counts=True)[1]
    return len(counts) > 1 and float(counts.min()) < MAX_RARE_FRACTION * float(counts.sum())


SCALE = Candidate(
    "inputs",
    Message("the inputs are not scaled"),
    Message("standardize them and keep the learning rate: the loss falls further"),
    (STANDARDIZED_INPUTS,),
    _has_unscaled_inputs,
)
TARGETS = Candidate(
    "target-scale",
    Message("the targets are not scaled"),
    Message("train on (target - mean) / standard deviation: the loss falls below that of the mean"),
    applies=_has_unscaled_targets,
)
HIGH_RATE = Candidate(
    "high-learning-rate",
    Message("the learning rate is too high"),
    Message("divide it by 10 from the same start: the loss falls further"),
    tuple(LOWER_LRS),
)
LOW_RATE = Candidate(
    "low-learning-rate",
    Message("the learning rate is too low"),
    Message("multiply it by 10 from the same start: the loss falls further"),
    tuple(HIGHER_LRS),
)
CAPACITY = Candidate(
    "",
    Message("the network is too small"),
    Message("train on one batch only: a network that is large enough fits it"),
    (ONE_BATCH,),
)
RARE_CLASSES = Candidate(
    "",
    Message("batches with rows of a rare class move the loss"),
    Message("compare the losses with and without them, or draw every class equally often: the loss becomes smooth"),
    applies=_has_rare_class,
)
NOISE = Candidate(
    "label-noise",
    Message("labels are wrong"),
    Message("look at the rows whose label contradicts confident predictions of rows that were held out"),
)
SHIFT = Candidate(
    "shifted-rows",
    Message("the held-out rows come from another distribution"),
    Message("train a classifier to distinguish the parts: at an AUC of 0.5 they are alike"),
)
SIGNAL = Candidate(
    "no-signal",
    Message("the inputs do not determine the target"),
    Message("train a quick model on shuffled targets: it does as well as on the true ones"),
)
CANDIDATES: Mapping[str, tuple[Candidate, ...]] = {
    "high-learning-rate": (SCALE, TARGETS),
    "oscillation": (RARE_CLASSES, SCALE),
    "low-learning-rate": (SCALE, CAPACITY),
    "plateau": (LOW_RATE, CAPACITY),
    "dead-relu": (HIGH_RATE, SCALE),
    "saturated-activation": (SCALE, HIGH_RATE),
    "exploding-gradients": (SCALE, HIGH_RATE),
    "non-finite-loss": (HIGH_RATE, SCALE),
    "initial-loss": (SCALE, HIGH_RATE),
    "inputs": (HIGH_RATE, LOW_RATE),
    "target-scale": (HIGH_RATE, LOW_RATE),
    "overfitting": (NOISE, SHIFT),
    "memorization": (SIGNAL, SHIFT),
    "underfitting": (LOW_RATE, SIGNAL),
    "baseline-not-beaten": (SIGNAL, LOW_RATE),
}
"""What else may be behind the finding of a check, the more likely first."""


def add_alternatives(diagnosis: Diagnosis, case: Case, results: ExperimentResults | None = None) -> Diagnosis:
    """Return a diagnosis whose findings name the causes that remain possible.

    Args:
        diagnosis: of a training.
        case: the training.
        results: of the experiments, if they were made.
    """
    listed = {finding.check for finding in diagnosis.findings}
    listed |= {symptom.check for symptoms in diagnosis.symptoms.values() for symptom in symptoms}
    checked = set() if "data" not in diagnosis.examined else set(registry.names(DATA)) - set(diagnosis.unchecked)
    results = results or ExperimentResults()
    findings = tuple(
        replace(finding, alternatives=_list_alternatives(finding.check, listed | checked, results, case))
        if finding.severity != "note"
        else finding
        for finding in diagnosis.findings
    )
    return replace(diagnosis, findings=findings)


def add_alternatives_to_run(findings: Findings, results: ExperimentResults, case: Case | None = None) -> Findings:
    """Return the findings of a run with the causes that remain possible; see `add_alternatives`."""
    listed = {cause.check for cause in findings.findings}
    listed |= {symptom.check for cause in findings.findings for symptom in cause.symptoms}
    checked = set(registry.names(DATA)) - set(findings.unchecked)
    causes = []
    for cause in findings.findings:
        alternatives = _list_alternatives(cause.check, listed | checked, results, case)
        stored = [StoredAlternative(**vars(alternative)) for alternative in alternatives]
        causes.append(cause if cause.severity == "note" else cause.model_copy(update={"alternatives": stored}))
    return findings.model_copy(update={"findings": causes})


def _list_alternatives(
    check: str, excluded: Collection[str], results: ExperimentResults, case: Case | None
) -> tuple[Alternative, ...]:
    """Return the causes that remain possible behind the finding of a check.

    Args:
        check: the check.
        excluded: checks that have found something, or have been made on the data and found nothing.
        results: of the experiments: a cause whose experiment changed nothing is left out.
        case: the training, or None if it is not there.
    """
    alternatives = []
    for candidate in CANDIDATES.get(check, ()):
        if candidate.check in excluded or (case is not None and not candidate.applies(case)):
            continue
        result = _describe_result(candidate, results)
        if result is not None:
            alternatives.append(Alternative(candidate.cause, candidate.experiment, result))
    return tuple(alternatives[:MAX_ALTERNATIVES])


def _describe_result(candidate: Candidate, results: ExperimentResults) -> str | None:
    """Return the outcome of a candidate's experiment; empty if it was not made, None if it rules the cause out."""
    if candidate.changes == (ONE_BATCH,):
        start, best = results.loss(ONE_BATCH_START), results.loss(ONE_BATCH)
        if not start > 0:
            return ""
        return (
            None
            if best < FITS_ONE_BATCH * start
            else Message("the loss of one batch fell from {start} to {best}", start=f"{start:.3g}", best=f"{best:.3g}")
        )
    change, gain = results.best_change(candidate.changes)
    if not change:
        return ""
    if not gain >= MIN_GAIN:
        return None
    return Message(
        "{change}: loss {change_2} instead of {UNCHANGED}",
        change=change,
        change_2=f"{results.loss(change):.3g}",
        UNCHANGED=f"{results.loss(UNCHANGED):.3g}",
    )

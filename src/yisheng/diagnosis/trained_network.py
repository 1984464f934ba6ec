"""What a trained network predicts for rows that it was not trained on: recall of each class, and doubtful labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from yisheng.core.findings import Finding
from yisheng.diagnosis.batched_outputs import predict_in_batches
from yisheng.diagnosis.data_checks.label_noise import find_contradicted_labels
from yisheng.diagnosis.data_findings import CheckResults
from yisheng.diagnosis.given_rows import has_tensors
from yisheng.diagnosis.row_checks import RowResults
from yisheng.diagnosis.sample import HeldOutPredictions, Sample
from yisheng.evaluation.per_class import compute_per_class
from yisheng.evaluation.predictions import predict
from yisheng.reporting.evaluation_schema import ClassRow
from yisheng.training.setup import Assembly

LABEL_NOISE = "label-noise"
VALIDATION = "the network, on validation rows"


def predict_validation(assembly: Assembly) -> tuple[HeldOutPredictions | None, list[ClassRow]]:
    """Return the predictions of a run's best weights for its validation rows, and rows and recall of each class."""
    spec, state = assembly.spec, assembly.state
    if spec.task != "classification" or not len(assembly.validation.rows):
        return None, []
    predictions = predict(state.model, assembly.validation, spec)
    rows = [ClassRow.model_validate(row) for row in compute_per_class(spec, predictions.y, predictions.prediction)]
    return HeldOutPredictions(predictions.index, predictions.prediction, VALIDATION), rows


def find_doubtful_labels(
    sample: Sample, predictions: HeldOutPredictions, results: Sequence[CheckResults]
) -> CheckResults:
    """Return the results of `label-noise` by a run's predictions for validation rows, unless it was found before.

    Args:
        sample: the data.
        predictions: of the run's network.
        results: of the other checks of the data.
    """
    if any(finding.check == LABEL_NOISE for result in results for finding in result.findings):
        return CheckResults()
    finding = find_contradicted_labels(sample, predictions)
    return CheckResults() if finding is None else CheckResults((LABEL_NOISE,), (finding,))


def find_label_noise(model: nn.Module, rows: RowResults, validation: Any) -> Iterator[Finding]:
    """Yield doubtful labels among the validation rows of a user's own loop, by the trained network.

    The network gets the rows as they were given to the doctor; if it cannot take them, or its outputs are not one per
    class, there is no finding. Its modes and the random generators stay as they are.

    Args:
        model: the trained network.
        rows: the rows that the doctor was given.
        validation: the validation rows ``(x, y)``.
    """
    sample = rows.sample
    is_reported = any(finding.check == LABEL_NOISE for finding in rows.findings)
    if is_reported or sample is None or sample.spec.task != "classification" or not has_tensors(validation):
        return
    output = predict_in_batches(model, validation[0])
    if output is None or output.shape != (len(sample.rows("validation")), len(sample.spec.classes)):
        return
    predictions = HeldOutPredictions(sample.rows("validation"), output.softmax(1).numpy(), VALIDATION)
    finding = find_contradicted_labels(sample, predictions)
    if finding is not None:
        yield finding

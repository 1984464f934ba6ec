"""Results of data checks are merged into the findings of a run."""

from yisheng.core.findings import Finding
from yisheng.core.spec import Spec
from yisheng.diagnosis.data_findings import CheckResults, merge_findings, skip_checks
from yisheng.reporting.findings_schema import Findings


def make_cause(check, severity="warning", **fields):
    return {"check": check, "severity": severity, "cause": check, "remedy": "fix it", **fields}


def test_cause_in_the_data_explains_history_and_precedes_rates():
    history = make_cause("overfitting", symptoms=[make_cause("baseline-not-beaten")])
    findings = Findings(findings=[make_cause("low-learning-rate"), make_cause("loss-pairing"), history])
    results = CheckResults(("no-signal",), (Finding("no-signal", "warning", {}, "no signal", "fix it"),))
    merged = merge_findings(findings, [results])
    assert [cause.check for cause in merged.findings] == ["loss-pairing", "no-signal", "low-learning-rate"]
    assert [symptom.check for symptom in merged.findings[1].symptoms] == ["overfitting", "baseline-not-beaten"]
    error = findings.findings[2].model_copy(update={"severity": "error"})
    merged = merge_findings(findings.model_copy(update={"findings": [error]}), [results])
    assert [cause.check for cause in merged.findings] == ["overfitting", "no-signal"]


def test_new_results_replace_earlier_ones():
    findings = Findings(
        findings=[make_cause("label-noise")], unchecked={"no-signal": "skipped", "mode": "nothing recorded"}
    )
    merged = merge_findings(findings, [CheckResults(("label-noise", "no-signal"))])
    assert merged.findings == []
    assert merged.unchecked == {"mode": "nothing recorded"}
    skipped = skip_checks("trainings", "skipped", Spec("regression", (2,)))
    unchecked = {"mode", "no-signal", "shifted-rows", "learning-curve", "circular-target"}
    assert set(merge_findings(merged, [skipped]).unchecked) == unchecked

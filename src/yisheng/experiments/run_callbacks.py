"""What follows a run when it has ended or broken off: report, table of epochs, TensorBoard's last files, submission."""

from __future__ import annotations

from typing import Final

from yisheng.experiments import submission
from yisheng.experiments.run import RunCallback, RunResult
from yisheng.loggers.tensorboard import run_summary
from yisheng.reporting import history_csv, run_page


def write_report(result: RunResult) -> None:
    """Write ``report.html``."""
    run_page.write_run_page(result.folder.path)


def write_history(result: RunResult) -> None:
    """Write ``history.csv``."""
    history_csv.write_history_csv(result.folder.path)


def write_tensorboard_summary(result: RunResult) -> None:
    """Write the scores with the config for TensorBoard's HParams view, if the config asks for TensorBoard."""
    if result.error is None and result.config.tensorboard:
        run_summary.write_summary(result.folder.path)


def write_submission(result: RunResult) -> None:
    """Write ``submission.csv`` with the predictions for the data's test table, if it has one without targets."""
    if result.error is None:
        submission.predict_test_table(result.folder, result.config)


CALLBACKS: Final[tuple[RunCallback, ...]] = (
    write_report,
    write_history,
    write_tensorboard_summary,
    write_submission,
)
"""The callbacks of every run in a run folder, in their order."""

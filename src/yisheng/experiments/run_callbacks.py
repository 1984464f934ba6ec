"""What follows a run when it has ended or broken off: report, table of epochs, TensorBoard's last files, submission."""

from __future__ import annotations

from typing import Final

from yisheng.experiments import submission
from yisheng.experiments.run import EndedRun, RunCallback
from yisheng.loggers.tensorboard import run_summary
from yisheng.reporting import history_csv, run_page


def write_report(ended: EndedRun) -> None:
    """Write ``report.html``."""
    run_page.write_run_page(ended.folder.path)


def write_history(ended: EndedRun) -> None:
    """Write ``history.csv``."""
    history_csv.write_history_csv(ended.folder.path)


def write_tensorboard_summary(ended: EndedRun) -> None:
    """Write the scores with the config for TensorBoard's HParams view, if the config asks for TensorBoard."""
    if ended.error is None and ended.config.tensorboard:
        run_summary.write_summary(ended.folder.path)


def write_submission(ended: EndedRun) -> None:
    """Write ``submission.csv`` with the predictions for the data's test table, if it has one without targets."""
    if ended.error is None:
        submission.predict_test_table(ended.folder, ended.config)


CALLBACKS: Final[tuple[RunCallback, ...]] = (
    write_report,
    write_history,
    write_tensorboard_summary,
    write_submission,
)
"""The callbacks of every run in a run folder, in their order."""

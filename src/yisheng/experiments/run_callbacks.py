"""What follows a run when it has ended or broken off: leaderboard, report, table of epochs, submission and others."""

from __future__ import annotations

import json
from typing import Final

from yisheng.core import files
from yisheng.core.run_folder import RunFolder
from yisheng.experiments import submission
from yisheng.experiments.run_training import RunCallback, RunResult
from yisheng.loggers.tensorboard import run_summary
from yisheng.reporting import history_csv, run_page
from yisheng.training.portfolio.leaderboard import make_leaderboard
from yisheng.training.portfolio.plan import ENSEMBLE


def write_leaderboard(result: RunResult) -> None:
    """Write ``leaderboard.json``, what an ensemble tried, if the run has trained one."""
    if result.error is not None or result.config.model.name != ENSEMBLE:
        return
    from safetensors import safe_open

    with safe_open(result.folder.file(RunFolder.WEIGHTS), framework="pt") as tensors:
        plain = json.loads(tensors.get_tensor("description").numpy().tobytes())
    content = make_leaderboard(plain, result.config.score, result.data.spec)
    files.write_json(result.folder.file(RunFolder.LEADERBOARD), content)


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
    write_leaderboard,
    write_report,
    write_history,
    write_tensorboard_summary,
    write_submission,
)
"""The callbacks of every run in a run folder, in their order."""

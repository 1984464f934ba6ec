"""Checks of a search before any training: every value of its space builds a network, and scores can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.seeds import isolated_generators
from yisheng.experiments.search.plan import SearchPlan
from yisheng.experiments.search.search_data import SearchData
from yisheng.experiments.search.trial_jobs import TrialJobs
from yisheng.reporting.search_facts import format_value
from yisheng.search.executors.stacked import chunks
from yisheng.search.trials import Trial
from yisheng.training.setup import Assembly


def require_buildable(plan: SearchPlan, data: SearchData, jobs: TrialJobs) -> Assembly:
    """Build a network with every value of the space, to report values that do not fit before any training.

    Args:
        plan: of the search.
        data: of the search.
        jobs: of its trials.

    Returns:
        The first training setup.

    Raises:
        UsageError: a value does not fit the data.
        DataError: the data cannot be trained on.
    """
    first: Assembly | None = None
    with isolated_generators():
        for setting in plan.space.settings_to_check():
            job = jobs.build(Trial(0, setting))[0]
            assembly = data.trainer(job.config).assemble(job)
            _require_comparable(first or assembly, assembly, setting)
            reason = chunks.explain_refused_config(assembly.config) or chunks.explain_refused_network(assembly)
            if plan.executor == "stacked" and reason:
                raise UsageError(
                    Message("executor=stacked: these cannot be trained together: {reason}", reason=reason),
                    Message("remove executor="),
                )
            first = first or assembly
    assert first is not None  # a space has settings
    return first


def _require_comparable(first: Assembly, assembly: Assembly, setting: Mapping[str, Any]) -> None:
    """Refuse data with other classes or another score than the first: the scores could not be compared."""
    for name, expected, actual in (
        ("task", first.spec.task, assembly.spec.task),
        ("classes", first.spec.classes, assembly.spec.classes),
        ("score", first.score_key, assembly.score_key),
    ):
        if expected != actual:
            values = " ".join(f"{key}={format_value(value)}" for key, value in setting.items())
            raise UsageError(
                Message(
                    "{values}: its {name} differs from the first setting's, and the scores cannot be compared",
                    values=values,
                    name=name,
                ),
                Message("search over options of the data that change its inputs only"),
            )

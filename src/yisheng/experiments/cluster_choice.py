"""Which trainings a cluster can take: those of many models."""

from __future__ import annotations

from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.search.executors.cluster import require_cluster
from yisheng.training.portfolio.plan import ENSEMBLE


def require_many_trainings(config: Config) -> None:
    """Refuse a cluster for a config that trains one model.

    Raises:
        UsageError: it does.
    """
    if config.model.name != ENSEMBLE or is_custom(config.model):
        raise UsageError(
            Message("cluster= is for many trainings: folds=, budget= on a table, or a search"),
            Message("add folds=5 or budget=1m, or leave cluster= out"),
        )


def require_usable_cluster(cluster: str | None, config: Config) -> None:
    """Refuse a cluster that cannot be used here, or for a config that trains one model.

    Args:
        cluster: see `yisheng.search.executors.cluster.require_cluster`; None is always right.
        config: of one run.

    Raises:
        UsageError: the cluster has another form or cannot be used, or the config trains one model.
        MissingPartError: Ray is not installed.
    """
    if cluster is not None:
        require_many_trainings(config)
        require_cluster(cluster)

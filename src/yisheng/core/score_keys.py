"""Names of scores: of a metric, or of a metric on one of several targets (``rmse[age]``)."""

from __future__ import annotations


def join_score_key(metric: str, target: str) -> str:
    """Return the name of a metric's score on one of several targets.

    >>> join_score_key("log_rmse", "body height")
    'log_rmse[body height]'
    """
    return f"{metric}[{target}]"


def split_score_key(key: str) -> tuple[str, str]:
    """Return metric and target of a score; the target is empty for a score of all targets.

    >>> split_score_key("rmse[x[0]]"), split_score_key("f1_macro")
    (('rmse', 'x[0]'), ('f1_macro', ''))
    """
    metric, mark, target = key.partition("[")
    return (metric, target[:-1]) if mark and target.endswith("]") else (key, "")


def display_score_key(key: str) -> str:
    """Return the name of a score as the command line writes it; the name of a target is unchanged.

    >>> display_score_key("f1_macro"), display_score_key("log_rmse[body_height]")
    ('f1-macro', 'log-rmse[body_height]')
    """
    metric, target = split_score_key(key)
    metric = metric.replace("_", "-")
    return join_score_key(metric, target) if target else metric


def parse_score_key(text: str) -> tuple[str, str]:
    """Return part and name of a score that a user writes; without a part it is empty.

    >>> parse_score_key("validation.F1-macro"), parse_score_key("rmse[Body.Height]")
    (('validation', 'f1_macro'), ('', 'rmse[Body.Height]'))
    """
    metric, target = split_score_key(text.strip())
    part, _, metric = metric.replace("-", "_").lower().rpartition(".")
    return part, join_score_key(metric, target) if target else metric

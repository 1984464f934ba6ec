"""What comes before a training: its config, a test of learning rates, concepts, and this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from yisheng.api.arguments import collect_settings, require_keywords, separate_dataset
from yisheng.core.errors import UsageError
from yisheng.core.logging import show_on_stderr
from yisheng.core.paths import parse_out_path, parse_runs_path
from yisheng.core.remote.sessions import publish_at_end
from yisheng.core.seeds import isolated_generators
from yisheng.core.setting_types import COMMON_SETTINGS, SETTINGS, gather_common_settings, gather_settings
from yisheng.core.settings import merge_settings
from yisheng.core.signatures import declare_keywords

if TYPE_CHECKING:
    from yisheng.core.setting_types import CommonSettings, Settings
    from yisheng.experiments.explain import Explanation
    from yisheng.reporting.lr_find_facts import LearningRateTest


def config(*, config: str | Path | None = None, data: Any = None, **settings: Unpack[Settings]) -> dict[str, Any]:
    """Return the config that `train` would use with the same arguments, as plain data; nothing is trained.

    Args:
        config: a config in TOML.
        data: as for `train`.
        **settings: as for `train`.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.

    >>> config(model="mlp", lr=0.1)["optimizer"]
    {'name': 'auto', 'lr': 0.1}
    """
    _, keywords = separate_dataset(config, data, gather_settings(**settings))
    return merge_settings(collect_settings(config, keywords)).config.to_dict()


@require_keywords
@isolated_generators()
@publish_at_end()
def lr_find(
    *,
    config: str | Path | None = None,
    data: Any = None,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    seeds: int = 3,
    out: str | Path = "runs",
    quiet: bool = False,
    **settings: Unpack[CommonSettings],
) -> LearningRateTest:
    """Test a range of learning rates in a few steps of new networks; see `yisheng.experiments.lr_find.find_lr`.

    Args:
        config: a config in TOML.
        data: as for `train`.
        low: the first learning rate.
        high: the last one.
        steps: steps of a test.
        seeds: number of tests, with the config's seed and the following ones.
        out: folder in which a folder with the report is created.
        quiet: show no messages.
        **settings: as for `train`.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.
        DataError: the data cannot be read.

    >>> import tempfile
    >>> test = lr_find(data="iris", model="mlp", steps=40, seeds=1, out=tempfile.mkdtemp(), quiet=True)
    >>> len(test.curves), test.caveats[0].startswith("The test sees the first 40 updates only.")
    (1, True)
    """
    from yisheng.experiments.lr_find import find_lr

    with show_on_stderr(quiet=quiet):
        dataset, keywords = separate_dataset(config, data, gather_common_settings(**settings))
    merged = merge_settings(collect_settings(config, keywords)).config
    folder = parse_runs_path(out)
    with show_on_stderr(quiet=quiet):
        return find_lr(merged, data=dataset, out=folder, low=low, high=high, steps=steps, seeds=seeds)


@isolated_generators()
def explain(name: str, *, out: str | Path | None = None) -> Explanation:
    """Return a concept: its equation, the code from scratch, the library's call, when to use it; prints as text.

    Args:
        name: the concept; ``yisheng explain`` lists them.
        out: file for its image (.png, .svg, .pdf).

    Raises:
        UsageError: there is no such concept, or no image of it.
        StorageError: the image cannot be written.

    >>> explain("sgd").equation
    'w ← w − lr (g + λ w)'
    """
    from yisheng.experiments import explain as explaining

    if not isinstance(name, str):
        raise UsageError(f"a concept is named by text, got {type(name).__name__}", 'write yisheng.explain("adam")')
    explanation = explaining.explain(name)
    if out is not None:
        explanation.draw(parse_out_path(out))
    return explanation


def env() -> dict[str, Any]:
    """Return facts about this machine, and ``advice`` on what is missing; see `yisheng.experiments.environment`.

    >>> {"torch", "cores", "advice"} <= env().keys()
    True
    """
    from yisheng.experiments.environment import advise, collect_facts

    machine = collect_facts()
    return {**machine, "advice": advise(machine)}


declare_keywords(config, SETTINGS)
declare_keywords(lr_find, COMMON_SETTINGS)

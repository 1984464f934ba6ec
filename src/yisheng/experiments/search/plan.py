"""The plan of a search: its space, its sampler and how its trials are trained; checked, written and read."""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from yisheng.core import files, registry
from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.entry import Entry
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.settings import Setting
from yisheng.core.values import validate_value
from yisheng.loggers.tensorboard import hparams
from yisheng.search.build_space import build_space
from yisheng.search.space import MAX_SETTINGS, Space, space_from_plain, space_to_plain
from yisheng.search.trials import Trial

SAMPLERS: Final = "search.samplers"
DEFAULT_TRIALS: Final = 40
MAX_SEEDS: Final = 1000
MAX_PROCESSES: Final = 1000
PLANNED_OPTIONS: Final = ("n", "seed", "epochs")
"""Options of a sampler that the plan sets, so the user cannot."""

Executor = Literal["auto", "serial", "stacked"]


@dataclass(frozen=True)
class SearchPlan:
    """A checked search.

    Args:
        space: what is searched.
        sampler: how settings are chosen.
        n: number of settings, or None if the sampler decides it.
        seeds: trainings of a setting on each fold, with the config's seed and the following ones.
        executor: ``serial``, ``stacked``, or ``auto``.
        processes: for serial training, number of processes.
        options: of the sampler.
        tensorboard: also write TensorBoard's files.
    """

    space: Space
    sampler: str
    n: int | None = None
    seeds: int = 1
    executor: Executor = "auto"
    processes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    tensorboard: bool = False

    def rounds(self, epochs: int) -> Generator[list[Trial], list[float | None], None]:
        """Return the sampler's rounds of trials, from the first one.

        Args:
            epochs: of a complete training, for a sampler that divides them.
        """
        accepted = registry.find(SAMPLERS, self.sampler).options
        planned = {"n": self.n or 0, "seed": self.config.seed, "epochs": epochs}
        options = {name: value for name, value in planned.items() if name in accepted}
        rounds: Generator[list[Trial], list[float | None], None]
        rounds = registry.build(SAMPLERS, self.sampler, self.space.axes, **options, **self.options)
        return rounds

    @property
    def divides_epochs(self) -> bool:
        """Return whether the sampler decides the number of epochs of a trial."""
        return "epochs" in registry.find(SAMPLERS, self.sampler).options

    @property
    def config(self) -> Config:
        """Return the config of one of the settings, for everything that does not vary."""
        return self.space.config(next(self.space.settings_to_check()))


def plan_search(
    settings: Sequence[Setting],
    *,
    search: str = AUTO,
    n: int | None = None,
    seeds: int = 1,
    executor: str = AUTO,
    processes: int = 1,
    options: Mapping[str, Any] | None = None,
    tensorboard: bool = False,
) -> SearchPlan:
    """Return the plan of a search; all of it is checked before anything is trained.

    Args:
        settings: of the config, alternatives and ranges among them; see `yisheng.search.build_space.build_space`.
        search: the sampler; ``auto`` is a grid if there are alternatives only and no ``n``, else random.
        n: number of settings; 40 if the sampler needs a number and none is given.
        seeds: trainings of each setting on each fold.
        executor: ``auto``, ``serial`` or ``stacked``.
        processes: for serial training, number of processes.
        options: of the sampler, ``{"eta": 4}`` for example.
        tensorboard: write TensorBoard's files, for its HParams view.

    Raises:
        UsageError: a key, value or name is wrong; the space is too large for a grid, or has ranges.
        MissingPartError: the sampler needs a package that is not installed.
    """
    _require_counts(n, seeds, processes)
    validate_value("executor", Executor, executor)
    if executor == "stacked" and processes > 1:
        raise UsageError(
            Message(
                "executor=stacked and processes={processes} contradict: stacked training is in one process",
                processes=processes,
            ),
            Message("leave one out"),
        )
    space = build_space(settings)
    if any(space.config(setting).epochs == 0 for setting in itertools.islice(space.settings_to_check(), MAX_SETTINGS)):
        raise UsageError(
            Message("a search trains, and epochs=0 trains nothing"), Message("leave epochs out, or use epochs=10")
        )
    if search == AUTO:
        search = "random" if space.has_ranges or n is not None else "grid"
    sampler = registry.find(SAMPLERS, search)
    _require_sampler_fits(sampler, space, n)
    _require_options(sampler, options or {})
    if tensorboard:
        hparams.require_tensorboard()
    plan = SearchPlan(
        space,
        sampler.name,
        (n or DEFAULT_TRIALS) if _takes_number(sampler) else None,
        seeds,
        executor,  # type: ignore[arg-type]  # validated above
        processes,
        dict(options or {}),
        tensorboard,
    )
    with contextlib.closing(plan.rounds(epochs=1)) as rounds:
        next(rounds)  # a missing package is reported here
    return plan


def _require_counts(n: int | None, seeds: int, processes: int) -> None:
    for name, value, largest in (
        ("n", n, MAX_SETTINGS),
        ("seeds", seeds, MAX_SEEDS),
        ("processes", processes, MAX_PROCESSES),
    ):
        if name == "n" and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
            raise UsageError(
                Message(
                    "{name} must be a whole number from 1 to {largest}, got {value}",
                    name=name,
                    largest=f"{largest:,}",
                    value=f"{value!r}",
                ),
                Message("use {name}=3", name=name),
            )


def _takes_number(sampler: Entry) -> bool:
    return bool(sampler.meta.get("counts", True))


def _require_sampler_fits(sampler: Entry, space: Space, n: int | None) -> None:
    if space.has_ranges and not sampler.meta.get("ranges", True):
        ranges = ", ".join(axis.name for axis in space.axes if axis.values is None)
        raise UsageError(
            Message("search={name} needs alternatives, but {ranges} is a range", name=sampler.name, ranges=ranges),
            Message("use search=random, or give alternatives"),
        )
    if not _takes_number(sampler):
        if n is not None:
            raise UsageError(
                Message("search={name} trains all settings: n={n} has no meaning", name=sampler.name, n=n),
                Message("leave n or search out"),
            )
        if (size := space.size or 0) > MAX_SETTINGS:
            raise UsageError(
                Message(
                    "{name}: {size} settings, more than {MAX_SETTINGS}",
                    name=sampler.name,
                    size=f"{size:,}",
                    MAX_SETTINGS=f"{MAX_SETTINGS:,}",
                ),
                Message("give fewer alternatives, or n=40 for random ones"),
            )
    if "epochs" in sampler.options and any(axis.key == "epochs" for axis in space.axes):
        raise UsageError(
            Message("search={name} divides the epochs itself: they cannot vary", name=sampler.name),
            Message("give one epochs="),
        )


def _require_options(sampler: Entry, options: Mapping[str, Any]) -> None:
    accepted = [option for option in sampler.options if option not in PLANNED_OPTIONS]
    for name in options:
        if name not in accepted:
            raise UsageError(
                Message("search={name} has no option {option}", name=sampler.name, option=f"{name!r}"),
                suggest(name, accepted),
            )


def write_plan(folder: RunFolder, plan: SearchPlan) -> None:
    """Write ``search.toml``.

    Raises:
        StorageError: it cannot be written.
    """
    import tomli_w

    content: dict[str, Any] = {"search": plan.sampler, "seeds": plan.seeds, "executor": plan.executor}
    content |= {"processes": plan.processes, "tensorboard": plan.tensorboard}
    content |= {} if plan.n is None else {"n": plan.n}
    content |= {"options": dict(plan.options)} if plan.options else {}
    files.write_file(folder.file(RunFolder.SEARCH), tomli_w.dumps({**content, **space_to_plain(plan.space)}))


def read_plan(folder: RunFolder) -> SearchPlan:
    """Return the plan in a folder's ``search.toml``.

    Raises:
        DataError: it is missing or damaged, or an older version wrote the folder.
    """
    folder.require_current_format()
    path = folder.file(RunFolder.SEARCH)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        space = space_from_plain(content["fixed"], content["axes"])
        return SearchPlan(
            space,
            registry.find(SAMPLERS, content["search"]).name,
            content.get("n"),
            int(content["seeds"]),
            validate_value("executor", Executor, content["executor"]),
            int(content["processes"]),
            content.get("options", {}),
            bool(content.get("tensorboard", False)),
        )
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=describe_os_error(error)),
            Message("give the path of a search's folder"),
        ) from None
    except UsageError as error:
        raise DataError(
            Message("{path} is damaged: {problem}", path=path, problem=error.problem), INTACT_COPY
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            Message("{path} is damaged: {type_name} {error}", path=path, type_name=type(error).__name__, error=error),
            INTACT_COPY,
        ) from None

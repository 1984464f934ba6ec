"""What a search is asked for: its space, how settings are chosen and trained; checked, written and read."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from yisheng.core import config as configs
from yisheng.core import files, registry
from yisheng.core.config import AUTO, Config, Setting
from yisheng.core.errors import DataError, UsageError, closest
from yisheng.core.types import Dataset, Split
from yisheng.core.values import validated
from yisheng.experiments import load_data
from yisheng.experiments.cross_validation.folds import of_fold, plan
from yisheng.inference.ensemble import SEARCH
from yisheng.loggers.tensorboard import hparams
from yisheng.search import space as spaces
from yisheng.search.jobs import Job
from yisheng.search.space import MOST, Space
from yisheng.search.trials import Trial
from yisheng.training.precision import PLAIN

KIND = "search.samplers"
USUAL = 40
"""Settings of a search that is not told how many."""
OWN = ("n", "seed", "epochs")
"""Options of a search that the study gives it."""
How = Literal["auto", "serial", "stacked"]
HOWS: tuple[How, ...] = ("auto", "serial", "stacked")


@dataclass(frozen=True)
class Study:
    """A search, settled.

    Args:
        space: what is searched.
        search: how settings are chosen.
        n: how many settings, or None where the search has no use for it.
        seeds: trainings of a setting on each fold, with the config's seed and those after it.
        how: ``serial``, ``stacked``, or ``auto``.
        processes: that train side by side, where one after the other is trained.
        options: of the search.
        tensorboard: whether TensorBoard's files are written, too.
    """

    space: Space
    search: str
    n: int | None = None
    seeds: int = 1
    how: How = "auto"
    processes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    tensorboard: bool = False

    def rounds(self, epochs: int) -> Generator[list[Trial], list[float | None], None]:
        """The search at its beginning.

        Args:
            epochs: of a whole training, for a search that divides them.
        """
        wanted = registry.find(KIND, self.search).options
        mine = {"n": self.n or 0, "seed": self.config.seed, "epochs": epochs}
        given = {name: value for name, value in mine.items() if name in wanted}
        found: Generator[list[Trial], list[float | None], None]
        found = configs.build(KIND, self.search, self.space.axes, **given, **self.options)
        return found

    @property
    def divides_epochs(self) -> bool:
        """Whether the search says for how many epochs a trial is trained."""
        return "epochs" in registry.find(KIND, self.search).options

    @property
    def config(self) -> Config:
        """The config of one of the settings: for all that does not vary."""
        return self.space.config(next(self.space.samples()))


def study(
    settings: Sequence[Setting],
    *,
    search: str = AUTO,
    n: int | None = None,
    seeds: int = 1,
    how: str = AUTO,
    processes: int = 1,
    options: Mapping[str, Any] | None = None,
    tensorboard: bool = False,
) -> Study:
    """A search from what was asked for; all of it is checked before anything is trained.

    Args:
        settings: of the config, alternatives and ranges among them; see `yisheng.search.space.space`.
        search: ``auto`` is a grid where there are alternatives only and no ``n``, else random.
        n: settings; 40 where a search needs a number and none is given.
        seeds: trainings of each setting on each fold.
        how: ``auto``, ``serial`` or ``stacked``.
        processes: side by side, for serial training.
        options: of the search, as ``{"eta": 4}``.
        tensorboard: write TensorBoard's files, for its HParams view.

    Raises:
        UsageError: a key, value or name is wrong; the space is too large for a grid, or has ranges.
        MissingPartError: the search needs a package that is not installed.
    """
    for name, value, least, most in (("n", n, 1, MOST), ("seeds", seeds, 1, 1000), ("processes", processes, 1, 1000)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole and least <= value <= most) and not (name == "n" and value is None):  # type: ignore[operator]
            raise UsageError(f"{name} must be a whole number from {least} to {most:,}, got {value!r}", f"give {name}=3")
    validated("how", How, how)
    if how == "stacked" and processes > 1:
        raise UsageError(
            f"how=stacked and processes={processes} contradict: one pass is in one process", "leave one out"
        )
    found = spaces.space(settings)
    if search == AUTO:
        search = "random" if found.has_ranges or n is not None else "grid"
    entry = registry.find(KIND, search)
    if found.has_ranges and not entry.meta.get("ranges", True):
        ranges = ", ".join(axis.name for axis in found.axes if axis.values is None)
        raise UsageError(
            f"search={entry.name} needs alternatives, but {ranges} is a range",
            "say search=random, or give alternatives",
        )
    counts = entry.meta.get("counts", True)
    if n is not None and not counts:
        raise UsageError(f"search={entry.name} trains all settings: n={n} has no meaning", "leave n or search out")
    if not counts and (size := found.size or 0) > MOST:
        raise UsageError(
            f"{entry.name}: {size:,} settings, more than {MOST:,}", "give fewer alternatives, or n=40 for random ones"
        )
    if "epochs" in entry.options and any(axis.key == "epochs" for axis in found.axes):
        raise UsageError(f"search={entry.name} divides the epochs itself: they cannot vary", "give one epochs=")
    given = dict(options or {})
    for name in given:
        if name in OWN or name not in entry.options:
            raise UsageError(
                f"search={entry.name} has no option {name!r}",
                closest(name, [o for o in entry.options if o not in OWN]),
            )
    if tensorboard:
        hparams.require()
    wanted = (n or USUAL) if counts else None
    whole_study = Study(found, entry.name, wanted, seeds, how, processes, given, tensorboard)  # type: ignore[arg-type]  # validated
    with contextlib.closing(whole_study.rounds(epochs=1)) as rounds:
        next(rounds)  # a missing part shows here
    return whole_study


def write(folder: Path, found: Study) -> None:
    """Write ``study.toml``.

    Raises:
        StorageError: it cannot be written.
    """
    import tomli_w

    about: dict[str, Any] = {"search": found.search, "seeds": found.seeds, "how": found.how}
    about |= {"processes": found.processes, "tensorboard": found.tensorboard}
    about |= {} if found.n is None else {"n": found.n}
    about |= {"options": dict(found.options)} if found.options else {}
    files.write(folder / SEARCH, tomli_w.dumps({**about, **spaces.plain(found.space)}))


def read(folder: Path) -> Study:
    """What a folder's ``study.toml`` says.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / SEARCH
    try:
        about = tomllib.loads(path.read_text(encoding="utf-8"))
        space = spaces.read(about["fixed"], about["axes"])
        return Study(
            space,
            registry.find(KIND, about["search"]).name,
            about.get("n"),
            int(about["seeds"]),
            validated("how", How, about["how"]),
            int(about["processes"]),
            about.get("options", {}),
            bool(about.get("tensorboard", False)),
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "give the path of a search's folder") from None
    except UsageError as error:
        raise DataError(f"{path} is damaged: {error.problem}", "take it from where it was whole") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged: {type(error).__name__} {error}", "take it from where it was whole"
        ) from None


class Jobs:
    """The jobs of each trial: on every fold, with every seed.

    Args:
        found: the search.
        data: the data.

    Raises:
        UsageError: the folds do not fit the data.
    """

    def __init__(self, found: Study, data: Dataset) -> None:
        self._study = found
        config = found.config
        self._parts: list[tuple[str, Mapping[str, Any], Split]] = []
        for seed in range(config.seed, config.seed + found.seeds):
            mine = config.model_copy(update={"seed": seed})
            if config.folds is None:
                name = "hold-out" if config.fold is None else f"fold-{config.fold.partition('/')[0]}"
                self._parts.append((f"{name}/seed-{seed}", {"seed": seed}, load_data.split(mine, data)))
                continue
            for fold in plan(mine, data):
                single = of_fold(mine, fold)
                updates = {key: getattr(single, key) for key in ("seed", "folds", "repeats", "fold", "repeat")}
                self._parts.append((f"{fold.name}/seed-{seed}", updates, fold.split))

    def __len__(self) -> int:
        """Jobs of a trial."""
        return len(self._parts)

    def of(self, trial: Trial) -> list[Job]:
        """The jobs of a trial."""
        config = _plainly(self._study.space.config(trial.setting, trial.epochs))
        return [
            Job(f"{trial.number:04d}/{name}", config.model_copy(update=dict(updates)), split)
            for name, updates, split in self._parts
        ]


def _plainly(config: Config) -> Config:
    """Settings are compared as they compute: all in one precision and order, whatever is faster for one of them."""
    plain = dict(zip(("precision", "memory_format"), PLAIN, strict=True))
    return config.model_copy(update={key: value for key, value in plain.items() if getattr(config, key) == AUTO})

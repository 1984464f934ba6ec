"""A finished search in Python."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core import config as configs
from yisheng.core import files
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Dataset

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from yisheng.api import TrainedRun
    from yisheng.inference.predictor import Answer


class Tuned:
    """The folder of a finished search, and what can be done with it.

    Args:
        path: the folder.

    Raises:
        DataError: it is no finished search, or a file in it is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        from yisheng.inference.ensemble import chosen, is_search
        from yisheng.search.trial_table import TRIALS

        self.path = Path(path)
        if not is_search(self.path):
            raise DataError(f"{path} is not a search", "give the path that `yisheng tune` printed last")
        chosen(self.path)  # is it finished?
        self._about: Mapping[str, Any] = files.read_json(self.path / TRIALS)
        try:
            self._rows = {row["number"]: row for row in self._about["trials"]}
            self.best, self.chosen = (self._plain(self._about[which]) for which in ("best", "chosen"))
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{self.path / TRIALS} is damaged: {type(error).__name__} {error}", "take it from where it was whole"
            ) from None

    best: dict[str, Any]
    """The trial with the best mean: ``number``, ``setting``, ``mean``, ``sd``, ``se``, ``jobs``, ``parameters``, ..."""
    chosen: dict[str, Any]
    """The simplest trial within one standard error of the best; its model is trained."""

    @property
    def trials(self) -> pd.DataFrame:
        """A row for each trial: its number, a column for each axis, and what ``trials.csv`` tells."""
        import pandas as pd

        names = [axis["name"] for axis in self._about["axes"]]
        rows = []
        for row in self._rows.values():
            rest = {key: value for key, value in row.items() if key not in ("number", "setting", "curve")}
            values = {name: row["setting"][name] for name in names}
            rows.append({"trial": row["number"], **values, "epochs": rest.pop("epochs"), **rest})
        return pd.DataFrame(rows)

    @property
    def run(self) -> TrainedRun:
        """The chosen setting's run."""
        from yisheng.api import TrainedRun

        return TrainedRun(self.path)

    def predict(self, inputs: str | Path | Sequence[str | Path] | np.ndarray) -> list[Answer]:
        """Answers of the chosen setting's model; see `yisheng.inference.predictor.Predictor.predict`."""
        return self.run.predict(inputs)

    def report(self) -> Path:
        """Write ``report.html`` again; gives its path."""
        from yisheng.experiments.search.run_search import report

        return report(self.path)

    def _plain(self, number: int) -> dict[str, Any]:
        return {key: value for key, value in self._rows[number].items() if key != "curve"}

    def __repr__(self) -> str:
        return f"Tuned({str(self.path)!r})"


def tune(
    *,
    config: str | Path | None = None,
    data: str | Dataset | Mapping[str, Any] | None = None,
    search: str | Mapping[str, Any] = "auto",
    n: int | None = None,
    seeds: int = 1,
    how: str = "auto",
    processes: int = 1,
    tensorboard: bool = False,
    out: str | Path = "runs",
    quiet: bool = False,
    **settings: Any,
) -> Tuned:
    """Search for the best setting and train its model; see docs/tuning.md.

    Args:
        config: a config in TOML: what all settings share.
        data: name of a data set, a mapping with ``name`` and options, or a `Dataset` in memory.
        search: ``grid``, ``random``, ``coarse``, ``halving`` or ``tpe``; a mapping with ``name`` and its options;
            ``auto`` is a grid where there are alternatives only and no ``n``, else random.
        n: settings, where the search takes a number (default 40).
        seeds: trainings of each setting on each fold; with few rows a single one tells little.
        how: ``auto``, ``serial`` or ``stacked``.
        processes: that train side by side.
        tensorboard: write TensorBoard's files too, for its HParams view.
        out: folder in which the study's folder is made.
        quiet: show no progress.
        **settings: any key of the config; a list holds alternatives (``hidden=[[64], [64, 32]]``), text may be a
            range (``lr="log(1e-4,1)"``), and so may a `yisheng.search.axes.Range`.

    Raises:
        UsageError: an unknown key or name, or a value that is not allowed.
        DataError: the data cannot be read.
        NonFiniteError: no setting has a score.

    >>> import tempfile
    >>> found = tune(data="iris", model="linear", lr=[0.01, 0.1], folds=2, epochs=2, out=tempfile.mkdtemp(), quiet=True)
    >>> found.trials["lr"].tolist(), found.best["setting"]
    ([0.01, 0.1], {'lr': 0.1})
    """
    from yisheng.api import folder_of, given
    from yisheng.experiments.search.run_search import tune as live
    from yisheng.experiments.search.settings import study

    if not (data is None or isinstance(data, str | Dataset | Mapping)):
        raise UsageError(
            f"data must be the name of a data set, a mapping with name, or a Dataset; got {type(data).__name__}",
            "make one: yisheng.Dataset(name, yisheng.Spec(...), x, y)",
        )
    in_memory = data if isinstance(data, Dataset) else None
    if data is not None:
        settings = {"data": configs.IN_MEMORY if in_memory else data, **settings}
    options = dict(search) if isinstance(search, Mapping) else {"name": search}
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise UsageError(f"search must be a name, got {name!r}", 'write search="random"')
    folder = folder_of(out, "out")
    read = configs.read(folder_of(config, "config")) if config is not None else []
    found = study(
        [*read, *given(settings)],
        search=name,
        n=n,
        seeds=seeds,
        how=how,
        processes=processes,
        options=options,
        tensorboard=tensorboard,
    )
    return Tuned(live(found, data=in_memory, out=folder, stream=io.StringIO() if quiet else sys.stderr))

"""The events of a training for a loop of the user's own: ``for event in yisheng.fit(...)``."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core import machine
from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.events import Event
from yisheng.core.generator_states import GeneratorStates
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.score import Scores
from yisheng.core.seeds import isolated_generators
from yisheng.core.spec import Spec
from yisheng.evaluation.predictions import predict
from yisheng.evaluation.scorer import make_scorer
from yisheng.evaluation.scores import compute_scores
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.pretrained import load_pretrained
from yisheng.training.setup import assemble
from yisheng.training.state import State


class Fit:
    """A training as an iterator of its events; nothing is written.

    Each step of the loop trains up to the next event: a `StepEnd` after every update, an `EpochEnd` with the validation
    scores after every epoch. To stop, leave the loop. The training draws its random numbers from states of its own, so
    the loop's body may draw from the global generators without changing the training.

    Args:
        config: every choice.
        data: the data set, if the config cannot name it.

    Raises:
        UsageError: a choice does not fit the data.

    >>> import yisheng
    >>> fit = yisheng.fit(data="iris", model="linear", epochs=2)
    >>> [event.epoch for event in fit if isinstance(event, yisheng.EpochEnd)]
    [1, 2]
    >>> fit.config.epochs, fit.spec.classes, fit.state.best.epoch, fit.model.output
    (2, ('setosa', 'versicolor', 'virginica'), 2, Linear(in_features=4, out_features=3, bias=True))
    >>> sorted(fit.score("test"))
    ['test']
    """

    def __init__(self, config: Config, data: Dataset | None = None) -> None:
        for key in ("folds", "budget"):
            if getattr(config, key) not in (None, AUTO):
                raise UsageError(
                    Message("{key} trains more than one model, fit gives the events of one", key=key),
                    Message("leave {key} out", key=key),
                )
        with isolated_generators():
            data = load_dataset(config) if data is None else data
            split = split_dataset(config, data)
            config, weights = load_pretrained(config)
            self._assembly = assemble(config, data, split, machine.select_device(config.device), weights)
            self._generators = GeneratorStates()
        self._events = fit_assembly(self._assembly, make_scorer)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        with isolated_generators(), self._generators.active():
            return next(self._events)

    @property
    def config(self) -> ResolvedConfig:
        """Return the resolved config."""
        return self._assembly.config

    @property
    def spec(self) -> Spec:
        """Return the contract of the data."""
        return self._assembly.spec

    @property
    def state(self) -> State:
        """Return the state of the training: network, optimizer, counts, best epoch; it may be changed."""
        return self._assembly.state

    @property
    def model(self) -> nn.Module:
        """Return the network with its present weights; ``state.best.weights`` has those of the best epoch."""
        return self._assembly.state.model

    def score(self, part: str = "test") -> Scores:
        """Return the scores of the present weights on ``validation`` or ``test``, with their intervals.

        Raises:
            UsageError: there is no such part, or it is empty.
        """
        batches = {"validation": self._assembly.validation, "test": self._assembly.test}.get(part)
        if batches is None or not len(batches.rows):
            raise UsageError(
                Message("there is no {part} part to score", part=part),
                Message("name validation or test, and give it a size"),
            )
        target = self._assembly.transforms["target"]
        predictions = predict(self.model, batches, self.spec, None if target is None else target.invert)
        return {part: compute_scores(self.spec, predictions, extra=self.config.extra_metrics())}

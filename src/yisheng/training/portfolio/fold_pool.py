"""Folds that are trained by other processes, or were: what the training of an ensemble asks of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse

from yisheng.core import files
from yisheng.core.config import Config
from yisheng.core.messages import Message
from yisheng.core.seeds import isolated_generators
from yisheng.core.spec import Spec
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.models.ensemble import Member
from yisheng.training.portfolio.candidates import Candidate
from yisheng.training.portfolio.fit_member import FittedMember
from yisheng.training.portfolio.fold_data import FoldData
from yisheng.training.portfolio.timetable import Timetable

WEIGHTS = "weights."
"""Beginning of the names of a member's tensors in its file."""


@dataclass(frozen=True)
class TrainedFold:
    """A fold of a candidate that has ended.

    Args:
        candidate: name of the candidate.
        fold: number of the fold.
        seconds: that it took.
        fitted: the model; None if it is too slow or failed.
        status: why there is no model, for the leaderboard.
    """

    candidate: str
    fold: int
    seconds: float
    fitted: FittedMember | None
    status: Message | None = None

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file, with what is not a tensor as JSON in the tensor ``json``."""
        plain = {"candidate": self.candidate, "fold": self.fold, "seconds": self.seconds}
        tensors: dict[str, torch.Tensor] = {}
        if self.fitted is None:
            assert self.status is not None
            plain["status"] = self.status.to_json()
        else:
            plain |= {"epoch": self.fitted.epoch, "member": dict(self.fitted.plain)}
            tensors = {f"{WEIGHTS}{name}": value for name, value in self.fitted.member.model.state_dict().items()}
            tensors["out_of_fold"] = self.fitted.out_of_fold
        text = json.dumps(plain, allow_nan=False).encode()
        return serialize_tensors({**tensors, "json": torch.frombuffer(bytearray(text), dtype=torch.uint8)})

    @staticmethod
    def from_bytes(content: bytes, spec: Spec, device: torch.device) -> TrainedFold:
        """Return the fold that `to_bytes` wrote.

        Args:
            content: of the file.
            spec: the contract of the ensemble's inputs.
            device: where the model is to be.

        Raises:
            ValueError: the content is damaged.
        """
        try:
            tensors = parse(content)
            plain = json.loads(tensors.pop("json").numpy().tobytes())
            name, fold, seconds = str(plain["candidate"]), int(plain["fold"]), float(plain["seconds"])
            if "member" not in plain:
                return TrainedFold(name, fold, seconds, None, Message.from_json(plain["status"]))
            out_of_fold = tensors.pop("out_of_fold")
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"a trained fold is damaged: {error}") from error
        with isolated_generators():  # the initial weights are random, and replaced
            member = Member(spec, plain["member"])
        member.model.load_state_dict({name.removeprefix(WEIGHTS): value for name, value in tensors.items()})
        fitted = FittedMember(plain["member"], member.to(device), out_of_fold, int(plain["epoch"]))
        return TrainedFold(name, fold, seconds, fitted)


@dataclass(frozen=True)
class FoldPlan:
    """What is to be trained of an ensemble.

    Args:
        config: of the ensemble.
        spec: the contract of its inputs.
        rows: training rows in folds.
        candidates: those that are to be tried, each with the number of the first fold that is missing, in order.
        required_folds: number of the first folds that every candidate needs.
        timetable: how the time is divided.
        seconds: time of the ensemble, or None.
        is_new: whether no candidate is trained yet, so that the first one ends in any case.
    """

    config: Config
    spec: Spec
    rows: FoldData
    candidates: Sequence[tuple[Candidate, int]]
    required_folds: int
    timetable: Timetable
    seconds: float | None
    is_new: bool


class FoldPool(Protocol):
    """Folds that need not be trained in this process."""

    @property
    def trains(self) -> bool:
        """Return whether it trains what is missing, so that this process does not."""

    def begin(self, plan: FoldPlan) -> None:
        """Begin to train; called once, before `find`."""

    def find(self, candidate: str, fold: int) -> TrainedFold | None:
        """Return a fold when it is trained; None if it is not: no time was left for it.

        Raises:
            StoppedError: a signal came.
            ProcessError: a training was lost again and again.
        """

    def close(self) -> None:
        """End what still runs."""

    def discard(self) -> None:
        """Remove what is stored, when the ensemble has its own copy of everything."""


class FoldJournal:
    """The files of trained folds: the record of what other processes have trained, whatever happens to them.

    A file is named after its candidate, its fold and the hash of its content, so that one that was cut off or changed
    is not used. Without a pool that trains, it offers what an earlier call has left.

    Args:
        folder: where they are; it is created for the first one.
        spec: the contract of the ensemble's inputs.
        device: where the models are to be.
    """

    trains = False

    def __init__(self, folder: Path, spec: Spec, device: torch.device) -> None:
        self.folder, self._spec, self._device = folder, spec, device

    def begin(self, plan: FoldPlan) -> None:
        """Do nothing: all folds were trained before."""

    def keep(self, candidate: str, fold: int, content: bytes) -> None:
        """Write a trained fold.

        Args:
            candidate: its name.
            fold: number of the fold.
            content: as `TrainedFold.to_bytes` returns it.

        Raises:
            StorageError: the file cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise files.explain_write_error(error, self.folder) from error
        files.write_file(self.folder / f"{candidate}.{fold}.{_hash(content)}.safetensors", content)

    def has(self, candidate: str, fold: int) -> bool:
        """Return whether there is an intact file of a fold."""
        return self._read(candidate, fold) is not None

    def find(self, candidate: str, fold: int) -> TrainedFold | None:
        """Return a trained fold; None if there is none, or its file is damaged."""
        content = self._read(candidate, fold)
        return None if content is None else TrainedFold.from_bytes(content, self._spec, self._device)

    def _read(self, candidate: str, fold: int) -> bytes | None:
        for path in self.folder.glob(f"{candidate}.{fold}.*.safetensors"):
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                if path.name.split(".")[2] == _hash(content):
                    return content
        return None

    def close(self) -> None:
        """Do nothing: nothing runs."""

    def discard(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]

"""What the processes of one training do together: choose, start from the same state, and follow the first one."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from yisheng.core import machine, provenance
from yisheng.core.choice import AUTO, KINDS
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import StoppedError, YishengError
from yisheng.core.events import Event
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.signals import collect_signals
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.data.batches import Batches
from yisheng.data.fingerprint import fingerprint
from yisheng.evaluation.scorer import make_scorer
from yisheng.training import checkpoint
from yisheng.training.distributed import Peers, describe_sharing
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.pretrained import Pretrained
from yisheng.training.setup import Assembly, assemble
from yisheng.training.state import State

if TYPE_CHECKING:
    from yisheng.training.weight_shards import WeightShards

AnyConfig = TypeVar("AnyConfig", bound=Config)


def share_config(config: AnyConfig, peers: Peers) -> AnyConfig:
    """Return the first process's config in all processes, with the components that each of them has."""
    content = config.model_dump_json().encode() if peers.is_first else None
    shared = type(config)(**json.loads(peers.broadcast(content)))
    choices = {key: getattr(config, key) for key in KINDS if getattr(config, key) is not None}
    objects = {
        key: choice
        for key, choice in choices.items()
        if choice.component is not None and getattr(shared, key).name == choice.name
    }
    lists = {key: getattr(config, key) for key in ("metrics", "augment")}
    equal_lists = {
        key: values
        for key, values in lists.items()
        if [choice.name for choice in values] == [choice.name for choice in getattr(shared, key)]
    }
    return shared.model_copy(update={**objects, **equal_lists})


def select_device(config: Config, peers: Peers | None) -> torch.device:
    """Return where this process trains: the device that it was started for, or that of the config."""
    return machine.select_device(config.device) if peers is None else peers.device


def assemble_together(
    config: Config,
    data: Dataset,
    split: Split,
    device: torch.device,
    pretrained: Pretrained | None,
    peers: Peers | None,
) -> Assembly:
    """Build the training in every process; the first one measures which precision and memory format are fastest.

    Raises:
        UsageError: a choice of the config does not fit the data, or the processes have other data or code.
        DataError: the data cannot be trained on.
    """
    if peers is None:
        return assemble(config, data, split, device, pretrained)
    if AUTO in (config.precision, config.memory_format):
        assembly = assemble(config, data, split, device, pretrained, peers=peers) if peers.is_first else None
        chosen = None
        if assembly is not None:
            chosen = {"precision": assembly.config.precision, "memory_format": assembly.config.memory_format}
        config = config.model_copy(update=peers.broadcast_json(chosen))
    else:
        assembly = None
    assembly = assembly or assemble(config, data, split, device, pretrained, peers=peers)
    peers.require_equal(
        {
            "data": fingerprint(data).encode(),
            "settings": assembly.config.to_toml().encode(),
            "sources of yisheng": provenance.hash_sources().encode(),
            "versions of its packages": repr(provenance.versions()).encode(),
        },
        Message("give all processes the same data, settings and code"),
    )
    return assembly


def share_state(state: State, peers: Peers) -> None:
    """Load the first process's state in all others."""
    content = peers.broadcast(checkpoint.to_bytes(state) if peers.is_first else None)
    if not peers.is_first:
        checkpoint.load_bytes(content, state)


def require_equal_weights(state: State, peers: Peers) -> None:
    """Check at the end that all processes have the same weights.

    Raises:
        UsageError: they differ.
    """
    weights = serialize_tensors(dict(state.model.state_dict()))
    peers.require_equal(
        {"weights at the end of the training": weights},
        Message("use machines of one kind, with the same libraries; the last checkpoint is that of process 0"),
    )


def divide_if_asked(assembly: Assembly, peers: Peers | None) -> tuple[Assembly, WeightShards | None]:
    """Divide the weights of a training among its processes if ``shard_weights=true``; all of them must call it.

    Args:
        assembly: the training in its present state, the same in all processes; its state is changed in place.
        peers: the processes, or None for this one alone.

    Returns:
        The training, and this process's part of its weights; None for complete weights.

    Raises:
        UsageError: the network's weights cannot be divided.
    """
    if peers is None or not assembly.config.shard_weights:
        return assembly, None
    from yisheng.training.divided_update import divide_weights  # it imports much of torch.distributed

    assembly, weights = divide_weights(assembly, peers)
    logger.info(
        Message(
            "shard_weights=true: this process holds {values} values of the weights and of the optimizer; the doctor "
            "does not watch the training, because it reads complete weights",
            values=f"{weights.count_values():,}",
        )
    )
    return assembly, weights


def move_to_cpu(assembly: Assembly) -> Assembly:
    """Return a training whose batches are on the CPU, where `WeightShards.finish` leaves the complete network."""
    if assembly.train.device.type == "cpu":
        return assembly
    train, validation, test = map(_move_batches, (assembly.train, assembly.validation, assembly.test))
    return replace(assembly, train=train, validation=validation, test=test)


def _move_batches(part: Batches) -> Batches:
    weight = None if part.weight is None else part.weight.cpu()
    x, y, rows = part.x.cpu(), part.y.cpu(), part.rows.cpu()
    return replace(part, x=x, y=y, rows=rows, weight=weight, device=torch.device("cpu"))


def lead(folder: Path, threads: int, peers: Peers) -> None:
    """Tell the other processes, which `follow`, where the run is and with how many threads each computes."""
    peers.broadcast_json([str(folder.absolute()), threads])


def follow(assembly: Assembly, peers: Peers) -> Path:
    """Train as a process that is not the first: compute the own shards, write nothing but a log.

    Args:
        assembly: the training, in the state of the first process.
        peers: the processes.

    Returns:
        The run folder that the first process named; if it is on this machine, ``rank-N.log`` is written there.

    Raises:
        StoppedError: any process received a signal.
        NonFiniteError: a loss or gradient became NaN or infinite, in any process.
        ProcessError: another process ended.
    """
    path, threads = peers.broadcast_json()
    folder = Path(path)
    config, state = assembly.config, assembly.state
    with _log_to(folder / f"rank-{peers.rank}.log"), machine.use_threads(threads), collect_signals() as caught:
        peers.caught = caught
        sharing = describe_sharing(config.shards, peers.size)
        logger.info(
            Message("process {rank}: {sharing}, {threads} threads", rank=peers.rank, sharing=sharing, threads=threads)
        )
        assembly, weights = divide_if_asked(assembly, peers)
        if weights is None:
            events = fit_assembly(assembly, make_scorer, choose_best=config.fold is None)
        else:
            if state.step == 0 and is_custom(config.model):
                weights.dump()
            events = fit_assembly(assembly, weights.share_scores(make_scorer), choose_best=config.fold is None)
            events = weights.save_checkpoints(events, weights.dump, interval=config.checkpoint_every)
        with contextlib.closing(cast("Generator[Event]", events)):
            stop_signal = next((peers.stop_signal for _ in events if peers.stop_signal is not None), None)
        if weights is not None:
            weights.dump()
        if stop_signal is not None:
            name = signal.Signals(stop_signal).name
            problem = Message("stopped by {name} after step {step}", name=name, step=state.step)
            raise StoppedError(stop_signal, problem, Message("continue with: yisheng resume {folder}", folder=folder))
        if weights is None:
            require_equal_weights(state, peers)
        else:
            weights.finish()
        logger.info(Message("the training ended after step {step}", step=state.step))
    return folder


@contextlib.contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Write the messages and the error of the block into a file too, if its folder exists."""
    if not path.parent.is_dir():
        yield
        return
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    except YishengError as error:
        logger.error(error.problem)
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()

"""What the processes of one training do together: choose, start from the same state, and follow the first one."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch

from yisheng.core import machine, provenance
from yisheng.core.config import AUTO, KINDS, Config
from yisheng.core.errors import StoppedError, YishengError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.signals import collect_signals
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.core.types import Dataset, Split
from yisheng.data.fingerprint import fingerprint
from yisheng.evaluation.scorer import make_scorer
from yisheng.training import checkpoint
from yisheng.training.distributed import Peers, describe_sharing
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.setup import Assembly, Pretrained, assemble
from yisheng.training.state import State

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


def follow(assembly: Assembly, peers: Peers, folder: Path, threads: int) -> None:
    """Train as a process that is not the first: compute the own shards, write nothing but a log.

    Args:
        assembly: the training, in the state of the first process.
        peers: the processes.
        folder: the run folder; if it is on this machine, ``rank-N.log`` is written there.
        threads: number of compute threads.

    Raises:
        StoppedError: any process received a signal.
        NonFiniteError: a loss or gradient became NaN or infinite, in any process.
        ProcessError: another process ended.
    """
    config = assembly.config
    with _log_to(folder / f"rank-{peers.rank}.log"), machine.use_threads(threads), collect_signals() as caught:
        peers.caught = caught
        sharing = describe_sharing(config.shards, peers.size)
        logger.info(
            Message("process {rank}: {sharing}, {threads} threads", rank=peers.rank, sharing=sharing, threads=threads)
        )
        for _ in fit_assembly(assembly, make_scorer, choose_best=config.fold is None):
            if peers.stop_signal is not None:
                name = signal.Signals(peers.stop_signal).name
                problem = Message("stopped by {name} after step {step}", name=name, step=assembly.state.step)
                raise StoppedError(
                    peers.stop_signal, problem, Message("continue with: yisheng resume {folder}", folder=folder)
                )
        require_equal_weights(assembly.state, peers)
        logger.info(Message("the training ended after step {step}", step=assembly.state.step))


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

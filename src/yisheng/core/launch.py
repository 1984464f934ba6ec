"""How this process was started: alone, or as one of several of one training, by ``torchrun`` or Slurm's ``srun``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

FIRST_PORT, PORTS = 20_000, 10_000
"""Ports at which the first process of a step of ``srun`` is reached, by the number of its job."""
_FIRST_NODE = re.compile(r"(?P<head>[^\[\],]+)(?:\[(?P<number>[0-9]+)[^\]]*\](?P<tail>[^,\[]*))?")


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that were started with it.

    Args:
        launcher: ``torchrun`` or ``srun``.
        rank: number of this process, from 0.
        size: number of processes, at least 2.
        address: host and port of the first process; None if the environment has them as torch expects them.
        local_rank: number of this process among those of its machine, from 0.
    """

    launcher: str
    rank: int
    size: int
    address: tuple[str, int] | None = None
    local_rank: int = 0


def find_launch() -> Launch | None:
    """Return how ``torchrun`` or ``srun`` started this process among others.

    Returns:
        None if it was started alone. Variables of ``torchrun`` come first: Slurm may start it on each machine.

    Raises:
        UsageError: a variable is not a number, or missing.

    Source: "Environment variables" of torchrun's documentation, "Output environment variables" of srun's manual.
    """
    if "WORLD_SIZE" in os.environ:
        size = _read_number("WORLD_SIZE", "torchrun", 1)
        if size == 1:
            return None
        local_rank = _read_number("LOCAL_RANK", "torchrun", 0) if "LOCAL_RANK" in os.environ else 0
        return Launch("torchrun", _read_number("RANK", "torchrun", 0), size, local_rank=local_rank)
    if "SLURM_STEP_NUM_TASKS" not in os.environ or (size := _read_number("SLURM_STEP_NUM_TASKS", "srun", 1)) == 1:
        return None
    host = os.environ.get("MASTER_ADDR") or find_first_node(os.environ.get("SLURM_STEP_NODELIST", ""))
    job = _read_number("SLURM_JOB_ID", "srun", 0)
    port = _read_number("MASTER_PORT", "srun", 1) if "MASTER_PORT" in os.environ else FIRST_PORT + job % PORTS
    local_rank = _read_number("SLURM_LOCALID", "srun", 0) if "SLURM_LOCALID" in os.environ else 0
    return Launch("srun", _read_number("SLURM_PROCID", "srun", 0), size, (host, port), local_rank)


def require_one_process(work: str) -> None:
    """Refuse work that every one of several processes would do again.

    Args:
        work: the work, as the subject of a sentence.

    Raises:
        UsageError: this process was started with others.
    """
    launch = find_launch()
    if launch is not None:
        raise UsageError(
            Message(
                "{work} needs one process, and {launcher} started {size}: each of them would do all of it",
                work=work,
                launcher=launch.launcher,
                size=launch.size,
            ),
            Message("start it without {launcher}", launcher=launch.launcher),
        )


def find_first_node(nodes: str) -> str:
    """Return the first host of a list as Slurm writes it.

    Raises:
        UsageError: the list is empty.

    >>> find_first_node("gpu[07-09,12],login1"), find_first_node("a1,a2"), find_first_node("rack[2-3]-node")
    ('gpu07', 'a1', 'rack2-node')
    """
    match = _FIRST_NODE.match(nodes)
    if match is None:
        raise UsageError(
            Message("SLURM_STEP_NODELIST={nodes} names no host", nodes=f"{nodes!r}"),
            Message("start it with srun, or set MASTER_ADDR"),
        )
    return match["head"] + (match["number"] or "") + (match["tail"] or "")


def _read_number(name: str, launcher: str, minimum: int) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal() or int(text) < minimum:
        raise UsageError(
            Message("{name}={text} is not a whole number from {minimum}", name=name, text=f"{text!r}", minimum=minimum),
            Message("start the program with {launcher}, which sets it", launcher=launcher),
        )
    return int(text)

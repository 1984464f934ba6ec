"""Run folders: numbered, named, never overwritten."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from yisheng.core import files
from yisheng.core.config import Config, read, resolve
from yisheng.core.errors import DataError, StorageError, UsageError
from yisheng.core.types import Dataset, Finding, Run, Score, Spec

CONFIG, ENVIRONMENT, EVENTS = "config.toml", "environment.json", "events.jsonl"
SCORES, EVALUATION, CHECKPOINT = "scores.json", "evaluation.json", "checkpoint"

COPIES, SPARE = 14, 16 << 20
"""Free space to begin with: three checkpoints (two kept, one being written) of weights, best weights and Adam's two
moments come to 12 times the weights, the model itself to one; and bytes for all else."""
MOST_THREADS = 1024
"""A run that claims to have computed with more is not believed."""


def create(out: Path, data: str, model: str) -> Path:
    """Make the next run folder, ``out/0007-data-model``.

    Two processes asking at once get different numbers.

    Raises:
        StorageError: the folder cannot be made.
    """
    label = re.sub(r"[^\w.-]+", "-", f"{data}-{model}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(m[1]) for p in out.iterdir() if (m := re.match(r"(\d{4,})-", p.name))), default=0)
        while True:
            lock = out / f".{number:04d}"  # the number alone must be taken, whatever the name behind it
            try:
                lock.mkdir()
            except FileExistsError:
                number += 1
                continue
            try:
                if not any(out.glob(f"{number:04d}-*")):
                    path = out / f"{number:04d}-{label}"
                    path.mkdir()
                    return path
            finally:
                lock.rmdir()
            number += 1
    except OSError as error:
        raise files.storage_error(error, out) from error


def require_space(out: Path, model_bytes: int) -> None:
    """See before training that the checkpoints will fit: rather than when hours are spent.

    Args:
        out: where the run will be written; it need not exist yet.
        model: bytes of the weights.

    Raises:
        StorageError: there is too little free space.
    """
    import shutil

    place = out.absolute()
    try:
        while not place.is_dir() and place != place.parent:
            place = place.parent
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise files.storage_error(error, out) from error
    needed = COPIES * model_bytes + SPARE
    if free < needed:
        raise StorageError(
            f"{place} has {free / 2**20:,.1f} MiB of free space, this run needs about {needed / 2**20:,.1f} MiB",
            "free some space, or write elsewhere with out=",
        )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder while training in it: two processes in one folder would tear it apart.

    Raises:
        UsageError: another process holds it.
    """
    from filelock import FileLock, Timeout

    try:
        (folder / CHECKPOINT).mkdir(exist_ok=True)
        with FileLock(folder / CHECKPOINT / "lock", blocking=False):
            yield
    except Timeout:
        raise UsageError(f"another process is training in {folder}", "wait for it, or stop it") from None


def begin(folder: Path, config: Config, data: Dataset, device: object) -> None:
    """Write what a run or study depends on, then its config, which makes the folder one that can be continued.

    Raises:
        StorageError: a file cannot be written.
    """
    files.write_json(folder / ENVIRONMENT, surroundings(data, device))
    files.write(folder / CONFIG, config.to_toml())


def surroundings(data: Dataset, device: object) -> dict[str, Any]:
    """What a run or study that begins now depends on."""
    from yisheng.core import machine
    from yisheng.data.fingerprint import fingerprint

    return {
        **machine.environment(),
        "device": str(device),
        "data": {"name": data.name, "rows": len(data), "sha256": fingerprint(data)},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": False,
    }


def is_begun(folder: Path) -> bool:
    """Whether all that `begin` writes is there."""
    return all((folder / name).is_file() for name in (ENVIRONMENT, CONFIG))


def write_scores(folder: Path, scores: Mapping[str, Mapping[str, Score]]) -> None:
    """Write scores by part and name.

    Raises:
        StorageError: the file cannot be written.
    """
    plain = {part: {name: asdict(score) for name, score in named.items()} for part, named in scores.items()}
    files.write_json(folder / SCORES, plain)


def tell(findings: Sequence[Finding], remarks: Sequence[str], stream: TextIO) -> None:
    """Say what was noticed before training."""
    for said in (*(f"{f.severity}: {f.cause}; {f.remedy}" for f in findings), *remarks):
        print(said, file=stream)


def data_hash(environment: Mapping[str, Any]) -> str | None:
    """The recorded fingerprint of the data that a run was trained on; None where it is damaged."""
    about = environment.get("data")
    return about.get("sha256") if isinstance(about, Mapping) else None


def require_same(environment: Mapping[str, Any], data: str) -> None:
    """Refuse to continue a run on other data or with other code than it began with.

    Args:
        environment: contents of ``environment.json``.
        data: fingerprint of the data as it is now.

    Raises:
        DataError: the data differs.
        UsageError: a version differs.
    """
    from yisheng.core import machine

    anyway = "say force=true to continue all the same"
    about = environment.get("data") if isinstance(environment, Mapping) else None
    if not isinstance(about, Mapping):
        raise DataError(f"{ENVIRONMENT} is damaged: it does not tell of the data", f"take it from the run, or {anyway}")
    if about.get("sha256") != data:
        raise DataError(
            "the data is not what it was when the run began (SHA-256 differs)", f"bring it back, or {anyway}"
        )
    now = machine.versions()
    for name in ("yisheng", "torch"):
        if environment.get(name) != now[name]:
            raise UsageError(
                f"the run began with {name} {environment.get(name)}, this is {now[name]}: not exactly the same run",
                f"install that version, or {anyway}",
            )
    if environment.get("code") != machine.code():
        raise UsageError(
            "the sources of yisheng or of a plugin are not those that the run began with: not exactly the same run",
            f"bring them back, or {anyway}",
        )


def environment(folder: Path) -> dict[str, Any]:
    """What a run depends on, and whether it is finished.

    Raises:
        DataError: the file is missing or damaged.
    """
    found = files.read_json(folder / ENVIRONMENT)
    if not isinstance(found, dict):
        raise DataError(
            f"{folder / ENVIRONMENT} is damaged: it is no object", "take the folder from where it was whole"
        )
    return found


def recorded_threads(environment: Mapping[str, Any]) -> int | None:
    """How many threads a run computed with; None where its ``environment.json`` says nothing that can be believed."""
    found = environment.get("threads")
    return found if isinstance(found, int) and 1 <= found <= MOST_THREADS else None


def config(folder: Path) -> Config:
    """The settled config of a run folder.

    Raises:
        DataError: this is no run folder.
    """
    path = folder / CONFIG
    if not os.path.lexists(path):  # False, too, for what cannot be a path at all
        raise DataError(
            f"{folder} is not a run folder: it has no {CONFIG}", "give the path that `yisheng train` printed last"
        )
    try:
        found = resolve(read(path)).config
        if not (isinstance(found.epochs, int) and isinstance(found.batch, int)):
            raise UsageError("epochs and batch must be settled", "")
    except UsageError as error:  # a config that came out of training was right
        raise DataError(
            f"{path} is damaged: {error.problem}", f"take it from where it was whole ({error.remedy})"
        ) from None
    return found


def run(folder: Path) -> Run:
    """A run folder, read.

    Raises:
        DataError: a file is missing or damaged.
    """
    from pydantic import TypeAdapter

    description = files.read_json(folder / "model.json")
    scores: Mapping[str, Any] = files.read_json(folder / SCORES) if (folder / SCORES).is_file() else {}
    numbers = TypeAdapter(Score)
    try:
        return Run(
            path=folder,
            config=config(folder).to_dict(),
            spec=Spec.from_json(description["spec"]),
            transforms=description["transforms"],
            scores={
                part: {name: numbers.validate_python(value) for name, value in named.items()}
                for part, named in scores.items()
            },
            best=description["best"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder} is damaged: {' '.join(str(error).split())[:300]}", "take the folder from where it was whole"
        ) from None

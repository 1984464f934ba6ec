"""``train`` and ``resume``: from a config to a run folder with a model, scores and a report."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TextIO, cast

from yisheng.core import files, machine, run_folder
from yisheng.core.config import Config
from yisheng.core.errors import NonFiniteError, StoppedError, UsageError
from yisheng.core.signals import signals
from yisheng.core.types import Dataset, Event, Split
from yisheng.data.fingerprint import fingerprint
from yisheng.diagnosis.doctor_callback import Bedside
from yisheng.experiments import evaluate, load_data, scratch_comparison, submission
from yisheng.experiments.cross_validation import train_folds
from yisheng.experiments.pretrained import pretrained
from yisheng.experiments.search import run_search
from yisheng.inference import artifact, fit_ood
from yisheng.loggers import attach
from yisheng.loggers.tensorboard import hparams, run_events
from yisheng.reporting import history_csv
from yisheng.training import budget, callbacks, checkpoint, monitoring
from yisheng.training.setup import Assembly, assemble


def train(
    config: Config,
    *,
    data: Dataset | None = None,
    out: Path,
    folder: Path | None = None,
    threads: int | None = None,
    stream: TextIO = sys.stderr,
) -> Path:
    """Train by a config; gives the new run folder.

    Args:
        config: every choice; ``auto`` is settled here.
        data: the data set, where it is not one that the config can name.
        out: folder of runs.
        folder: an empty folder that becomes the run's, instead of a new one in ``out``.
        threads: how many compute, where another number would round differently; else as many as are worth it and free.
        stream: where progress and remarks go.

    Raises:
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient became NaN or infinite.
        StorageError: there is too little space on the disk, or it became full.
    """
    machine.keep_memory()
    if config.tensorboard:
        hparams.require()  # before any work is spent
    if config.folds is not None:
        return train_folds.cross(config, data=data, out=out, stream=stream)
    data = load_data.dataset(config) if data is None else data
    split = load_data.split(config, data)
    device = machine.device(config.device)
    config, begin = pretrained(config)
    remarks: tuple[str, ...] = ()
    if config.budget is not None:
        config, planned = budget.plan(config, data, split, device, begin)
        remarks = (planned,)
    assembly = assemble(config, data, split, device, begin)
    run_folder.require_space(out, sum(value.nbytes for value in assembly.state.model.state_dict().values()))
    folder = run_folder.create(out, data.name, assembly.config.model.name) if folder is None else folder
    count, remark = monitoring.threads_now(assembly) if threads is None else (threads, "")
    remarks += (remark,) if remark else ()
    with run_folder.locked(folder), machine.threads(count):
        run_folder.begin(folder, assembly.config, data, device)
        parameters = sum(p.numel() for p in assembly.state.model.parameters())
        print(
            f"{assembly.config.model.name} ({parameters:,} parameters) on {data.name} "
            f"({len(split.train):,} training, {len(split.validation):,} validation, {len(split.test):,} test rows), "
            f"{assembly.config.epochs} epochs on {device}",
            file=stream,
            flush=True,
        )
        run_folder.tell(data.findings, remarks + assembly.remarks, stream)
        _finish(folder, assembly, data, split, stream, force=False)
    return folder


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    stream: TextIO = sys.stderr,
) -> Path:
    """Continue a run from its newest whole checkpoint; on a CPU to the same bits as if it had never stopped.

    Args:
        folder: the run folder.
        epochs: a larger number of epochs than the run was begun with.
        force: continue although the data or the versions of the code changed.
        data: the data set, where the config cannot name it.
        stream: where progress and remarks go.

    Raises:
        DataError: this is no run folder, or the data changed.
        UsageError: the code changed, ``epochs`` is smaller than before, the run stopped early, or another
            process is training in it.
    """
    machine.keep_memory()
    if run_search.is_search(folder):
        return run_search.resume(folder, epochs=epochs, force=force, data=data, stream=stream)
    if train_folds.is_study(folder):
        return train_folds.resume(folder, epochs=epochs, force=force, data=data, stream=stream)
    run_folder.config(folder)  # is it a run folder at all?
    with run_folder.locked(folder):
        config = run_folder.config(folder)
        before = config
        assert isinstance(before.epochs, int)  # a run folder's config is settled
        if epochs is not None and epochs < before.epochs:
            raise UsageError(
                f"epochs must be {before.epochs} or more, got {epochs}", "a run can be made longer, not shorter"
            )
        longer = epochs is not None and epochs > before.epochs
        environment = run_folder.environment(folder)
        if environment.get("finished") and not longer:
            print(f"the run is finished: {before.epochs} epochs were asked for; nothing to do", file=stream)
            return folder
        data = load_data.dataset(config) if data is None else data
        if not force:
            run_folder.require_same(environment, fingerprint(data))
        split = load_data.split(config, data)
        if longer:
            config = config.model_copy(update={"epochs": epochs})
        assembly = assemble(config, data, split, machine.device(config.device))
        found = checkpoint.load(folder / run_folder.CHECKPOINT, assembly.state)
        if not found and config.weights is not None:
            assembly = assemble(config, data, split, machine.device(config.device), pretrained(config)[1])
        if longer:
            _require_patience(assembly)
            files.write_json(folder / run_folder.ENVIRONMENT, {**environment, "finished": False})
            files.write(folder / run_folder.CONFIG, assembly.config.to_toml())
            print(_schedule_remark(before, assembly), file=stream)
        where = f"from step {assembly.state.step} (epoch {assembly.state.epoch + 1})" if found else "from the beginning"
        note = "" if found else ": there is no whole checkpoint"
        print(f"continuing {folder} {where}{note}", file=stream, flush=True)
        threads = run_folder.recorded_threads(environment)  # another number would round differently
        with machine.threads(monitoring.threads_worth(assembly) if threads is None else threads):
            _finish(folder, assembly, data, split, stream, force=force)
    return folder


def _require_patience(assembly: Assembly) -> None:
    """More epochs are no use to a run that stopped early."""
    state, patience = assembly.state, assembly.config.patience
    if patience and state.position == 0 and state.epoch - state.best.epoch >= patience:
        raise UsageError(
            f"the run stopped early: no better score in the {patience} epochs after epoch {state.best.epoch}",
            "train anew with a larger patience=, or with patience=0",
        )


def _schedule_remark(before: Config, assembly: Assembly) -> str:
    """What more epochs do to the learning rate at the point where the run goes on."""
    state, per_epoch = assembly.state, len(assembly.train)
    assert isinstance(before.epochs, int)
    assert isinstance(assembly.config.epochs, int)
    old, new = (
        assembly.schedule(state.step, n * per_epoch, per_epoch) for n in (before.epochs, assembly.config.epochs)
    )
    change = "stays as it was" if old == new else f"jumps from {old:.3g} to {new:.3g} times lr"
    return (
        f"{before.epochs} -> {assembly.config.epochs} epochs: the schedule {assembly.config.schedule.name} now spans "
        f"all of them; at step {state.step} the learning rate {change}"
    )


def _finish(folder: Path, assembly: Assembly, data: Dataset, split: Split, stream: TextIO, *, force: bool) -> None:
    """Train to the end, evaluate, report; after a run by hand the library's. One that breaks off gets a report too."""
    scratch = assembly.config.scratch
    doctor = Bedside(folder, assembly, data)
    with signals() as caught:
        try:
            seconds = _train_live(folder, assembly, stream, caught, doctor)
        except (NonFiniteError, StoppedError) as error:
            doctor.tell(stream, error)
            evaluate.report(folder)
            history_csv.write(folder)
            raise
        began = time.perf_counter()
        evaluate.finish(folder, assembly, data, split)
        doctor.tell(stream)
        evaluate.report(folder)
        history_csv.write(folder)
        if assembly.config.tensorboard:
            run_events.finish(folder)
        spent = {"training": round(seconds, 2), "evaluation": round(time.perf_counter() - began, 2)}
        environment = {**run_folder.environment(folder), "seconds": spent}
        submission.after_training(folder, assembly.config, stream)
        files.write_json(folder / run_folder.ENVIRONMENT, {**environment, "finished": not scratch})
    if caught:
        name = signal.Signals(caught[0]).name
        left = ("the library's form is not trained yet", f"continue with: yisheng resume {folder}")
        what, remedy = left if scratch else ("the run is finished", f"it lies in {folder}")
        raise StoppedError(caught[0], f"{name} came when training was over; {what}", remedy)
    if scratch:
        scratch_comparison.beside(folder, assembly.config, data, force=force, stream=stream)


def _train_live(folder: Path, assembly: Assembly, stream: TextIO, caught: list[int], doctor: Bedside) -> float:
    """Run the loop with all that listens to it, up to its end or a signal; gives the seconds of training."""
    config, state, score = assembly.config, assembly.state, monitoring.score_of(assembly)
    log = callbacks.Log(folder / run_folder.EVENTS, state.log_bytes)
    began = time.perf_counter() - state.seconds

    def clock() -> float:
        return time.perf_counter() - began

    def save() -> None:
        state.log_bytes, state.seconds = log.flush(sync=True), clock()  # the log first: the checkpoint counts on it
        doctor.remember()
        checkpoint.save(folder / run_folder.CHECKPOINT, state)

    with contextlib.closing(log), doctor.watching():
        # The score of a fold is what the study is about: it must not choose the epoch that it is measured at.
        events = monitoring.listened(assembly, choose=config.fold is None)
        events = callbacks.log(events, log, every=config.log_every, clock=clock)
        events = attach.observed(events, folder, assembly, stream)
        events = callbacks.checkpoint(events, save, every=config.checkpoint_every)
        events = monitoring.shown(events, assembly, stream)
        with contextlib.closing(cast("Generator[Event]", events)):  # the bar is gone before anything else is said
            for _ in events:
                if caught:  # the state is between two updates
                    break
        if caught:
            save()
            raise StoppedError(
                caught[0],
                f"stopped by {signal.Signals(caught[0]).name} after step {state.step}; a checkpoint was written",
                f"continue with: yisheng resume {folder}",
            )
        save()
    state.model.load_state_dict(state.best.weights)
    known = None  # layers that are written by hand cannot be looked at; the library's form beside them can
    if not config.scratch:
        known = fit_ood.fit(state.model, assembly.spec, assembly.train, assembly.validation, seed=config.seed)
    artifact.save(
        folder,
        weights=state.best.weights,
        name=config.model.name,
        options=config.model.options,
        spec=assembly.spec,
        fitted=assembly.transforms,
        best={"epoch": state.best.epoch, "score": score, "value": state.best.value},
        familiar=known,
    )
    return clock()

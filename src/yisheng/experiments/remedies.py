"""The doctor's remedies as configs: what a finding says to change, applied to the config of the run that it is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yisheng.core import machine, run_folder
from yisheng.core.config import KINDS, Choice, Config, Setting, read, resolve
from yisheng.core.errors import UsageError
from yisheng.core.types import Dataset, Split
from yisheng.diagnosis import experiments
from yisheng.diagnosis.examination import of_assembly
from yisheng.experiments.pretrained import pretrained
from yisheng.reporting import run_facts
from yisheng.reporting.findings_schema import Found
from yisheng.training.setup import assemble

MULTIPLE = "x "
"""How a setting begins that is a multiple of the present one."""


@dataclass(frozen=True)
class Remedy:
    """A finding's change, applied.

    Args:
        finding: of the run.
        config: with the change, settled.
        change: the settings that differ.
        was: the same ones before.
    """

    finding: Found
    config: Config
    change: Mapping[str, Any]
    was: Mapping[str, Any]


def remedies(folder: Path, config: Config, data: Dataset, split: Split) -> Iterator[Remedy]:
    """What the doctor's errors and warnings of a run would have changed, the first first.

    Settings that the config has no place for (another network's option), or that it has already, are passed over; a
    finding of which nothing remains has no remedy. Where a learning rate is to be multiplied, and nobody has tried by
    how much, a ladder of rates is tried now (see `yisheng.diagnosis.experiments`).

    Args:
        folder: the run's.
        config: its config, settled.
        data: what it was trained on.
        split: its parts.
    """
    found = run_facts.read(folder).findings
    for finding in found.findings if found else ():
        if finding.severity == "note" or not finding.change:
            continue
        wanted = {**finding.change, **_measured(finding, config, data, split)}
        if "init" in wanted:  # what is said of one kind of layers would stand against it
            wanted |= {"init_linear": "none", "init_conv": "none"}
        changed, change = _applied(folder, config, wanted, data, split)
        if change:
            yield Remedy(finding, changed, change, {key: present(config, key) for key in change})


def present(config: Config, key: str) -> Any:
    """The value of a setting in a settled config, as plain data; None where it has none.

    >>> config = resolve([("optimizer", "sgd", "file"), ("lr", 0.5, "file")]).config
    >>> present(config, "lr"), present(config, "optimizer"), present(config, "optimizer.lr"), present(config, "dropout")
    (0.5, 'sgd', 0.5, None)
    """
    if key in Config.model_fields:
        value = getattr(config, key)
        if isinstance(value, tuple):
            return [choice.name for choice in value]
        return value.name if isinstance(value, Choice) else value
    kind, _, option = key.rpartition(".")
    chosen = [getattr(config, kind)] if kind in KINDS else [*(getattr(config, key) for key in KINDS), *config.augment]
    return next((one.options[option] for one in chosen if one is not None and option in one.options), None)


def _applied(
    folder: Path, config: Config, wanted: Mapping[str, Any], data: Dataset, split: Split
) -> tuple[Config, dict[str, Any]]:
    """The config with those of the settings that it has a place for, and what of them differs."""
    settings: list[Setting] = read(folder / run_folder.CONFIG)
    changed, change = config, dict[str, Any]()
    for key, value in wanted.items():
        setting: Setting = (key, _absolute(config, key, value), "command line")
        try:
            with_it = resolve([*settings, setting]).config.settle(data.spec, len(split.train))
        except UsageError:  # this network, optimiser or data has no such option
            continue
        if with_it != changed:
            settings.append(setting)
            changed, change[key] = with_it, setting[1]
    return changed, change


def _absolute(config: Config, key: str, value: Any) -> Any:
    """A setting as it is to be; a multiple of what is no number stays as it is, and is refused."""
    now = present(config, key)
    if isinstance(value, str) and value.startswith(MULTIPLE) and isinstance(now, int | float):
        return float(f"{now * float(value.removeprefix(MULTIPLE)):.12g}")
    return value


def _measured(finding: Found, config: Config, data: Dataset, split: Split) -> dict[str, str]:
    """A multiple of the learning rate that experiments prefer to the one that the finding names."""
    said = str(finding.change.get("lr", ""))
    if not said.startswith(MULTIPLE):
        return {}
    rates = experiments.LOWER if float(said.removeprefix(MULTIPLE)) < 1 else experiments.HIGHER
    tried = finding.evidence.get("tried")
    if isinstance(tried, Mapping) and tried.get("change") in rates:
        return {"lr": str(tried["change"]).removeprefix("lr ")}
    if config.doctor == "full":
        return {}
    named, begin = pretrained(config)
    patient = of_assembly(assemble(named, data, split, machine.device(config.device), begin))
    best, gain = experiments.probe(patient).best(rates)
    return {"lr": best.removeprefix("lr ")} if gain >= experiments.GAIN else {}

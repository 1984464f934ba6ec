"""The doctor's remedies as configs: the change that a finding proposes, applied to the config of its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from yisheng.core import machine
from yisheng.core.choice import KINDS, Choice
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.resolved_config import ResolvedConfig, resolve_config
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import Setting, merge_settings, read_settings
from yisheng.core.supplied_components import supply_components
from yisheng.diagnosis import experiments
from yisheng.diagnosis.examination import build_setup_from_assembly
from yisheng.reporting.findings_schema import Cause
from yisheng.reporting.run_facts import read_run_facts
from yisheng.training.pretrained import load_pretrained
from yisheng.training.setup import assemble

FACTOR_PREFIX: Final = "x "
"""Prefix of a setting that multiplies the current value: ``x 0.1``."""
OVERFITTING: Final = "overfitting"
WEIGHT_DECAYS: Final = (0.01, 0.1, 1.0, 10.0)
"""Weight decays that are tried against overfitting: which one is right depends on the number of rows and on the
scale of the loss, so that one alone says little. A decay of 10 leaves next to nothing of a network."""


@dataclass(frozen=True)
class Remedy:
    """The applied change of a finding.

    Args:
        finding: of the run.
        config: with the change.
        change: the settings that differ.
        previous: the same settings before.
    """

    finding: Cause
    config: ResolvedConfig
    change: Mapping[str, Any]
    previous: Mapping[str, Any]


def find_remedies(run: RunFolder, config: ResolvedConfig, data: Dataset, split: Split) -> Iterator[list[Remedy]]:
    """Yield the remedies of each of the doctor's errors and warnings about a run, in the order of the findings.

    Settings that do not exist in the config (an option of another network), or that it has already, are skipped; a
    finding without any remaining setting has no remedy. If a learning rate is to be multiplied and no experiment has
    measured the factor, several rates are tried now (see `yisheng.diagnosis.experiments`). Overfitting has several
    remedies: each larger weight decay of `WEIGHT_DECAYS` is one.

    Args:
        run: the run folder.
        config: its config.
        data: the data set.
        split: its parts.
    """
    findings = read_run_facts(run.path).findings
    for finding in findings.findings if findings else ():
        if finding.severity == "note" or not finding.change:
            continue
        settings = {**finding.change, **_measure_lr_factor(finding, config, data, split)}
        if "init" in settings:  # an init of one kind of layers would override it
            settings |= {"init_linear": "none", "init_conv": "none"}
        decays = _list_larger_decays(config) if finding.check == OVERFITTING else ()
        applied = [_apply(run, config, choice, data, split) for choice in (settings, *decays)]
        distinct = [pair for index, pair in enumerate(applied) if pair[1] and pair not in applied[:index]]
        remedies = [
            Remedy(finding, changed, change, {key: current_value(config, key) for key in change})
            for changed, change in distinct
        ]
        if remedies:
            yield remedies


def _list_larger_decays(config: Config) -> Iterator[dict[str, Any]]:
    """Yield the weight decays above the present one, as settings."""
    present = current_value(config, "weight_decay")
    if isinstance(present, int | float):
        yield from ({"weight_decay": decay} for decay in WEIGHT_DECAYS if decay > present)


def current_value(config: Config, key: str) -> Any:
    """Return the value of a setting in a config as plain data, or None if it has none.

    >>> config = merge_settings([("optimizer", "sgd", "file"), ("lr", 0.5, "file")]).config
    >>> [current_value(config, key) for key in ("lr", "optimizer", "optimizer.lr", "dropout")]
    [0.5, 'sgd', 0.5, None]
    """
    if key in Config.model_fields:
        value = getattr(config, key)
        if isinstance(value, tuple):
            return [choice.name for choice in value]
        return value.name if isinstance(value, Choice) else value
    kind, _, option = key.rpartition(".")
    choices = [getattr(config, kind)] if kind in KINDS else [*(getattr(config, key) for key in KINDS), *config.augment]
    return next((choice.options[option] for choice in choices if choice is not None and option in choice.options), None)


def _apply(
    run: RunFolder, config: ResolvedConfig, new_settings: Mapping[str, Any], data: Dataset, split: Split
) -> tuple[ResolvedConfig, dict[str, Any]]:
    """Return the config with those of the settings that it has, and what differs."""
    settings: list[Setting] = read_settings(run.file(RunFolder.CONFIG), is_generated=True)
    changed, change = config, dict[str, Any]()
    for key, value in new_settings.items():
        setting: Setting = (key, _absolute_value(config, key, value), "command line")
        try:
            with supply_components(**config.own_components()):
                candidate = merge_settings([*settings, setting], import_code=False).config
            candidate = resolve_config(candidate, data.spec, len(split.train))
        except UsageError:  # this network, optimizer or data set has no such option
            continue
        if candidate != changed:
            settings.append(setting)
            changed, change[key] = candidate, setting[1]
    return changed, change


def _absolute_value(config: Config, key: str, value: Any) -> Any:
    """Return a setting with its factor applied; a factor of a value that is not a number is returned unchanged."""
    current = current_value(config, key)
    if isinstance(value, str) and value.startswith(FACTOR_PREFIX) and isinstance(current, int | float):
        return float(f"{current * float(value.removeprefix(FACTOR_PREFIX)):.12g}")
    return value


def _measure_lr_factor(finding: Cause, config: Config, data: Dataset, split: Split) -> dict[str, str]:
    """Return the factor of the learning rate that experiments found best, or nothing if none is better."""
    proposed = str(finding.change.get("lr", ""))
    if not proposed.startswith(FACTOR_PREFIX):
        return {}
    is_lower = float(proposed.removeprefix(FACTOR_PREFIX)) < 1
    rates = experiments.LOWER_LRS if is_lower else experiments.HIGHER_LRS
    tried = finding.evidence.get("tried")
    if isinstance(tried, Mapping) and tried.get("change") in rates:
        return {"lr": str(tried["change"]).removeprefix("lr ")}
    if config.doctor == "full":
        return {}
    config, weights = load_pretrained(config)
    assembly = assemble(config, data, split, machine.select_device(config.device), weights)
    best, gain = experiments.run_experiments(build_setup_from_assembly(assembly)).best_change(rates)
    return {"lr": best.removeprefix("lr ")} if gain >= experiments.MIN_GAIN else {}

"""Run the doctor and ``fix=true`` on configs of this package.

    python -m benchmarks.doctor.configs [seeds=2] [only=NAME,...] [part=faulty|healthy]

Each faulty config is a healthy one with a wrong setting. Both are trained, the faulty one with fix=true.
The first table, in Markdown, shows how often the correct cause was named first, the validation score before and after
the remedies, and that of the healthy config. Then the healthy configs are trained, and false alarms counted.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import yisheng
from yisheng.core.errors import NonFiniteError
from yisheng.reporting.formatting import format_number, is_higher_better


@dataclass(frozen=True)
class ConfigCase:
    """A config and a fault.

    Args:
        name: name of the case.
        config: the healthy config.
        fault: wrong settings; ``weights="run:0.01"`` stands for the weights of a run of one epoch at that rate.
        causes: checks that identify the fault.
    """

    name: str
    config: dict[str, Any]
    fault: dict[str, Any] = field(default_factory=dict)
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FixResult:
    """What ``fix=true`` did to a faulty config; scores are of the validation part.

    Args:
        metric: name of the score.
        checks: the checks that the doctor named for the first run, without notes.
        first_score: score of the first run, or None if it did not finish.
        best_score: score of the best run, or None if none finished.
        healthy_score: score of the healthy config.
        changes: the changes and their outcomes.
        outcome: outcome of the first change.
    """

    metric: str
    checks: list[str]
    first_score: float | None
    best_score: float | None
    healthy_score: float
    changes: list[str]
    outcome: str

    def is_fixed(self) -> bool:
        """Return whether 90% of what the fault cost was regained."""
        if self.best_score is None:
            return False
        if is_as_good(self.best_score, self):
            return True
        if self.first_score is None:  # a run that did not finish has no score: within 10% of the healthy one
            return abs(self.best_score - self.healthy_score) <= 0.1 * abs(self.healthy_score)
        return (self.best_score - self.first_score) / (self.healthy_score - self.first_score) >= 0.9


DIGITS = {"data": "digits", "model": "mlp", "hidden": [64], "epochs": 10}
DEEP = {"data": "digits", "model": "mlp", "hidden": [64] * 6, "epochs": 15, "optimizer": "sgd", "lr": 0.1}
SGD = {"optimizer": "sgd", "lr": 0.1}
WINE = {"data": "wine", "model": "mlp", "epochs": 30, "optimizer": "sgd", "lr": 0.05}
CANCER = {"data": "breast-cancer", "model": "mlp", "epochs": 15, "optimizer": "sgd", "lr": 0.05}
DIABETES = {"data": "diabetes", "model": "mlp", "epochs": 30}
IRIS = {"data": "iris", "model": "mlp", "epochs": 30, "optimizer": "sgd", "lr": 0.1}
LINEAR = {"data": "linear", "model": "linear", "epochs": 5, **SGD}
HIGH = ("high-learning-rate", "non-finite-loss")
DEPTH = ("vanishing-gradients", "low-learning-rate")
FAULTY = [
    ConfigCase("lr 50 of SGD", {**DIGITS, **SGD}, {"lr": 50.0}, HIGH),
    ConfigCase("lr 1 of AdamW", {**DIGITS, "optimizer": "adamw"}, {"lr": 1.0}, (*HIGH, "dead-relu")),
    ConfigCase("lr 100 of SGD: two classes", CANCER, {"lr": 100.0}, HIGH),
    ConfigCase("lr 10 of a linear regression", LINEAR, {"lr": 10.0}, HIGH),
    ConfigCase("momentum 0.999", {**DIGITS, "optimizer": "momentum", "lr": 0.05}, {"momentum": 0.999, "lr": 0.5}, HIGH),
    ConfigCase("lr 1e-6 of AdamW", {**DIGITS, "optimizer": "adamw"}, {"lr": 1e-6}, ("low-learning-rate",)),
    ConfigCase("lr 1e-4 of SGD", IRIS, {"lr": 1e-4}, ("low-learning-rate",)),
    ConfigCase(
        "a schedule that falls at once",
        {**DIGITS, **SGD, "schedule": "cosine", "epochs": 15},
        {"schedule": "exponential", "rate": 1e-4, "lr": 0.01},
        ("low-learning-rate",),
    ),
    ConfigCase("equal weights", {**DIGITS, **SGD}, {"init": "constant", "value": 0.1}, ("symmetric-weights",)),
    ConfigCase(
        "initial weights ten times too large",
        {**DEEP, "hidden": [64] * 4, "lr": 0.05, "init": "kaiming-normal"},
        {"init": "normal", "std": 1.0},
        ("exploding-gradients", "initial-loss"),
    ),
    ConfigCase(
        "six layers of sigmoids", {**DEEP, "batch_norm": True}, {"activation": "sigmoid", "batch_norm": False}, DEPTH
    ),
    ConfigCase(
        "initial weights ten times too small",
        {**DEEP, "batch_norm": False, "init": "kaiming-normal"},
        {"init": "normal", "std": 0.01},
        DEPTH,
    ),
    ConfigCase("unscaled inputs: thirteen columns", WINE, {"scale": "none"}, ("inputs",)),
    ConfigCase("unscaled inputs: thirty columns", CANCER, {"scale": "none"}, ("inputs",)),
    ConfigCase("pixels as bytes", {**DIGITS, **SGD}, {"scale": "none"}, ("inputs",)),
    ConfigCase(
        "unscaled targets",
        {**DIABETES, "target_scale": "standard"},
        {"target_scale": "none", "epochs": 10},
        ("target-scale",),
    ),
    ConfigCase("weight decay 2", {**DIGITS, "optimizer": "sgd", "lr": 0.05}, {"weight_decay": 2.0}, ("strong-decay",)),
    ConfigCase("too few epochs", {**DIGITS, "optimizer": "adamw", "epochs": 16}, {"epochs": 4}, ("too-few-epochs",)),
    ConfigCase(
        "overfitting",
        {**DIABETES, "hidden": [256, 256], "epochs": 60, "lr": 0.003, "dropout": 0.3},
        {"dropout": 0.0},
        ("overfitting",),
    ),
    ConfigCase(
        "a frozen body that was never trained",
        {**DIGITS, "hidden": [64, 64], "batch": 64},
        {"weights": "run:1e-12", "finetune": "head"},
        ("frozen-parameters",),
    ),
]
HEALTHY = [
    ConfigCase("iris", {"data": "iris"}),
    ConfigCase("wine", {"data": "wine"}),
    ConfigCase("breast cancer", {"data": "breast-cancer", "epochs": 30}),
    ConfigCase("digits: LeNet", {"data": "digits", "epochs": 8}),
    ConfigCase("digits: sigmoids", {**DIGITS, "activation": "sigmoid", "epochs": 15}),
    ConfigCase("digits: cosine", {**DIGITS, **SGD, "schedule": "cosine"}),
    ConfigCase("digits: label smoothing", {**DIGITS, "smoothing": 0.1}),
    ConfigCase("digits: batch of 8", {**DIGITS, "batch": 8, "epochs": 5, "optimizer": "momentum", "lr": 0.01}),
    ConfigCase("breast cancer: dropout 0.5", {**CANCER, "dropout": 0.5}),
    ConfigCase("diabetes: a linear model", {"data": "diabetes", "model": "linear", "epochs": 30}),
    ConfigCase("a noisy cubic", {"data": "polynomial", "model": "mlp", "epochs": 60}),
    ConfigCase("breast cancer: balanced weights", {**CANCER, "pos_weight": "balanced"}),
    ConfigCase("digits: balanced weights", {**DIGITS, "class_weight": "balanced"}),
    ConfigCase(
        "diabetes: half the squared error", {"data": "diabetes", "model": "linear", "epochs": 30, "loss": "half-mse"}
    ),
    ConfigCase("wine: TabM", {"data": "wine", "model": "tabm", "epochs": 20}),
    ConfigCase("digits: four normalized layers of sigmoids", {**DEEP, "activation": "sigmoid", "batch_norm": True}),
    ConfigCase(
        "digits: a frozen body that was trained",
        {**DIGITS, "hidden": [64, 64], "batch": 64, "optimizer": "adamw"},
        {"weights": "run:1e-2", "finetune": "head"},
    ),
    ConfigCase("exclusive or", {"data": "xor", "model": "mlp", "epochs": 30}),
]


def train(config: dict[str, Any], out: Path, *, fix: bool) -> Path:
    """Train and return the run folder; if the run does not finish, that of the last run with a ``fix.json``."""
    try:
        return yisheng.train(**config, out=out, fix=fix, quiet=True).path
    except NonFiniteError:
        return next(path for path in sorted(out.iterdir()) if not fix or (path / "fix.json").is_file())


def read_checks(run: Path) -> list[str]:
    """Return the checks that the doctor named for a run, without notes."""
    findings = json.loads((run / "findings.json").read_text())["findings"]
    return [finding["check"] for finding in findings if finding["severity"] != "note"]


def read_validation_score(run: Path, metric: str) -> float:
    """Return a validation score of a finished run."""
    return float(json.loads((run / "scores.json").read_text())["validation"][metric]["value"])


def build_faulty_config(case: ConfigCase, out: Path, seed: int) -> dict[str, Any]:
    """Return the config with its fault; weights of a run are trained first."""
    fault = dict(case.fault)
    if str(fault.get("weights", "")).startswith("run:"):
        lr = float(fault["weights"].removeprefix("run:"))
        config = {**case.config, "epochs": 1, "lr": lr, "seed": seed + 1}
        fault["weights"] = str(train(config, out / "w", fix=False))
    return {**case.config, **fault, "seed": seed}


def fix_case(case: ConfigCase, seed: int) -> FixResult:
    """Train a faulty config with fix=true, and the healthy one."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        best = train(build_faulty_config(case, out, seed), out / "fix", fix=True)
        healthy = train({**case.config, "seed": seed}, out / "healthy", fix=False)
        fix = json.loads((best / "fix.json").read_text())
        metric, rounds = fix["score"], fix["rounds"]
        best_score = read_validation_score(best, metric) if (best / "scores.json").is_file() else None
        score = rounds[0]["before"]["score"] if rounds else None
        first_score = score["value"] if score else None if rounds else best_score
        return FixResult(
            metric,
            read_checks(sorted((out / "fix").iterdir())[0]),
            first_score,
            best_score,
            read_validation_score(healthy, metric),
            [f"{format_settings(step['change'])}: {step['outcome']}" for step in rounds],
            rounds[0]["outcome"] if rounds else "no remedy",
        )


def is_as_good(value: float, result: FixResult) -> bool:
    """Return whether a score is as good as that of the healthy config."""
    return value >= result.healthy_score if is_higher_better(result.metric) else value <= result.healthy_score


def format_settings(change: dict[str, Any]) -> str:
    """Return settings as they are typed in a shell."""
    return " ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in change.items()
    )


def format_scores(values: list[float | None]) -> str:
    """Return the scores of all seeds."""
    return ", ".join("did not finish" if value is None else format_number(value) for value in values)


def measure_fixes(cases: list[ConfigCase], seeds: int) -> None:
    """Print the table of the faulty configs."""
    print("| config | named first | score | before | after fix=true | healthy config | what was changed (first seed) |")
    print("|---|---|---|---|---|---|---|")
    total = correct = improved = fixed = first_three = 0
    for case in cases:
        results = [fix_case(case, seed) for seed in range(seeds)]
        wrong = sorted(
            {" ".join(r.checks[:1]) or "nothing" for r in results if not set(r.checks[:1]) & set(case.causes)}
        )
        hits = sum(bool(set(r.checks[:1]) & set(case.causes)) for r in results)
        total += seeds
        correct += hits
        first_three += sum(bool(set(r.checks[:3]) & set(case.causes)) for r in results)
        improved += sum(r.outcome == "better" for r in results)
        fixed += sum(r.is_fixed() for r in results)
        named = f"{hits} of {seeds}" + (f" ({', '.join(wrong)})" if wrong else "")
        scores = [[r.first_score for r in results], [r.best_score for r in results], [r.healthy_score for r in results]]
        columns = " | ".join(map(format_scores, scores))
        changes = "; ".join(results[0].changes) or "nothing"
        print(f"| {case.name} | {named} | {results[0].metric} | {columns} | {changes} |", flush=True)
    print(
        f"\n{len(cases)} faulty configs, {seeds} seeds: correct cause first {correct} of {total}, among the first "
        f"three {first_three}; first remedy significantly better {improved} of {total}; at least 90% of the way from "
        f"the faulty to the healthy config's score {fixed} of {total}\n"
    )


def count_false_alarms(cases: list[ConfigCase], seeds: int) -> None:
    """Print what the doctor finds in healthy configs, and whether fix=true trains them again."""
    alarms, retrained, scores = 0, 0, []
    for case in cases:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder)
                best = train(build_faulty_config(case, out, seed), out / "fix", fix=True)
                first_run = sorted((out / "fix").iterdir())[0]
                checks, fix = read_checks(first_run), json.loads((best / "fix.json").read_text())
                scores.append(f"{case.name} {format_number(read_validation_score(first_run, fix['score']))}")
                alarms += bool(checks)
                retrained += bool(fix["rounds"])
                if checks:
                    changes = [f"{format_settings(step['change'])}: {step['outcome']}" for step in fix["rounds"]]
                    print(f"false alarm: {case.name}, seed {seed}: {checks}, changed: {changes}", flush=True)
    print(
        f"{len(cases)} healthy configs, {seeds} seeds: false alarms {alarms}, trained again {retrained} of "
        f"{len(cases) * seeds}"
    )
    print("scores:", "; ".join(scores))


def main(arguments: list[str]) -> int:
    """Run the command line."""
    options = dict(argument.split("=", 1) for argument in arguments)
    only = set(options.get("only", "").split(",")) - {""}
    seeds, part, start = int(options.get("seeds", "2")), options.get("part", ""), time.process_time()
    torch.set_num_threads(1)
    if part != "healthy":
        measure_fixes([case for case in FAULTY if not only or case.name in only], seeds)
    if part != "faulty":
        count_false_alarms([case for case in HEALTHY if not only or case.name in only], seeds)
    print(f"processor time: {time.process_time() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The doctor, and ``fix=true``, over configs of our own.

    python benchmarks/doctor/configs.py [seeds=2] [only=NAME,...] [part=faulty|healthy]

Each faulty config is a healthy one with a setting spoiled. It is trained with fix=true, and beside it the healthy one.
Printed is a table in Markdown: how often a right cause was named first, the validation score before and after the
remedies, and that of the healthy config. Then the healthy configs, and what the doctor found to say of them.
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
from yisheng.reporting.formatting import higher, number


@dataclass(frozen=True)
class Case:
    """A config that is spoiled.

    Args:
        name: of the case.
        config: the healthy one.
        fault: settings that spoil it; ``run:0.01`` stands for the weights of a run of one epoch at such a rate.
        causes: checks that name the fault.
    """

    name: str
    config: dict[str, Any]
    fault: dict[str, Any] = field(default_factory=dict)
    causes: tuple[str, ...] = ()


DIGITS = {"data": "digits", "model": "mlp", "hidden": [64], "epochs": 10}
DEEP = {"data": "digits", "model": "mlp", "hidden": [64] * 6, "epochs": 15, "optimizer": "sgd", "lr": 0.1}
SGD = {"optimizer": "sgd", "lr": 0.1}
WINE = {"data": "wine", "model": "mlp", "epochs": 30, "optimizer": "sgd", "lr": 0.05}
CANCER = {"data": "breast-cancer", "model": "mlp", "epochs": 15, "optimizer": "sgd", "lr": 0.05}
DIABETES = {"data": "diabetes", "model": "mlp", "epochs": 30}
IRIS = {"data": "iris", "model": "mlp", "epochs": 30, "optimizer": "sgd", "lr": 0.1}
HIGH = ("high-learning-rate", "non-finite-loss")
DEPTH = ("vanishing-gradients", "low-learning-rate")
FAULTY = [
    Case("lr 50 of SGD", {**DIGITS, **SGD}, {"lr": 50.0}, HIGH),
    Case("lr 1 of AdamW", {**DIGITS, "optimizer": "adamw"}, {"lr": 1.0}, (*HIGH, "dead-relu")),
    Case("lr 100 of SGD: two classes", CANCER, {"lr": 100.0}, HIGH),
    Case("lr 10 of a linear regression", {"data": "linear", "model": "linear", "epochs": 5, **SGD}, {"lr": 10.0}, HIGH),
    Case("momentum 0.999", {**DIGITS, "optimizer": "momentum", "lr": 0.05}, {"momentum": 0.999, "lr": 0.5}, HIGH),
    Case("lr 1e-6 of AdamW", {**DIGITS, "optimizer": "adamw"}, {"lr": 1e-6}, ("low-learning-rate",)),
    Case("lr 1e-4 of SGD", IRIS, {"lr": 1e-4}, ("low-learning-rate",)),
    Case(
        "a schedule that falls at once",
        {**DIGITS, **SGD, "schedule": "cosine", "epochs": 15},
        {"schedule": "exponential", "rate": 1e-4, "lr": 0.01},
        ("low-learning-rate",),
    ),
    Case("all weights alike", {**DIGITS, **SGD}, {"init": "constant", "value": 0.1}, ("symmetric-weights",)),
    Case(
        "initial weights ten times too large",
        {**DEEP, "hidden": [64] * 4, "lr": 0.05, "init": "kaiming-normal"},
        {"init": "normal", "std": 1.0},
        ("exploding-gradients", "initial-loss"),
    ),
    Case("six layers of sigmoids", {**DEEP, "batch_norm": True}, {"activation": "sigmoid", "batch_norm": False}, DEPTH),
    Case(
        "initial weights ten times too small",
        {**DEEP, "batch_norm": False, "init": "kaiming-normal"},
        {"init": "normal", "std": 0.01},
        DEPTH,
    ),
    Case("inputs as they are: thirteen columns", WINE, {"scale": "none"}, ("inputs",)),
    Case("inputs as they are: thirty columns", CANCER, {"scale": "none"}, ("inputs",)),
    Case("pixels as bytes", {**DIGITS, **SGD}, {"scale": "none"}, ("inputs",)),
    Case(
        "targets as they are",
        {**DIABETES, "target_scale": "standard"},
        {"target_scale": "none", "epochs": 10},
        ("target-scale",),
    ),
    Case("weight decay 2", {**DIGITS, "optimizer": "sgd", "lr": 0.05}, {"wd": 2.0}, ("strong-decay",)),
    Case("too few epochs", {**DIGITS, "optimizer": "adamw", "epochs": 16}, {"epochs": 4}, ("too-few-epochs",)),
    Case(
        "rows learnt by heart",
        {**DIABETES, "hidden": [256, 256], "epochs": 60, "lr": 0.003, "dropout": 0.3},
        {"dropout": 0.0},
        ("overfitting",),
    ),
    Case(
        "a frozen body that was never trained",
        {**DIGITS, "hidden": [64, 64], "batch": 64},
        {"weights": "run:1e-12", "finetune": "head"},
        ("frozen-parameters",),
    ),
]
HEALTHY = [
    Case("iris", {"data": "iris"}),
    Case("wine", {"data": "wine"}),
    Case("breast cancer", {"data": "breast-cancer", "epochs": 30}),
    Case("digits: LeNet", {"data": "digits", "epochs": 8}),
    Case("digits: sigmoids", {**DIGITS, "activation": "sigmoid", "epochs": 15}),
    Case("digits: cosine", {**DIGITS, **SGD, "schedule": "cosine"}),
    Case("digits: label smoothing", {**DIGITS, "smoothing": 0.1}),
    Case("digits: batch of 8", {**DIGITS, "batch": 8, "epochs": 5, "optimizer": "momentum", "lr": 0.01}),
    Case("breast cancer: dropout 0.5", {**CANCER, "dropout": 0.5}),
    Case("diabetes: a linear model", {"data": "diabetes", "model": "linear", "epochs": 30}),
    Case("a noisy cubic", {"data": "polynomial", "model": "mlp", "epochs": 60}),
    Case("breast cancer: balanced weights", {**CANCER, "pos_weight": "balanced"}),
    Case("digits: balanced weights", {**DIGITS, "class_weight": "balanced"}),
    Case("diabetes: half the squared error", {"data": "diabetes", "model": "linear", "epochs": 30, "loss": "half-mse"}),
    Case("wine: TabM", {"data": "wine", "model": "tabm", "epochs": 20}),
    Case("digits: four layers of sigmoids normalised", {**DEEP, "activation": "sigmoid", "batch_norm": True}),
    Case(
        "digits: a frozen body that was trained",
        {**DIGITS, "hidden": [64, 64], "batch": 64, "optimizer": "adamw"},
        {"weights": "run:1e-2", "finetune": "head"},
    ),
    Case("exclusive or", {"data": "xor", "model": "mlp", "epochs": 30}),
]


def trained(config: dict[str, Any], out: Path, *, fix: bool) -> Path:
    """Train; gives the run, also where it broke off: then the last one that has a page of what was mended."""
    try:
        return yisheng.train(**config, out=out, fix=fix, quiet=True).path
    except NonFiniteError:
        return next(path for path in sorted(out.iterdir()) if not fix or (path / "fix.json").is_file())


def found(run: Path) -> list[str]:
    """What the doctor said of a run, notes left out."""
    page = json.loads((run / "findings.json").read_text())
    return [one["check"] for one in page["findings"] if one["severity"] != "note"]


def validation(run: Path, score: str) -> float:
    """A validation score of a finished run."""
    return float(json.loads((run / "scores.json").read_text())["validation"][score]["value"])


def spoiled(case: Case, out: Path, seed: int) -> dict[str, Any]:
    """The faulty config."""
    fault = dict(case.fault)
    if str(fault.get("weights", "")).startswith("run:"):
        lr = float(fault["weights"].removeprefix("run:"))
        fault["weights"] = str(trained({**case.config, "epochs": 1, "lr": lr, "seed": seed + 1}, out / "w", fix=False))
    return {**case.config, **fault, "seed": seed}


def mended(case: Case, seed: int) -> dict[str, Any]:
    """A faulty config with fix=true, and the healthy one beside it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        run = trained(spoiled(case, out, seed), out / "fix", fix=True)
        healthy = trained({**case.config, "seed": seed}, out / "twin", fix=False)
        first = sorted((out / "fix").iterdir())[0]
        fix = json.loads((run / "fix.json").read_text())
        rounds = fix["rounds"]
        before = rounds[0]["before"]["score"] if rounds else None
        same = None if not (run / "scores.json").is_file() else validation(run, fix["score"])
        return {
            "score": fix["score"],
            "named": found(first),
            "before": before["value"] if before else None if rounds else same,
            "after": same,
            "twin": validation(healthy, fix["score"]),
            "changes": [f"{worded(one['change'])}: {one['outcome']}" for one in rounds],
            "outcome": rounds[0]["outcome"] if rounds else "no remedy",
        }


def worded(change: dict[str, Any]) -> str:
    """Settings as one types them."""
    return " ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in change.items()
    )


def said(values: list[float | None]) -> str:
    """Values of the seeds."""
    return ", ".join("broke off" if value is None else number(value) for value in values)


def ask(cases: list[Case], seeds: int) -> None:
    """The table of the faulty configs."""
    print("| config | named first | score | before | after fix=true | healthy config | what was changed (first seed) |")
    print("|---|---|---|---|---|---|---|")
    right = better = reached = three = times = 0
    for case in cases:
        each = [mended(case, seed) for seed in range(seeds)]
        hits = [one["named"][:1] != [] and one["named"][0] in case.causes for one in each]
        times += seeds
        right += sum(hits)
        three += sum(bool(set(one["named"][:3]) & set(case.causes)) for one in each)
        better += sum(one["outcome"] == "better" for one in each)
        reached += sum(as_good(one) for one in each)
        wrong = sorted(
            {one["named"][0] if one["named"] else "nothing" for one, hit in zip(each, hits, strict=True) if not hit}
        )
        named = f"{sum(hits)} of {seeds}" + (f" ({', '.join(wrong)})" if wrong else "")
        columns = [said([one[key] for one in each]) for key in ("before", "after", "twin")]
        changes = "; ".join(each[0]["changes"]) or "nothing"
        print(f"| {case.name} | {named} | {each[0]['score']} | {' | '.join(columns)} | {changes} |", flush=True)
    print(
        f"\n{len(cases)} faulty configs, {seeds} seeds: right cause first {right} of {times}, among the first three "
        f"{three}; first remedy better beyond its interval {better} of {times}; at least 90% of the way from "
        f"the faulty to the healthy config's score {reached} of {times}\n"
    )


def as_good(one: dict[str, Any]) -> bool:
    """Whether 90% of what the fault cost was won back."""
    if one["after"] is None:
        return False
    if one["before"] is None:  # of a run that broke off there is no score: within 10% of the healthy one
        return bool(abs(one["after"] - one["twin"]) <= 0.1 * abs(one["twin"]) or better(one["after"], one))
    whole = one["twin"] - one["before"]
    return bool(better(one["after"], one) or (one["after"] - one["before"]) / whole >= 0.9)


def better(value: float, one: dict[str, Any]) -> bool:
    """Whether a value is as good as the healthy config's."""
    return value >= one["twin"] if higher(one["score"]) else value <= one["twin"]


def alarms(cases: list[Case], seeds: int) -> None:
    """What is said of healthy configs, and what fix=true makes of them."""
    count, changed, scores = 0, 0, []
    for case in cases:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder)
                run = trained(spoiled(case, out, seed), out / "fix", fix=True)
                first = sorted((out / "fix").iterdir())[0]
                names, fix = found(first), json.loads((run / "fix.json").read_text())
                scores.append(f"{case.name} {number(validation(first, fix['score']))}")
                count += bool(names)
                changed += bool(fix["rounds"])
                if names:
                    told = [f"{worded(one['change'])}: {one['outcome']}" for one in fix["rounds"]]
                    print(f"alarm: {case.name}, seed {seed}: {names}, changed: {told}", flush=True)
    print(
        f"{len(cases)} healthy configs, {seeds} seeds: alarms {count}, trained again {changed} of {len(cases) * seeds}"
    )
    print("scores:", "; ".join(scores))


def main(arguments: list[str]) -> int:
    """The command."""
    options = dict(word.split("=", 1) for word in arguments)
    only = set(options.get("only", "").split(",")) - {""}
    seeds, part, began = int(options.get("seeds", "2")), options.get("part", ""), time.process_time()
    torch.set_num_threads(1)
    if part != "healthy":
        ask([case for case in FAULTY if not only or case.name in only], seeds)
    if part != "faulty":
        alarms([case for case in HEALTHY if not only or case.name in only], seeds)
    print(f"processor time: {time.process_time() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

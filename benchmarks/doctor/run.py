"""The doctor over faulty and healthy trainings.

    python benchmarks/doctor/run.py [half=odd|even|later|latest|all] [seeds=3] [only=NAME,...] [--verbose]
    python benchmarks/doctor/run.py verify [only=NAME,...]

The first asks it: how often it says anything, names the right cause first or among the first three, after how many
backward passes, and how often it speaks where all is well. The thresholds are tuned on the odd programs alone;
the later ones were written when that was done, the latest ones with checks that came after them.
`verify` trains each faulty program and its mended twin with 5 seeds and tests that the twin is better (Welch).
"""

from __future__ import annotations

import os
import sys
import time
import warnings

import faulty
import faulty_numbers
import healthy
import later
import latest
import numpy as np
import torch
from parts import FAULTY, HEALTHY, Program, Trial
from scipy import stats

assert faulty
assert faulty_numbers
assert healthy
assert later
assert latest

SEEDS, LEVEL = 5, 0.05
HALVES = {"odd": "development", "even": "held out", "later": "written later", "latest": "latest"}


def half_of(program: Program) -> str:
    """Which part of the benchmark a program is in."""
    if program.run.__module__ in HALVES:
        return program.run.__module__
    return "odd" if program.number % 2 else "even"


def one(program: Program, seed: int, **how: bool) -> tuple[Trial, float]:
    """Run a program with one seed."""
    torch.manual_seed(seed)
    trial = Trial(seed, **how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of shapes that do not fit
        return trial, program.run(trial)


def verify(programs: list[Program]) -> int:
    """Whether each mended twin is better."""
    bad = 0
    for program in programs:
        began = time.process_time()
        faulty_scores, fixed_scores = (
            [one(program, seed, fixed=fixed)[1] for seed in range(SEEDS)] for fixed in (False, True)
        )
        a, b = np.nan_to_num(faulty_scores, nan=-10.0), np.nan_to_num(fixed_scores, nan=-10.0)
        same = float(np.std(a)) + float(np.std(b)) == 0
        p = float(a[0] >= b[0]) if same else float(stats.ttest_ind(b, a, equal_var=False, alternative="greater").pvalue)
        bad += p >= LEVEL
        seconds = (time.process_time() - began) / (2 * SEEDS)
        print(
            f"{program.number:3} {program.name:45} {a.mean():8.3f} {b.mean():8.3f}  p={p:.2g} {seconds:.2f} s"
            f"{'' if p < LEVEL else '   NOT BETTER'}",
            flush=True,
        )
    print(f"{len(programs) - bad} of {len(programs)} twins are better")
    return bad


def ask(programs: list[Program], seeds: int, verbose: bool) -> None:
    """What the doctor says of faulty programs."""
    said = first = three = times = late = 0
    steps: list[float] = []
    for program in programs:
        for seed in range(seeds):
            trial, _ = one(program, seed, watch=True, ask=True)
            names = [finding.check for finding in trial.final.findings]
            times += 1
            said += bool(names)
            first += names[:1] != [] and names[0] in program.fault
            three += any(name in program.fault for name in names[:3])
            at = next((step for step, found in trial.said.items() if set(found[:3]) & set(program.fault)), None)
            if at is not None:
                steps.append(at)
            late += at is None or at > 200
            if verbose or names[:1] == [] or names[0] not in program.fault:
                print(
                    f"{program.number:3} {program.name:45} seed {seed}: {', '.join(names) or '-'} (named at {at})",
                    flush=True,
                )
    if times:
        print(
            f"{len(programs)} faulty programs, {seeds} seeds: something said {said / times:.1%}, right cause first "
            f"{first / times:.1%}, in the first three {three / times:.1%}; first named after "
            f"{np.median(steps) if steps else float('nan'):.0f} backward passes (middle), "
            f"{np.percentile(steps, 90) if steps else float('nan'):.0f} (90%), not within 200: {late / times:.1%}"
        )


def alarms(programs: list[Program], seeds: int) -> None:
    """What it says where all is well."""
    ended = passing = times = 0
    scores = []
    for program in programs:
        for seed in range(seeds):
            trial, score = one(program, seed, watch=True, ask=True)
            names = [finding.check for finding in trial.final.findings]
            early = sorted({name for found in trial.said.values() for name in found} - set(names))
            times += 1
            scores.append(f"{program.number}:{score:.2f}")
            ended += bool(names)
            passing += bool(names or early)
            if names or early:
                print(
                    f"{program.number:3} {program.name:45} seed {seed}: {names} on the way {early} ({score:.3f})",
                    flush=True,
                )
    print(
        f"{len(programs)} healthy programs, {seeds} seeds: alarms at the end {ended} of {times}; "
        f"at the end or on the way {passing} of {times}"
    )
    print("scores:", " ".join(scores))


def main(arguments: list[str]) -> int:
    """The command."""
    options = dict(word.split("=", 1) for word in arguments if "=" in word)
    only = set(options.get("only", "").split(",")) - {""}
    real = bool(os.environ.get("YISHENG_MIRROR"))
    wanted = options.get("half", "all")
    halves = tuple(HALVES) if wanted == "all" else (wanted,)
    torch.set_num_threads(1)

    def chosen(programs: list[Program], half: str) -> list[Program]:
        fit = [p for p in programs if half_of(p) == half and (real or not p.data)]
        return [p for p in fit if not only or p.name in only or str(p.number) in only]

    if "verify" in arguments:
        return int(verify([p for half in halves for p in chosen(FAULTY, half)]) > 0)
    seeds = int(options.get("seeds", "3"))
    for half in halves:
        print(f"-- {HALVES[half]}")
        ask(chosen(FAULTY, half), seeds, "--verbose" in arguments)
        alarms(chosen(HEALTHY, half), seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run the doctor on faulty and healthy trainings.

    python -m benchmarks.doctor.run [part=PART|all] [seeds=3] [only=NAME,...] [--verbose] [--at-end]
    python -m benchmarks.doctor.run verify [only=NAME,...]

The first command counts how often the doctor finds anything, names the correct cause first or among the first three,
after how many backward passes, and how often it finds something in healthy trainings. The thresholds are tuned on the
development part only; the held-out part has the same kinds of faults, the later programs were written after that, the
latest ones with checks that came after them, and the unseen, the newest, the fresh, the recent and the further ones in
other kinds, before their diagnosis was known; the everyday ones are mistakes that people ask about, the classroom ones
those of course projects, and the ones of the projects and the workshop part those that forums and reviews of code show
most often. With `--at-end` trainings are diagnosed at their end only: it is faster.

The newest part has no healthy programs of its own: those without their fault take their place. The fresh, the
recent, the further, the everyday, the classroom, the projects and the workshop part have both.
`verify` trains each faulty program with and without its fault, with 5 seeds, and tests whether the fault does harm
(Welch's t test); and it compares the healthy programs of these parts with the score that each must reach.
"""

from __future__ import annotations

import os
import sys
import time
import warnings

import numpy as np
import torch
from benchmarks.doctor.harness import Program, Trial, select_alarms
from benchmarks.doctor.programs import FAULTY, HEALTHY
from scipy import stats

VERIFY_SEEDS, MAX_P_VALUE = 5, 0.05
WORST_SCORE = -10.0
"""Score of a training whose score is not a number."""
MAX_PASSES = 200
"""Backward passes within which the correct cause should be named."""
PARTS = (
    "development",
    "held-out",
    "later",
    "latest",
    "unseen",
    "newest",
    "fresh",
    "recent",
    "further",
    "everyday",
    "classroom",
    "projects",
    "workshop",
)
PARTS_RUN_FIXED = ("newest", "fresh", "recent", "further", "everyday", "classroom", "projects", "workshop")
"""Parts whose faulty programs are also run without their fault, as healthy ones."""


def part_of(program: Program) -> str:
    """Return the part of the benchmark that a program belongs to."""
    module = program.run.__module__.removeprefix("benchmarks.doctor.")
    for part in PARTS[2:]:
        if module.startswith(part):
            return part
    return "development" if program.number % 2 else "held-out"


def run_program(program: Program, seed: int, **options: bool) -> tuple[Trial, float]:
    """Run a program with one seed; return its trial and its score."""
    torch.manual_seed(seed)
    trial = Trial(seed, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about shapes that do not fit
        return trial, program.run(trial)


def verify_faults(programs: list[Program]) -> int:
    """Print whether each program is better without its fault; return how many are not."""
    failures = 0
    for program in programs:
        start = time.process_time()
        with_fault, without_fault = (
            np.nan_to_num([run_program(program, seed, fixed=fixed)[1] for seed in range(VERIFY_SEEDS)], nan=WORST_SCORE)
            for fixed in (False, True)
        )
        p_value = compute_p_value(with_fault, without_fault)
        failures += p_value >= MAX_P_VALUE
        seconds = (time.process_time() - start) / (2 * VERIFY_SEEDS)
        print(
            f"{program.number:3} {program.name:45} {with_fault.mean():8.3f} {without_fault.mean():8.3f}  "
            f"p={p_value:.2g} {seconds:.2f} s{'' if p_value < MAX_P_VALUE else '   NOT BETTER'}",
            flush=True,
        )
    print(f"{len(programs) - failures} of {len(programs)} programs are better without their fault")
    return failures


def verify_healthy(programs: list[Program]) -> int:
    """Print whether the mean score of each healthy program reaches its bound; return how many do not."""
    failures = 0
    for program in programs:
        start = time.process_time()
        scores = [run_program(program, seed)[1] for seed in range(VERIFY_SEEDS)]
        seconds = (time.process_time() - start) / VERIFY_SEEDS
        bounds = [program.bound(seed) for seed in range(VERIFY_SEEDS)] if program.bound is not None else [WORST_SCORE]
        is_reached = np.mean(scores) >= np.mean(bounds)
        failures += not is_reached
        print(
            f"{program.number:3} {program.name:45} {np.mean(scores):8.3f} bound {np.mean(bounds):8.3f} "
            f"{seconds:.2f} s{'' if is_reached else '   BELOW'}",
            flush=True,
        )
    print(f"{len(programs) - failures} of {len(programs)} healthy programs reach their bound")
    return failures


def compute_p_value(with_fault: np.ndarray, without_fault: np.ndarray) -> float:
    """Return the p-value of Welch's t test that scores are better without the fault."""
    if float(np.std(with_fault)) + float(np.std(without_fault)) == 0:
        return float(with_fault[0] >= without_fault[0])
    return float(stats.ttest_ind(without_fault, with_fault, equal_var=False, alternative="greater").pvalue)


def count_found_causes(programs: list[Program], seeds: int, verbose: bool, often: bool) -> None:
    """Print what the doctor finds in faulty programs, at the end and, if wanted, during training."""
    total = any_finding = first = first_three = too_late = 0
    passes_until_named: list[int] = []
    for program in programs:
        for seed in range(seeds):
            trial, _ = run_program(program, seed, diagnose=True, diagnose_often=often)
            checks, causes = trial.checks, set(program.causes)
            total += 1
            any_finding += bool(checks)
            is_first = bool(checks) and checks[0] in causes
            first += is_first
            first_three += any(check in causes for check in checks[:3])
            passes = next((n for n, named in trial.checks_by_pass.items() if set(named[:3]) & causes), None)
            if passes is not None:
                passes_until_named.append(passes)
            too_late += passes is None or passes > MAX_PASSES
            if verbose or not is_first:
                print(
                    f"{program.number:3} {program.name:45} seed {seed}: {', '.join(checks) or '-'} "
                    f"(named after {passes})",
                    flush=True,
                )
    if total:
        median, percentile_90 = np.percentile(passes_until_named or [float("nan")], [50, 90])
        named = (
            f"; named after {median:.0f} backward passes (median), {percentile_90:.0f} (90%), not within {MAX_PASSES}: "
            f"{too_late / total:.1%}"
        )
        print(
            f"{len(programs)} faulty programs, {seeds} seeds: anything found {any_finding / total:.1%}, correct cause "
            f"first {first / total:.1%}, among the first three {first_three / total:.1%}{named if often else ''}"
        )


def count_false_alarms(programs: list[Program], seeds: int, *, fixed: bool = False, often: bool = True) -> None:
    """Print what the doctor finds in healthy programs: errors and warnings are false alarms, notes are not.

    Args:
        programs: healthy ones, or faulty ones that are run without their fault.
        seeds: number of seeds.
        fixed: whether the programs are run without their fault.
        often: whether unfinished trainings are diagnosed, too.
    """
    total = at_end = ever = notes = 0
    scores = []
    for program in programs:
        for seed in range(seeds):
            trial, score = run_program(program, seed, fixed=fixed, diagnose=True, diagnose_often=often)
            alarms = set() if trial.diagnosis is None else select_alarms(trial.diagnosis.findings)
            earlier = sorted(trial.alarms - alarms)
            total += 1
            scores.append(f"{program.number}:{score:.2f}")
            at_end += bool(alarms)
            notes += bool(set(trial.checks) - alarms)
            ever += bool(alarms or earlier)
            if alarms or earlier:
                print(
                    f"{program.number:3} {program.name:45} seed {seed}: {sorted(alarms)} during training {earlier} "
                    f"({score:.3f})",
                    flush=True,
                )
    print(
        f"{len(programs)} healthy programs, {seeds} seeds: false alarms at the end {at_end} of {total}; "
        f"at the end or during training {ever} of {total}; notes in {notes}"
    )
    print("scores:", " ".join(scores))


def main(arguments: list[str]) -> int:
    """Run the command line."""
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    only = set(options.get("only", "").split(",")) - {""}
    has_downloads = bool(os.environ.get("YISHENG_MIRROR"))
    part = options.get("part", "all")
    parts = PARTS if part == "all" else (part,)
    torch.set_num_threads(1)

    def select(programs: list[Program], part: str) -> list[Program]:
        in_part = [p for p in programs if part_of(p) == part and (has_downloads or not p.dataset)]
        return [p for p in in_part if not only or p.name in only or str(p.number) in only]

    if "verify" in arguments:
        failures = verify_faults([program for part in parts for program in select(FAULTY, part)])
        bounded = [p for part in parts for p in select(HEALTHY, part) if p.bound is not None]
        return int(failures + verify_healthy(bounded) > 0)
    seeds = int(options.get("seeds", "3"))
    for part in parts:
        print(f"-- {part}")
        often = "--at-end" not in arguments
        count_found_causes(select(FAULTY, part), seeds, "--verbose" in arguments, often)
        if part in PARTS_RUN_FIXED:
            count_false_alarms(select(FAULTY, part), seeds, fixed=True, often=often)
        if part != "newest":
            count_false_alarms(select(HEALTHY, part), seeds, often=often)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

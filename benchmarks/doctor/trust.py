"""Write the page of all checks: what each compares, its thresholds, and how often it alarms in healthy trainings.

    python -m benchmarks.doctor.trust results=FILE [seeds=7] [minutes=N] [only=NAME,...] [commit=HASH]

trains the healthy programs of all parts of the benchmark with these seeds, adds a line to the file for each run, and
writes ``docs/doctor-trust.md`` and ``docs/zh/doctor-trust.md`` from it. Runs that the file already has for the present
commit are not repeated, so a run that was stopped (by `minutes=` or otherwise) is continued by the same command. With
`commit=` the page is written from the runs of an earlier commit, and nothing is trained. Checks and thresholds are read
from the source.
"""

from __future__ import annotations

import collections
import functools
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.doctor.check_texts import CHECK_KINDS, read_check
from benchmarks.doctor.harness import Program, select_alarms
from benchmarks.doctor.programs import HEALTHY
from benchmarks.doctor.run import run_program
from benchmarks.doctor.trust_texts import TEXTS

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.messages import as_message, translate
from yisheng.diagnosis.course_findings import CHECKS as COURSE_CHECKS
from yisheng.diagnosis.ranking import PARTS
from yisheng.diagnosis.row_checks import NEXT_STEP
from yisheng.metrics.wilson import compute_wilson_bounds

ROOT = Path(__file__).parents[2]
PAGES = {"en": ROOT / "docs" / "doctor-trust.md", "zh": ROOT / "docs" / "zh" / "doctor-trust.md"}
DIAGNOSIS = "src/yisheng/diagnosis"


@dataclass(frozen=True)
class Run:
    """A healthy training and what the doctor said of it.

    Args:
        program: name of the program.
        seed: of its data, weights and batches.
        commit: of the source.
        score: on held-out rows.
        alarms: checks with an error or a warning at the end.
        notes: checks with a note at the end.
        early_alarms: checks with an error or a warning during training, but not at the end.
        unchecked: checks that could not run.
        examined: what was looked at: training, validation, data.
    """

    program: str
    seed: int
    commit: str
    score: float
    alarms: list[str]
    notes: list[str]
    early_alarms: list[str]
    unchecked: list[str]
    examined: list[str]


def main(arguments: list[str]) -> None:
    """Run the command line."""
    options = dict(argument.split("=", 1) for argument in arguments)
    path, commit = Path(options["results"]), options.get("commit") or describe_commit()
    runs = [run for run in read_runs(path) if run.commit == commit]
    deadline = time.monotonic() + 60 * float(options.get("minutes", "1e9"))
    names = set(options.get("only", "").split(",")) - {""}
    torch.set_num_threads(1)
    finished = {(run.program, run.seed) for run in runs}
    for seed in range(0 if "commit" in options else int(options.get("seeds", 7))):
        for program in HEALTHY:
            is_wanted = not names or program.name in names
            if is_wanted and (program.name, seed) not in finished and time.monotonic() < deadline:
                runs.append(train_and_diagnose(program, seed, commit))
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(vars(runs[-1])) + "\n")
    for language, page in PAGES.items():
        page.write_text(render_page(runs, language), encoding="utf-8")
        print(f"{page}: {len(runs)} runs of {len({run.program for run in runs})} programs")


def read_runs(path: Path) -> list[Run]:
    """Return the runs of a file; none if there is no such file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Run(**json.loads(line)) for line in lines]


def describe_commit() -> str:
    """Return the commit of the source, with a mark if the doctor or its programs differ from it."""

    paths = (DIAGNOSIS, "benchmarks/doctor")
    changes = _git("status", "--porcelain", "--", *paths)
    return _git("log", "-1", "--format=%h", "--", *paths) + ("+" if changes else "")


@functools.cache
def list_checks(commit: str) -> frozenset[str]:
    """Return the names of the checks that there were at a commit, so that no run counts for a later check."""
    functions = _git("grep", "-h", "-o", "-E", r"^def \w+", commit.removesuffix("+"), "--", DIAGNOSIS)
    return frozenset(line.removeprefix("def ").replace("_", "-") for line in functions.splitlines())


def _git(*arguments: str) -> str:
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def train_and_diagnose(program: Program, seed: int, commit: str) -> Run:
    """Train a healthy program, diagnosing it during training and at the end."""
    trial, score = run_program(program, seed, diagnose=True, diagnose_often=True)
    assert trial.diagnosis is not None
    alarms = select_alarms(trial.diagnosis.findings)
    return Run(
        program.name,
        seed,
        commit,
        round(score, 4),
        sorted(alarms),
        sorted(set(trial.checks) - alarms),
        sorted(trial.alarms - alarms),
        sorted(trial.diagnosis.unchecked),
        list(trial.diagnosis.examined),
    )


def render_page(runs: list[Run], language: str) -> str:
    """Return the page as Markdown."""
    texts = TEXTS[language]
    lines = [texts["introduction"], _summarize(runs, texts), "", *_list_alarms(runs, texts)]
    for kind in CHECK_KINDS:
        lines += ["", f"## {texts[kind]}", "", texts["rates"], "|---|---|---|---|"]
        entries = list(registry.entries(kind))
        lines += [_render_rates(entry, runs, texts) for entry in entries]
        for entry in entries:
            lines += ["", *_render_check(entry, language)]
    return "\n".join(lines) + "\n"


def _summarize(runs: list[Run], texts: dict[str, str]) -> str:
    """Return the paragraph on alarms in all runs."""
    programs = {run.program for run in runs}
    alarmed_programs = {run.program for run in runs if run.alarms}
    alarmed = sum(bool(run.alarms) for run in runs)
    temporary = sum(bool(run.early_alarms) and not run.alarms for run in runs)
    commits = texts["comma"].join(f"`{commit}`" for commit in sorted({run.commit for run in runs}))
    return texts["summary"].format(
        runs=len(runs),
        programs=len(programs),
        seeds=_describe_seeds(runs, texts),
        commits=commits or texts["none"],
        alarmed=alarmed,
        rate=_format_rate(alarmed, len(runs), texts),
        temporary=temporary,
        temporary_rate=_format_rate(temporary, len(runs), texts),
        alarmed_programs=len(alarmed_programs),
        program_rate=_format_rate(len(alarmed_programs), len(programs), texts),
    )


def _describe_seeds(runs: list[Run], texts: dict[str, str]) -> str:
    counts = collections.Counter(run.program for run in runs).values()
    low, high = (min(counts), max(counts)) if counts else (0, 0)
    return texts["same seeds" if low == high else "seeds"].format(low=low, high=high)


def _format_rate(count: int, total: int, texts: dict[str, str]) -> str:
    if not total:
        return texts["no rate"]
    low, high = compute_wilson_bounds(count, total)
    return texts["rate"].format(fraction=f"{count / total:.1%}", low=f"{low:.1%}", high=f"{high:.1%}")


def _list_alarms(runs: list[Run], texts: dict[str, str]) -> list[str]:
    """Return a table of all alarms."""
    rows = [(run, check, "at the end") for run in runs for check in run.alarms]
    rows += [(run, check, "during training") for run in runs for check in run.early_alarms]
    if not rows:
        return []
    return [texts["alarms"], "|---|---|---|---|---|"] + [
        f"| `{run.program}` | {run.seed} | `{check}` | {texts[when]} | {run.score:.3f} |" for run, check, when in rows
    ]


def _render_rates(entry: Entry, runs: list[Run], texts: dict[str, str]) -> str:
    """Return the line of a check in the table of its kind."""
    name, examined = entry.name, [run for run in runs if _could_run(entry, run)]
    alarms, notes = sum(name in run.alarms for run in examined), sum(name in run.notes for run in examined)
    upper = f"{compute_wilson_bounds(alarms, len(examined))[1]:.1%}" if examined else ""
    limit = texts["up to"].format(limit=upper) if examined else ""
    return f"| [`{name}`](#{name}) | {len(examined)} | {alarms}{limit} | {notes} |"


def _could_run(entry: Entry, run: Run) -> bool:
    """Return whether a check could run in a loop that was given its rows or not, and existed then."""
    if entry.kind == "diagnosis.history_checks" and entry.name not in COURSE_CHECKS:
        return False  # it needs the files of a run
    if entry.kind == "diagnosis.data_checks" and (entry.meta["cost"] == "scored" or entry.name == NEXT_STEP):
        return False
    if entry.name not in list_checks(run.commit):
        return False
    if entry.name in run.alarms or entry.name in run.notes:
        return True
    part = PARTS.get(entry.kind, "training")
    return part in run.examined and entry.name not in run.unchecked


def _render_check(entry: Entry, language: str) -> list[str]:
    """Return what a check compares, its thresholds and its source."""
    texts, check = TEXTS[language], read_check(entry)
    lines = [f"### {entry.name}", "", translate(as_message(check.description), language)]
    if check.thresholds:
        lines += ["", texts["thresholds"], "|---|---|---|"]
    for threshold in check.thresholds:
        meaning = translate(as_message(threshold.meaning), language).replace("|", "\\|")
        lines.append(f"| `{threshold.name}` | {_format_value(threshold.value)} | {meaning} |")
    return [*lines, "", texts["source"].format(source=check.source)] if check.source else lines


def _format_value(value: Any) -> str:
    return ", ".join(map(_format_value, value)) if isinstance(value, tuple) else f"{value:g}"


if __name__ == "__main__":
    main(sys.argv[1:])

"""Write the page of all checks: what each compares, its thresholds, and how often it alarms in healthy trainings.

    python -m benchmarks.doctor.trust results=FILE [seeds=7] [minutes=N] [only=NAME,...] [commit=HASH]

trains the healthy programs of all parts of the benchmark with these seeds, adds a line to the file for each run, and
writes ``docs/doctor-trust.md`` from it. Runs that the file already has for the present commit are not repeated, so a
run that was stopped (by `minutes=` or otherwise) is continued by the same command. With `commit=` the page is written
from the runs of an earlier commit, and nothing is trained. Checks and thresholds are read from the source.
"""

from __future__ import annotations

import ast
import collections
import importlib
import inspect
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.doctor.harness import Program, select_alarms
from benchmarks.doctor.programs import HEALTHY
from benchmarks.doctor.run import run_program

from yisheng.core import registry
from yisheng.diagnosis.course_findings import CHECKS as COURSE_CHECKS
from yisheng.diagnosis.ranking import PARTS
from yisheng.diagnosis.row_checks import NEXT_STEP
from yisheng.metrics.wilson import compute_wilson_bounds

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "doctor-trust.md"
KINDS = {
    "diagnosis.training_checks": "Training checks",
    "diagnosis.history_checks": "History checks",
    "diagnosis.data_checks": "Data checks",
}


@dataclass(frozen=True)
class Threshold:
    """A number that a check compares with.

    Args:
        name: of the constant.
        value: number, or several.
        meaning: what the source says of it; empty if the name says it.
    """

    name: str
    value: Any
    meaning: str


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
    PAGE.write_text(render_page(runs), encoding="utf-8")
    print(f"{PAGE}: {len(runs)} runs of {len({run.program for run in runs})} programs")


def read_runs(path: Path) -> list[Run]:
    """Return the runs of a file; none if there is no such file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Run(**json.loads(line)) for line in lines]


def describe_commit() -> str:
    """Return the commit of the source, with a mark if the doctor or its programs differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    paths = ("src/yisheng/diagnosis", "benchmarks/doctor")
    changes = git("status", "--porcelain", "--", *paths)
    return git("log", "-1", "--format=%h", "--", *paths) + ("+" if changes else "")


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


def find_thresholds(entry: registry.Entry) -> list[Threshold]:
    """Return the thresholds of a check: constants of its file, those that it or a function of it imports, and options.

    >>> entry = registry.find("diagnosis.training_checks", "oscillation")
    >>> next(threshold.value for threshold in find_thresholds(entry) if threshold.name == "MIN_PERIODS")
    4
    """
    module = importlib.import_module(entry.component.__module__)
    thresholds = list(_constants_of(module))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("yisheng.diagnosis"):
            source = importlib.import_module(node.module)
            used = _find_used_names(source, {alias.name for alias in node.names})
            thresholds += [constant for constant in _constants_of(source) if constant.name in used]
    options = [option for option in entry.options.values() if _is_numeric(option.default)]
    return thresholds + [Threshold(option.name, option.default, option.help) for option in options]


def _find_used_names(module: Any, imported: set[str]) -> set[str]:
    """Return imported names, and all names of the module that imported functions use, directly or through others.

    >>> module = importlib.import_module("yisheng.diagnosis.history_checks._loss_history")
    >>> "MIN_GENERALIZED" in _find_used_names(module, {"judge_overfitting"}), _find_used_names(module, {"Judgment"})
    (True, {'Judgment'})
    """
    body = ast.parse(inspect.getsource(module)).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    methods = {
        node.name: node
        for parent in body
        if isinstance(parent, ast.ClassDef)
        for node in parent.body
        if isinstance(node, ast.FunctionDef)
    }
    queue, used = [name for name in imported if name in functions], set(imported)
    while queue:
        node = {**methods, **functions}.get(queue.pop())
        parts = [] if node is None else list(ast.walk(node))
        inner = {part.id for part in parts if isinstance(part, ast.Name)}
        inner |= {part.attr for part in parts if isinstance(part, ast.Attribute)}
        queue += inner - used
        used |= inner
    return used


def _constants_of(module: Any) -> Iterator[Threshold]:
    """Yield the numeric constants of a module, each with the text below its assignment."""
    body = ast.parse(inspect.getsource(module)).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.Assign):
            continue
        names = [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        value = following.value if isinstance(following, ast.Expr) else None
        text = str(value.value) if isinstance(value, ast.Constant) else ""
        for name in names:
            if name.isupper() and _is_numeric(getattr(module, name)):
                yield Threshold(name, getattr(module, name), " ".join(text.split()))


def _is_numeric(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number or (isinstance(value, tuple) and bool(value) and all(map(_is_numeric, value)))


def render_page(runs: list[Run]) -> str:
    """Return the page as Markdown."""
    programs = sorted({run.program for run in runs})
    with_alarm = [run for run in runs if run.alarms]
    gone_at_end = [run for run in runs if run.early_alarms and not run.alarms]
    lines = [
        "# How far the doctor can be trusted",
        "",
        "What each check compares, with which thresholds and why, and how often it raises an alarm (an error or a",
        "warning) in trainings in which nothing is wrong. [The doctor's benchmark](doctor-benchmark.md) measures how",
        "often it finds what is wrong. This page is written by",
        "",
        "    python -m benchmarks.doctor.trust results=FILE [seeds=7]",
        "",
        "which trains the healthy programs of the benchmark, and reads checks and thresholds from the source. The",
        "programs named `unseen_...` were written before the doctor's findings on them were known; some checks have",
        "been changed since because of them.",
        "",
        "## Alarms in healthy trainings",
        "",
        f"Of {len(runs)} runs ({len(programs)} programs, {_describe_seeds(runs)}, commit {_describe_commits(runs)}) "
        f"{len(with_alarm)} end with an alarm: {_format_rate(len(with_alarm), len(runs))}. "
        f"{len(gone_at_end)} more have one during training that is gone at the end: "
        f"{_format_rate(len(gone_at_end), len(runs))}. "
        "Intervals are Wilson's, of 95%. Runs of one program are not independent, so the interval over programs is "
        "the careful one: " + _describe_programs(runs) + ".",
        "",
        *_list_alarms(runs),
    ]
    for kind, title in KINDS.items():
        lines += ["", f"## {title}", "", "| check | ran in | alarms (upper 95% limit) | notes |", "|---|---|---|---|"]
        entries = list(registry.entries(kind))
        lines += [_render_rates(entry, runs) for entry in entries]
        for entry in entries:
            lines += ["", *_render_check(entry)]
    return "\n".join(lines) + "\n"


def _describe_seeds(runs: list[Run]) -> str:
    counts = collections.Counter(run.program for run in runs).values()
    low, high = (min(counts), max(counts)) if counts else (0, 0)
    return f"{low} seeds each" if low == high else f"{low} to {high} seeds each"


def _describe_commits(runs: list[Run]) -> str:
    return ", ".join(f"`{commit}`" for commit in sorted({run.commit for run in runs})) or "none"


def _describe_programs(runs: list[Run]) -> str:
    programs = {run.program for run in runs}
    alarmed = {run.program for run in runs if run.alarms}
    rate = _format_rate(len(alarmed), len(programs))
    return f"{len(alarmed)} of {len(programs)} programs have an alarm in any run, {rate}"


def _format_rate(count: int, total: int) -> str:
    if not total:
        return "not measured"
    low, high = compute_wilson_bounds(count, total)
    return f"{count / total:.1%} ({low:.1%} to {high:.1%})"


def _list_alarms(runs: list[Run]) -> list[str]:
    """Return a table of all alarms."""
    rows = [(run, check, "at the end") for run in runs for check in run.alarms]
    rows += [(run, check, "during training") for run in runs for check in run.early_alarms]
    if not rows:
        return []
    lines = ["| program | seed | alarm | when | score |", "|---|---|---|---|---|"]
    return lines + [
        f"| `{run.program}` | {run.seed} | `{check}` | {when} | {run.score:.3f} |" for run, check, when in rows
    ]


def _render_rates(entry: registry.Entry, runs: list[Run]) -> str:
    """Return the line of a check in the table of its kind."""
    name, examined = entry.name, [run for run in runs if _could_run(entry, run)]
    alarms, notes = sum(name in run.alarms for run in examined), sum(name in run.notes for run in examined)
    upper = f" (up to {compute_wilson_bounds(alarms, len(examined))[1]:.1%})" if examined else ""
    return f"| [`{name}`](#{name}) | {len(examined)} | {alarms}{upper} | {notes} |"


def _could_run(entry: registry.Entry, run: Run) -> bool:
    """Return whether a check could run in a loop that was given its rows or not."""
    if entry.kind == "diagnosis.history_checks" and entry.name not in COURSE_CHECKS:
        return False  # it needs the files of a run
    if entry.kind == "diagnosis.data_checks" and (entry.meta["cost"] == "scored" or entry.name == NEXT_STEP):
        return False
    if entry.name in run.alarms or entry.name in run.notes:
        return True
    part = PARTS.get(entry.kind, "training")
    return part in run.examined and entry.name not in run.unchecked


def _render_check(entry: registry.Entry) -> list[str]:
    """Return what a check compares, its thresholds and its source."""
    doc = inspect.getdoc(entry.component) or ""
    paragraphs = [" ".join(paragraph.split()) for paragraph in doc.split("\n\n")]
    text = [p for p in paragraphs if p and not re.match(r"(Args|Source|Raises|>>>)", p)]
    source = next((p.removeprefix("Source: ") for p in paragraphs if p.startswith("Source:")), "")
    lines = [f"### {entry.name}", "", " ".join(text)]
    thresholds = find_thresholds(entry)
    if thresholds:
        lines += ["", "| threshold | value | meaning |", "|---|---|---|"]
        lines += [f"| `{t.name}` | {_format_value(t.value)} | {_escape(t.meaning)} |" for t in thresholds]
    return [*lines, "", f"Source: {source}"] if source else lines


def _format_value(value: Any) -> str:
    return ", ".join(map(_format_value, value)) if isinstance(value, tuple) else f"{value:g}"


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main(sys.argv[1:])

"""``compare``: what differs between runs, and whether the difference of their scores is real."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from yisheng.core import files, run_folder
from yisheng.core.errors import DataError, UsageError, closest
from yisheng.core.types import Dataset
from yisheng.evaluation.corrected_intervals import LEVEL
from yisheng.experiments.cross_validation import train_folds as cross
from yisheng.experiments.significance import Member, Side, Verdict, verdict
from yisheng.inference.ensemble import STUDY, is_study
from yisheng.reporting import comparison_page as page
from yisheng.reporting.comparison_figures import Curves
from yisheng.reporting.config_diff import PASSING, flat
from yisheng.reporting.cv_schema import Folds
from yisheng.reporting.formatting import higher, number, score_name
from yisheng.reporting.history import History, history


@dataclass(frozen=True)
class Comparison:
    """All that is found out.

    Args:
        score: the score that is compared.
        upward: whether larger is better.
        sides: what was compared.
        differing: keys of the configs whose values differ -> the value of each side.
        verdicts: of each later side against the first.
    """

    score: str
    upward: bool
    sides: tuple[Side, ...]
    differing: Mapping[str, tuple[str, ...]]
    verdicts: tuple[Verdict, ...]


def compare(groups: Sequence[Sequence[Path]], *, score: str | None = None, data: Dataset | None = None) -> Comparison:
    """Compare runs, studies, or groups of them over seeds; each with the first.

    Studies over the same folds are compared fold by fold, by the corrected resampled t-test. Groups of runs are
    compared seed by seed where the seeds match, else by Welch's test; where seeds drew other test rows, with the same
    correction. With several comparisons the intervals are so wide that all of them hold together with 95%
    (Bonferroni).

    Args:
        groups: at least two; each one folder, or several that differ in their seed only.
        score: the score to compare; the one that chose the weights of the first.
        data: the data set, where the configs cannot name it.

    Raises:
        UsageError: fewer than two are given, a group differs in more than its seed, or there is no such score.
        DataError: a folder is no finished run, or damaged.
    """
    if len(groups) < 2:
        raise UsageError("a comparison needs two runs or more", "say yisheng compare RUN RUN")
    sides = tuple(map(_side, groups))
    chosen = _score([member for side in sides for member in side.members], score)
    upward = higher(chosen) is not False
    level = 1 - (1 - LEVEL) / (len(sides) - 1)
    verdicts = [verdict(sides[0], side, chosen, upward=upward, level=level, data=data) for side in sides[1:]]
    return Comparison(chosen, upward, sides, _differing(sides), tuple(verdicts))


def told(verdict: Verdict, score: str, number: Callable[[float], str]) -> list[str]:
    """What can be said of a side against the first, and what to do to know more, a line each.

    Args:
        verdict: of the two.
        score: the score's name for people.
        number: how a number is written.
    """
    difference = verdict.difference
    if difference is None or difference.low is None or difference.high is None:
        return [f"it cannot be said whether they differ: {verdict.said}", *verdict.remedy]
    signed = ["+" * (value > 0) + number(value) for value in (difference.value, difference.low, difference.high)]
    side = "above" if difference.low > 0 else "below"
    none = "no difference is shown: the interval includes zero"
    outcome = {
        "better": f"it is better: the whole interval lies {side} zero",
        "worse": f"it is worse: the whole interval lies {side} zero",
        "unclear": none if difference.low < difference.high else "there is no difference",
    }[verdict.outcome]
    measured = f"{verdict.part} {score} {signed[0]} (95% interval {signed[1]} to {signed[2]}), {verdict.said}"
    return [measured, outcome, *verdict.remedy]


def draw(found: Comparison, out: Path) -> None:
    """Write the curves of what was compared over the epochs; into a page also the scores and verdicts.

    Args:
        found: the comparison.
        out: a file that ends in ``.html``, ``.svg`` or ``.png``.

    Raises:
        UsageError: it has another ending.
        DataError: a log cannot be opened.
        StorageError: the file cannot be written.
    """
    require_kind(out)
    labels = _labels(found)
    compared = [
        page.Compared(
            side.name,
            Curves(label, tuple(log for member in side.members for log in _logs(member))),
            {part: side.value(part, found.score) for part in page.PARTS},
        )
        for side, label in zip(found.sides, labels, strict=True)
    ]
    said = []
    for at, (label, one) in enumerate(zip(labels[1:], found.verdicts, strict=True), 2):
        first = f"{at} ({label}) against 1 ({labels[0]})"
        said.append(page.Said(one.outcome, [first, *told(one, score_name(found.score), number)]))
    page.write(out, compared, found.score, found.differing, said)


def require_kind(out: Path) -> None:
    """The ending must be one that can be written.

    Raises:
        UsageError: it is not.
    """
    if out.suffix.lower() not in (".html", ".svg", ".png"):
        raise UsageError(f"out= must end in .html, .svg or .png, got {out.name!r}", "name such a file")


def _labels(found: Comparison) -> list[str]:
    """Each side by what it differs in; by its name where that says nothing."""
    shown = [key for key in found.differing if not key.startswith("data (")][:3]
    labels = [
        ", ".join(f"{key}={found.differing[key][at]}" for key in shown if found.differing[key][at] != "none")
        for at in range(len(found.sides))
    ]
    if all(labels) and len(set(labels)) == len(labels):
        return labels
    return [f"{Path(side.name).name} {label}".strip() for side, label in zip(found.sides, labels, strict=True)]


def _logs(member: Member) -> list[History]:
    """The logs of a run, or of all models of a study."""
    if member.folds is None:
        return [history(member.path)]
    return [history(member.path / one.folder) for one in member.folds.each]


def _side(paths: Sequence[Path]) -> Side:
    name = ",".join(map(str, paths))
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError(f"{name} names a run twice", "name each once")
    members = tuple(map(_member, paths))
    if len({member.folds is None for member in members}) > 1:
        raise UsageError(f"{name} mixes runs with studies of k folds", "put only the one or the other into a group")
    values = [flat(member.config.to_dict()) for member in members]
    keys = dict.fromkeys(key for one in values for key in one if key not in ("seed", *PASSING))
    differ = [key for key in keys if len({str(one.get(key)) for one in values}) > 1]
    if differ or len({member.data for member in members}) > 1:
        what = ", ".join(differ) or "their data"
        raise UsageError(f"runs of a group may differ in their seed only; {name} differ in {what}", "part them")
    if len({member.config.seed for member in members}) < len(members):
        raise UsageError(f"two runs of {name} have the same seed", "name one of them")
    return Side(name, members)


def _member(path: Path) -> Member:
    study = is_study(path)
    run = cross.run(path) if study else run_folder.run(path)
    if not run.scores:
        raise DataError(f"{path} has no scores", f"say yisheng evaluate {path}")
    data = run_folder.data_hash(run_folder.environment(path))
    if not study:
        return Member(path, run_folder.config(path), run.scores, data, None)
    try:
        found = Folds.model_validate(files.read_json(path / STUDY))
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise DataError(f"{path / STUDY} is damaged: {problem}", f"say yisheng evaluate {path}") from None
    return Member(path, cross.config_of(path), run.scores, data, found)


def _score(members: Sequence[Member], wanted: str | None) -> str:
    """The score to compare; all must have it."""
    have = [{name for part in ("test", "validation") for name in m.scores.get(part, {})} for m in members]
    known = set.intersection(*have)
    name = (members[0].config.score if wanted is None else wanted).strip().replace("-", "_").lower()
    if wanted is None and name not in known:  # the loss chose the weights, and is in no run's scores
        measured = [name for part in ("test", "validation") for name in members[0].scores.get(part, {})]
        name = next((one for one in measured if one in known), name)
    if name not in known:
        remedy = closest(name, known) if known else "compare runs of the same task"
        raise UsageError(f"not all of the runs have the score {name!r}", remedy)
    return name


def _differing(sides: Sequence[Side]) -> dict[str, tuple[str, ...]]:
    """Keys of the configs, and the data, that are not the same for all sides."""
    configs = [[flat(member.config.to_dict()) for member in side.members] for side in sides]
    found = {}
    for key in dict.fromkeys(key for side in configs for one in side for key in one):
        values = tuple(", ".join(dict.fromkeys(str(one.get(key, "none")) for one in side)) for side in configs)
        if len(set(values)) > 1:
            found[key] = values
    data = tuple((side.members[0].data or "unknown")[:12] for side in sides)
    return {**found, **({"data (SHA-256)": data} if len(set(data)) > 1 else {})}

"""The model card of a run, ``README.md``: facts from its files, with the front matter of the Hugging Face hub.

The text is in the current language; the front matter is for programs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from yisheng.core import files
from yisheng.core.messages import Message, translate
from yisheng.core.printable import escape_line
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score
from yisheng.core.spec import Spec
from yisheng.reporting.formatting import decimal_places, format_number, score_name
from yisheng.reporting.run_facts import RunFacts, read_run_facts

MODEL_CARD: Final = "README.md"
BASELINES: Final = {
    "classification": Message("The baseline predicts the most frequent class of the training part for every row."),
    "multilabel": Message(
        "The baseline predicts the most frequent value of each label in the training part for every row."
    ),
    "regression": Message("The baseline predicts the mean of the training part for every row."),
}
MAX_CLASSES: Final = 20
"""Classes that are listed by name."""


def write_model_card(folder: Path) -> Path | None:
    """Write the model card of a finished run; return its path, or None for a run without a model or scores.

    Args:
        folder: the run folder.

    Raises:
        DataError: it is not a run folder.
        StorageError: the file cannot be written; an existing one is unchanged.
    """
    facts = read_run_facts(folder)
    if not facts.model or facts.spec is None or not facts.scores:
        return None
    files.write_file(folder / MODEL_CARD, format_model_card(facts))
    return folder / MODEL_CARD


def format_model_card(facts: RunFacts) -> str:
    """Return the text of the model card: front matter in YAML, then Markdown."""
    sections = {
        Message("Data"): _describe_data(facts),
        Message("Model"): _describe_model(facts),
        Message("Scores"): _describe_scores(facts),
        Message("How to use it"): _describe_use(facts),
        Message("Versions"): _describe_versions(facts),
    }
    body = "\n\n".join(f"## {translate(head)}\n\n{text}" for head, text in sections.items() if text)
    title = _escape(str(facts.config.get("name") or facts.name))
    return f"---\n{_format_front_matter(facts)}---\n\n# {title}\n\n{body}\n"


def _format_front_matter(facts: RunFacts) -> str:
    """Return the lines of YAML between the dashes; texts are quoted as in JSON, which is YAML."""
    assert facts.spec is not None
    pipeline, data = _name_pipeline(facts.spec), facts.choice_name("data")
    scores = {name: score for name, score in facts.scores.get(facts.part, {}).items() if math.isfinite(score.value)}
    lines = ["library_name: yisheng", *([f"pipeline_tag: {pipeline}"] if pipeline else [])]
    lines += ["tags:", "- yisheng", "- pytorch", f"- {_quote(facts.choice_name('model'))}"]
    if scores:
        lines += ["metrics:", *(f"- {_quote(name)}" for name in scores if name != "loss")]
        lines += ["model-index:", f"- name: {_quote(facts.name)}", "  results:", "  - task:"]
        lines += [f"      type: {pipeline or facts.spec.task}", "    dataset:"]
        lines += [f"      name: {_quote(data)}", f"      type: {_quote(data)}", f"      split: {facts.part}"]
        lines.append("    metrics:")
        for name, score in scores.items():
            lines += [f"    - type: {_quote(name)}", f"      value: {score.value!r}"]
    return "\n".join(lines) + "\n"


def _name_pipeline(spec: Spec) -> str | None:
    """Return the hub's name of the task, or None if it has none."""
    if spec.is_image and spec.task == "classification":
        return "image-classification"
    if spec.is_row and spec.task in ("classification", "regression"):
        return f"tabular-{spec.task}"
    return None


def _describe_data(facts: RunFacts) -> str:
    assert facts.spec is not None
    recorded = facts.environment.get("data")
    data: Mapping[str, Any] = recorded if isinstance(recorded, Mapping) else {}
    rows = {
        Message("data set"): facts.choice_name("data"),
        Message("rows"): data.get("rows"),
        "SHA-256": data.get("sha256"),
        Message("task"): facts.spec.task,
        Message("inputs"): facts.spec.description,
        Message("classes"): _list_classes(facts.spec.classes),
        Message("target"): f"{facts.spec.target} {facts.spec.unit}".strip()
        if facts.spec.task == "regression"
        else None,
        **{key: facts.config.get(key) for key in ("split", "validation", "test", "fold", "seed")},
        "repeat": facts.config.get("repeat") if facts.config.get("fold") else None,
    }
    if facts.evaluation is not None and facts.scores.get(facts.part):
        name = Message("rows of the test part") if facts.part == "test" else Message("rows of the validation part")
        rows[name] = facts.evaluation.rows
    return _format_rows(rows)


def _describe_model(facts: RunFacts) -> str:
    trained, requested = facts.epochs
    rows = {
        Message("model"): facts.choice_name("model"),
        Message("parameters"): facts.model.get("parameters"),
        **{key: facts.choice_name(key) for key in ("loss", "optimizer", "schedule", "scale")},
        "batch": facts.config.get("batch"),
        Message("epochs"): trained
        if requested in (None, trained)
        else Message("{trained} of {requested}", trained=trained, requested=requested),
        Message("weights of epoch"): facts.best_epoch,
        Message("chosen by"): Message("validation {score}", score=score_name(facts.watched_score))
        if facts.best_epoch
        else None,
    }
    return f"{_format_rows(rows)}\n\n{translate(Message('Every choice is in {file}.', file=f'`{RunFolder.CONFIG}`'))}"


def _describe_scores(facts: RunFacts) -> str:
    """Return the table of scores with their 95% intervals, and what they were measured on."""
    assert facts.spec is not None
    parts = [part for part in ("test", "validation", "baseline", "boosting") if facts.scores.get(part)]
    names = list(dict.fromkeys(name for part in parts for name in facts.scores[part]))
    heads = {"test": Message("test"), "validation": Message("validation"), "baseline": Message("baseline")}
    head = [translate(text) for text in (Message("score"), *(heads.get(part, part) for part in parts))]
    lines = [head, ["---", *("---:" for _ in parts)]]
    lines += [
        [translate(score_name(name)), *(_format_score(facts.scores[part].get(name)) for part in parts)]
        for name in names
    ]
    table = "\n".join(f"| {' | '.join(map(_escape_cell, line))} |" for line in lines)
    notes = [Message("Brackets hold 95% confidence intervals.")]
    if "baseline" in parts:
        notes.append(BASELINES[facts.spec.task])
    if "test" not in parts:
        notes.append(
            Message("There is no test part: the validation part also chose the weights, so its scores are optimistic.")
        )
    return f"{table}\n\n{' '.join(map(translate, notes))}"


def _describe_use(facts: RunFacts) -> str:
    path = f"path/to/{re.sub(r'[^0-9A-Za-z._-]+', '-', facts.name)}"
    example = "photo.png" if facts.spec is not None and facts.spec.is_image else "rows.csv"
    return (
        f"    yisheng predict {path} {example}\n    yisheng serve {path}\n\n"
        f'    import yisheng\n    run = yisheng.load("{path}")\n    predictions = run.predict("{example}")'
    )


def _describe_versions(facts: RunFacts) -> str:
    keys = ("yisheng", "python", "torch", "numpy", "platform", "device", "started")
    return _format_rows({key: facts.environment.get(key) for key in keys})


def _list_classes(classes: tuple[str, ...]) -> str | None:
    if not classes:
        return None
    names = ", ".join(classes[:MAX_CLASSES])
    return f"{len(classes)}: {names}{', …' if len(classes) > MAX_CLASSES else ''}"


def _format_rows(values: Mapping[str, Any]) -> str:
    """Return a list of the values that are there."""
    lines = []
    for key, value in _drop_absent(values):
        text = _escape(translate(_format_value(value)))
        lines.append(translate(Message("- {key}: {value}", key=key, value=text)))
    return "\n".join(lines)


def _drop_absent(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in values.items() if value is not None and value != "")


def _format_value(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else str(value)


def _format_score(score: Score | None) -> str:
    if score is None:
        return ""
    decimals = decimal_places(score.value, score.low, score.high)
    text = format_number(score.value, decimals)
    if score.low is None or score.high is None:
        return text
    return f"{text} [{format_number(score.low, decimals)}, {format_number(score.high, decimals)}]"


def _quote(text: str) -> str:
    """Return a text as a string of YAML."""
    return json.dumps(escape_line(text), ensure_ascii=False)


def _escape(text: str) -> str:
    """Return text from files as plain text of Markdown: one line, without markup."""
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", escape_line(text))


def _escape_cell(text: str) -> str:
    return text if re.fullmatch(r"-+:?", text) else escape_line(text).replace("|", r"\|")

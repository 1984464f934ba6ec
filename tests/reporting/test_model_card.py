"""The model card of a run: facts of its files, and front matter that is YAML."""

import json
import re
from pathlib import Path

import pytest
import yaml

import yisheng
from yisheng.reporting.model_card import MODEL_CARD, format_model_card, write_model_card
from yisheng.reporting.run_facts import read_run_facts


def split_card(text: str) -> tuple[dict, str]:
    _, front, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(front), body


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return yisheng.train(data="iris", model="linear", epochs=3, out=tmp_path_factory.mktemp("runs"), quiet=True)


def test_each_run_has_a_card_with_its_facts(run):
    front, body = split_card((run.path / MODEL_CARD).read_text(encoding="utf-8"))
    scores = json.loads((run.path / "scores.json").read_text())
    assert front["library_name"] == "yisheng"
    assert front["pipeline_tag"] == "tabular-classification"
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"name": "iris", "type": "iris", "split": "test"}
    assert {m["type"]: m["value"] for m in result["metrics"]} == {k: v["value"] for k, v in scores["test"].items()}
    environment = json.loads((run.path / "environment.json").read_text())
    for fact in ("150", environment["data"]["sha256"], "setosa, versicolor, virginica", environment["yisheng"]):
        assert fact in body
    for part in ("test", "validation", "baseline"):
        assert part in body
    accuracy = scores["test"]["accuracy"]
    row = next(line for line in body.splitlines() if line.startswith("| accuracy |"))
    assert f"{accuracy['value']:.3f}"[:4] in row
    assert row.count("[") >= 1


def test_its_commands_and_its_python_run(run, tmp_path):
    """The lines under "How to use it", with the folder's real path and a table of rows."""
    text = (run.path / MODEL_CARD).read_text(encoding="utf-8")
    section = text.partition("## How to use it")[2].partition("\n## ")[0]
    rows = tmp_path / "rows.csv"
    names = [column.name for column in run.predictor.spec.columns] or [f"x{i}" for i in range(4)]
    rows.write_text(",".join(names) + "\n5.1,3.5,1.4,0.2\n")
    python = section[section.index("import yisheng") :]
    code = "\n".join(line.strip() for line in python.splitlines())
    code = code.replace(f"path/to/{run.path.name}", run.path.as_posix()).replace("rows.csv", rows.as_posix())
    values: dict = {}
    exec(code, values)
    assert values["predictions"][0].prediction in run.predictor.spec.classes


def test_a_run_without_scores_has_no_card(tmp_path, run):
    (tmp_path / "config.toml").write_text((run.path / "config.toml").read_text())
    assert write_model_card(tmp_path) is None
    assert not (tmp_path / MODEL_CARD).exists()


def test_hostile_names_forge_neither_front_matter_nor_markup(run):
    import dataclasses

    name = 'x"\n---\nlicense: mit\n# <script>|`a` \x1b[2J'
    facts = read_run_facts(run.path)
    spec = dataclasses.replace(facts.spec, classes=(name, "b", "c"))
    config = {**facts.config, "data": name, "model": name, "name": name}
    hostile = dataclasses.replace(facts, run=f"runs/{name.replace('/', '')}", spec=spec, config=config)
    text = format_model_card(hostile)
    front, body = split_card(text)
    assert "license" not in front
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)<script>", body)
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == name.replace("\n", "\\n").replace(
        "\x1b", "\\u001b"
    )


def test_regression_and_images(tmp_path):
    run = yisheng.train(data="diabetes", model="linear", epochs=1, out=tmp_path, quiet=True)
    front, body = split_card((run.path / MODEL_CARD).read_text(encoding="utf-8"))
    assert front["pipeline_tag"] == "tabular-regression"
    assert "- target: " in body
    run = yisheng.train(data="digits", model="linear", epochs=1, out=tmp_path, quiet=True)
    front, body = split_card((run.path / MODEL_CARD).read_text(encoding="utf-8"))
    assert front["pipeline_tag"] == "image-classification"
    assert "photo.png" in body
    assert Path(run.path, MODEL_CARD).read_text(encoding="utf-8").endswith("\n")

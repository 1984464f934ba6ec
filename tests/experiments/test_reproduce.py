"""Trained again: the same, or told what is not and why."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError
from yisheng.experiments.reproduce import reproduce


def recall(run, **settings):
    return reproduce(run, stream=io.StringIO(), **settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    settings = {"data": "iris", "hidden": [8], "dropout": 0.2, "epochs": 2, "seed": 5}
    return yisheng.train(out=tmp_path_factory.mktemp("r"), quiet=True, log_every=1, **settings).path


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def edit(run, name, change):
    data = json.loads((run / name).read_text())
    change(data)
    (run / name).write_text(json.dumps(data))


def test_the_same(run, capsys, tmp_path):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    found = recall(run)
    assert found.same
    assert found.parts == {"weights": True, "events": True, "scores": True}
    assert "data" not in found.changed
    assert main(["reproduce", str(run)]) == 0
    assert capsys.readouterr().out == "the same: weights, events and scores\n"
    assert main(["reproduce", str(run), "--json", "--quiet"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["same"] is True
    assert said.err == ""
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_seconds_do_not_count(run):
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    text = "".join(json.dumps({**line, "seconds": 99.0}) + "\n" for line in lines)
    (run / "events.jsonl").write_text(text)
    assert recall(run).same


@pytest.mark.parametrize("part", ["weights", "events", "scores"])
def test_what_differs_is_named(run, part, capsys):
    if part == "weights":
        content = bytearray((run / "model.safetensors").read_bytes())
        content[-1] ^= 1
        (run / "model.safetensors").write_bytes(content)
    elif part == "events":
        (run / "events.jsonl").write_text((run / "events.jsonl").read_text().replace('"loss": ', '"loss": 1', 1))
    else:
        edit(run, "scores.json", lambda scores: scores["test"]["accuracy"].update(value=0.123))
    assert main(["reproduce", str(run), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in ("weights", "events", "scores")} == {
        name: name != part for name in ("weights", "events", "scores")
    }
    assert found["same"] is False
    assert main(["reproduce", str(run)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"different: {part}\n")
    assert "Nothing that the run recorded has changed" in out


def test_what_the_run_depends_on_and_has_changed_is_told(run, capsys):
    edit(run, "environment.json", lambda e: e.update(torch="0.1", threads=99, processor="abacus", device="cuda"))
    edit(run, "scores.json", lambda scores: scores["test"]["accuracy"].update(value=0.123))
    changed = recall(run).changed
    assert changed["torch"][0] == "0.1"
    assert {"torch", "threads", "processor", "device"} <= set(changed)
    assert main(["reproduce", str(run)]) == 1
    out = capsys.readouterr().out
    assert all(word in out for word in ("changed", "then", "now", "abacus", "threads    99"))


def test_other_data_is_refused_unless_told(run, capsys):
    edit(run, "environment.json", lambda e: e["data"].update(sha256="0" * 64))
    assert main(["reproduce", str(run)]) == 3
    said = capsys.readouterr()
    assert "force=true" in said.err
    assert "epoch" not in said.err  # nothing was trained
    found = recall(run, force=True)
    assert found.same
    assert set(found.changed) == {"data"}


def test_another_config_comes_out_different(run):
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("seed = 5", "seed = 6"))
    assert not any(recall(run).parts.values())


def test_a_run_that_was_stopped_and_continued_is_the_same(run):
    for name in ("scores.json", "model.json", "model.safetensors"):
        (run / name).unlink()
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "finished": False}))
    with pytest.raises(DataError, match="not a finished run"):
        recall(run)
    assert main(["resume", str(run), "--quiet"]) == 0
    assert recall(run).same


def test_data_in_memory_must_be_given(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).astype(np.float32)
    data = yisheng.Dataset(
        "mine", yisheng.Spec("classification", (3,), classes=("no", "yes")), x, (x[:, 0] > 0).astype(np.int64)
    )
    run = yisheng.train(data=data, epochs=1, out=tmp_path, quiet=True).path
    with pytest.raises(DataError, match="in memory"):
        recall(run)
    assert recall(run, data=data).same

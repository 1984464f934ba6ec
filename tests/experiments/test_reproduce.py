"""Train a run again: the results are the same, or the differences and their causes are reported."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError
from yisheng.experiments.reproduce import reproduce


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


def test_an_unchanged_run_is_reproduced(run, capsys, tmp_path):
    contents = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    reproduction = reproduce(run)
    assert reproduction.identical
    assert reproduction.parts == {"weights": True, "events": True, "scores": True}
    assert "data" not in reproduction.changed
    assert main(["reproduce", str(run)]) == 0
    assert capsys.readouterr().out == "the same: weights, events and scores\n"
    assert main(["reproduce", str(run), "--json", "--quiet"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["same"] is True
    assert output.err == ""
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == contents


def test_a_network_of_ones_own_is_named_again(tmp_path, capsys):
    code = "from torch import nn\n\ndef net():\n    return nn.Linear(4, 3)\n"
    (tmp_path / "net.py").write_text(code, encoding="utf-8")
    reference = f"model={tmp_path / 'net.py'}:net"
    assert main(["train", "data=iris", reference, "epochs=1", f"out={tmp_path}", "--quiet"]) == 0
    folder = str(tmp_path / "0001-iris-net")
    assert main(["reproduce", folder, "--quiet"]) == 2
    assert main(["reproduce", folder, reference, "--quiet"]) == 0
    assert "the same" in capsys.readouterr().out


def test_seconds_are_not_compared(run):
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    text = "".join(json.dumps({**line, "seconds": 99.0}) + "\n" for line in lines)
    (run / "events.jsonl").write_text(text)
    assert reproduce(run).identical


@pytest.mark.parametrize("part", ["weights", "events", "scores"])
def test_a_different_part_is_named(run, part, capsys):
    if part == "weights":
        content = bytearray((run / "model.safetensors").read_bytes())
        content[-1] ^= 1
        (run / "model.safetensors").write_bytes(content)
    elif part == "events":
        (run / "events.jsonl").write_text((run / "events.jsonl").read_text().replace('"loss": ', '"loss": 1', 1))
    else:
        edit(run, "scores.json", lambda scores: scores["test"]["accuracy"].update(value=0.123))
    assert main(["reproduce", str(run), "--json"]) == 1
    output = json.loads(capsys.readouterr().out)
    assert {name: output[name] for name in ("weights", "events", "scores")} == {
        name: name != part for name in ("weights", "events", "scores")
    }
    assert output["same"] is False
    assert main(["reproduce", str(run)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"different: {part}\n")
    assert "Nothing that the run recorded has changed" in out


def test_changes_of_the_environment_are_listed(run, capsys):
    edit(run, "environment.json", lambda e: e.update(torch="0.1", threads=99, processor="abacus", device="cuda"))
    edit(run, "scores.json", lambda scores: scores["test"]["accuracy"].update(value=0.123))
    changed = reproduce(run).changed
    assert changed["torch"][0] == "0.1"
    assert {"torch", "threads", "processor", "device"} <= set(changed)
    assert main(["reproduce", str(run)]) == 1
    out = capsys.readouterr().out
    assert all(word in out for word in ("changed", "then", "now", "abacus", "threads    99"))


def test_other_data_is_refused_without_force(run, capsys):
    edit(run, "environment.json", lambda e: e["data"].update(sha256="0" * 64))
    assert main(["reproduce", str(run)]) == 3
    error = capsys.readouterr().err
    assert "force=true" in error
    assert "epoch" not in error  # nothing was trained
    reproduction = reproduce(run, force=True)
    assert reproduction.identical
    assert set(reproduction.changed) == {"data"}


def test_another_config_gives_other_results(run):
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("seed = 5", "seed = 6"))
    assert not any(reproduce(run).parts.values())


def test_a_resumed_run_is_reproduced(run):
    for name in ("scores.json", "model.json", "model.safetensors"):
        (run / name).unlink()
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "finished": False}))
    with pytest.raises(DataError, match="not a finished run"):
        reproduce(run)
    assert main(["resume", str(run), "--quiet"]) == 0
    assert reproduce(run).identical


def test_data_in_memory_must_be_given(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).astype(np.float32)
    data = yisheng.Dataset(
        "mine", yisheng.Spec("classification", (3,), classes=("no", "yes")), x, (x[:, 0] > 0).astype(np.int64)
    )
    run = yisheng.train(data=data, epochs=1, out=tmp_path, quiet=True).path
    with pytest.raises(DataError, match="in memory"):
        reproduce(run)
    assert reproduce(run, data=data).identical

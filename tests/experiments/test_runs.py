"""Runs as things: listed in every state, filtered, sorted, renamed, deleted and exported."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

import yisheng
from yisheng.core.errors import DataError, NonFiniteError, StorageError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.run_state import LOCK
from yisheng.experiments.run_folders import archive, manage
from yisheng.experiments.run_folders.archive import export_run
from yisheng.experiments.run_folders.manage import delete_runs, rename_run
from yisheng.experiments.run_folders.table import RunTable, list_runs
from yisheng.reporting import run_page

SETTINGS = {"data": "iris", "model": "mlp", "hidden": [4], "epochs": 2, "quiet": True}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder of runs: two single runs, a cross-validation, a search, one that broke off, and other folders."""
    out = tmp_path_factory.mktemp("trained") / "runs"
    yisheng.train(**SETTINGS, out=out)
    linear = {**SETTINGS, "model": "linear"}
    del linear["hidden"]
    yisheng.train(**linear, out=out, name="base, line", notes="one\ntwo")
    yisheng.train(**SETTINGS, folds=2, out=out)
    yisheng.tune(**{**SETTINGS, "data": "polynomial"}, lr=[0.01, 0.1], out=out, name="search it")
    with contextlib.suppress(NonFiniteError):
        yisheng.train(data="diabetes", model="linear", optimizer="sgd", lr=1e12, epochs=5, out=out, quiet=True)
    (out / "notes").mkdir()
    (out / ".hidden").mkdir()
    (out / "file.txt").write_text("no run")
    return out


@pytest.fixture
def out(trained, tmp_path):
    """Return a copy of the folder of runs."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


def by_number(table):
    return {entry.number: entry for entry in table}


def folder(out, number):
    return next(out.glob(f"{number:04d}-*"))


def test_all_kinds_are_listed_the_newest_first(out):
    table = list_runs([out])
    assert [entry.number for entry in table] == [5, 4, 3, 2, 1]
    entries = by_number(table)
    assert [entries[n].kind for n in range(1, 6)] == ["run", "run", "cross-validation", "search", "run"]
    assert [entries[n].state for n in range(1, 6)] == ["finished"] * 4 + ["failed"]
    progress = [(entries[n].completed, entries[n].total, entries[n].unit) for n in range(1, 5)]
    assert progress == [(2, 2, "epochs"), (2, 2, "epochs"), (2, 2, "folds"), (2, 2, "trials")]
    assert (entries[2].name, entries[2].notes) == ("base, line", "one\ntwo")
    assert Path(entries[2].path).name == "0002-base-line"
    assert (entries[4].name, Path(entries[4].path).name) == ("search it", "0004-search-it")
    assert [entries[n].data for n in range(1, 6)] == ["iris", "iris", "iris", "polynomial", "diabetes"]
    assert [entries[n].model for n in range(1, 6)] == ["mlp", "linear", "mlp", "mlp", "linear"]
    for number in range(1, 5):
        entry = entries[number]
        scores = RunFolder(folder(out, number)).model_folder.scores
        assert entry.scores == scores
        assert scores[entry.part][entry.score].value == entry.value
        assert entry.low <= entry.value <= entry.high
        assert entry.seconds > 0
        assert entry.started.startswith("20")


def test_states_follow_the_files_and_the_lock(out):
    path = folder(out, 1)
    RunFolder(path).update_environment(finished=False)
    assert by_number(list_runs([out]))[1].state == "stopped"
    with FileLock(path / LOCK):
        if sys.platform == "linux":
            assert by_number(list_runs([out]))[1].state == "running"


def test_unfinished_run_shows_its_last_epoch(out):
    path = folder(out, 1)
    RunFolder(path).update_environment(finished=False)
    for name in ("scores.json", "model.json"):
        (path / name).unlink()
    events = (path / "events.jsonl").read_text().splitlines()
    first = next(n for n, line in enumerate(events) if '"epoch", ' in line or '"event": "epoch"' in line)
    (path / "events.jsonl").write_text("\n".join(events[: first + 1]) + '\n{"event": "st')
    entry = by_number(list_runs([out]))[1]
    expected = json.loads(events[first])
    assert (entry.completed, entry.total, entry.part) == (1, 2, "validation")
    assert entry.value == expected["scores"][entry.score]
    assert (entry.low, entry.high, entry.problems) == (None, None, ())


def test_damaged_files_leave_gaps(out):
    path = folder(out, 1)
    for name in ("config.toml", "environment.json", "scores.json", "events.jsonl"):
        (path / name).write_bytes(b"\xff{")
    entry = by_number(list_runs([out]))[1]
    assert (entry.data, entry.model, entry.value, entry.completed) == (None, None, None, None)
    assert len(entry.problems) == 3
    assert "0001-" in list_runs([out]).format()
    for name in ("config.toml", "environment.json", "scores.json"):
        (path / name).write_text('"x" = 1' if name.endswith("toml") else "[1]")
    assert by_number(list_runs([out]))[1].value is None
    for number in (3, 4):
        for file in folder(out, number).glob("*.*"):
            file.write_text(
                'axes = [1]\nfixed = [2, ["a"]]' if file.suffix == ".toml" else '{"models": [1], "seconds": 2}'
            )
    assert len(list_runs([out])) == 5


def test_filters(out):
    def numbers(*conditions, **patterns):
        return sorted(entry.number for entry in list_runs([out], patterns=patterns, conditions=conditions))

    assert numbers(data="IR*") == [1, 2, 3]
    assert numbers(data="iris", model="lin*") == [2]
    assert numbers(kind="search,cross*") == [3, 4]
    assert numbers(state="failed") == [5]
    assert numbers(name="base*") == [2]
    assert numbers(name="0003-*") == [3]
    assert numbers("accuracy>0") == [1, 2, 3]
    assert numbers("validation.accuracy >= 0", "number<3") == [1, 2]
    assert numbers("test.rmse<=1e9") == [4]
    assert numbers("accuracy>2") == []
    for condition in ("accuracy", "accuracy>high", ">3", "accuracy>0 or 1"):
        with pytest.raises(UsageError, match="not a comparison"):
            numbers(condition)
    with pytest.raises(UsageError, match="did you mean accuracy"):
        numbers("acuracy>0.5")
    with pytest.raises(UsageError, match="filtered by 'color'"):
        list_runs([out], patterns={"color": "red"})


def test_sorting_puts_the_best_first(out):
    def numbers(sort, **patterns):
        return [entry.number for entry in list_runs([out], sort=sort, patterns=patterns)]

    values = {entry.number: entry.value for entry in list_runs([out])}
    best_first = sorted((1, 2, 3), key=lambda n: (-values[n], -n))
    assert numbers("accuracy") == [*best_first, 5, 4]
    assert numbers("-accuracy")[:3] == sorted((1, 2, 3), key=lambda n: (values[n], -n))
    losses = {n: by_number(list_runs([out]))[n].scores["test"]["log_loss"].value for n in (1, 2, 3)}
    assert numbers("log-loss")[:3] == sorted((1, 2, 3), key=lambda n: losses[n])
    assert numbers("number") == [1, 2, 3, 4, 5]
    assert numbers("data")[:2] == [5, 3]
    assert numbers("score", data="iris") == best_first
    assert numbers("date")[:3] == [1, 2, 3]
    assert numbers("-date")[-3:] == [3, 2, 1]
    with pytest.raises(UsageError, match="different scores"):
        numbers("score")
    with pytest.raises(UsageError, match="did you mean accuracy"):
        numbers("accurcy")
    assert len(list_runs([out], n=2)) == 2


def test_run_folders_and_missing_folders(out, tmp_path, monkeypatch):
    assert [Path(entry.path).name for entry in list_runs([folder(out, 3)], sort="name")][-2:] != []
    assert len(list_runs([folder(out, 3)])) == 3  # the cross-validation and its folds
    with pytest.raises(DataError, match="no folder"):
        list_runs([tmp_path / "nowhere"])
    monkeypatch.chdir(tmp_path / "runs" / "notes")
    assert repr(list_runs()) == "no runs"


def test_table_fits_the_terminal(out):
    table = list_runs([out])
    full = table.format()
    assert {"run", "name", "data", "model", "completed", "state", "score", "interval", "time", "date"} <= set(
        full.split()
    )
    assert "2/2 folds" in full
    for width in (150, 120, 80, 60, 45):
        shown = table.format(width)
        assert max(map(len, shown.splitlines())) <= width
        assert "0002-base-line" in shown
        assert "state" in shown or width < 80
    html = table._repr_html_()
    assert html.count("<tr") == 6
    assert "base, line" in html
    assert RunTable([])._repr_html_() == "<p>no runs</p>"


def test_data_frame_and_json(out):
    table = yisheng.runs(out, data="iris", conditions="accuracy>=0", sort="number")
    frame = table.to_frame()
    assert frame["number"].tolist() == [1, 2, 3]
    assert frame["test.accuracy"].notna().all()
    assert str(frame["started"].dtype).startswith("datetime64")
    plain = json.loads(json.dumps(table.to_json()))
    assert plain[1]["name"] == "base, line"
    assert set(plain[0]) == set(yisheng.runs(out)[0].__dataclass_fields__)


def test_listing_is_fast_and_imports_no_torch(out):
    for number in range(6, 306):
        shutil.copytree(folder(out, 1), out / f"{number:04d}-copy", ignore=shutil.ignore_patterns("checkpoint"))
    code = (
        "import sys; from pathlib import Path; from yisheng.experiments.run_folders.table import list_runs; "
        f"print(len(list_runs([Path({str(out)!r})], sort='accuracy')), 'torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["305", "False"]
    start = time.perf_counter()
    list_runs([out])
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("number", [1, 3, 4])
def test_rename_changes_folder_and_name_only(out, number):
    path = folder(out, number)
    scores = RunFolder(path).model_folder.scores
    weights = (RunFolder(path).model_folder.path / "model.json").read_bytes()
    config = RunFolder(path).config if number == 1 else None
    new = rename_run(path, "neu: größer")
    assert new.name == f"{number:04d}-neu-größer"
    assert not path.exists()
    entry = by_number(list_runs([out]))[number]
    assert (entry.name, entry.path) == ("neu: größer", str(new))
    assert RunFolder(new).model_folder.scores == scores
    assert (RunFolder(new).model_folder.path / "model.json").read_bytes() == weights
    if config is not None:
        assert RunFolder(new).config == config.model_copy(update={"name": "neu: größer"})
    assert yisheng.load(new).predictor
    if number == 4:  # a finished search stays one
        assert yisheng.SearchResult(new).best["number"] in (1, 2)
    assert yisheng.resume(new, quiet=True).path  # nothing to do


def test_rename_refuses(out):
    with pytest.raises(UsageError, match="without slashes"):
        rename_run(folder(out, 1), "../x")
    (out / "0001-taken").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        rename_run(out / "0001-iris-mlp", "taken")
    (out / "0001-taken").rmdir()
    assert rename_run(folder(out, 1), "iris mlp").name == "0001-iris-mlp"  # the same folder
    for path in (out, out / "notes", out / "nothing"):
        with pytest.raises(DataError, match="not a run folder"):
            rename_run(path, "x")
    with pytest.raises(DataError, match="is a part of"):
        rename_run(folder(out, 3) / "fold-01", "x")
    (folder(out, 2) / "config.toml").write_text("=")
    with pytest.raises(DataError, match="damaged"):
        rename_run(folder(out, 2), "x")
    assert folder(out, 2).name == "0002-base-line"


def test_runs_are_deleted_completely(out):
    keep = folder(out, 2)
    delete_runs([folder(out, 1), folder(out, 3), folder(out, 1), folder(out, 4)])
    assert [entry.number for entry in list_runs([out])] == [5, 2]
    assert keep.exists()
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == [".hidden"]


def test_deletion_refuses_before_it_deletes(out, monkeypatch):
    for wrong, error, message in (
        (out / "notes", DataError, "not a run folder"),
        (out, DataError, "not a run folder"),
        (out / "file.txt", DataError, "not a run folder"),
        (folder(out, 3) / "fold-01", DataError, "is a part of"),
        (folder(out, 4) / "best", DataError, "is a part of"),
    ):
        with pytest.raises(error, match=message):
            delete_runs([folder(out, 1), wrong])
        assert len(list_runs([out])) == 5
    (out / "link").symlink_to(folder(out, 1))
    with pytest.raises(DataError, match="is a link"):
        delete_runs([out / "link"])
    monkeypatch.chdir(folder(out, 1) / "checkpoint")
    with pytest.raises(UsageError, match="current folder"):
        delete_runs([folder(out, 1)])
    monkeypatch.chdir(out)
    with FileLock(folder(out, 3) / "fold-02" / LOCK), pytest.raises(UsageError, match="training"):
        delete_runs([folder(out, 1), folder(out, 3)])
    assert len(list_runs([out])) == 5


def test_interrupted_deletion_leaves_no_half_run(out, monkeypatch):
    def fail(path, *args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(manage.shutil, "rmtree", fail)
    with pytest.raises(StorageError, match="cannot be deleted completely"):
        delete_runs([folder(out, 1)])
    assert [entry.number for entry in list_runs([out])] == [5, 4, 3, 2]


@pytest.mark.parametrize("number", [1, 3, 4])
@pytest.mark.parametrize("model", [False, True])
def test_exported_runs_predict_after_unpacking(out, tmp_path, number, model):
    path, file = folder(out, number), tmp_path / "run.zip"
    expected = yisheng.load(path).predictor.spec
    result = export_run(path, file, model=model)
    assert result.size == file.stat().st_size
    with zipfile.ZipFile(file) as content:
        assert content.testzip() is None
        assert len(content.namelist()) == result.count
        content.extractall(tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert unpacked.name == path.name
    assert yisheng.load(unpacked).predictor.spec == expected
    if not model:
        files = {p.relative_to(path) for p in path.rglob("*") if p.is_file() and not str(p).endswith(LOCK)}
        assert files == {p.relative_to(unpacked) for p in unpacked.rglob("*") if p.is_file()}
        assert all((path / name).read_bytes() == (unpacked / name).read_bytes() for name in files)
    else:
        assert not list(unpacked.rglob("checkpoint"))


def test_archive_is_complete_or_absent(out, tmp_path, monkeypatch):
    file = tmp_path / "run.zip"
    with pytest.raises(UsageError, match=r"must end in \.zip"):
        export_run(folder(out, 1), tmp_path / "run.tar")
    with pytest.raises(DataError, match="not a run folder"):
        export_run(out, file)
    with pytest.raises(DataError, match="no model yet"):
        export_run(folder(out, 5), file, model=True)
    export_run(folder(out, 1), file)
    with pytest.raises(UsageError, match="exists already"):
        export_run(folder(out, 1), file)
    content = file.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "_add_file", fail)
    with pytest.raises(StorageError, match="no space left"):
        export_run(folder(out, 2), file, force=True)
    assert file.read_bytes() == content
    with pytest.raises(StorageError):
        export_run(folder(out, 2), tmp_path / "other.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.zip", "runs"]


def test_a_run_in_training_is_not_exported(out, tmp_path):
    RunFolder(folder(out, 1)).update_environment(finished=False)
    with FileLock(folder(out, 1) / LOCK):
        if sys.platform == "linux":
            with pytest.raises(UsageError, match="training"):
                export_run(folder(out, 1), tmp_path / "run.zip")
    export_run(folder(out, 1), folder(out, 1) / "own.zip")  # does not contain itself
    with zipfile.ZipFile(folder(out, 1) / "own.zip") as content:
        assert not any(name.endswith("own.zip") for name in content.namelist())


def test_name_and_notes_change_no_weights(out):
    again = yisheng.train(**SETTINGS, out=out, name="other", notes="text")
    first, second = (RunFolder(path) for path in (folder(out, 1), again.path))
    assert second.description["sha256"] == first.description["sha256"]
    assert second.data_sha256 == first.data_sha256
    assert yisheng.reproduce(again.path, quiet=True).identical
    page = run_page.render_run_page(again.path)
    assert "<dt>Name</dt><dd><bdi>other</bdi></dd>" in page
    assert "<dt>Notes</dt><dd><bdi>text</bdi></dd>" in page

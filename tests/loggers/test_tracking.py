"""Runs in experiment trackers: a real MLflow, and packages with the functions of wandb and trackio."""

import json
import sys
import tomllib
from types import ModuleType, SimpleNamespace

import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError, MissingPartError
from yisheng.experiments.dispatch import resume
from yisheng.reporting.history import read_history

SETTINGS = {"data": "iris", "model": "linear", "epochs": 3, "log_every": 1}


def read_lr(run):
    return tomllib.loads((run / "config.toml").read_text())["optimizer"]["lr"]


def list_points(run):
    """The points of the log, by curve."""
    history = read_history(run)
    curves = {"loss/batch": [(s.step, s.loss) for s in history.steps], "lr": [(s.step, s.lr) for s in history.steps]}
    curves["loss/training"] = [(e.step, e.loss) for e in history.epochs]
    curves["validation/accuracy"] = [(e.step, e.scores["accuracy"]) for e in history.epochs]
    return curves


class WandbLike(ModuleType):
    """A package with the functions of wandb that keeps what it is given."""

    def __init__(self, name):
        super().__init__(name)
        self.runs = []
        self.error = None

    def Settings(self, **options):  # noqa: N802
        return SimpleNamespace(**options)

    def init(self, **options):
        run = SimpleNamespace(options=options, points=[], ends=[])
        run.log = self.make_log(run)
        run.finish = lambda exit_code=0: run.ends.append(exit_code)
        self.runs.append(run)
        return run

    def make_log(self, run):
        def log(values, step):
            if self.error is not None:
                raise self.error
            run.points.extend((name, step, value) for name, value in values.items())

        return log

    def curve(self, name):
        return [(step, value) for run in self.runs for curve, step, value in run.points if curve == name]


@pytest.fixture(params=["wandb", "trackio"])
def package(request, monkeypatch):
    package = WandbLike(request.param)
    monkeypatch.setitem(sys.modules, request.param, package)
    return package


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return pytest.importorskip("mlflow")


def test_mlflow_has_the_curves_settings_and_scores_of_a_resumed_run(mlflow, tmp_path):
    run = yisheng.train(**SETTINGS, tracker="mlflow", out=tmp_path / "runs", quiet=True).path
    resume(run, epochs=5, force=True)
    client = mlflow.MlflowClient()
    (tracked,) = client.search_runs([client.get_experiment_by_name("yisheng").experiment_id])
    assert (tracked.info.run_name, tracked.info.status) == (run.name, "FINISHED")
    assert tracked.data.params["model"] == "linear"
    assert float(tracked.data.params["optimizer.lr"]) == read_lr(run)
    for name, points in list_points(run).items():
        assert [(m.step, m.value) for m in client.get_metric_history(tracked.info.run_id, name)] == points, name
    scores = json.loads((run / "scores.json").read_text())
    assert tracked.data.metrics["test/accuracy"] == scores["test"]["accuracy"]["value"]
    assert mlflow.active_run() is None


def test_wandb_and_trackio_have_the_same_points(package, tmp_path):
    run = yisheng.train(**SETTINGS, tracker=package.__name__, out=tmp_path / "runs", quiet=True).path
    resume(run, epochs=5, force=True)
    for name, points in list_points(run).items():
        assert package.curve(name) == points, name
    first, second = package.runs
    assert first.ends == second.ends == [0]
    key = "id" if package.__name__ == "wandb" else "name"
    assert first.options[key] == second.options[key] == json.loads((run / "tracker.json").read_text())["id"]
    assert second.options["resume"] == "allow"
    assert first.options["config"]["optimizer.lr"] == read_lr(run)


def test_weights_are_the_same_with_a_tracker_that_fails(package, tmp_path, capsys):
    package.error = OSError("no network")
    words = [f"{key}={value}" for key, value in SETTINGS.items()]
    assert main(["train", *words, f"tracker={package.__name__}", f"out={tmp_path / 'a'}"]) == 0
    assert capsys.readouterr().err.count("cannot be reached (OSError: no network); training continues") == 1
    plain = yisheng.train(**SETTINGS, out=tmp_path / "b", quiet=True).path
    run = tmp_path / "a" / plain.name
    assert (run / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()


def test_a_run_that_breaks_off_is_marked(monkeypatch, tmp_path):
    package = WandbLike("wandb")
    monkeypatch.setitem(sys.modules, "wandb", package)
    settings = SETTINGS | {"data": "diabetes", "optimizer": "sgd", "lr": 1e20, "tracker": "wandb"}
    with pytest.raises(yisheng.YishengError):
        yisheng.train(**settings, out=tmp_path, quiet=True)
    assert [run.ends for run in package.runs] == [[1]]
    assert package.curve("loss/batch")
    assert not package.curve("test/accuracy")


def test_folds_are_named_after_their_folder(package, tmp_path):
    folder = yisheng.train(**SETTINGS | {"epochs": 1}, folds=2, tracker=package.__name__, out=tmp_path, quiet=True).path
    names = [run.options["name"] for run in package.runs]
    assert [name.startswith(f"{folder.name}/fold-0{number}") for number, name in enumerate(names, 1)] == [True, True]


def test_a_missing_package_is_refused_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(MissingPartError, match="tracker=trackio requires the package trackio"):
        yisheng.train(**SETTINGS, tracker="trackio", out=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_a_damaged_note_is_an_error(package, tmp_path):
    run = yisheng.train(**SETTINGS, tracker=package.__name__, out=tmp_path, quiet=True).path
    (run / "tracker.json").write_text('{"tracker": 1}')
    with pytest.raises(DataError, match=r"tracker.json cannot be read"):
        resume(run, epochs=4, force=True)

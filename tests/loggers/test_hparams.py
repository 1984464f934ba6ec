"""The HParams view of a search, read back by TensorBoard."""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from yisheng.core.errors import DataError, MissingPartError, StorageError
from yisheng.loggers.tensorboard.hparams import write_hparams

AXES = [
    {"name": "lr", "kind": "log", "low": 1e-4, "high": 1.0},
    {"name": "hidden", "kind": "choice", "values": [[16], [64, 64]]},
    {"name": "momentum", "kind": "choice", "values": [0, 0.9]},
    {"name": "nesterov", "kind": "choice", "values": [False, True]},
]


def make_search() -> dict[str, Any]:
    trials = [
        {
            "number": i,
            "setting": {
                "lr": 10**-i,
                "hidden": [[16], [64, 64]][i % 2],
                "momentum": [0, 0.9][i % 2],
                "nesterov": i % 2 == 1,
            },
            "mean": 0.5 / i,
            "epochs": 3,
            "curve": [3.0 / i, 2.0 / i, 1.0 / i],
        }
        for i in range(1, 4)
    ]
    failed = {"number": 4, "mean": None, "failure": "the loss became nan", "curve": [9.0, math.nan]}
    trials.append({**trials[0], "setting": dict(trials[0]["setting"]), **failed})
    return {"score": "log_rmse", "axes": AXES, "trials": trials, "best": 3, "chosen": 3, "finished": True}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("tensorboard")
    (tmp_path / "trials.json").write_text(json.dumps(make_search()))
    return tmp_path


def read_events(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(path))
    events.Reload()
    return events


def read_session(path: Path) -> dict[str, Any]:
    """Return the three parts of the HParams plugin's data about a run, by name."""
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    content = read_events(path).summary_metadata
    parts = {}
    for tag in (metadata.EXPERIMENT_TAG, metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG):
        if tag in content:
            assert content[tag].plugin_data.plugin_name == "hparams"
            data = plugin_data_pb2.HParamsPluginData.FromString(content[tag].plugin_data.content)
            parts[tag.rpartition("/")[2]] = getattr(data, data.WhichOneof("data"))
    return parts


def test_curves_and_scores_are_written(folder: Path) -> None:
    out = write_hparams(folder)
    assert out == folder / "tensorboard"
    assert sorted(p.name for p in out.iterdir()) == [f"trial-000{i}" for i in range(1, 5)]
    for trial in make_search()["trials"][:3]:
        run = read_events(out / f"trial-{trial['number']:04d}")
        curve = [(e.step, e.value) for e in run.Scalars("loss/training")]
        assert curve == [(epoch, pytest.approx(loss)) for epoch, loss in enumerate(trial["curve"], 1)]
        assert [(e.step, e.value) for e in run.Scalars("score/log_rmse")] == [(3, pytest.approx(trial["mean"]))]
    failed = read_events(out / "trial-0004")
    assert failed.Tags()["scalars"] == ["loss/training"]
    assert len(failed.Scalars("loss/training")) == 1


def test_settings_and_status_are_written(folder: Path) -> None:
    from tensorboard.plugins.hparams import api_pb2

    out = write_hparams(folder, folder / "elsewhere")
    for trial in make_search()["trials"]:
        parts = read_session(out / f"trial-{trial['number']:04d}")
        setting = parts["session_start_info"].hparams
        assert setting["lr"].number_value == trial["setting"]["lr"]
        assert setting["momentum"].number_value == trial["setting"]["momentum"]
        assert setting["hidden"].string_value == {1: "16", 2: "64,64"}[len(trial["setting"]["hidden"])]
        assert setting["nesterov"].string_value == str(trial["setting"]["nesterov"]).lower()
        status = "STATUS_FAILURE" if trial.get("failure") else "STATUS_SUCCESS"
        assert parts["session_end_info"].status == api_pb2.Status.Value(status)
        infos = {info.name: info for info in parts["experiment"].hparam_infos}
        assert set(infos) == {"lr", "hidden", "momentum", "nesterov"}
        assert [v.string_value for v in infos["hidden"].domain_discrete.values] == ["16", "64,64"]
        assert [v.number_value for v in infos["momentum"].domain_discrete.values] == [0.0, 0.9]
        assert [m.name.tag for m in parts["experiment"].metric_infos] == ["score/log_rmse"]


def test_the_plugin_lists_the_sessions(folder: Path) -> None:
    """The request of the HParams page returns all sessions with settings and scores."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
        from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
        from tensorboard.context import RequestContext
        from tensorboard.plugins.base_plugin import TBContext
        from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    out = write_hparams(folder)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(out))
    multiplexer.Reload()
    backend = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(out))))
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=10, allowed_statuses=range(5))
    request.col_params.add(hparam="lr", order=api_pb2.ORDER_ASC)
    response = list_session_groups.Handler(RequestContext(), backend, "any", request).run()
    assert response.total_size == 4
    sessions = [
        (group.hparams["lr"].number_value, [metric.value for metric in group.metric_values])
        for group in response.session_groups
    ]
    assert sorted(sessions) == [
        (0.001, [pytest.approx(0.5 / 3)]),
        (0.01, [pytest.approx(0.25)]),
        (0.1, []),
        (0.1, [pytest.approx(0.5)]),
    ]


def test_a_second_call_replaces_the_first(folder: Path) -> None:
    out = write_hparams(folder)
    (out / "trial-0001" / "note.txt").write_text("mine")
    assert write_hparams(folder) == out
    assert len(list(out.glob("*/events.*"))) == 4
    assert (out / "trial-0001" / "note.txt").exists()


def test_settings_of_any_type_are_written(folder: Path) -> None:
    content = make_search()
    values = [None, "学习率\ud800", 10**50, {"a": 1}]
    content["axes"].append({"name": "x", "kind": "choice", "values": None})
    for trial, value in zip(content["trials"], values, strict=False):
        trial["setting"]["x"] = value
    del content["trials"][3]["setting"]["hidden"]
    (folder / "trials.json").write_text(json.dumps(content))
    out = write_hparams(folder)
    texts = [read_session(out / f"trial-000{i}")["session_start_info"].hparams["x"].string_value for i in (1, 2, 3)]
    assert texts == ["none", "学习率�", "1" + 50 * "0"]


def test_without_tensorboard_an_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trials.json").write_text(json.dumps(make_search()))
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingPartError, match="needs TensorBoard"):
        write_hparams(tmp_path)
    assert not (tmp_path / "tensorboard").exists()


def test_missing_and_unwritable_folders_are_reported(folder: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        write_hparams(folder / "nowhere")
    (folder / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_hparams(folder, folder / "file" / "in")


def test_a_search_with_tensorboard_writes_event_files(tmp_path):
    import yisheng

    settings = {"data": "iris", "model": "linear", "lr": [0.01, 0.1], "epochs": 1, "quiet": True}
    result = yisheng.tune(**settings, tensorboard=True, out=tmp_path)
    names = sorted(path.name for path in (result.path / "tensorboard").iterdir())
    assert names == ["trial-0001", "trial-0002"]
    assert not (yisheng.tune(**settings, out=tmp_path).path / "tensorboard").exists()

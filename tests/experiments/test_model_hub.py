"""Publishing runs on a model hub, and using what is published there; the hub is a server on this machine."""

import json

import numpy as np
import pytest

import yisheng
from tests.experiments.hub_server import TOKEN, serve_hub
from yisheng.cli import main
from yisheng.core.errors import DataError, UsageError
from yisheng.experiments.model_hub.address import HubAddress, parse_hub_address

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return yisheng.train(data="iris", model="mlp", epochs=3, out=tmp_path_factory.mktemp("runs"), quiet=True)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serve_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv("YISHENG_OFFLINE", raising=False)
        yield hub


def read_files(hub, name="user/iris"):
    return hub.versions[name][hub.find(name, "main")]


def test_a_published_model_predicts_the_same(run, hub):
    pushed = yisheng.push(run.path, "hf:user/iris", private=True)
    files = read_files(hub)
    assert {name: len(files[name]) for name in pushed.files} == pushed.files
    assert all(files[name] == (run.path / name).read_bytes() for name in pushed.files)
    model = yisheng.load("hf:user/iris")
    assert np.array_equal(model.outputs(ROWS), run.outputs(ROWS))
    assert model.path.name == pushed.commit
    assert hub.private["user/iris"]


def test_rows_of_the_data_stay_here(run, hub):
    yisheng.push(run.path, "hf:user/iris")
    published = set(read_files(hub)) - {".gitattributes"}
    assert published == {
        *("README.md", "SHA256SUMS", "config.toml", "model.json", "model.safetensors", "ood.safetensors", "scores.json")
    }
    assert {"report.html", "evaluation.json", "checkpoint"} <= {path.name for path in run.path.iterdir()}


def test_the_token_goes_to_the_hub_only(run, hub):
    yisheng.push(run.path, "hf:user/iris")
    with serve_hub() as storage:
        hub.objects.clear()
        storage.objects = hub.objects
        # The hub names another host for large files.
        hub.address, address = storage.address, hub.address
        yisheng.push(run.path, "hf:user/iris")
        hub.address = address
    assert [token for _, _, token in storage.requests] == [None] * 2
    assert {token for method, _, token in hub.requests if method == "POST"} == {f"Bearer {TOKEN}"}


def test_a_newer_version_replaces_the_files_of_the_model(run, hub, tmp_path):
    yisheng.push(run.path, "hf:user/iris", message="first")
    newer = yisheng.train(data="iris", model="linear", epochs=1, ood=False, out=tmp_path, quiet=True)
    hub.versions["user/iris"][hub.find("user/iris", "main")]["notes.txt"] = b"of the owner"
    yisheng.push(newer.path, "hf:user/iris")
    files = read_files(hub)
    assert "ood.safetensors" not in files
    assert files["notes.txt"] == b"of the owner"
    assert hub.messages == ["first", "Run 0001-iris-linear"]
    assert np.array_equal(yisheng.load("hf:user/iris").outputs(ROWS), newer.outputs(ROWS))
    old = list(hub.versions["user/iris"])[1]
    assert np.array_equal(yisheng.load(f"hf:user/iris@{old}").outputs(ROWS), run.outputs(ROWS))


def test_a_cross_validation_is_published_with_its_models(hub, tmp_path):
    folds = yisheng.train(data="iris", model="linear", epochs=1, folds=2, out=tmp_path, quiet=True)
    yisheng.push(folds.path, "hf:user/folds")
    assert np.array_equal(yisheng.load("hf:user/folds").outputs(ROWS), folds.outputs(ROWS))


def test_commands(run, hub, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["push", str(run.path), "hf:user/iris", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["url"] == f"{hub.address}/user/iris"
    for folder in (str(run.path), "hf:user/iris"):
        assert main(["predict", folder, "rows=5.1,3.5,1.4,0.2", "--json"]) == 0
    first, second = (json.loads(line)["predictions"] for line in capsys.readouterr().out.splitlines())
    assert first == second
    assert main(["export", "hf:user/iris", "format=safetensors"]) == 0
    assert (tmp_path / "user--iris.safetensors").is_file()


def test_a_model_is_downloaded_once_and_used_without_a_network(run, hub, monkeypatch):
    yisheng.push(run.path, "hf:user/iris")
    yisheng.load("hf:user/iris")
    count = len(hub.requests)
    yisheng.load("hf:user/iris")
    assert [path for _, path, _ in hub.requests[count:]] == ["/api/models/user/iris/revision/main?blobs=true"]
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    assert np.array_equal(yisheng.load("hf:user/iris").outputs(ROWS), run.outputs(ROWS))
    with pytest.raises(DataError, match="not in the cache"):
        yisheng.load("hf:user/other")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_changed_files_are_refused(run, hub, name, tmp_path):
    yisheng.push(run.path, "hf:user/iris")
    content = read_files(hub)[name]
    for changed in (content[:-1] + b"x", content[:-1], content + b"x"):
        hub.replaced[name] = changed
        with pytest.raises(DataError, match="is not the file that the hub lists"):
            yisheng.load("hf:user/iris")
    assert [path.name for path in (tmp_path / "cache" / "models" / "user--iris").iterdir()] == [".lock"]
    hub.replaced.clear()
    yisheng.load("hf:user/iris")


def test_only_files_of_a_model_are_taken(run, hub, tmp_path):
    yisheng.push(run.path, "hf:user/iris")
    files = read_files(hub)
    files["../../outside"] = files["fold-01/../../outside"] = files["evil.py"] = b"x"
    folder = yisheng.load("hf:user/iris").path
    assert {path.name for path in folder.iterdir()} == set(files) - {
        *("../../outside", "fold-01/../../outside", "evil.py", ".gitattributes")
    }
    assert not list(tmp_path.rglob("outside"))


def test_a_model_of_another_program_is_refused(hub):
    hub.versions["user/bert"] = {"1" * 40: {"model.safetensors": b"", "config.json": b"{}"}}
    hub.private["user/bert"] = False
    with pytest.raises(DataError, match="is not a model that `yisheng push` published"):
        yisheng.load("hf:user/bert")


def test_refusals_say_what_to_do(run, hub, monkeypatch, tmp_path):
    with pytest.raises(DataError, match="HTTP 404 Repository not found"):
        yisheng.load("hf:user/nothing")
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(UsageError, match="HTTP 401 Invalid username") as refused:
        yisheng.push(run.path, "hf:user/iris")
    assert "HF_TOKEN" in refused.value.remedy
    monkeypatch.setenv("HF_ENDPOINT", "http://example.org")
    with pytest.raises(UsageError, match="without encryption"):
        yisheng.push(run.path, "hf:user/iris")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="does not respond"):
        yisheng.push(run.path, "hf:user/iris")
    with pytest.raises(DataError, match="has no trained model"):
        yisheng.push(tmp_path, "hf:user/iris")


def test_the_token_of_the_hubs_login_is_used(run, hub, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text(f"{TOKEN}\n")
    yisheng.push(run.path, "hf:user/iris")
    assert "model.json" in read_files(hub)


@pytest.mark.parametrize(
    "text", ["hf:", "hf:user", "hf:user/", "hf:a/b/c", "hf:../x", "hf:user/..", "hf:u/n@", "hf:u/n@../x"]
)
def test_addresses_of_another_form_are_refused(text):
    with pytest.raises(UsageError, match="is not the address of a model"):
        parse_hub_address(text)


def test_an_address_has_a_revision():
    assert parse_hub_address("hf:User-1/na_me.v2@refs/pr/1") == HubAddress("User-1/na_me.v2", "refs/pr/1")

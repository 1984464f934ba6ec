"""Folders at addresses that are read file by file: the bytes of local ones, and at most two files on the disk."""

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import yisheng
from tests.core.remote.stores import drop_reads, stop_after
from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.remote import streams
from yisheng.core.remote.store import Store
from yisheng.core.remote.streams import StreamedFolder, find_streamed, list_folder
from yisheng.data.tables import files, shards

ROWS, PHOTOS = "breaking://bucket/rows", "breaking://bucket/photos"
FILES, ROWS_PER_FILE = 5, 60


def put_folder(folder, address):
    """Copy a local folder to an address."""
    fs, root = fsspec.core.url_to_fs(address)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            fs.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.fixture
def rows(tmp_path):
    """Return a folder of tables that is at `ROWS`, too."""
    folder, rng = tmp_path / "rows", np.random.default_rng(0)
    folder.mkdir()
    for number in range(FILES):
        frame = pd.DataFrame(rng.normal(size=(ROWS_PER_FILE, 2)), columns=["a", "b"])
        frame["place"] = rng.choice(["north", "south", "west"], ROWS_PER_FILE)
        frame.assign(price=frame.a * 2 + number).to_csv(folder / f"part-{2 * number}.csv", index=False)
    put_folder(folder, ROWS)
    return folder


@pytest.fixture
def photos(tmp_path):
    """Return a folder of images that is at `PHOTOS`, too."""
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "notes.txt").write_text("of no class")
    (folder / ".hidden.png").write_bytes(b"")
    put_folder(folder, PHOTOS)
    return folder


@pytest.fixture
def copies(monkeypatch):
    """Return a list of the files in the temporary folder whenever a table is read."""
    listed, read_table = [], files.read_table

    def read(path, *args, **kwargs):
        if streams.FOLDER in path.parts:
            listed.append(sorted(item.name for item in path.parent.iterdir()))
            assert path.name in listed[-1]
        return read_table(path, *args, **kwargs)

    monkeypatch.setattr(files, "read_table", read)
    return listed


def load(name, path, **options):
    return registry.build("data.datasets", name, path=str(path), **options)


def require_equal(a, b):
    assert np.array_equal(a.x, b.x)
    assert np.array_equal(a.y, b.y)
    assert a.spec == b.spec
    assert (a.name, a.rows, [f.check for f in a.findings]) == (b.name, b.rows, [f.check for f in b.findings])


@pytest.mark.parametrize("sampled", [100, 200_000])
def test_tables_are_those_of_local_files(rows, copies, monkeypatch, sampled):
    """In one pass over the files, and in two."""
    monkeypatch.setattr(shards, "MAX_SAMPLE_ROWS", sampled)
    local = load("shards", rows, target="price")
    streamed = load("shards", ROWS, target="price", stream=True)
    require_equal(local, streamed)
    assert len(copies) == FILES * (2 if sampled == 100 else 1)
    assert max(map(len, copies)) <= 2
    cache = Path(streams.cache_folder.get_cache_folder())
    assert not list((cache / streams.FOLDER).iterdir())
    assert not (cache / "inputs").exists()


def test_images_are_those_of_local_files(photos):
    local, streamed = load("folder", photos), load("folder", PHOTOS, stream=True)
    require_equal(local, streamed)
    cache = Path(streams.cache_folder.get_cache_folder())
    assert not (cache / "inputs").exists()
    assert not (cache / streams.FOLDER).exists()


def test_files_are_streamed_if_a_copy_would_fill_the_disk(rows, photos, copies, monkeypatch):
    load("shards", ROWS, target="price")
    assert not copies
    monkeypatch.setattr(streams, "MAX_DISK_FRACTION", 0.0)
    load("shards", ROWS, target="price")
    assert not copies, "it is in the cache already"
    load("shards", ROWS.replace("rows", "rows/"), target="price", stream=True)
    assert len(copies) == FILES
    assert find_streamed(PHOTOS, "path", "auto") is not None
    assert find_streamed(PHOTOS, "path", stream=False) is None


def test_a_stopped_training_continues_in_the_middle_of_an_epoch(rows, tmp_path, copies):
    settings = {"target": "price", "model": "mlp", "hidden": [8], "epochs": 3, "batch": 16, "quiet": True}
    settings |= {"ood": False, "doctor": "off", "checkpoint_every": 0, "shuffle": "blocks"}
    expected = yisheng.train(data=rows, **settings, out=tmp_path / "local")
    with pytest.raises(KeyboardInterrupt):
        yisheng.train(data=ROWS, stream=True, **settings, out=tmp_path / "runs", callbacks=[stop_after(20)])
    (folder,) = (tmp_path / "runs").iterdir()
    assert not (folder / "model.safetensors").exists()
    count = len(copies)
    run = yisheng.resume(folder, quiet=True)
    assert len(copies) > count
    assert run.config["data"] == {**expected.config["data"], "path": ROWS, "stream": True}
    hashes = [hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest() for path in (folder, expected.path)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(("name", "address"), [("shards", ROWS), ("folder", PHOTOS)])
def test_a_dropped_connection_is_tried_again_and_then_an_error(rows, photos, name, address):
    options = {"target": "price"} if name == "shards" else {}
    local = load(name, rows if name == "shards" else photos, **options)
    drop_reads(2)
    require_equal(local, load(name, address, stream=True, **options))
    drop_reads(10**6)
    fsspec.filesystem("breaking").pipe_file("/bucket/photos/cat/new.png", b"")  # those before are in the cache
    with pytest.raises(DataError, match=rf"{address}/.* cannot be read: the connection was dropped") as error:
        load(name, address, stream=True, **options)
    assert "check the network" in error.value.remedy
    assert not list((Path(streams.cache_folder.get_cache_folder()) / streams.FOLDER).glob("*"))


@pytest.mark.parametrize("content", [b"a,b,place,price\n1,2,north,3\n", None])
def test_files_that_change_are_refused(rows, content):
    folder = list_folder(ROWS)
    fs = fsspec.filesystem("breaking")
    path = "/bucket/rows/part-4.csv"
    with (  # noqa: PT012  # the first file is read as it was
        pytest.raises(DataError, match=rf"{ROWS}/part-4.csv changed while it was read"),
        folder.open_files(sorted(folder.versions)) as paths,
    ):
        names = []
        for local in paths:
            names.append(local.name)
            if len(names) == 1:
                fs.pipe_file(path, fs.cat_file(path) if content is None else content)


def test_the_error_of_a_damaged_file_names_its_address(rows):
    fsspec.filesystem("breaking").pipe_file("/bucket/rows/part-6.csv", b"b,place,price\n1,north,2\n")
    with pytest.raises(DataError, match=rf"{ROWS}/part-6.csv lacks the column a of the first file"):
        load("shards", ROWS, target="price", stream=True)


def test_what_cannot_be_streamed_is_refused(rows, photos, tmp_path):
    fs = fsspec.filesystem("breaking")
    for value in (str(rows), "breaking://bucket/rows/part-0.csv", "breaking://bucket/nothing"):
        with pytest.raises(UsageError, match="stream=true is for a folder of files at an address"):
            find_streamed(value, "path", stream=True)
    with pytest.raises(DataError, match="is not a folder of tables"):
        load("shards", PHOTOS, stream=True)
    fs.pipe_file("/bucket/photos/test.zip", b"PK")
    with pytest.raises(UsageError, match=r"photos/test\.zip is a zip, which is not streamed"):
        load("folder", PHOTOS, stream=True)
    unsafe = StreamedFolder(ROWS, {"../a.csv": next(iter(Store(ROWS).list_files().values()))})
    with pytest.raises(DataError, match="lists a file of the name"), unsafe.open_files(["../a.csv"]) as paths:
        list(paths)


def test_small_files_are_read_ahead_within_a_bound(photos, monkeypatch):
    folder = list_folder(PHOTOS)
    names = sorted(name for name in folder.versions if name.endswith(".png") and "/" in name)
    monkeypatch.setattr(streams, "MAX_BYTES_AHEAD", 1)
    reads, read = [], Store.read
    monkeypatch.setattr(Store, "read", lambda self, name: reads.append(name) or read(self, name))
    for position, content in enumerate(folder.read(names)):
        assert content == (photos / names[position]).read_bytes()
        assert len(reads) <= position + 2
    assert reads == names


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and drops connections in the middle of files."""

    drops = 0

    def do_GET(self):
        if self.path.endswith((".csv", ".png")) and type(self).drops:
            type(self).drops -= 1
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"a,b")
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Return the address of a web server of this machine that serves the temporary folder."""
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("YISHENG_OFFLINE", "0")
    Handler.drops = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_folders_of_a_web_server(rows, photos, served, copies):
    tables = load("shards", rows, target="price")
    Handler.drops = 2
    require_equal(tables, load("shards", f"{served}/rows", target="price", stream=True))
    assert max(map(len, copies)) <= 2
    Handler.drops = 2
    require_equal(load("folder", photos), load("folder", f"{served}/photos", stream=True))
    require_equal(tables, load("shards", f"{served}/rows", target="price"))
    Handler.drops = 10**6
    with pytest.raises(DataError, match=rf"{served}/rows/part-0\.csv cannot be read"):
        load("shards", f"{served}/rows", target="price", stream=True)

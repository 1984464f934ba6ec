"""A copy at an address is a complete one, whatever broke while it was written."""

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.remote.stores import BreakingFileSystem, break_after, clear_stores, list_store
from yisheng.core.errors import DataError, StorageError, UsageError
from yisheng.core.remote import manifests
from yisheng.core.remote.manifests import Manifest, PublishedFile
from yisheng.core.remote.mirrors import Mirror, find_runs_folder, list_publishable
from yisheng.core.remote.store import Store

ADDRESS = "breaking://bucket/runs/0001-iris-mlp"


def write_files(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read_files(folder):
    return {name: (folder / name).read_bytes() for name, _, _ in list_publishable(folder)}


def begin(contents, address=ADDRESS):
    mirror = Mirror(address)
    mirror.folder.mkdir(parents=True)
    write_files(mirror.folder, contents)
    mirror.begin_writing()
    mirror.begin_empty()
    return mirror


FIRST = {"config.toml": b"a = 1", "events.jsonl": b"1\n", "checkpoint/1.safetensors": b"x" * 1000, "empty": b""}
SECOND = {"config.toml": b"a = 1", "events.jsonl": b"1\n2\n", "checkpoint/2.safetensors": b"y" * 1000, "empty": b"1"}


def test_published_files_are_fetched_elsewhere_and_local_ones_stay(move_to_other_machine):
    mirror = begin(FIRST)
    write_files(mirror.folder, {"checkpoint/lock": b"", ".hidden/x": b"1", "rank-1.log": b"1", "a.part": b"1"})
    mirror.complete()
    mirror.release()
    move_to_other_machine()
    assert read_files(Mirror(ADDRESS).fetch()) == FIRST
    assert {name for name in list_store(ADDRESS) if not name.startswith(".yisheng")} == set(FIRST)


@pytest.mark.parametrize("half_written", [False, True])
def test_a_copy_that_breaks_at_any_point_leaves_the_older_or_the_newer_one(move_to_other_machine, half_written):
    """Every number of changes that succeed before the network is lost, until all of them do."""
    for changes in range(60):
        clear_stores()
        move_to_other_machine()
        mirror = begin(FIRST)
        mirror.publish()
        (mirror.folder / "checkpoint/1.safetensors").unlink()
        write_files(mirror.folder, SECOND)
        break_after(changes, half_written=half_written)
        try:
            mirror.complete()
            finished = True
        except StorageError:
            finished = False
        complete_after_break = BreakingFileSystem.remaining > 0
        break_after(None)
        mirror.release()
        move_to_other_machine()
        fetched = read_files(Mirror(ADDRESS).fetch())
        assert fetched in ([SECOND] if finished else [FIRST, SECOND]), changes
        if complete_after_break:
            names = [name for name in list_store(ADDRESS) if "writer-" not in name]
            assert sorted(names) == sorted([*SECOND, manifests.make_name(3)])  # no leftovers, no versions
            return
    raise AssertionError("the copy was never complete")


def test_a_first_copy_that_breaks_is_none(move_to_other_machine):
    mirror = begin(FIRST)
    break_after(2)
    with pytest.raises(StorageError):
        mirror.publish()
    break_after(None)
    move_to_other_machine()
    with pytest.raises(DataError, match="holds no complete copy of a run"):
        Mirror(ADDRESS).fetch()


@settings(max_examples=12)
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=4), max_size=4), min_size=1, max_size=6))
def test_what_is_fetched_is_always_what_was_published_last(tmp_path_factory, steps):
    clear_stores()
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setenv("YISHENG_HOME", str(tmp_path_factory.mktemp("a")))
        mirror = begin({})
        for number, contents in enumerate(steps):
            for path in mirror.folder.glob("[a-d]"):
                path.unlink()
            write_files(mirror.folder, contents)
            (mirror.complete if number % 2 else mirror.publish)()
            context.setenv("YISHENG_HOME", str(tmp_path_factory.mktemp("b")))
            assert read_files(Mirror(ADDRESS).fetch()) == contents
        mirror.release()


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"z" + content[1:], lambda _: None])
def test_a_damaged_copy_is_refused(move_to_other_machine, damage):
    mirror = begin(FIRST)
    mirror.publish()
    fs, path = fsspec.core.url_to_fs(f"{ADDRESS}/checkpoint/1.safetensors")
    content = damage(fs.cat_file(path))
    fs.rm_file(path) if content is None else fs.pipe_file(path, content)
    mirror.release()
    move_to_other_machine()
    with pytest.raises(DataError, match="the copy at .* is damaged: checkpoint/1.safetensors is"):
        Mirror(ADDRESS).fetch()
    assert not find_runs_folder(ADDRESS.rpartition("/")[0]).joinpath("0001-iris-mlp").exists()


def test_a_damaged_manifest_gives_the_copy_before_it(move_to_other_machine):
    mirror = begin(FIRST)
    mirror.publish()
    mirror.release()
    fs, path = fsspec.core.url_to_fs(ADDRESS)
    fs.pipe_file(f"{path}/{manifests.make_name(2)}", fs.cat_file(f"{path}/{manifests.make_name(1)}")[:-9])
    move_to_other_machine()
    assert read_files(Mirror(ADDRESS).fetch()) == FIRST


@pytest.mark.parametrize("name", ["../outside", "/etc/x", "a/../../b", "c:x", "a\\b", ""])
def test_a_manifest_cannot_write_outside_its_folder(name):
    store = Store(ADDRESS)
    manifests.write(store, Manifest(1, {name: PublishedFile(1, "0" * 64, "a")}))
    with pytest.raises(DataError, match="lists a file of the name"):
        Mirror(ADDRESS).fetch()


def test_two_writers_are_refused_and_a_lost_one_is_followed(move_to_other_machine, caplog):
    mirror = begin(FIRST)
    mirror.publish()
    with pytest.raises(UsageError, match=r"process \d+ on \S+ writes to"):
        Mirror(ADDRESS).begin_writing()
    move_to_other_machine()
    with pytest.raises(UsageError, match=r"process \d+ on \S+ writes to"):  # it renews its file
        Mirror(ADDRESS).begin_writing()
    mirror._writer.stop()  # killed, say
    other = Mirror(ADDRESS)
    other.begin_writing()
    assert "waiting 0.6 s for a sign of life" in caplog.text
    other.fetch()
    (other.folder / "events.jsonl").write_bytes(b"other")
    other.publish()
    (mirror.folder / "events.jsonl").write_bytes(b"late")
    with pytest.raises(UsageError, match="another process writes to"):
        mirror.publish()
    other.release()
    third = Mirror(ADDRESS)
    third.begin_writing()  # released: nobody waits
    third.release()
    move_to_other_machine()
    assert read_files(Mirror(ADDRESS).fetch())["events.jsonl"] == b"other"


def test_unpublished_changes_stay_and_those_from_elsewhere_are_fetched(move_to_other_machine, monkeypatch):
    mirror = begin(FIRST)
    mirror.publish()
    (mirror.folder / "events.jsonl").write_bytes(b"unpublished")
    assert read_files(Mirror(ADDRESS).fetch())["events.jsonl"] == b"unpublished"
    mirror.release()
    home = mirror.folder
    move_to_other_machine()
    other = Mirror(ADDRESS)
    other.begin_writing()
    write_files(other.fetch(), SECOND)
    other.complete()
    other.release()
    monkeypatch.setenv("YISHENG_HOME", str(home.parents[2]))
    again = Mirror(ADDRESS)
    assert again.folder == home
    assert read_files(again.fetch()) == {**FIRST, **SECOND}

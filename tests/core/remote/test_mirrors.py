"""A copy at an address is a complete one, whatever broke while it was written."""

import threading
import time

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.remote.stores import BreakingFileSystem, break_after, clear_stores, list_store
from yisheng.core.errors import DataError, StorageError, UsageError
from yisheng.core.remote import manifests
from yisheng.core.remote.manifests import Manifest, PublishedFile
from yisheng.core.remote.mirrors import Mirror
from yisheng.core.remote.store import Store
from yisheng.core.remote.working_copies import find_runs_folder, list_publishable

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
    mirror.publisher.begin_writing()
    mirror.begin_empty()
    return mirror


FIRST = {"config.toml": b"a = 1", "events.jsonl": b"1\n", "checkpoint/1.safetensors": b"x" * 1000, "empty": b""}
SECOND = {"config.toml": b"a = 1", "events.jsonl": b"1\n2\n", "checkpoint/2.safetensors": b"y" * 1000, "empty": b"1"}


def test_published_files_are_fetched_elsewhere_and_local_ones_stay(move_to_other_machine):
    mirror = begin(FIRST)
    write_files(mirror.folder, {"checkpoint/lock": b"", ".hidden/x": b"1", "rank-1.log": b"1", "a.part": b"1"})
    mirror.publisher.complete()
    mirror.publisher.release()
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
        mirror.publisher.publish()
        (mirror.folder / "checkpoint/1.safetensors").unlink()
        write_files(mirror.folder, SECOND)
        break_after(changes, half_written=half_written)
        try:
            mirror.publisher.complete()
            finished = True
        except StorageError:
            finished = False
        complete_after_break = BreakingFileSystem.remaining > 0
        break_after(None)
        mirror.publisher.release()
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
        mirror.publisher.publish()
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
            (mirror.publisher.complete if number % 2 else mirror.publisher.publish)()
            context.setenv("YISHENG_HOME", str(tmp_path_factory.mktemp("b")))
            assert read_files(Mirror(ADDRESS).fetch()) == contents
        mirror.publisher.release()


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"z" + content[1:], lambda _: None])
def test_a_damaged_copy_is_refused(move_to_other_machine, damage):
    mirror = begin(FIRST)
    mirror.publisher.publish()
    fs, path = fsspec.core.url_to_fs(f"{ADDRESS}/checkpoint/1.safetensors")
    content = damage(fs.cat_file(path))
    fs.rm_file(path) if content is None else fs.pipe_file(path, content)
    mirror.publisher.release()
    move_to_other_machine()
    with pytest.raises(DataError, match="the copy at .* is damaged: checkpoint/1.safetensors is"):
        Mirror(ADDRESS).fetch()
    assert not find_runs_folder(ADDRESS.rpartition("/")[0]).joinpath("0001-iris-mlp").exists()


def test_a_damaged_manifest_gives_the_copy_before_it(move_to_other_machine):
    mirror = begin(FIRST)
    mirror.publisher.publish()
    mirror.publisher.release()
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
    mirror.publisher.publish()
    with pytest.raises(UsageError, match=r"process \d+ on \S+ writes to"):
        Mirror(ADDRESS).publisher.begin_writing()
    move_to_other_machine()
    with pytest.raises(UsageError, match=r"process \d+ on \S+ writes to"):  # it renews its file
        Mirror(ADDRESS).publisher.begin_writing()
    mirror.publisher._writer.stop()  # killed, say
    other = Mirror(ADDRESS)
    other.publisher.begin_writing()
    assert "waiting 0.6 s for a sign of life" in caplog.text
    other.fetch()
    (other.folder / "events.jsonl").write_bytes(b"other")
    other.publisher.publish()
    (mirror.folder / "events.jsonl").write_bytes(b"late")
    with pytest.raises(UsageError, match="another process writes to"):
        mirror.publisher.publish()
    other.publisher.release()
    third = Mirror(ADDRESS)
    third.publisher.begin_writing()  # released: nobody waits
    third.publisher.release()
    move_to_other_machine()
    assert read_files(Mirror(ADDRESS).fetch())["events.jsonl"] == b"other"


def test_unpublished_changes_stay_and_those_from_elsewhere_are_fetched(move_to_other_machine, monkeypatch):
    mirror = begin(FIRST)
    mirror.publisher.publish()
    (mirror.folder / "events.jsonl").write_bytes(b"unpublished")
    assert read_files(Mirror(ADDRESS).fetch())["events.jsonl"] == b"unpublished"
    mirror.publisher.release()
    home = mirror.folder
    move_to_other_machine()
    other = Mirror(ADDRESS)
    other.publisher.begin_writing()
    write_files(other.fetch(), SECOND)
    other.publisher.complete()
    other.publisher.release()
    monkeypatch.setenv("YISHENG_HOME", str(home.parents[2]))
    again = Mirror(ADDRESS)
    assert again.folder == home
    assert read_files(again.fetch()) == {**FIRST, **SECOND}


@pytest.fixture
def slow_uploads(monkeypatch):
    """Return a function that lets one upload of a file go on; before, each of them waits."""
    permits, starts, upload = threading.Semaphore(0), threading.Semaphore(0), Store.upload

    def wait_and_upload(self, source, name, size):
        starts.release()
        assert permits.acquire(timeout=30)
        return upload(self, source, name, size)

    def permit(count=1):
        for _ in range(count):
            permits.release()

    monkeypatch.setattr(Store, "upload", wait_and_upload)
    permit.wait = lambda: starts.acquire(timeout=30)
    return permit


def list_snapshots(mirror):
    return [path for path in mirror.folder.parent.iterdir() if path.name.endswith(".part")]


def test_only_the_newest_state_waits_while_another_is_copied(move_to_other_machine, slow_uploads):
    """A file that grows or is replaced meanwhile is that of the time of its checkpoint."""
    mirror = begin({})
    log = mirror.folder / "events.jsonl"
    for number in range(6):
        with log.open("ab") as file:
            file.write(b"%d\n" % number)
        replace_file(mirror.folder / "state", b"%d" % number)
        mirror.publisher.publish_later()
        if not number:
            assert slow_uploads.wait()
        assert len(list_snapshots(mirror)) <= 2
    slow_uploads(2)  # the first state is complete; the upload of the sixth begins
    assert slow_uploads.wait()
    assert slow_uploads.wait()
    move_to_other_machine()
    assert read_files(Mirror(ADDRESS).fetch()) == {"events.jsonl": b"0\n", "state": b"0"}
    slow_uploads(100)
    while Mirror(ADDRESS).fetch().joinpath("state").read_bytes() != b"5":
        time.sleep(0.01)
    assert read_files(Mirror(ADDRESS).fetch()) == {"events.jsonl": b"0\n1\n2\n3\n4\n5\n", "state": b"5"}
    mirror.publisher.release()
    assert not list_snapshots(mirror)


def replace_file(path, content):
    """Write a file as the package does: a new one takes the place of the old one."""
    temporary = path.with_name(".new")
    temporary.write_bytes(content)
    temporary.replace(path)


def test_the_end_copies_what_was_waiting(move_to_other_machine, slow_uploads):
    mirror = begin({"state": b"0"})
    mirror.publisher.publish_later()
    assert slow_uploads.wait()
    replace_file(mirror.folder / "state", b"1")
    mirror.publisher.publish_later()
    slow_uploads(100)
    mirror.publisher.complete()
    mirror.publisher.release()
    assert not list_snapshots(mirror)
    move_to_other_machine()
    assert read_files(Mirror(ADDRESS).fetch()) == {"state": b"1"}


def test_a_network_that_stays_broken_is_reported_once(caplog):
    mirror = begin({"state": b"0"})
    break_after(0)
    for _ in range(4):
        mirror.publisher.publish_later()
        _wait_for_uploads(mirror)
    assert caplog.text.count("the training goes on, and is copied with a later checkpoint") == 1
    break_after(None)
    mirror.publisher.publish_later()
    _wait_for_uploads(mirror)
    assert Mirror(ADDRESS).is_published()
    replace_file(mirror.folder / "state", b"1")
    break_after(0)
    mirror.publisher.publish_later()
    _wait_for_uploads(mirror)
    assert caplog.text.count("the training goes on") == 2
    with pytest.raises(StorageError, match="cannot be written: the network is unreachable"):
        mirror.publisher.complete()
    break_after(None)
    mirror.publisher.release()


def _wait_for_uploads(mirror):
    uploads = mirror.publisher._uploads
    while uploads._pending is not None or uploads._is_copying:
        time.sleep(0.002)


def test_errors_of_the_thread_are_raised_in_the_training(monkeypatch):
    mirror = begin({"state": b"0"})
    monkeypatch.setattr(Store, "upload", lambda *_: 1 / 0)
    mirror.publisher.publish_later()
    _wait_for_uploads(mirror)
    with pytest.raises(RuntimeError, match=r"the copy to .* failed") as error:
        mirror.publisher.publish_later()
    assert isinstance(error.value.__cause__, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        mirror.publisher.complete()
    mirror.publisher.release()


def test_without_hard_links_files_are_copied(monkeypatch, move_to_other_machine):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    mirror = begin(FIRST)
    mirror.publisher.publish_later()
    _wait_for_uploads(mirror)
    mirror.publisher.release()
    move_to_other_machine()
    assert read_files(Mirror(ADDRESS).fetch()) == FIRST

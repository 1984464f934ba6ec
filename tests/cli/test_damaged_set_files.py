"""Bundles and set files that are wrong, hostile or not what their name says."""

import gzip
import pickle
import struct
import tarfile

import pytest

from tests.cli.archives import tar_bytes, zip_bytes
from yisheng.data.hub.bundles import MANIFEST

BUNDLES = {
    "empty": (b"", "not a file of a known set"),
    "half an archive": (zip_bytes(**{MANIFEST: "{}"})[:-30], "not a file of a known set"),
    "another archive": (zip_bytes(a="b"), "not a file of a known set"),
    "a list that is not a manifest": (zip_bytes(**{MANIFEST: "[]"}), "not a bundle of format 1"),
    "a list that is not JSON": (zip_bytes(**{MANIFEST: "{"}), "not JSON"),
    "of a later version": (zip_bytes(**{MANIFEST: '{"format": 2, "files": []}'}), "not a bundle of format 1"),
    "without its file": (
        zip_bytes(
            **{
                MANIFEST: '{"format": 1, "files": [{"set": "titanic", "file": "train.csv", "name": "train.csv", '
                '"sha256": "0"}]}'
            }
        ),
        "damaged at titanic/train.csv",
    ),
    "with numbers for names": (
        zip_bytes(**{MANIFEST: '{"format": 1, "files": [{"set": 3, "file": 4, "name": 5, "sha256": 6}]}'}),
        "damaged: a file without set",
    ),
    "leaving the folder": (zip_bytes(**{MANIFEST: '{"format": 1, "files": []}', "../evil": "x"}), "leaves the folder"),
    "an absolute path": (zip_bytes(**{MANIFEST: '{"format": 1, "files": []}', "/tmp/evil": "x"}), "absolute path"),
    "a drive": (zip_bytes(**{MANIFEST: '{"format": 1, "files": []}', "C:evil": "x"}), "drive letter"),
    "a tar with a link": (tar_bytes("a", tarfile.SYMTYPE, "/etc/passwd"), "not a file of a known set"),
    "a pickle": (pickle.dumps([1]), "not a file of a known set"),
    "a gzip bomb": (gzip.compress(bytes(1 << 22)), "not a file of a known set"),
    "half a gzip": (gzip.compress(bytes(range(256)) * 99)[:200], "not a file of a known set"),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_wrong_bundles_are_refused(name, assert_error, workdir, tmp_path):
    content, cause = BUNDLES[name]
    (workdir / "bundle").write_bytes(content)
    assert_error(["data", "import", "bundle"], 3, cause)
    assert not list((tmp_path / "home" / "data").rglob("[!.]*"))


def test_a_bundle_that_names_an_unknown_set_is_refused(assert_error, workdir):
    entry = '{"set": "nowhere", "file": "a", "name": "a", "sha256": "0"}'
    (workdir / "bundle").write_bytes(zip_bytes(**{MANIFEST: f'{{"format": 1, "files": [{entry}]}}'}))
    assert_error(["data", "import", "bundle"], 2, "the hub knows no set 'nowhere'")


IDX = {
    "empty": b"",
    "half a header": b"\0\0\x08\x03\0\0",
    "no idx": b"hello, workdir",
    "a header without pixels": b"\0\0\x08\x03" + struct.pack(">3I", 60_000, 28, 28),
    "a header of 4 thousand million rows": b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1),
    "half a gzip": gzip.compress(bytes(100_000))[:50],
    "a bomb": gzip.compress(bytes(48_000_000)),
    "a pickle": pickle.dumps([1]),
}


@pytest.mark.parametrize("name", IDX)
def test_wrong_set_files_in_a_folder_are_refused(name, assert_error, workdir):
    (workdir / "mine").mkdir()
    for kind in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (workdir / "mine" / f"{kind}-ubyte.gz").write_bytes(IDX[name])
    assert_error(["train", "data=mnist", "folder=mine"], 3, "is not the file of mnist")

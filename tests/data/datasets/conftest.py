"""A ``file://`` mirror of small sets in the true formats."""

import hashlib

import pytest
import tomli_w

from yisheng.data.hub import catalog


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Return a function that puts files on a mirror, and into a catalog that replaces the package's."""
    catalog_folder, mirror = tmp_path / "catalog", tmp_path / "mirror"
    catalog_folder.mkdir()
    monkeypatch.setattr(catalog, "_folders", lambda: [catalog_folder])
    monkeypatch.setenv("YISHENG_MIRROR", mirror.as_uri())

    def put_on_mirror(name, files, forms=None):
        entries = []
        for file, content in files.items():
            (mirror / name).mkdir(parents=True, exist_ok=True)
            (mirror / name / file).write_bytes(content)
            form = {"form": next(f for f, members in forms.items() if file in members)} if forms else {}
            entries.append({"name": file, "sums": [f"file:sha256:{hashlib.sha256(content).hexdigest()}"], **form})
        facts = {"about": f"small {name}", "source": "made here", "license": "free"}
        facts |= {"forms": list(forms)} if forms else {}
        (catalog_folder / f"{name}.toml").write_text(tomli_w.dumps({**facts, "files": entries}))
        return mirror / name

    return put_on_mirror

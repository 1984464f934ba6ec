"""Archives built in memory, for the tests of hostile files."""

import io
import tarfile
import zipfile


def zip_bytes(**members):
    """Return a zip of members by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def tar_bytes(name, kind=tarfile.REGTYPE, target=""):
    """Return a tar with one empty member of a kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        packed.addfile(member)
    return buffer.getvalue()

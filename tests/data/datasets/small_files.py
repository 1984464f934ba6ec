"""Small files in the formats of the hub's sets, and the data sets built from them."""

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

from yisheng.core import registry

rng = np.random.Generator(np.random.PCG64(11))


def build(name, **options):
    """Build a data set that `serve` has put on the mirror, and check what all of them have."""
    data = registry.build("data.datasets", name, **options)
    assert data.name == name
    assert data.about == f"small {name}"
    assert (data.source, data.license) == ("made here", "free")
    assert data.x.dtype == np.uint8
    assert data.x.flags.c_contiguous
    assert data.y.dtype == np.int64
    assert data.y.flags.c_contiguous
    assert data.part.dtype == np.int8
    return data


def random_bytes(*shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


def make_idx(x):
    """Return an array as an idx file."""
    code = {"uint8": 8, "int32": 12}[x.dtype.name]
    header = struct.pack(">HBB", 0, code, x.ndim) + struct.pack(f">{x.ndim}I", *x.shape)
    return header + x.astype(x.dtype.newbyteorder(">")).tobytes()


def make_idx_gz(x):
    return gzip.compress(make_idx(x))


def make_tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def make_zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def make_image(color, size=(40, 30), format="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, format)
    return buffer.getvalue()

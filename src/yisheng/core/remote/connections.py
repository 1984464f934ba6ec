"""Connections to stores, by fsspec, and what the stores call the facts about a file."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, MissingPartError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.remote.store_errors import MAX_REASON, explain_error

PACKAGES: Final = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
"""Scheme -> package that its store needs."""
COMMON_SCHEMES: Final = ("s3", "gs", "abfs", "http", "https", "sftp", "hdfs", "local", "memory")
LOCAL_SCHEMES: Final = ("local", "memory")
HTTP_SCHEMES: Final = ("http", "https")
HTML: Final = "text/html"
REQUESTS: Final = 8
"""Files of a web server that are asked for their size at once: its page lists names only."""


def must_not_connect(address: str) -> bool:
    """Return whether an address needs the network, and the network must not be used."""
    return address.partition("://")[0] not in LOCAL_SCHEMES and cache_folder.is_offline()


def connect(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path of the address in it."""
    try:
        import fsspec
    except ImportError:
        raise MissingPartError(
            Message("{address} needs fsspec, which is not installed", address=address),
            Message('pip install "yisheng[remote]"'),
        ) from None
    scheme = address.partition("://")[0]
    if must_not_connect(address):
        raise DataError(
            Message("{address} cannot be reached: YISHENG_OFFLINE=1 forbids the network", address=address),
            Message("remove YISHENG_OFFLINE, or give a local path"),
        )
    options: dict[str, Any] = {"auto_mkdir": True} if scheme == "local" else {}
    try:
        fs, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        package = PACKAGES.get(scheme, "")
        command = f"pip install {package}" if package else " ".join(str(error).split())[:MAX_REASON]
        raise MissingPartError(
            Message("{address} needs a package that is not installed", address=address), command
        ) from None
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise explain_error(error, address, "read") from error
        raise UsageError(
            Message("{address}: no store has the scheme {scheme}", address=address, scheme=scheme),
            suggest(scheme, COMMON_SCHEMES),
        ) from None
    except Exception as error:
        raise explain_error(error, address, "read") from error
    return fs, str(path).rstrip("/")


def list_protocols(fs: Any) -> tuple[str, ...]:
    """Return the schemes of a file system."""
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def is_page(fs: Any, facts: Mapping[str, Any]) -> bool:
    """Return whether what a web server calls a file is its page for a folder: HTML under a name without a suffix."""
    name = str(facts.get("name", "")).rstrip("/").rpartition("/")[2]
    return _is_web(fs) and facts.get("mimetype") == HTML and "." not in name


def complete_listing(fs: Any, listing: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a listing with sizes, and without the links by which the page of a web server is sorted."""
    if not _is_web(fs):
        return dict(listing)
    paths = [path for path in listing if "?" not in path and "#" not in path and not path.endswith("/")]
    with ThreadPoolExecutor(REQUESTS) as pool:
        return dict(zip(paths, pool.map(fs.info, paths), strict=True))


def _is_web(fs: Any) -> bool:
    return any(protocol in HTTP_SCHEMES for protocol in list_protocols(fs))

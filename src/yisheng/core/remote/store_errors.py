"""Errors of stores in two lines: which of them another attempt may repair, and what to do about the others."""

from __future__ import annotations

import errno
from typing import Final

from yisheng.core.errors import DataError, StorageError, YishengError
from yisheng.core.messages import Message

ACCESS_ERRORS: Final = (
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),
    *(
        "DefaultCredentialsError",
        "RefreshError",
        "ClientAuthenticationError",
        "ProfileNotFound",
        "AuthenticationException",
    ),
)
"""Names of the classes of errors about credentials, of the packages of the stores."""
ACCESS_WORDS: Final = (
    "Forbidden",
    "AccessDenied",
    "Access Denied",
    "Unauthorized",
    "InvalidAccessKeyId",
    "SignatureDoesNot",
)
MAX_REASON: Final = 200


def explain_error(error: Exception, address: str, action: str) -> YishengError:
    """Return the error that explains why an address could not be read or written.

    Args:
        error: of the store.
        address: what was asked for.
        action: ``read`` or ``write``.
    """
    kind = StorageError if action == "write" else DataError
    reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
    values = {"address": address, "reason": reason}
    if is_about_access(error):
        scheme = address.partition("://")[0]
        remedy = Message("give the credentials as the store's own tools take them, and check the rights to the address")
        if scheme in ("s3", "s3a"):
            remedy = Message(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, and check the rights to the address"
            )
        elif scheme in ("gs", "gcs"):
            remedy = Message(
                "use `gcloud auth application-default login` or GOOGLE_APPLICATION_CREDENTIALS, and check the rights"
            )
        return kind(Message("{address} may not be accessed: {reason}", **values), remedy)
    if isinstance(error, FileNotFoundError):
        return kind(
            Message("{address} does not exist, or its bucket or folder does not", address=address),
            Message("check the address; a bucket is not created"),
        )
    problem = Message("{address} cannot be read: {reason}", **values)
    if action == "write":
        problem = Message("{address} cannot be written: {reason}", **values)
    return kind(problem, Message("check the network and the store, and run the command again"))


def is_about_access(error: Exception) -> bool:
    """Return whether an error is about credentials or rights."""
    if isinstance(error, PermissionError) or type(error).__name__ in ACCESS_ERRORS:
        return True
    return any(word in str(error) for word in ACCESS_WORDS)


def is_temporary(error: Exception) -> bool:
    """Return whether another attempt may succeed."""
    lasting = (
        FileNotFoundError,
        FileExistsError,
        IsADirectoryError,
        NotADirectoryError,
        ValueError,
        NotImplementedError,
    )
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return not (isinstance(error, lasting) or is_full or is_about_access(error))

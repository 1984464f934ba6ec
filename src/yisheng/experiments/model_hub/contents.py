"""The files of a published model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.inference.model_files import ARTIFACT_FILES, INTERVAL_FILES, PROGRAM_FILES
from yisheng.reporting.model_card import MODEL_CARD

FILES: Final = frozenset(
    (
        *ARTIFACT_FILES,
        *PROGRAM_FILES,
        *INTERVAL_FILES,
        *(RunFolder.CONFIG, RunFolder.SCORES, RunFolder.LEADERBOARD, RunFolder.CROSS_VALIDATION, MODEL_CARD),
    )
)
"""What is published of a run: what prediction needs, the choices, the scores and the card. Not the report, the log and
the mistakes, which show rows of the data."""
_MEMBER: Final = re.compile(r"fold-\d{2,4}/")


def is_model_file(name: str) -> bool:
    """Return whether a published file is one of a model, of a run or of a fold.

    >>> is_model_file("model.json"), is_model_file("fold-01/model.json"), is_model_file("../model.json")
    (True, True, False)
    """
    return _MEMBER.sub("", name, count=1) in FILES if _MEMBER.match(name) else name in FILES


def list_model_files(folder: Path) -> dict[str, Path]:
    """Return the files of a run or cross-validation that are published, by their names on the hub.

    Raises:
        DataError: the folder holds no trained model.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    names = {name: path for name, path in paths.items() if is_model_file(name)}
    if not any(name.rpartition("/")[2] == RunFolder.WEIGHTS for name in names):
        raise DataError(
            Message("{folder} has no trained model: there is no {name} in it", folder=folder, name=RunFolder.WEIGHTS),
            Message("give the folder of a run that has come to its end"),
        )
    return names

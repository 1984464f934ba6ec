"""A study's members: the folders of the models that were trained on its folds, and the models in them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.inference import artifact

STUDY = "folds.json"
"""What makes a folder a study of k folds; see docs/architecture.md for its form."""
SEARCH = "study.toml"
"""What makes a folder a search; see docs/tuning.md."""
BEST = "best"
"""The run of a search's chosen setting, in its folder."""
MOST = 1_000_000
"""Folds and repeats have a thousand each at most."""


def is_study(folder: Path) -> bool:
    """Whether the folder is a study of k folds rather than a single run."""
    return os.path.isfile(folder / STUDY)  # noqa: PTH113  # never raises


def is_search(folder: Path) -> bool:
    """Whether the folder is a search rather than a run or a study of k folds."""
    return os.path.isfile(folder / SEARCH)  # noqa: PTH113  # never raises


def chosen(folder: Path) -> Path:
    """The folder of the model: of a search that of the chosen setting, else the folder itself.

    Raises:
        DataError: the search is not finished.
    """
    if not is_search(folder):
        return folder
    if not os.path.isfile(folder / BEST / artifact.DESCRIPTION):  # noqa: PTH113  # never raises
        raise DataError(f"the search in {folder} is not finished: it has no model yet", f"say yisheng resume {folder}")
    return folder / BEST


def describe(folder: Path, spec: Spec, members: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the study's ``model.json``: the contract, and the members by folder and hash of their weights.

    Args:
        folder: the study.
        spec: the contract that all members share.
        members: the members' folders in it, and the contents of their ``model.json``.
    """
    listed = [{"folder": name, "sha256": about["sha256"]} for name, about in members.items()]
    parameters = next(iter(members.values()))["parameters"]
    about = {"format": artifact.FORMAT, "spec": spec.to_json(), "parameters": parameters, "members": listed}
    files.write_json(folder / artifact.DESCRIPTION, about)
    artifact.seal(folder)


def description(folder: Path) -> Mapping[str, Any]:
    """Contents of a study's ``model.json``, its list of members checked.

    Raises:
        DataError: the study is not finished, or the file is damaged.
    """
    path = folder / artifact.DESCRIPTION
    if not os.path.lexists(path):
        raise DataError(f"the study in {folder} is not finished: it has no model yet", f"say yisheng resume {folder}")
    found = files.read_json(path)
    artifact.require_listed(folder, artifact.DESCRIPTION)
    listed = found.get("members") if isinstance(found, dict) else None
    whole = "take the folder from where it was whole"
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST or found.get("format") != artifact.FORMAT:
        raise DataError(f"{path} does not list the members of a study", whole)
    if not isinstance(found.get("spec"), dict):
        raise DataError(f"{path} is damaged: it has no spec", whole)
    for member in listed:
        name = member.get("folder") if isinstance(member, dict) else None
        if not isinstance(name, str) or not re.fullmatch(r"fold-[0-9]{2,7}", name):  # nothing outside the study
            raise DataError(f"{path} names {name!r} as a member", whole)
    if len({member["folder"] for member in listed}) < len(listed):
        raise DataError(f"{path} names a member twice", whole)
    return found


def load(folder: Path) -> list[artifact.Saved]:
    """The models of a study, in the order of its folds.

    Raises:
        DataError: the study is not finished; a member is missing, damaged, not the one that the study ended with,
            or of another contract than the rest.
    """
    about = description(folder)
    spec = Spec.from_json(about["spec"])
    found = []
    for member in about["members"]:
        path = folder / member["folder"]
        one = artifact.load(path)
        if one.description.get("sha256") != member.get("sha256"):
            raise DataError(
                f"{path} is not the member that the study ended with (SHA-256 differs)",
                f"bring it back; or, if it was trained on, say yisheng evaluate {folder}",
            )
        if one.spec != spec:
            raise DataError(f"{path} is of another contract than the study", "take the folder from where it was whole")
        found.append(one)
    return found

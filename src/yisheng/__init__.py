"""Yisheng (一生, a whole life; 医生, doctor): a supervised model from its data to its use.

    import yisheng

    run = yisheng.train(data="digits", model="lenet", epochs=20)
    run.scores["test"]["accuracy"]
    run.predict("photo.png")

    data = yisheng.data.load("mnist")
    net = yisheng.models.build("mlp", data.spec, hidden=(64,))

Everything is imported when it is first used: ``import yisheng`` itself costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from yisheng.api import (
        TrainedRun,
        config,
        diagnose,
        env,
        evaluate,
        explain,
        export,
        load,
        predict,
        report,
        reproduce,
        resume,
        train,
    )
    from yisheng.core.errors import DataError, NonFiniteError, UsageError, YishengError
    from yisheng.core.registry import register
    from yisheng.core.types import Column, Dataset, Ink, Spec
    from yisheng.diagnosis.doctor import doctor
    from yisheng.experiments.search.result import Tuned, tune

_HOMES = {
    "yisheng.core.errors": ("DataError", "NonFiniteError", "UsageError", "YishengError"),
    "yisheng.core.registry": ("register",),
    "yisheng.core.types": ("Column", "Dataset", "Ink", "Spec"),
    "yisheng.diagnosis.doctor": ("doctor",),
    "yisheng.api": (
        "TrainedRun",
        "config",
        "diagnose",
        "env",
        "evaluate",
        "explain",
        "export",
        "load",
        "predict",
        "report",
        "reproduce",
        "resume",
        "train",
    ),
    "yisheng.experiments.search.result": ("Tuned", "tune"),
}
_KINDS = ("data", "models", "sklearn")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022  # verbs first
    "train",
    "tune",
    "load",
    "evaluate",
    "predict",
    "export",
    "report",
    "resume",
    "reproduce",
    "config",
    "env",
    "explain",
    "diagnose",
    "doctor",
    "TrainedRun",
    "Tuned",
    "register",
    "Dataset",
    "Spec",
    "Column",
    "Ink",
    "YishengError",
    "UsageError",
    "DataError",
    "NonFiniteError",
]


def __getattr__(name: str) -> object:
    import importlib

    if name in _KINDS:
        return importlib.import_module(f"yisheng.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'yisheng' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

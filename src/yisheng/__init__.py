"""Yisheng (一生, a whole life; 医生, doctor): a supervised model from its data to its use.

    import yisheng

    run = yisheng.train(data="digits", model="lenet", epochs=20)
    run.scores["test"]["accuracy"]
    run.predict("photo.png")

    data = yisheng.data.load("mnist")
    net = yisheng.models.build("mlp", data.spec, hidden=(64,))

Names are imported on first use, so ``import yisheng`` itself is cheap.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from yisheng.api.evaluation import compare, diagnose, evaluate, report
    from yisheng.api.inference import export, predict, push
    from yisheng.api.preparation import config, env, explain, lr_find
    from yisheng.api.runs import load, reproduce, resume, runs
    from yisheng.api.training import fit, train, tune
    from yisheng.core.columns import Column
    from yisheng.core.dataset import Dataset
    from yisheng.core.errors import DataError, NonFiniteError, UsageError, YishengError
    from yisheng.core.events import EpochEnd, StepEnd
    from yisheng.core.image_values import Drawing
    from yisheng.core.registry import register
    from yisheng.core.spec import Spec
    from yisheng.diagnosis.doctor import doctor
    from yisheng.diagnosis.row_checks import check_data
    from yisheng.results import SearchResult, TrainedRun

_NAMES_OF_MODULE = {
    "yisheng.core.errors": ("DataError", "NonFiniteError", "UsageError", "YishengError"),
    "yisheng.core.registry": ("register",),
    "yisheng.core.columns": ("Column",),
    "yisheng.core.dataset": ("Dataset",),
    "yisheng.core.events": ("EpochEnd", "StepEnd"),
    "yisheng.core.image_values": ("Drawing",),
    "yisheng.core.spec": ("Spec",),
    "yisheng.diagnosis.doctor": ("doctor",),
    "yisheng.diagnosis.row_checks": ("check_data",),
    "yisheng.results": ("SearchResult", "TrainedRun"),
    "yisheng.api.evaluation": ("compare", "diagnose", "evaluate", "report"),
    "yisheng.api.inference": ("export", "predict", "push"),
    "yisheng.api.preparation": ("config", "env", "explain", "lr_find"),
    "yisheng.api.runs": ("load", "reproduce", "resume", "runs"),
    "yisheng.api.training": ("fit", "train", "tune"),
}
_MODULE_OF_NAME = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}
_SUBMODULES = ("d2l", "data", "models", "sklearn")

__all__ = [  # noqa: RUF022  # functions in the order of a model's life, then classes
    "train",
    "fit",
    "tune",
    "lr_find",
    "load",
    "evaluate",
    "predict",
    "export",
    "push",
    "report",
    "compare",
    "resume",
    "reproduce",
    "runs",
    "config",
    "env",
    "explain",
    "diagnose",
    "doctor",
    "check_data",
    "TrainedRun",
    "SearchResult",
    "register",
    "Dataset",
    "Spec",
    "Column",
    "Drawing",
    "StepEnd",
    "EpochEnd",
    "YishengError",
    "UsageError",
    "DataError",
    "NonFiniteError",
]


def __getattr__(name: str) -> object:
    import importlib

    if name in _SUBMODULES:
        return importlib.import_module(f"yisheng.{name}")
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'yisheng' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF_NAME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])

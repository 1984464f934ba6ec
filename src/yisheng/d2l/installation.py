"""Answer ``from d2l import torch as d2l``, and ``import torchvision`` where that fails."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from types import ModuleType

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l.notices import announce
from yisheng.d2l.pandas_compat import compat, restore_pandas

OTHER_FRAMEWORKS = ("mxnet", "tensorflow", "paddle", "jax", "mindspore")
VISION = "yisheng.d2l.vision"
VISION_MODULES = {
    "torchvision": VISION,
    "torchvision.datasets": f"{VISION}.datasets",
    "torchvision.models": f"{VISION}.models",
    "torchvision.transforms": f"{VISION}.transforms",
    "torchvision.transforms.functional": f"{VISION}.functional",
}
_installed: dict[str, ModuleType] = {}
"""The modules that `install` registered, by the name under which they answer."""


def install(*, pandas: bool = False) -> None:
    """Let ``from d2l import torch as d2l`` import Yisheng's functions, in this process.

    Where ``import torchvision`` fails, it gets a stand-in with the names that the book's chapters use. What was
    registered is printed. A second call does nothing.

    Args:
        pandas: also change pandas back to what the book's chapters expect; see `compat`.

    Raises:
        UsageError: the book's own package is imported already.

    >>> import contextlib, io
    >>> with contextlib.redirect_stderr(io.StringIO()):
    ...     install()
    >>> from d2l import torch as d2l
    >>> d2l.try_gpu.__module__
    'yisheng.d2l.devices'
    >>> uninstall()
    """
    present = sys.modules.get("d2l")
    if present is not None and present is not _installed.get("d2l"):
        place = getattr(present, "__file__", None) or "memory"
        raise UsageError(
            Message("the book's own package d2l is imported already, from {place}", place=place),
            Message(
                "restart Python and call yisheng.d2l.install() before importing d2l; or go on with the book's own",
            ),
        )
    if "d2l" not in _installed:
        _install_book()
        _install_vision()
    if pandas:
        compat()


def uninstall() -> None:
    """Undo `install` and `compat`: the next import of d2l or torchvision finds the installed packages, if any.

    Names that were imported before stay as they are.
    """
    for name, module in _installed.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    _installed.clear()
    restore_pandas()


def _install_book() -> None:
    is_shadowed = importlib.util.find_spec("d2l") is not None
    names = importlib.import_module("yisheng.d2l")
    book = ModuleType("d2l", "Stand-in for the book's package; its names for PyTorch are in `d2l.torch`.")
    book.__path__ = []
    book.__spec__ = importlib.machinery.ModuleSpec("d2l", None, is_package=True)
    book.__dict__.update(torch=names, __version__="2.0.0+yisheng", __getattr__=_refuse_other_framework)
    _register("d2l", book)
    _register("d2l.torch", names)
    announce(Message("`from d2l import torch as d2l` now imports yisheng.d2l"))
    if is_shadowed:
        announce(Message("your installed package d2l is hidden until yisheng.d2l.uninstall()"))


def _refuse_other_framework(name: str) -> object:
    if name in OTHER_FRAMEWORKS:
        raise ImportError(
            f"Yisheng has the book's names for PyTorch only, not for {name}\n  write: from d2l import torch as d2l"
        )
    raise AttributeError(f"module 'd2l' has no attribute {name!r}")


def _install_vision() -> None:
    """Register the stand-in for torchvision if the real one cannot be imported."""
    reason = _find_vision_problem()
    if reason is None:
        return
    for name, module in VISION_MODULES.items():
        _register(name, importlib.import_module(module))
    announce(
        Message(
            "`import torchvision` now imports Yisheng's stand-in (transforms, datasets, ResNets): {reason}",
            reason=reason,
        )
    )


def _find_vision_problem() -> str | None:
    """Return why torchvision cannot be imported, None if it can; what a failed import left is removed."""
    if "torchvision" in sys.modules:
        return None
    if importlib.util.find_spec("torchvision") is None:
        return Message("torchvision is not installed")
    present = set(sys.modules)
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # a build for another torch raises RuntimeError
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision" and name not in present]:
            del sys.modules[name]
        problem = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        return Message("torchvision is broken ({problem})", problem=problem)
    return None


def _register(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    _installed[name] = module

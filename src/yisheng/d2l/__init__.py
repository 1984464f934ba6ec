"""The names of the book *Dive into Deep Learning* (动手学深度学习), in today's torch, NumPy and pandas.

    from yisheng import d2l                  # the names themselves

    import yisheng.d2l
    yisheng.d2l.install()                    # or: `from d2l import torch as d2l` works from here on
    from d2l import torch as d2l

    python -m yisheng.d2l notebook.ipynb     # a notebook of the book, run with them

Each function's docstring names Yisheng's own way to do the same. The names and arguments are the book's; the code is
not. Modules that the book reaches through the package (``d2l.torch``, ``d2l.plt``, ``d2l.np``) are reached here, too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from yisheng.core.messages import Message, translate

if TYPE_CHECKING:
    from yisheng.d2l.aliases import (
        abs,
        arange,
        argmax,
        astype,
        concat,
        cos,
        cosh,
        exp,
        eye,
        float32,
        int32,
        linspace,
        log,
        matmul,
        meshgrid,
        nn_Module,
        normal,
        numpy,
        ones,
        rand,
        randn,
        reduce_mean,
        reduce_sum,
        reshape,
        sin,
        sinh,
        size,
        stack,
        tanh,
        tensor,
        to,
        transpose,
        zeros,
    )
    from yisheng.d2l.animation import Animator
    from yisheng.d2l.classifiers import Classifier, LeNet, ResNet, init_cnn
    from yisheng.d2l.data_modules import DataModule, FashionMNIST, KaggleHouse, SyntheticRegressionData
    from yisheng.d2l.devices import cpu, gpu, num_gpus, try_all_gpus, try_gpu
    from yisheng.d2l.evaluation import Accumulator, accuracy, evaluate_accuracy, evaluate_accuracy_gpu, evaluate_loss
    from yisheng.d2l.fashion_mnist import get_dataloader_workers, get_fashion_mnist_labels, load_data_fashion_mnist
    from yisheng.d2l.figures import plot, set_axes, set_figsize, show_images, use_svg_display
    from yisheng.d2l.hub_files import DATA_HUB, DATA_URL, download, download_all, download_extract
    from yisheng.d2l.hyper_parameters import HyperParameters, add_to_class
    from yisheng.d2l.installation import install, uninstall
    from yisheng.d2l.kaggle_files import copyfile, read_csv_labels, reorg_test, reorg_train_valid
    from yisheng.d2l.linear_regression import linreg, load_array, sgd, squared_loss, synthetic_data
    from yisheng.d2l.modules import SGD, LinearRegression, Module
    from yisheng.d2l.networks import Residual, corr2d, resnet18
    from yisheng.d2l.pandas_compat import compat
    from yisheng.d2l.progress_board import ProgressBoard
    from yisheng.d2l.timing import Benchmark, Timer
    from yisheng.d2l.trainer import Trainer
    from yisheng.d2l.training_ch3 import predict_ch3, train_ch3, train_epoch_ch3
    from yisheng.d2l.training_ch6 import train_ch6
    from yisheng.d2l.training_ch13 import train_batch_ch13, train_ch13

_NAMES_OF_MODULE = {
    "aliases": (
        "abs arange argmax astype concat cos cosh exp eye float32 int32 linspace log matmul meshgrid "
        "nn_Module normal numpy ones rand randn reduce_mean reduce_sum reshape sin sinh size stack "
        "tanh tensor to transpose zeros"
    ),
    "animation": "Animator",
    "classifiers": "Classifier LeNet ResNet init_cnn",
    "data_modules": "DataModule FashionMNIST KaggleHouse SyntheticRegressionData",
    "devices": "cpu gpu num_gpus try_all_gpus try_gpu",
    "evaluation": "Accumulator accuracy evaluate_accuracy evaluate_accuracy_gpu evaluate_loss",
    "fashion_mnist": "get_dataloader_workers get_fashion_mnist_labels load_data_fashion_mnist",
    "figures": "plot set_axes set_figsize show_images use_svg_display",
    "hub_files": "DATA_HUB DATA_URL download download_all download_extract",
    "hyper_parameters": "HyperParameters add_to_class",
    "installation": "install uninstall",
    "kaggle_files": "copyfile read_csv_labels reorg_test reorg_train_valid",
    "linear_regression": "linreg load_array sgd squared_loss synthetic_data",
    "modules": "LinearRegression Module SGD",
    "networks": "Residual corr2d resnet18",
    "pandas_compat": "compat",
    "progress_board": "ProgressBoard",
    "timing": "Benchmark Timer",
    "trainer": "Trainer",
    "training_ch13": "train_batch_ch13 train_ch13",
    "training_ch3": "predict_ch3 train_ch3 train_epoch_ch3",
    "training_ch6": "train_ch6",
}
_MODULE_OF_NAME = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names.split()}
_PACKAGES = {
    **{name: name for name in ("torch", "os", "sys", "math", "time", "random", "re", "shutil", "hashlib", "inspect")},
    **{name: name for name in ("collections", "tarfile", "zipfile", "requests", "torchvision")},
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "np": "numpy",
    "pd": "pandas",
    "plt": "matplotlib.pyplot",
    "Image": "PIL.Image",
    "display": "IPython.display",
    "transforms": "torchvision.transforms",
}
"""Modules that the book reaches as attributes."""

__all__ = [
    "DATA_HUB",
    "DATA_URL",
    "SGD",
    "Accumulator",
    "Animator",
    "Benchmark",
    "Classifier",
    "DataModule",
    "FashionMNIST",
    "HyperParameters",
    "KaggleHouse",
    "LeNet",
    "LinearRegression",
    "Module",
    "ProgressBoard",
    "ResNet",
    "Residual",
    "SyntheticRegressionData",
    "Timer",
    "Trainer",
    "abs",
    "accuracy",
    "add_to_class",
    "arange",
    "argmax",
    "astype",
    "compat",
    "concat",
    "copyfile",
    "corr2d",
    "cos",
    "cosh",
    "cpu",
    "download",
    "download_all",
    "download_extract",
    "evaluate_accuracy",
    "evaluate_accuracy_gpu",
    "evaluate_loss",
    "exp",
    "eye",
    "float32",
    "get_dataloader_workers",
    "get_fashion_mnist_labels",
    "gpu",
    "init_cnn",
    "install",
    "int32",
    "linreg",
    "linspace",
    "load_array",
    "load_data_fashion_mnist",
    "log",
    "matmul",
    "meshgrid",
    "nn_Module",
    "normal",
    "num_gpus",
    "numpy",
    "ones",
    "plot",
    "predict_ch3",
    "rand",
    "randn",
    "read_csv_labels",
    "reduce_mean",
    "reduce_sum",
    "reorg_test",
    "reorg_train_valid",
    "reshape",
    "resnet18",
    "set_axes",
    "set_figsize",
    "sgd",
    "show_images",
    "sin",
    "sinh",
    "size",
    "squared_loss",
    "stack",
    "synthetic_data",
    "tanh",
    "tensor",
    "to",
    "train_batch_ch13",
    "train_ch3",
    "train_ch6",
    "train_ch13",
    "train_epoch_ch3",
    "transpose",
    "try_all_gpus",
    "try_gpu",
    "uninstall",
    "use_svg_display",
    "zeros",
]


def __getattr__(name: str) -> object:
    if name in _MODULE_OF_NAME:
        value: object = getattr(importlib.import_module(f"yisheng.d2l.{_MODULE_OF_NAME[name]}"), name)
    elif name in _PACKAGES:
        value = _import_package(name)
    else:
        raise AttributeError(_describe_unknown(name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])


def _import_package(name: str) -> object:
    """Return a package that the book reaches through its own; for torchvision, where it fails, the stand-in."""
    from yisheng.core.errors import MissingPartError

    package = _PACKAGES[name]
    try:
        return importlib.import_module(package)
    except Exception as error:
        if package.partition(".")[0] == "torchvision":
            return importlib.import_module(package.replace("torchvision", "yisheng.d2l.vision", 1))
        top = package.partition(".")[0]
        raise MissingPartError(
            Message("d2l.{name} requires the package {top}: {error}", name=name, top=top, error=error),
            Message("run pip install {top}", top=top),
        ) from None


def _describe_unknown(name: str) -> str:
    """Return the message for a name that is not here, with the nearest one that is."""
    from yisheng.core.errors import suggest

    remedy = suggest(name, [*__all__, *_PACKAGES]).partition(" Known:")[0]
    if not remedy.startswith("did you mean"):
        remedy = Message("it may belong to a later chapter; the names that Yisheng has are listed in docs/d2l.md")
    problem = Message("yisheng.d2l has no {name}", name=f"{name!r}")
    return f"{translate(problem)}\n  {translate(remedy)}"

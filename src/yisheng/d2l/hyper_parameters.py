"""Classes that are written in several cells of a notebook, and that keep the arguments of their ``__init__``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Member = TypeVar("Member", bound=Callable[..., Any])


def add_to_class(Class: type) -> Callable[[Member], Member]:
    """Return a decorator that makes a function a method of a class that exists already.

    Args:
        Class: the class; objects that were made before get the method, too.

    >>> class Model: ...
    >>> model = Model()
    >>> @add_to_class(Model)
    ... def double(self, x):
    ...     return 2 * x
    >>> model.double(3)
    6
    """

    def add(member: Member) -> Member:
        setattr(Class, member.__name__, member)
        return member

    return add


class HyperParameters:
    """A base class whose `save_hyperparameters` turns the arguments of ``__init__`` into attributes.

    >>> class Model(HyperParameters):
    ...     def __init__(self, lr, depth=2, device=None):
    ...         self.save_hyperparameters(ignore=["device"])
    >>> model = Model(0.1)
    >>> model.lr, model.hparams
    (0.1, {'lr': 0.1, 'depth': 2})
    """

    def save_hyperparameters(self, ignore: Sequence[str] = ()) -> None:
        """Store the arguments of the calling ``__init__`` as attributes, and all of them in ``hparams``.

        Args:
            ignore: names of arguments to leave out.
        """
        frame = inspect.currentframe()
        caller = frame.f_back if frame is not None else None
        if caller is None:
            raise RuntimeError("this Python has no frames")
        variables = {name: value for name, value in caller.f_locals.items() if name[0] != "_"}
        self.hparams = {n: value for n, value in variables.items() if n not in {*ignore, "self"}}
        for name, value in self.hparams.items():
            setattr(self, name, value)

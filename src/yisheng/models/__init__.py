"""What learns: networks, each built for the data it meets.

A model is a function ``f(spec, **options) -> nn.Module``; the module takes a batch ``x (B, *spec.shape)`` and gives
``(B, spec.outputs)``: logits, never probabilities, since the losses work on logits. Parameters have plain names
(``conv1.weight``, ``output.bias``), which are those of the saved file.

What `register` may be told here: ``fits`` and ``wants`` (where it can be used, and how to say so), ``default_for``
(what ``model=auto`` means), ``stackable=False`` (several of them cannot run as one under `torch.func.vmap`),
``shape`` (of the input that `yisheng models NAME` shows it with).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from yisheng.core.types import Spec


def names() -> list[str]:
    """Names of all models.

    >>> "lenet" in names()
    True
    """
    from yisheng.core.registry import names

    return names("models")


def build(name: str, spec: Spec, **options: Any) -> nn.Module:
    """A network by name, for any data: the contract is all it needs.

    Args:
        name: its registered name.
        spec: the contract of the data.
        **options: its options, checked.

    Raises:
        UsageError: the name or an option is unknown, a value is not allowed, or it does not fit the data.

    >>> from yisheng.core.types import Spec
    >>> build("mlp", Spec("regression", (3,)), hidden="5").output
    Linear(in_features=5, out_features=1, bias=True)
    """
    from yisheng.core import config, registry
    from yisheng.core.errors import UsageError

    entry = registry.find("models", name)
    if "fits" in entry.meta and not entry.meta["fits"](spec):
        raise UsageError(f"{entry.name} needs {entry.meta['wants']}, got inputs of shape {spec.shape}", "name another")
    model: nn.Module = config.build("models", name, spec, **options)
    return model

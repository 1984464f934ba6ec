"""Networks, each built for the data that it is trained on.

A model is a function ``f(spec, **options) -> nn.Module``; the module takes a batch ``x (B, *spec.shape)`` and returns
``(B, spec.outputs)``: logits, never probabilities, since the losses work on logits. Parameters have plain names
(``conv1.weight``, ``output.bias``), which are those of the saved file.

Facts that `register` takes for a model:

- ``fits`` and ``requires``: where it can be used, as a predicate and in words.
- ``default_for``: whether it is what ``model=auto`` means for a spec.
- ``fitted``: it is a `yisheng.models._fitted_model.FittedModel`, fitted by a method of its own; the name of the scaling
  that it takes.
- ``composite``: it is fitted, and made of models of other kinds; see `yisheng.training.portfolio`.
- ``losses``: names of losses that a fitted model minimizes besides the log loss and the squared error.
- ``stackable=False``: several of them cannot run as one under `torch.func.vmap`.
- ``shape``: of the input for which `yisheng models NAME` prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yisheng.core.messages import Message

if TYPE_CHECKING:
    from torch import nn

    from yisheng.core.spec import Spec


def names() -> list[str]:
    """Return the names of all models.

    >>> "lenet" in names()
    True
    """
    from yisheng.core.registry import names

    return names("models")


def build(name: str, spec: Spec, **options: Any) -> nn.Module:
    """Build a network by name for any data that fits it.

    Args:
        name: its registered name.
        spec: the contract of the data.
        **options: its options, checked.

    Raises:
        UsageError: the name or an option is unknown, a value is not allowed, or the network does not fit the data.

    >>> from yisheng.core.spec import Spec
    >>> build("mlp", Spec("regression", (3,)), hidden="5").output
    Linear(in_features=5, out_features=1, bias=True)
    """
    from yisheng.core import registry
    from yisheng.core.errors import UsageError

    entry = registry.find("models", name)
    if "fits" in entry.meta and not entry.meta["fits"](spec):
        raise UsageError(
            Message(
                "{name} needs {requirement}, got inputs of shape {shape}",
                name=entry.name,
                requirement=entry.requirement,
                shape=spec.shape,
            ),
            Message("name another model"),
        )
    model: nn.Module = registry.build("models", name, spec, **options)
    return model

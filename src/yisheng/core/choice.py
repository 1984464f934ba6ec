"""A choice of the config: a component by name, with its options, or one of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from yisheng.core.references import import_reference, is_reference

AUTO: Final = "auto"
AUGMENT: Final = "augment"
METRICS: Final = "metrics"
RAW: Final = "raw"
"""Name of the scaling that leaves ids and bytes as they are."""
IN_MEMORY: Final = "in-memory"
"""Name of a data set that was passed as an object: no file can name it."""
KINDS = {
    "data": "data.datasets",
    "model": "models",
    "init": "init",
    "init_linear": "init",
    "init_conv": "init",
    "loss": "losses",
    "optimizer": "optim",
    "schedule": "optim.schedules",
    "scale": "transforms",
    "target_scale": "transforms",
}
"""Key of each choice -> the kind that it chooses from."""


class Choice(BaseModel):
    """A component with its options: a registered one by name, or a user's own.

    Args:
        name: the registered name, or the reference of a user's own component (`yisheng.core.references`).
        options: its options by name.
        component: the user's own object; None for registered components, and if only its reference is known. It is not
            part of the plain data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    options: Mapping[str, Any] = {}
    component: Annotated[Any, Field(exclude=True, repr=False)] = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process builds the choice from: code that can be imported again is imported there."""
        component = self.component if self.name.startswith(f"{IN_MEMORY}:") else None
        return restore_choice, (self.name, dict(self.options), component)


def restore_choice(name: str, options: dict[str, Any], component: Any) -> Choice:
    """Return a choice that was sent to this process."""
    if component is None and is_reference(name):
        component = import_reference(name)
    return Choice(name=name, options=options, component=component)


def kind_of(key: str) -> str:
    """Return the kind that a key of the config chooses from.

    >>> kind_of("loss"), kind_of("augment.flip")
    ('losses', 'transforms.augment')
    """
    if key.startswith(AUGMENT):
        return "transforms.augment"
    return METRICS if key == METRICS else KINDS[key]


def plain_value(value: Any) -> Any:
    """Return the value of an option as TOML can hold it: lists for tuples, text for paths."""
    if isinstance(value, tuple | list):
        return [plain_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def plain_table(choice: Choice) -> dict[str, Any]:
    """Return a choice as TOML can hold it: its name and its options."""
    return {"name": choice.name, **{key: plain_value(value) for key, value in choice.options.items()}}

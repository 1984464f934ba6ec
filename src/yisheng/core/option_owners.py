"""Find the choice of a config that an option belongs to (``lr`` to the optimizer)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from yisheng.core import registry
from yisheng.core.choice import AUGMENT, AUTO, IN_MEMORY, KINDS, Choice, kind_of
from yisheng.core.components import find_component, is_custom
from yisheng.core.config import Config
from yisheng.core.custom_entry import CustomEntry
from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message

AUTO_SCALES = ("standard", "columns")
"""What ``scale=auto`` may become if no pretrained weights decide: their options can be set in advance."""


def has_option(entry: Entry, option: str) -> bool:
    """Return whether a component takes an option; a user's own with ``**kwargs`` takes any."""
    return option in entry.options or getattr(entry, "open_ended", False)


def is_test_file(key: str, value: Any, data: Choice | None) -> bool:
    """Return whether ``test=`` names a file of test rows, if the data set takes one, rather than a size."""
    if key != "test" or not isinstance(value, str):
        return False
    if not any("test" in entry.options for entry in find_candidates("data", data)):
        return False
    try:
        float(value)
    except ValueError:
        return value.strip().lower() != AUTO
    return False


def find_candidates(key: str, choice: Choice | None) -> list[Entry]:
    """Return the components that a choice may become: all possible defaults for ``auto``."""
    if choice is None or key == f"{AUGMENT}.{AUTO}":
        return []
    if choice.name == IN_MEMORY:
        return [registry.find("data.objects", IN_MEMORY)] if key == "data" else []
    if choice.name == AUTO and key == "scale":
        return [registry.find(KINDS[key], name) for name in AUTO_SCALES]
    if choice.name == AUTO:
        return list(registry.entries(KINDS[key], "default_for"))
    if is_custom(choice) and choice.component is None:  # the config of a run folder; its options were checked
        return [CustomEntry(kind_of(key), choice.name, Choice, open_ended=True)]
    return [find_component(kind_of(key), choice)]


def find_owner(key: str, choices: Mapping[str, Choice | None]) -> tuple[str, str]:
    """Return the choice that an option belongs to, and the option's name without it."""
    head, _, name = key.rpartition(".") if key.startswith(f"{AUGMENT}.") else key.partition(".")
    if not head:
        head, name = name, ""
    if name:
        return _check_dotted(key, head, name, choices)
    owners = [k for k in choices if any(head in e.options for e in find_candidates(k, choices[k]))]
    if not owners and head not in Config.model_fields:  # a user's own component may take any option
        owners = [k for k in choices if any(has_option(e, head) for e in find_candidates(k, choices[k]))]
    if len(owners) == 1:
        return owners[0], head
    if owners:
        dotted = " or ".join(f"{owner}.{head}=" for owner in owners)
        raise UsageError(
            Message("{head} is an option of {owners}", head=head, owners=" and of ".join(owners)),
            Message("use {dotted}", dotted=dotted),
        )
    raise _explain_unknown(head, choices)


def _check_dotted(key: str, head: str, name: str, choices: Mapping[str, Choice | None]) -> tuple[str, str]:
    """Return the choice and the option of a dotted key, if there are such."""
    if head not in choices and head.startswith(AUGMENT):
        augmentation = head.removeprefix(AUGMENT).strip(".") or name
        raise UsageError(
            Message("{key}: {augmentation} is not among the augmentations", key=key, augmentation=augmentation),
            Message("use augment={augmentation} with the others", augmentation=augmentation),
        )
    if head not in choices:
        raise UsageError(
            Message("{head} in {key} is not a choice of a config", head=f"{head!r}", key=key), suggest(head, KINDS)
        )
    choice = choices[head]
    options = {option for entry in find_candidates(head, choice) for option in entry.options}
    if not any(has_option(entry, name) for entry in find_candidates(head, choice)):
        value = choice.name if choice else "none"
        raise UsageError(
            Message("{key}={value} has no option {name}", key=head, value=value, name=f"{name!r}"),
            suggest(name, options),
        )
    return head, name


_DATA: Final = Message("give inputs and targets together: data=(x, y)")
_USE: Final = {
    "model": ("net", "network", "module", "estimator"),
    "loss": ("criterion", "loss_fn", "loss_func", "loss_function", "objective"),
    "optimizer": ("opt", "optim"),
    "schedule": ("scheduler", "lr_scheduler"),
    "epochs": ("num_epochs", "n_epochs", "nb_epochs", "num_train_epochs"),
    "data": ("dataloader", "train_loader", "train_dataloader", "train_data", "train_dataset", "trainset", "train_set"),
    "validation": ("val", "val_data", "val_loader", "validation_data", "validation_split", "eval_dataset"),
    "test": ("test_data", "test_loader", "test_dataset", "testset", "test_size"),
    "metrics": ("metric", "scoring"),
    "augment": ("transform", "transforms", "augmentation"),
    "seed": ("random_state",),
    "workers": ("num_workers",),
    "folds": ("cv", "n_splits", "k_folds"),
}
FOREIGN_KEYS: Final[Mapping[str, Message]] = {
    **dict.fromkeys(("x", "y", "x_train", "y_train", "inputs", "targets", "labels"), _DATA),
    **{name: Message("use {key}=", key=key) for key, names in _USE.items() for name in names},
}
"""What other libraries call the keys, with the remedy."""


def _explain_unknown(key: str, choices: Mapping[str, Choice | None]) -> UsageError:
    """Return the error about a key that neither the config nor a chosen component has."""
    kinds = {**KINDS, AUGMENT: "transforms.augment"}
    owners = [f"{k}={e.name}" for k in kinds for e in registry.entries(kinds[k]) if key in e.options]
    if owners:
        names = {k: c.name for k, c in choices.items() if c}
        keys = sorted({owner.split("=")[0] for owner in owners})
        chosen = ", ".join(f"{k}={names.get(k, 'none')}" for k in keys)
        return UsageError(
            Message("{key} is not an option of {chosen}", key=key, chosen=chosen),
            Message("it belongs to {owners}", owners=", ".join(owners)),
        )
    data = choices["data"]
    if key in registry.find("data.objects", IN_MEMORY).options and data is not None and data.name != IN_MEMORY:
        return UsageError(
            Message("{key} is not an option of data={name}", key=key, name=data.name),
            Message("it is for data that is given as an object"),
        )
    if remedy := FOREIGN_KEYS.get(key.lower()):
        return UsageError(Message("unknown key {key}", key=f"{key!r}"), remedy)
    options = {option for k in choices for entry in find_candidates(k, choices[k]) for option in entry.options}
    return UsageError(Message("unknown key {key}", key=f"{key!r}"), suggest(key, {*Config.model_fields, *options}))

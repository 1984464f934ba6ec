"""What the hub's catalog says about a set."""

from __future__ import annotations

from dataclasses import replace

from yisheng.core.dataset import Dataset
from yisheng.data.hub import catalog


def add_catalog_facts(dataset: Dataset) -> Dataset:
    """Return the data set with the description, source and license of the set of the same name in the catalog."""
    hub_set = catalog.find(dataset.name)
    return replace(dataset, about=hub_set.about, source=hub_set.source, license=hub_set.license)

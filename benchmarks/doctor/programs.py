"""All programs of the benchmark, in the order that numbers them: importing this module registers them."""

from __future__ import annotations

import importlib

from benchmarks.doctor.harness import FAULTY, HEALTHY

MODULE_NAMES = (
    "faulty_parameters",
    "faulty_losses",
    "faulty_loops",
    "faulty_rates",
    "faulty_data",
    "faulty_weights",
    "faulty_downloads",
    "healthy_basics",
    "healthy_finetuning",
    "healthy_batches_and_weights",
    "healthy_optimizers_and_losses",
    "healthy_special_loops",
    "later_faulty",
    "later_healthy",
    "latest",
    "unseen.faulty_sequences",
    "unseen.faulty_targets",
    "unseen.faulty_courses",
    "unseen.faulty_pipelines",
    "unseen.faulty_networks",
    "unseen.healthy_networks",
    "unseen.healthy_losses",
    "unseen.healthy_rows",
    "newest",
    "fresh.faulty_rates",
    "fresh.faulty_regularization",
    "fresh.faulty_images",
    "fresh.faulty_tables",
    "fresh.faulty_series",
    "fresh.faulty_texts",
    "fresh.faulty_networks",
    "fresh.faulty_simulations",
    "fresh.healthy_courses",
    "fresh.healthy_networks",
    "fresh.healthy_rows",
    "recent.faulty_loops",
    "recent.faulty_loaders",
    "recent.faulty_rows",
    "recent.faulty_losses",
    "recent.faulty_networks",
    "recent.healthy_losses",
    "recent.healthy_networks",
    "further.faulty_rows",
    "further.faulty_sequences",
    "further.faulty_objectives",
    "further.faulty_networks",
    "further.healthy_courses",
    "further.healthy_updates",
    "everyday.faulty_sequences",
    "everyday.faulty_loops",
    "everyday.faulty_networks",
    "everyday.healthy_families",
)
MODULES = tuple(importlib.import_module(f"benchmarks.doctor.{name}") for name in MODULE_NAMES)
__all__ = ["FAULTY", "HEALTHY", "MODULES"]

"""Base of all packages: types, registry, config, run folder, seeds, errors, files, logging."""

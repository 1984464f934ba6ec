"""What every kind stands on: types, registry, config, seeds, errors, files."""

"""What every room stands on: types, registry, recipe, seeds, errors, files."""

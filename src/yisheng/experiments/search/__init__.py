"""Run a search over configs, resume it, and read its results."""

"""Executors: train the jobs of a search one after the other, or many in one pass."""

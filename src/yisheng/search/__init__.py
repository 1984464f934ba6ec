"""Search over configs, and training of many models: one after the other, or all in one pass."""

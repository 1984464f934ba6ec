"""Programs written before their diagnosis was looked at, in kinds that the other parts do not have."""

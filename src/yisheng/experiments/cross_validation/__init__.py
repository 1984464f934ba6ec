"""Train one run per fold and combine their out-of-fold predictions."""

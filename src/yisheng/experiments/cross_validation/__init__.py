"""Train one run per fold and pool their out-of-fold predictions."""

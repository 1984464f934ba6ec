"""Search: spaces of configs, samplers, and executors that train many models serially or stacked."""

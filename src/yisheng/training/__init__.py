"""Training: the loop, its callbacks, and the state for an exact continuation."""

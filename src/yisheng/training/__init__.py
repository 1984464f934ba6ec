"""Training: the loop, what listens to it, and the state that an exact continuation needs."""

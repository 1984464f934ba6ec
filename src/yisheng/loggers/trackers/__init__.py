"""Experiment trackers that the user has: MLflow, Weights & Biases, Trackio."""

"""Evaluate a trained model on other data: all its rows, through the run's own transforms, columns and class names."""

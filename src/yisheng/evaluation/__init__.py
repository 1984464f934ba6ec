"""Evaluation: predictions, scores with their intervals, baselines, calibration and the worst mistakes."""

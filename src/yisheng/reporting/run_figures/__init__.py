"""Figures of runs and searches for notebooks, scripts and image files; the charts are those of the reports."""

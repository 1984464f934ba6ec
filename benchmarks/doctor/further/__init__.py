"""Forty more kinds of faults and fourteen more families of trainings, by an author who had not read the checks."""

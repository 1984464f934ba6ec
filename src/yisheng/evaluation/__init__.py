"""What a model is worth: scores with their intervals, the baseline to beat, and where it goes wrong."""

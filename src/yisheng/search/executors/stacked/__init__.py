"""The stacked executor: train K models of one shape in one pass over a leading model axis."""

"""Train an ensemble of models of different kinds within a time: what is tried, in which order, and its weights."""

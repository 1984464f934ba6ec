"""Use a trained model: save and load it, prepare inputs, predict, visualize and export."""

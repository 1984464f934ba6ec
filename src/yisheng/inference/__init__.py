"""Using a trained model: saving and loading it, preparing inputs, answering."""

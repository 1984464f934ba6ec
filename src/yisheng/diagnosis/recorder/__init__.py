"""Record what happens in a training, by hooks that are removed afterwards."""

"""TensorBoard's event files: scalars, histograms, images, the graph, and the HParams view."""
